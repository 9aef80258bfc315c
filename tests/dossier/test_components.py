from dataclasses import replace

import pytest

from services.chassis.decider import Rejected, Words
from services.dossier.domain.components import component_missing, missing, supplied
from services.dossier.values import Channel, Component, ComponentSource, File, FileKind, Requirement

PAPER, ATTACHMENT = ComponentSource.PAPER, ComponentSource.ATTACHMENT
FORM, WAREHOUSE = ComponentSource.FORM, ComponentSource.WAREHOUSE
SCAN = "ab" * 32
UPLOADED = {SCAN: File(SCAN, "application/pdf", 9)}


def rule(code: str, *sources: ComponentSource, kind: str = "", required: bool = True) -> Requirement:
    return Requirement(code, required, frozenset(sources), kind)


@pytest.mark.parametrize(
    ("source", "channel"),
    [(FORM, Channel.ONLINE), (PAPER, Channel.COUNTER), (WAREHOUSE, Channel.ONLINE)],
)
def test_only_an_attachment_names_a_file(source: ComponentSource, channel: Channel) -> None:
    given = Component("deed", source, "/etc/passwd", "text/html", 1, "land-1" if source is WAREHOUSE else "x")
    (held,) = supplied([given], [rule("deed", source, kind="deed")], channel, UPLOADED, {"deed": "land-1"}, True)
    assert held == Component("deed", source, document_id="land-1" if source is WAREHOUSE else "")


def test_an_attachment_is_what_was_uploaded_not_what_is_said_of_it() -> None:
    given = Component("deed", ATTACHMENT, SCAN, "text/html", -5, "land-1")
    (held,) = supplied([given], [rule("deed", ATTACHMENT)], Channel.ONLINE, UPLOADED, {}, False)
    assert held == Component("deed", ATTACHMENT, SCAN, "application/pdf", 9)


@pytest.mark.parametrize(
    ("stated", "in_form", "held"),
    [
        ("", "", ""),
        ("2026-01-15", "", "2026-01-15"),
        ("", "2026-01-15", "2026-01-15"),
        ("2026-02-01", "2026-01-15", "2026-02-01"),
    ],
)
def test_the_day_that_a_paper_bears_is_stated_with_it_or_in_the_form(stated: str, in_form: str, held: str) -> None:
    for source, channel in ((ATTACHMENT, Channel.ONLINE), (PAPER, Channel.COUNTER)):
        given = Component("deed", source, SCAN, issued_on=stated)
        rules = [replace(rule("deed", PAPER), issued_on=in_form)]
        (found,) = supplied([given], rules, channel, UPLOADED, {}, False)
        assert found.issued_on == held


@pytest.mark.parametrize(
    ("given", "rules", "channel", "reason"),
    [
        (Component("cat", PAPER), [rule("deed", PAPER)], Channel.COUNTER, "COMPONENT_UNKNOWN"),
        (Component("deed", PAPER), [rule("deed", PAPER)], Channel.ONLINE, "COMPONENT_SOURCE_REFUSED"),
        (Component("deed", FORM), [rule("deed", PAPER)], Channel.COUNTER, "COMPONENT_SOURCE_REFUSED"),
        (Component("deed", ATTACHMENT, "cd" * 32), [rule("deed", PAPER)], Channel.ONLINE, "ATTACHMENT_UNKNOWN"),
        (
            Component("deed", WAREHOUSE, document_id="another's"),
            [rule("deed", WAREHOUSE, kind="deed")],
            Channel.ONLINE,
            "DOCUMENT_NOT_REUSABLE",
        ),
    ],
)
def test_what_is_not_accepted(given: Component, rules: list[Requirement], channel: Channel, reason: str) -> None:
    with pytest.raises(Rejected) as refused:
        supplied([given], rules, channel, UPLOADED, {"deed": "land-1"}, True)
    assert refused.value.reason == reason


@pytest.mark.parametrize("second", [SCAN, "cd" * 32])
def test_a_component_is_given_once(second: str) -> None:
    """All but one of several would be lost, and nobody told."""
    twice = [Component("deed", ATTACHMENT, SCAN), Component("deed", ATTACHMENT, second)]
    with pytest.raises(Rejected) as refused:
        supplied(twice, [rule("deed", PAPER)], Channel.ONLINE, UPLOADED, {}, False)
    assert (refused.value.reason, refused.value.facts) == ("COMPONENT_REPEATED", {"components": "deed"})


