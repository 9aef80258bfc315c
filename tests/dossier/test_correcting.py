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
from hypothesis import given as forall
from hypothesis import strategies as st

from motcua.catalogue.events.v1 import events_pb2 as catalogue
from motcua.dossier.v1 import dossier_pb2
from motcua.dossier.v1 import dossier_service_pb2 as pb
from motcua.dossier.v1.dossier_service_pb2_grpc import DossierServiceStub
from motcua.types.v1 import types_pb2 as types
from services.chassis.following.in_force import SHAPES
from services.dossier import commands as c
from services.dossier import events as e
from services.dossier import values as v
from services.dossier.domain import dossier
from services.dossier.domain.corrections import MOST_CORRECTIONS
from services.dossier.service import DossierService
from services.law import definitions as d
from services.law.course import FeeCondition, Finance, Settlement
from services.law.deadlines import Term, Unit
from services.law.definitions import (
    Charge,
    ChargeBasis,
    Component,
    ComponentSource,
    Exemption,
    Fee,
    Ground,
    Json,
    Text,
)
from services.law.fields import has
from tests.dossier import world as w
from tests.dossier.test_domain import after, refused
from tests.dossier.test_service import PROCEDURE_OF_ONE_COMPONENT, SHA256, Site, reached, submission
from tests.dossier.test_service import refused as refusal
from tests.dossier.world import stamp
from tests.support.given import given
from tests.support.hosted import hosted
from tests.support.keys import MemoryKeys
from tests.support.stating import reading_for

AT_COUNTER = w.submit(
    by=w.OFFICIAL, channel=v.Channel.COUNTER, place_of_submission=w.COMMUNE, applicant_id=w.APPLICANT.actor_id
)
FORM_ASKED = (*w.PROCESSED_BY_COMMUNE, w.ask_for_answers("people"))
CORRECTED = e.FormCorrected(**stamp(w.APPLICANT, w.SUBMITTED), form=w.correction("people").form)
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
        ((*w.NEW, w.receive()), w.correct(), "WRONG_STATE", w.in_state("RECEIVED")),
        (w.REFUSED, w.correct(), "WRONG_STATE", w.in_state("NOT_RECEIVED")),
        (FORM_ASKED, w.correct(), "WRONG_STATE", w.in_state("SUPPLEMENT_REQUESTED")),
        (w.NEW, w.correct(w.correction()), "NOTHING_CORRECTED", {}),
        ((*w.NEW, w.correct()), w.correct(), "OVERLOADED", {}),
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


# What the answers owe and need

CONSENT = v.Requirement("consent", True, frozenset({v.ComponentSource.ATTACHMENT}))
COPY, STAMP = v.FeeItem("Bản sao", 8_000, "copy"), v.FeeItem("Lệ phí", 20_000, "fee")
MORE = w.terms(requirements=(*w.TERMS.requirements, CONSENT))


def owing(*items: v.FeeItem, condition: FeeCondition = FeeCondition.RECEPTION, **changes: Any) -> v.Terms:
    return w.terms(fee_items=items, fee_condition=condition, **changes)


def fees(*history: c.Command) -> list[Any]:
    return [fact for fact in w.story(*history) if isinstance(fact, e.FeeAssessed | e.FeeCancelled)]


def told(fact: Any) -> tuple[str, str, int]:
    return type(fact).__name__, fact.fee_id, fact.amount


def corrected(
    *items: v.FeeItem, before: tuple[v.FeeItem, ...], fee_id: str = "fee-9", version: int = 0
) -> c.CorrectForm:
    changed = w.correction("people", law=owing(*items), before=before, fee_id=fee_id, version=version)
    return w.correct(changed)


def test_a_fee_that_is_not_paid_is_cancelled_and_assessed_anew() -> None:
    submitted = w.submit(terms=owing(COPY))
    by = stamp(w.APPLICANT, w.SUBMITTED)
    after(submitted).when(corrected(STAMP, COPY, before=(COPY,))).then(
        CORRECTED,
        e.FeeCancelled(
            **by, fee_id="fee-0", amount=8_000, condition=FeeCondition.RECEPTION, reason=w.REASON, due_at=None
        ),
        e.FeeAssessed(
            **by,
            fee_id="fee-9",
            amount=28_000,
            items=(STAMP, COPY),
            condition=FeeCondition.RECEPTION,
            agency=w.COMMUNE,
            of_form=True,
        ),
    )
    # The same is owed: nothing is said of it.
    after(submitted).when(corrected(COPY, before=(COPY,))).then(CORRECTED)
    # The time to pay does not begin anew.
    hasty = owing(COPY, pay_within=Term(2, Unit.WORKING_DAYS), stops_unpaid=True)
    later = replace(corrected(STAMP, before=(COPY,)), at=w.at("2026-03-03T10:00"))
    history = w.story(w.submit(terms=hasty), replace(later, correction=replace(later.correction, terms=hasty)))
    assert [(fact.pay_by, fact.stops_unpaid) for fact in history if isinstance(fact, e.FeeAssessed)] == [
        (w.at("2026-03-03T17:00"), True)
    ]


