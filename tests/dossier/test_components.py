import pytest

from services.chassis.decider import Rejected
from services.dossier.components import missing, supplied
from services.dossier.values import Channel, Component, ComponentSource, File, Requirement

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
