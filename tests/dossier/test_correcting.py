"""A mistake in the form is corrected, and both versions stay: the rules, and what GetDossier tells of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
import pytest
from google.protobuf.json_format import MessageToDict

from motcua.dossier.events.v1 import events_pb2 as facts
from motcua.dossier.v1 import dossier_pb2
from motcua.dossier.v1 import dossier_service_pb2 as pb
from motcua.dossier.v1.dossier_service_pb2_grpc import DossierServiceStub
from services.chassis.law.fields import has
from services.dossier import commands as c
from services.dossier import events as e
from services.dossier import values as v
from services.dossier.domain import MOST_CORRECTIONS
from services.dossier.service import DossierService
from tests.dossier import world as w
from tests.dossier.test_domain import after, head, refused
from tests.dossier.test_service import Site, reached
from tests.dossier.test_service import refused as refusal
from tests.support.hosted import hosted
from tests.support.keys import MemoryKeys

AT_COUNTER = w.submit(
    by=w.OFFICIAL, channel=v.Channel.COUNTER, place_of_submission=w.COMMUNE, applicant_id=w.APPLICANT.actor_id
)
FORM_ASKED = (*w.PROCESSED_BY_COMMUNE, w.ask_for_answers("people"))
CORRECTED = e.FormCorrected(*head(w.APPLICANT, w.SUBMITTED), w.correction("people").form)
SAME_AGENCY = replace(w.OFFICIAL, actor_id="official-9", roles=frozenset({"receptionist"}))


# Who corrects, and when


@pytest.mark.parametrize(
    ("history", "by"),
    [
        (w.NEW, w.APPLICANT),
        ((*w.NEW, w.request_supplement()), w.APPLICANT),
        ((w.submit(by=w.PEER),), w.PEER),
        ((AT_COUNTER,), w.APPLICANT),
        ((AT_COUNTER,), SAME_AGENCY),
    ],
)
def test_before_reception_the_form_is_corrected_by_whose_it_is(history: Any, by: v.Actor) -> None:
    after(*history).when(w.correct(by=by)).then(replace(CORRECTED, by=by.actor_id))


@pytest.mark.parametrize(
    ("history", "command", "reason", "facts"),
    [
        (w.NEW, w.correct(by=w.STRANGER), "NOT_APPLICANT", {}),
        (w.NEW, w.correct(by=w.OFFICIAL), "NOT_APPLICANT", {}),  # what the applicant wrote online
        ((AT_COUNTER,), w.correct(by=w.OUTSIDER), "NOT_APPLICANT", {}),
        ((*w.NEW, w.receive()), w.correct(), "WRONG_STATE", {"state": "RECEIVED"}),
        (w.REFUSED, w.correct(), "WRONG_STATE", {"state": "NOT_RECEIVED"}),
        (FORM_ASKED, w.correct(), "WRONG_STATE", {"state": "SUPPLEMENT_REQUESTED"}),
        (w.NEW, w.correct(w.correction()), "NOTHING_CORRECTED", {}),
        ((*w.NEW, w.correct()), w.correct(), "OVERLOADED", {}),
        (
            w.NEW,
            w.correct(w.correction("people", law=w.owing(v.FeeCondition.RESULT))),
            "CORRECTION_CHANGES_FEE",
            {"before": "0", "after": "20000"},
        ),
        (
            w.NEW,
            w.correct(
                w.correction(
                    "people",
                    law=w.terms(
                        requirements=(v.Requirement("consent", True, frozenset({v.ComponentSource.ATTACHMENT})),)
                    ),
                )
            ),
            "COMPONENT_MISSING",
            {"components": "consent"},
        ),
        (
            (*w.NEW, *(w.correct(w.correction("people", version=n)) for n in range(MOST_CORRECTIONS))),
            w.correct(w.correction("people", version=MOST_CORRECTIONS)),
            "TOO_MANY_CORRECTIONS",
            {"limit": "10"},
        ),
    ],
)
def test_a_correction_is_refused(history: Any, command: c.Command, reason: str, facts: dict[str, str]) -> None:
    refused(history, command, reason, facts)


# In a supplement


def test_a_supplement_asks_for_answers_and_gets_them() -> None:
    asked = e.SupplementRequested(*head(w.OFFICIAL), (), w.REASON, ("people",))
    after(*w.PROCESSED_BY_COMMUNE).when(w.ask_for_answers("people", "people")).then(asked)
    corrected = replace(CORRECTED, at=w.RECEIVED)
    supplied = e.SupplementSupplied(*head(w.APPLICANT), (), w.DUE)
    supply = w.supply(components=(), correction=w.correction("people.0.name"))
    after(*FORM_ASKED).when(supply).then(corrected, supplied)


@pytest.mark.parametrize(
    ("history", "command", "reason", "facts"),
    [
        (w.PROCESSED_BY_COMMUNE, w.ask_for_answers(), "NO_COMPONENTS", {}),
        (w.NEW, w.ask_for_answers("cat", unknown=("cat",)), "FORM_FIELD_UNKNOWN", {"fields": "cat"}),
        (FORM_ASKED, w.supply(components=()), "FORM_MISSING", {"fields": "people"}),
        (FORM_ASKED, w.supply(components=(), correction=w.correction()), "NOTHING_CORRECTED", {}),
        (
            FORM_ASKED,
            w.supply(components=(), correction=w.correction("people", "people_2")),
            "FORM_FIELD_NOT_ASKED",
            {"fields": "people_2", "asked": "people"},
        ),
        (
            (*w.NEW, w.request_supplement()),
            w.supply(correction=w.correction("people")),
            "FORM_FIELD_NOT_ASKED",
            {"fields": "people", "asked": "-"},
        ),
    ],
)
def test_a_supplement_of_answers_is_refused(
    history: Any, command: c.Command, reason: str, facts: dict[str, str]
) -> None:
    refused(history, command, reason, facts)


@pytest.mark.parametrize(
    ("path", "there"),
    [
        ("name", True),
        ("mother.name", True),
        ("children.12.name", True),
        ("children", True),
        ("late", True),
        ("mother", True),
        ("title", False),
        ("mother.age", False),
        ("children.name", False),
        ("properties", False),
        ("", False),
    ],
)
def test_a_form_s_answers_are_known_by_their_paths(path: str, there: bool) -> None:
    person = '{"type": "object", "title": "x", "properties": {"name": {"type": "string"}}}'
    schema = f"""{{
        "$defs": {{"person": {person}}},
        "properties": {{
            "name": {{}}, "mother": {{"$ref": "#/$defs/person"}},
            "children": {{"type": "array", "items": {{"$ref": "#/$defs/person"}}}}
        }},
        "allOf": [{{"then": {{"properties": {{"late": {{}}}}}}}}]
    }}"""
    assert has(schema, path) is there


def test_an_unusable_form_has_no_answers() -> None:
    assert not has("{", "name")


# Over gRPC


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder, keys = tmp_path_factory.mktemp("correcting"), MemoryKeys()
    service = type("Hosted", (DossierService,), {"key_ring": staticmethod(lambda *_: keys)})
    shift: Path = folder / "shift"
    with (
        hosted(folder, [service], clock_shift_file=shift) as host,
        grpc.insecure_channel(host.address("dossier")) as channel,
    ):
        made = Site(host, DossierServiceStub(channel), keys, shift)
        made.open()
        made.upload(made.citizen())
        yield made


def correct(site: Site, code: str, who: Any, **answers: Any) -> pb.CorrectFormResponse:
    request = pb.CorrectFormRequest(request_id=str(uuid4()), code=code)
    request.form.update(answers)
    return site.stub.CorrectForm(request, metadata=who)


def shown(site: Site, code: str) -> dossier_pb2.Dossier:
    return site.stub.GetDossier(pb.GetDossierRequest(code=code), metadata=site.citizen()).dossier


def test_the_dossier_tells_what_each_correction_changed(site: Site) -> None:
    me = site.citizen()
    code = site.submit(me).code
    correct(site, code, me, name="Nguyễn Văn Á", late=True)
    asked = pb.RequestSupplementRequest(
        request_id=str(uuid4()), code=code, explanation="Họ tên chưa khớp giấy tờ", form_fields=["name"]
    )
    site.stub.RequestSupplement(asked, metadata=site.official())
    assert list(shown(site, code).wrong_form_fields) == ["name"]
    supply = pb.SupplySupplementRequest(request_id=str(uuid4()), code=code)
    supply.form.update({"name": "Nguyễn Văn B", "late": True})
    first = site.stub.SupplySupplement(supply, metadata=me)
    assert site.stub.SupplySupplement(supply, metadata=me) == first
    dossier = shown(site, code)
    assert [
        [(change.path, MessageToDict(change.before), MessageToDict(change.after)) for change in one.changes]
        for one in dossier.corrections
    ] == [
        [("late", None, True), ("name", "Nguyễn Văn A", "Nguyễn Văn Á")],
        [("name", "Nguyễn Văn Á", "Nguyễn Văn B")],
    ]
    assert not dossier.corrections[0].changes[0].HasField("before")
    assert MessageToDict(dossier.form) == {"name": "Nguyễn Văn B", "late": True}
    assert {one.by for one in dossier.corrections} == {"citizen-1"}
    (supplement,) = dossier.supplements
    assert (list(supplement.form_fields), supplement.explanation) == (["name"], "Họ tên chưa khớp giấy tờ")
    assert supplement.HasField("supplied_at")
    assert site.history(code) == [
        "DossierSubmitted",
        "FormCorrected",
        "SupplementRequested",
        "FormCorrected",
        "SupplementSupplied",
        "DossierReceived",
    ]


def test_what_is_corrected_is_held_against_the_form(site: Site) -> None:
    me = site.citizen()
    code = site.submit(me).code
    assert refusal(lambda: correct(site, code, me, late=True)) == "FORM_INVALID"
    assert refusal(lambda: correct(site, code, me, name="Nguyễn Văn A")) == "NOTHING_CORRECTED"
    assert refusal(lambda: correct(site, code, site.citizen("citizen-2"), name="X")) == "NOT_FOUND"
    unknown = pb.RequestSupplementRequest(
        request_id=str(uuid4()), code=code, explanation="Họ tên chưa khớp giấy tờ", form_fields=["nickname"]
    )
    assert refusal(lambda: site.stub.RequestSupplement(unknown, metadata=site.official())) == "FORM_FIELD_UNKNOWN"
    assert site.history(code) == ["DossierSubmitted"]


def test_an_official_corrects_what_the_counter_wrote_down(site: Site) -> None:
    """The old answers are compared, not shown: nobody's data is used by it."""
    applicant = str(uuid4())
    site.register(applicant)
    paper = facts.Component(component_code="deed", source=facts.COMPONENT_SOURCE_PAPER)
    who: dict[str, Any] = {"applicant_name": "Nguyễn Văn A", "applicant_kind": facts.APPLICANT_KIND_CITIZEN}
    clerk = site.official()
    code = site.submit(clerk, channel=facts.CHANNEL_COUNTER, components=[paper], applicant_id=applicant, **who).code
    assert correct(site, code, clerk, name="Trần Thị C").revision == 1
    assert site.host.run(site.host.platform.store.read(f"use-{code}")) == []
    site.keys.erase(applicant)
    assert refusal(lambda: correct(site, code, clerk, name="Trần Thị D")) == "SUBJECT_ERASED"
    request = pb.GetDossierRequest(code=code, purpose="settle")
    dossier = site.stub.GetDossier(request, metadata=clerk).dossier
    assert dossier.erased
    assert [list(one.changes) for one in dossier.corrections] == [[]]