def test_where_nothing_is_owed_any_more_the_time_to_receive_begins() -> None:
    online = w.submit(terms=owing(COPY), reception_term=Term(1, Unit.WORKING_DAYS), reception_calendar=w.CALENDAR)
    free = corrected(before=(COPY,))
    free = replace(free, at=w.RECEIVED, correction=replace(free.correction, reception_calendar=w.CALENDAR))
    state = dossier.fold(w.story(online, free))
    assert (state.reception_due_at, state.finance) == (w.at("2026-03-03T17:00"), Finance.NOTHING_DUE)
    owing_again = corrected(COPY, before=(), fee_id="fee-10", version=1)
    assert dossier.fold(w.story(online, free, owing_again)).reception_due_at is None


def test_of_a_paid_fee_the_difference_is_charged_or_the_money_goes_back_whole() -> None:
    paid = (w.submit(terms=owing(COPY)), w.pay("fee-0", 8_000))
    more = corrected(STAMP, COPY, before=(COPY,))
    assert [told(fact) for fact in fees(*paid, more)] == [
        ("FeeAssessed", "fee-0", 8_000),
        ("FeeAssessed", "fee-9", 20_000),
    ]
    less = corrected(replace(COPY, amount=4_000), before=(COPY,))
    assert [told(fact) for fact in fees(*paid, less)][1:] == [
        ("FeeCancelled", "fee-0", 8_000),
        ("FeeAssessed", "fee-9", 4_000),
    ]
    assert [told(fact) for fact in fees(*paid, corrected(before=(COPY,)))][1:] == [("FeeCancelled", "fee-0", 8_000)]
    # Of two that were paid the one that is still owed stays.
    back = corrected(COPY, before=(STAMP, COPY), fee_id="fee-10", version=1)
    assert [told(fact) for fact in fees(*paid, more, w.pay("fee-9"), back)][2:] == [("FeeCancelled", "fee-9", 20_000)]
    after(*paid, corrected(before=(COPY,))).when(w.refund("fee-0", 8_000)).then_nothing()


def test_what_an_official_decided_about_the_fee_stands() -> None:
    submitted = w.submit(terms=owing(COPY))
    cancelled = c.CancelFee(by=w.OFFICIAL, at=w.SUBMITTED, fee_id="fee-0", reason=w.REASON, terms=w.TERMS)
    by_hand = w.assess(FeeCondition.RECEPTION, fee_id="fee-1")
    after(submitted, cancelled, by_hand).when(corrected(STAMP, before=(COPY,))).then(CORRECTED)
    # And what is owed for processing, an official assesses.
    law = owing(STAMP, condition=FeeCondition.PROCESSING)
    given(dossier, *w.NEW).when(w.correct(w.correction("people", law=law))).then(CORRECTED)


def test_what_only_these_answers_need_is_given_with_them() -> None:
    scan = v.Component("consent", v.ComponentSource.ATTACHMENT, w.PHOTO)
    held = replace(scan, media_type="image/png", size=7)
    both = replace(w.correct(w.correction("people", law=MORE)), components=(scan,), uploaded=w.UPLOADED)
    given(dossier, *w.NEW).when(both).then(replace(CORRECTED, components=(held,)))
    assert dossier.fold(w.story(*w.NEW, both)).components[-1] == held
    # No way around a supplement for what is there.
    housing = v.Component("housing", v.ComponentSource.ATTACHMENT, w.PHOTO)
    refused(w.NEW, replace(both, components=(scan, housing)), "COMPONENT_UNKNOWN", {"components": "housing"})
    supply = w.supply(components=(scan,), correction=w.correction("people", law=MORE))
    supplied = e.SupplementSupplied(**stamp(w.APPLICANT), components=(held,), due_at=w.DUE)
    after(*FORM_ASKED).when(supply).then(replace(CORRECTED, at=w.RECEIVED), supplied)
    refused(FORM_ASKED, replace(supply, components=()), "COMPONENT_MISSING", {"components": "consent"})


