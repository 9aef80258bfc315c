"""A procedure with two components, two steps and a fee; and who is who in its dossiers."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from services.chassis.decider import Sealed
from services.dossier import commands as c
from services.dossier import events as e
from services.dossier import values as v
from services.dossier.domain import dossier
from services.dossier.domain.settlements import NOW
from services.dossier.events import Event
from services.law.course import FeeCondition, Settlement
from services.law.deadlines import Calendar, Term, Unit

ZONE = ZoneInfo("Asia/Ho_Chi_Minh")
CODE = "P56.22.336-20260302-0000001"
COMMUNE, DEPARTMENT, ELSEWHERE = "P56.22.336", "P56.1", "P56.22.999"

APPLICANT = v.Actor("citizen-1", frozenset({"citizen"}))
STRANGER = v.Actor("citizen-2", frozenset({"citizen"}))
OFFICIAL = v.Actor("official-1", frozenset({"receptionist", "processor", "approver"}), COMMUNE)
COLLEAGUE = v.Actor("official-2", frozenset({"processor"}), COMMUNE)
EXPERT = v.Actor("official-3", frozenset({"processor", "approver"}), DEPARTMENT)
OUTSIDER = v.Actor("official-4", frozenset({"receptionist", "processor", "approver"}), ELSEWHERE)
TREASURY = v.Actor("service:payment")
CLOCK = v.Actor("service:dossier")
PEER = v.Actor("system:vn", frozenset({"system"}))

REASON = Sealed("Thiếu bản chính giấy tờ về nhà ở.")
SCAN, PHOTO = "ab" * 32, "cd" * 32
UPLOADED = {SCAN: v.File(SCAN, "application/pdf", 9), PHOTO: v.File(PHOTO, "image/png", 7)}
FEE = v.FeeItem("Lệ phí", 20_000)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZONE)


_DAY = ((time(7, 30), time(11, 30)), (time(13), time(17)))
CALENDAR = Calendar(
    "offices",
    3,
    "Asia/Ho_Chi_Minh",
    (_DAY, _DAY, _DAY, _DAY, _DAY, (), ()),
    closed=frozenset(
        {
            *(date(2026, 1, day) for day in (1, 2)),
            *(date(2026, 2, day) for day in range(14, 23)),
            *(date(2026, 4, day) for day in (27, 30)),
            *(date(2026, 9, day) for day in (1, 2)),
            date(2026, 5, 1),
            date(2026, 8, 31),
            date(2026, 11, 24),
        }
    ),
    worked=frozenset({date(2026, 1, 10), date(2026, 8, 22)}),
)
TERMS = v.Terms(
    procedure_code="1.004222",
    procedure_version=2,
    term=Term(5, Unit.WORKING_DAYS),
    calendar=CALENDAR,
    requirements=(
        v.Requirement("ct01", True, frozenset({v.ComponentSource.FORM})),
        v.Requirement(
            "housing", True, frozenset({v.ComponentSource.ATTACHMENT, v.ComponentSource.WAREHOUSE}), "housing"
        ),
        v.Requirement("photo", False, frozenset({v.ComponentSource.ATTACHMENT})),
    ),
    steps=(v.StepRule("check", "processor"), v.StepRule("sign", "approver")),
    fee_items=(),
    fee_condition=FeeCondition.RECEPTION,
    document_kind="residence",
    exemptions=(v.Exempt("poor", 100), v.Exempt("student", 50), v.Exempt("copies", 100, ("copy",))),
    charge_codes=frozenset({"fee", "copy"}),
)
HOUSING = v.Component("housing", v.ComponentSource.ATTACHMENT, SCAN, "application/pdf", 9)
FORM = v.Component("ct01", v.ComponentSource.FORM)
SUBMITTED, RECEIVED, DUE = at("2026-03-01T20:00"), at("2026-03-02T09:00"), at("2026-03-09T17:00")


def in_state(name: str) -> dict[str, str]:
    """The facts of WRONG_STATE."""
    return {"state": name, "now": ", ".join(NOW[Settlement[name]])}


def terms(**changes: Any) -> v.Terms:
    return replace(TERMS, **changes)


def owing(condition: FeeCondition) -> v.Terms:
    return terms(fee_items=(FEE,), fee_condition=condition)


def submit(**changes: Any) -> c.SubmitDossier:
    """`changes`: of the submission, and of the command's code and fee."""
    asked = {name: changes.pop(name, given) for name, given in (("code", CODE), ("fee_id", "fee-0"))}
    submission = c.Submission(
        by=APPLICANT,
        at=SUBMITTED,
        applicant_id=APPLICANT.actor_id,
        applicant_kind=v.ApplicantKind.CITIZEN,
        applicant_name=Sealed("Nguyễn Văn A"),
        email=Sealed("a@vi.example"),
        phone=Sealed("0905123456"),
        form=Sealed('{"people": 2}'),
        channel=v.Channel.ONLINE,
        components=(v.Component("housing", v.ComponentSource.ATTACHMENT, SCAN),),
        uploaded=UPLOADED,
        documents={},
        reuse_consent=False,
        place_of_submission="online",
        reception_agency=COMMUNE,
        competent_agency=COMMUNE,
        province="56",
        delivery_method=v.DeliveryMethod.ELECTRONIC,
        draft_id="",
        terms=TERMS,
    )
    return c.SubmitDossier(**asked, submission=replace(submission, **changes))