def test_the_reasons_stand_in_the_dossier(site: Site) -> None:
    code, clerk = site.submit(site.citizen()).code, site.official()
    reason = "Không thuộc thẩm quyền của phường"
    refuse = pb.RefuseDossierRequest(request_id=str(uuid4()), code=code, reason=reason)
    site.stub.RefuseDossier(refuse, metadata=clerk)
    dossier = shown(site, code)
    assert (dossier.refusal.reason, dossier.refusal.HasField("at")) == (reason, True)
    reached(site)


def test_every_reason_of_a_dossier_is_told(site: Site) -> None:
    code, clerk, me = site.submit(site.citizen()).code, site.official(), site.citizen()

    def done(name: str, who: Any, **fields: Any) -> None:
        request = getattr(pb, f"{name}Request")(request_id=str(uuid4()), code=code, **fields)
        getattr(site.stub, name)(request, metadata=who)

    done("RequestWithdrawal", me, reason="Không còn nhu cầu nữa")
    done("DeclineWithdrawal", clerk, explanation="Hồ sơ đã gần xong rồi")
    stop = {"cause": facts.STOP_CAUSE_CONDITIONS_NOT_MET, "explanation": "Không đủ điều kiện theo luật"}
    done("StopProcessing", clerk, **stop)
    dossier = shown(site, code)
    (withdrawal,) = dossier.withdrawals
    assert (withdrawal.reason, withdrawal.explanation) == ("Không còn nhu cầu nữa", "Hồ sơ đã gần xong rồi")
    assert (dossier.stop.cause, dossier.stop.explanation) == tuple(stop.values())