def test_a_supplement_that_changes_the_fee_after_reception_asks_for_it_before_the_result() -> None:
    law = owing(STAMP, COPY)
    asked = (w.submit(terms=owing(COPY)), w.pay("fee-0", 8_000), w.receive(), w.assign(), w.ask_for_answers("people"))
    supply = w.supply(components=(), correction=w.correction("people", law=law, before=(COPY,)))
    by = stamp(w.APPLICANT)
    owed = e.FeeAssessed(
        **by,
        fee_id="fee-9",
        amount=20_000,
        items=(STAMP,),
        condition=FeeCondition.RESULT,
        agency=w.COMMUNE,
        of_form=True,
    )
    supplied = e.SupplementSupplied(**by, components=(), due_at=w.DUE)
    after(*asked).when(supply).then(replace(CORRECTED, at=w.RECEIVED), owed, supplied)


def test_what_must_be_paid_before_reception_is_paid_before_the_supplement() -> None:
    asked = (w.submit(terms=owing(COPY)), w.pay("fee-0", 8_000), w.ask_for_answers("people"))
    dearer = w.correction("people", law=owing(STAMP, COPY), before=(COPY,))
    supply = w.supply(components=(), correction=dearer)
    refused(asked, supply, "CORRECTION_CHANGES_FEE", {"before": "8000", "after": "28000"})
    # As the refusal says: corrected first, paid, then supplied.
    told = (*asked, replace(w.correct(dearer), at=w.RECEIVED), w.pay("fee-9"), w.supply(components=()))
    assert dossier.fold(w.story(*told)).settlement is Settlement.BEING_PROCESSED


PRICES = st.lists(
    st.tuples(st.sampled_from(["fee", "copy"]), st.integers(1, 5)), max_size=2, unique_by=lambda each: each[0]
)


@forall(st.lists(st.tuples(PRICES, st.booleans()), min_size=1, max_size=6), st.booleans())
def test_whatever_is_corrected_what_is_owed_and_paid_is_the_fee_of_the_last_form(
    forms: list[tuple[list[tuple[str, int]], bool]], received: bool
) -> None:
    asked = [tuple(v.FeeItem(code, amount * 1_000, code) for code, amount in prices) for prices, _ in forms]
    condition = FeeCondition.RESULT if received else FeeCondition.RECEPTION
    history = [*w.story(w.submit(terms=owing(*asked[0], condition=condition)))]

    def done(command: c.Command) -> None:
        history.extend(dossier.decide(command, dossier.fold(history)))

    if received:
        done(w.receive())
        done(w.assign())
    for number, (before, now, (_, pays)) in enumerate(zip(asked, asked[1:], forms, strict=False)):
        if pays:
            for fee in dossier.fold(history).fees:
                if fee.finance is Finance.DUE:
                    done(w.pay(fee.fee_id, fee.amount))
        law = owing(*now, condition=condition)
        correction = w.correction("people", law=law, before=before, fee_id=f"form-{number}", version=number)
        if received:
            done(w.ask_for_answers("people"))
            done(w.supply(components=(), correction=correction))
        else:
            done(w.correct(correction))
        fees = dossier.fold(history).fees
        standing = [fee for fee in fees if fee.finance in (Finance.DUE, Finance.PAID)]
        assert sum(fee.amount for fee in standing) == sum(item.amount for item in now)
        assert all(sum(item.amount for item in fee.items) == fee.amount for fee in standing)


# In a supplement


def test_a_supplement_asks_for_answers_and_gets_them() -> None:
    asked = e.SupplementRequested(
        **stamp(w.OFFICIAL), component_codes=(), explanation=w.REASON, form_fields=("people",)
    )
    given(dossier, *w.PROCESSED_BY_COMMUNE).when(w.ask_for_answers("people", "people")).then(asked)
    corrected = replace(CORRECTED, at=w.RECEIVED)
    supplied = e.SupplementSupplied(**stamp(w.APPLICANT), components=(), due_at=w.DUE)
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
        priced: Any = SHAPES["procedure"].write(PRICED)
        made.put("procedure-2", catalogue.ProcedurePublished(procedure=priced))
        made.upload(made.citizen())
        yield made