def receive(when: datetime = RECEIVED, law: v.Terms = TERMS, by: v.Actor = OFFICIAL) -> c.ReceiveDossier:
    return c.ReceiveDossier(by=by, at=when, receipt_number="TN-1", terms=law)


def assign(
    step: str = "check", by: v.Actor = OFFICIAL, to: str = "", when: datetime = RECEIVED, law: v.Terms = TERMS
) -> c.AssignStep:
    return c.AssignStep(by=by, at=when, step_code=step, assignee_id=to, terms=law)


def complete(step: str = "check", by: v.Actor = OFFICIAL, when: datetime = RECEIVED) -> c.CompleteStep:
    return c.CompleteStep(by=by, at=when, step_code=step, note=Sealed("đủ điều kiện"), terms=TERMS)


def request_supplement(
    when: datetime = RECEIVED, codes: tuple[str, ...] = ("housing",), by: v.Actor = OFFICIAL, why: Sealed = REASON
) -> c.RequestSupplement:
    return c.RequestSupplement(by=by, at=when, component_codes=codes, explanation=why, terms=TERMS)


def ask_for_answers(*fields: str, codes: tuple[str, ...] = (), unknown: tuple[str, ...] = ()) -> c.RequestSupplement:
    return c.RequestSupplement(
        by=OFFICIAL,
        at=RECEIVED,
        component_codes=codes,
        explanation=REASON,
        terms=TERMS,
        form_fields=fields,
        unknown_fields=unknown,
    )


def correction(
    *changed: str, version: int = 0, law: v.Terms = TERMS, before: tuple[v.FeeItem, ...] = (), fee_id: str = "fee-9"
) -> c.Correction:
    return c.Correction(
        form=Sealed('{"people": 3}'),
        changed=changed,
        version=version,
        terms=law,
        before=before,
        fee_id=fee_id,
        reason=REASON,
    )


def correct(what: c.Correction | None = None, by: v.Actor = APPLICANT, when: datetime = SUBMITTED) -> c.CorrectForm:
    return c.CorrectForm(by=by, at=when, correction=what or correction("people"))


def supply(when: datetime = RECEIVED, by: v.Actor = APPLICANT, **changes: Any) -> c.SupplySupplement:
    given = (v.Component("housing", v.ComponentSource.ATTACHMENT, PHOTO),)
    return replace(
        c.SupplySupplement(
            by=by,
            at=when,
            components=given,
            uploaded=UPLOADED,
            documents={},
            receipt_number="TN-1",
            terms=TERMS,
            reception_terms=TERMS,
        ),
        **changes,
    )


def assess(
    condition: FeeCondition = FeeCondition.PROCESSING,
    by: v.Actor = OFFICIAL,
    when: datetime = RECEIVED,
    fee_id: str = "fee-1",
    items: tuple[v.FeeItem, ...] = (FEE,),
    law: v.Terms = TERMS,
) -> c.AssessFee:
    return c.AssessFee(by=by, at=when, fee_id=fee_id, items=items, condition=condition, terms=law)


def pay(fee_id: str = "fee-1", amount: int = FEE.amount, when: datetime = RECEIVED) -> c.PayFee:
    return c.PayFee(by=TREASURY, at=when, fee_id=fee_id, amount=amount, payment_id="payment-1", terms=TERMS)


def refund(fee_id: str = "fee-1", amount: int = FEE.amount, when: datetime = RECEIVED) -> c.RefundFee:
    return c.RefundFee(by=TREASURY, at=when, fee_id=fee_id, amount=amount, payment_id="payment-1")


def transfer(
    to: str = DEPARTMENT, by: v.Actor = OFFICIAL, when: datetime = RECEIVED, why: Sealed = REASON
) -> c.TransferDossier:
    return c.TransferDossier(by=by, at=when, to_agency=to, reason=why)


def stop(
    by: v.Actor = OFFICIAL, cause: v.StopCause = v.StopCause.CONDITIONS_NOT_MET, why: Sealed = REASON
) -> c.StopProcessing:
    return c.StopProcessing(by=by, at=RECEIVED, cause=cause, explanation=why)


def withdraw(by: v.Actor = APPLICANT, when: datetime = RECEIVED) -> c.RequestWithdrawal:
    return c.RequestWithdrawal(by=by, at=when, reason=Sealed(""))


def approve(by: v.Actor = OFFICIAL, when: datetime = RECEIVED) -> c.ApproveDossier:
    return c.ApproveDossier(by=by, at=when, terms=TERMS)