def test_the_type_of_a_file_is_the_upload_s() -> None:
    given = Component("deed", ATTACHMENT, SCAN, "image/png")
    (held,) = supplied([given], [rule("deed", PAPER)], Channel.ONLINE, UPLOADED, {}, False)
    assert held.media_type == UPLOADED[SCAN].media_type != given.media_type


@pytest.mark.parametrize("media_type", ["image/vnd.dwg", "application/xml"])
def test_a_drawing_or_signed_xml_is_for_procedures_that_take_them(media_type: str) -> None:
    given, uploaded = Component("plan", ATTACHMENT, SCAN), {SCAN: File(SCAN, media_type, 9)}
    with pytest.raises(Rejected) as refused:
        supplied([given], [rule("plan", ATTACHMENT)], Channel.ONLINE, uploaded, {}, False)
    assert refused.value.reason == "ATTACHMENT_KIND_REFUSED"
    takes = replace(rule("plan", ATTACHMENT), file_kinds=frozenset({FileKind.DRAWING, FileKind.SIGNED_XML}))
    assert supplied([given], [takes], Channel.ONLINE, uploaded, {}, False)
    with pytest.raises(Rejected) as refused:
        supplied([given], [takes], Channel.ONLINE, UPLOADED, {}, False)
    assert refused.value.facts["accepted"] == "application/xml, image/vnd.dwg, image/vnd.dxf"


OTHERS = {"birth": frozenset({"a child's"})}


@pytest.mark.parametrize(
    ("about_another", "others", "filled"),
    [
        (False, OTHERS, "my own"),
        (True, OTHERS, "a child's"),
        (True, {}, ""),
        (True, {"birth": frozenset({"a child's", "another child's"})}, ""),
    ],
)
def test_a_child_s_document_is_not_taken_for_the_parent_s_nor_the_parent_s_for_a_child_s(
    about_another: bool, others: dict[str, frozenset[str]], filled: str
) -> None:
    rules = [replace(rule("birth", WAREHOUSE, PAPER, kind="birth"), about_another=about_another)]
    held = supplied([], rules, Channel.ONLINE, {}, {"birth": "my own"}, True, others)
    assert [component.document_id for component in held] == ([filled] if filled else [])


def test_who_has_several_names_the_one_that_is_meant() -> None:
    rules, others = [rule("birth", WAREHOUSE, kind="birth")], {"birth": frozenset({"first", "second"})}
    given = Component("birth", WAREHOUSE, document_id="second")
    assert supplied([given], rules, Channel.ONLINE, {}, {}, True, others) == (given,)
    with pytest.raises(Rejected) as refused:
        supplied([replace(given, document_id="third")], rules, Channel.ONLINE, {}, {}, True, others)
    assert refused.value.reason == "DOCUMENT_NOT_REUSABLE"


def test_the_form_and_the_warehouse_fill_in_what_they_hold() -> None:
    rules = [
        rule("answers", FORM),
        rule("identity", WAREHOUSE, kind="identity"),
        rule("deed", WAREHOUSE, ATTACHMENT, kind="deed"),
        rule("photo", ATTACHMENT),
    ]
    documents = {"identity": "id-1", "deed": "land-1"}
    without_consent = supplied([], rules, Channel.ONLINE, {}, documents, False)
    with_consent = supplied([], rules, Channel.ONLINE, {}, documents, True)
    held = (Component("answers", FORM), Component("identity", WAREHOUSE, document_id="id-1"))
    assert without_consent == held
    assert with_consent == (*held, Component("deed", WAREHOUSE, document_id="land-1"))
    assert missing(with_consent, rules) == ["photo"]


def test_what_is_missing_is_called_as_people_call_it() -> None:
    named = replace(rule("birth-notice"), name=("Giấy chứng sinh", "Birth notice"))
    refused = component_missing(["birth-notice", "ct01"], [named, rule("ct01")])
    components = refused.facts["components"]
    assert components == "birth-notice, ct01"
    assert isinstance(components, Words)
    assert (components.vi, components.en) == (
        "Giấy chứng sinh (birth-notice), ct01",
        "Birth notice (birth-notice), ct01",
    )