PRICED = replace(
    PROCEDURE_OF_ONE_COMPONENT,
    code="1.000657",
    fee=Fee(
        d.FeeCondition.RECEPTION,
        (Charge("copy", Text("Bản sao", "Copy"), ChargeBasis.FIXED, 8_000, per="copy"),),
        (
            Exemption("poor", Text("Hộ nghèo", "Poor"), 50, "Luật"),
            Exemption("late", Text("Quá hạn", "Late"), 100, "Luật", (Ground("late", Json("true")),)),
        ),
    ),
    components=(
        *PROCEDURE_OF_ONE_COMPONENT.components,
        Component("proof", Text("Chứng cứ", "Proof"), True, (ComponentSource.ATTACHMENT,), only_if="late"),
    ),
)


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


def test_answers_that_owe_another_fee_or_need_a_paper_are_corrected_and_what_an_official_waived_stays(
    site: Site,
) -> None:
    me, clerk = site.citizen(), site.official()

    def form(**answers: Any) -> Any:
        return {"name": "Nguyễn Văn A", **answers}

    request = submission(procedure_code=PRICED.code)
    request.form.update(form(copies=2))
    code = site.stub.SubmitDossier(request, metadata=me).code
    assert [(fee.amount, fee.finance) for fee in shown(site, code).fees] == [(16_000, dossier_pb2.FINANCE_DUE)]
    correct(site, code, me, **form(copies=3))
    fee = shown(site, code).fees[-1]
    assert (fee.amount, fee.finance) == (24_000, dossier_pb2.FINANCE_DUE)
    waive = pb.WaiveFeeRequest(
        request_id=str(uuid4()),
        code=code,
        fee_id=fee.fee_id,
        exemption_code="poor",
        reason="Xuất trình giấy chứng nhận hộ nghèo",
    )
    site.stub.WaiveFee(waive, metadata=clerk)
    # What the official saw proved holds for the new price too.
    correct(site, code, me, **form(copies=4))
    assert [fee.amount for fee in shown(site, code).fees if fee.finance == dossier_pb2.FINANCE_DUE] == [16_000]
    late = form(copies=4, late=True)
    assert refusal(lambda: correct(site, code, me, **late)) == "COMPONENT_MISSING"
    proof = pb.GivenComponent(component_code="proof", source=types.COMPONENT_SOURCE_ATTACHMENT, sha256=SHA256)
    given = pb.CorrectFormRequest(request_id=str(uuid4()), code=code, components=[proof])
    given.form.update(late)
    site.stub.CorrectForm(given, metadata=me)
    dossier = shown(site, code)
    assert {one.component_code for one in dossier.components} == {"deed", "proof"}
    assert dossier.finance == dossier_pb2.FINANCE_NOTHING_DUE
    assert list(dossier.waivers[-1].exemption_codes) == ["late"]
    # What followed from the answers goes with them; what an official granted does not.
    correct(site, code, me, **form(copies=1))
    assert [fee.amount for fee in shown(site, code).fees if fee.finance == dossier_pb2.FINANCE_DUE] == [4_000]


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
    paper = pb.GivenComponent(component_code="deed", source=types.COMPONENT_SOURCE_PAPER)
    who: dict[str, Any] = {"applicant_name": "Nguyễn Văn A", "applicant_kind": dossier_pb2.APPLICANT_KIND_CITIZEN}
    clerk = site.official()
    code = site.submit(clerk, channel=types.CHANNEL_COUNTER, components=[paper], applicant_id=applicant, **who).code
    assert correct(site, code, clerk, name="Trần Thị C").revision == 1
    assert site.host.run(site.host.platform.store.read(f"use-{code}")) == []
    site.keys.erase(applicant)
    assert refusal(lambda: correct(site, code, clerk, name="Trần Thị D")) == "SUBJECT_ERASED"
    request = pb.GetDossierRequest(code=code)
    dossier = site.stub.GetDossier(request, metadata=reading_for("settle", clerk)).dossier
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
    stop = {"cause": dossier_pb2.STOP_CAUSE_CONDITIONS_NOT_MET, "explanation": "Không đủ điều kiện theo luật"}
    done("StopProcessing", clerk, **stop)
    dossier = shown(site, code)
    (withdrawal,) = dossier.withdrawals
    assert (withdrawal.reason, withdrawal.explanation) == ("Không còn nhu cầu nữa", "Hồ sơ đã gần xong rồi")
    assert (dossier.stop.cause, dossier.stop.explanation) == tuple(stop.values())