def issue(by: v.Actor = OFFICIAL, when: datetime = RECEIVED, sha256: str = SCAN) -> c.IssueResult:
    return c.IssueResult(by=by, at=when, result_number="12/GCN", sha256=sha256, uploaded=UPLOADED, terms=TERMS)


def hand_over(by: v.Actor = OFFICIAL, when: datetime = RECEIVED) -> c.ReturnResult:
    return c.ReturnResult(by=by, at=when, delivery_method=v.DeliveryMethod.COUNTER)


def extend(when: datetime, due: datetime, by: v.Actor = OFFICIAL, why: Sealed = REASON) -> c.ExtendDeadline:
    return c.ExtendDeadline(by=by, at=when, due_at=due, reason=why, signer="Chủ tịch")


def note(when: datetime, due: datetime = DUE) -> c.NoteDeadline:
    return c.NoteDeadline(by=CLOCK, at=when, due_at=due)


def rate(score: int = 5, by: v.Actor = APPLICANT) -> c.RateDossier:
    return c.RateDossier(by=by, at=RECEIVED, score=score, comment=Sealed("nhanh"))


def rehome(closed: str = COMMUNE, successor: str = ELSEWHERE) -> c.RehomeDossier:
    return c.RehomeDossier(by=CLOCK, at=RECEIVED, closed=closed, successor=successor, reason=REASON)


def confirm(revision: int) -> c.ConfirmSynchronisation:
    return c.ConfirmSynchronisation(by=PEER, at=RECEIVED, peer_revision=revision)


Told = c.Command | Event


def story(*told: Told) -> tuple[Event, ...]:
    """Events as they stand, and those that commands lead to, one after the other."""
    history: tuple[Event, ...] = ()
    for each in told:
        history += tuple(dossier.decide(each, dossier.fold(history))) if isinstance(each, c.Command) else (each,)
    return history


def stamp(by: v.Actor, when: datetime = RECEIVED) -> e.Stamp:
    return e.Stamp(code=CODE, at=when, by=by.actor_id, applicant_id=APPLICANT.actor_id)


def assigned(step: str, role: str, to: v.Actor = OFFICIAL) -> e.StepAssigned:
    return e.StepAssigned(**stamp(OFFICIAL), step_code=step, role=role, assignee_id=to.actor_id, agency=COMMUNE)


def completed(step: str, following: tuple[str, str] = ("", "")) -> e.StepCompleted:
    return e.StepCompleted(
        **stamp(OFFICIAL),
        step_code=step,
        note=Sealed("đủ điều kiện"),
        agency=COMMUNE,
        next_step_code=following[0],
        next_role=following[1],
    )


def issued(when: datetime = RECEIVED, on_time: bool = True) -> e.ResultIssued:
    return e.ResultIssued(
        **stamp(OFFICIAL, when),
        result_number="12/GCN",
        document_kind="residence",
        sha256=SCAN,
        media_type="application/pdf",
        size=9,
        on_time=on_time,
        agency=COMMUNE,
        procedure_code="1.004222",
    )


# What is stored on the usual way, literally: test_domain.py::test_the_usual_way_is_what_the_commands_lead_to.
SUBMISSION = e.DossierSubmitted(
    **stamp(APPLICANT, SUBMITTED),
    procedure_code="1.004222",
    procedure_version=2,
    channel=v.Channel.ONLINE,
    applicant_kind=v.ApplicantKind.CITIZEN,
    applicant_name=Sealed("Nguyễn Văn A"),
    email=Sealed("a@vi.example"),
    phone=Sealed("0905123456"),
    form=Sealed('{"people": 2}'),
    components=(FORM, HOUSING),
    place_of_submission="online",
    reception_agency=COMMUNE,
    competent_agency=COMMUNE,
    province="56",
    delivery_method=v.DeliveryMethod.ELECTRONIC,
    draft_id="",
    reuse_consent=False,
)
RECEPTION = e.DossierReceived(
    **stamp(OFFICIAL),
    receipt_number="TN-1",
    due_at=DUE,
    term=Term(5, Unit.WORKING_DAYS),
    calendar="offices@3",
    agency=COMMUNE,
    procedure_version=2,
    next_step_code="check",
    next_role="processor",
)
NEW: tuple[Event, ...] = (SUBMISSION,)
PROCESSED_BY_COMMUNE = (
    *NEW,
    RECEPTION,
    e.ProcessingStarted(**stamp(OFFICIAL), agency=COMMUNE),
    assigned("check", "processor"),
)
STEPS_DONE = (
    *PROCESSED_BY_COMMUNE,
    completed("check", ("sign", "approver")),
    assigned("sign", "approver"),
    completed("sign"),
)
APPROVED = (*STEPS_DONE, e.DossierApproved(**stamp(OFFICIAL), agency=COMMUNE))
ISSUED = (*APPROVED, issued())
RETURNED = (*ISSUED, e.ResultReturned(**stamp(OFFICIAL), delivery_method=v.DeliveryMethod.COUNTER))
REFUSED = (*NEW, e.DossierRefused(**stamp(OFFICIAL), reason=REASON))
