"""Random legal histories: commands that the dossier's own decider accepts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta

from hypothesis import strategies as st

from services.chassis.decider import Rejected, Sealed
from services.dossier import commands as c
from services.dossier import values as v
from services.dossier.domain import dossier
from services.dossier.domain.state import Dossier
from services.dossier.events import Event
from services.law.course import FeeCondition, Finance
from services.law.deadlines import Calendar, Term, Unit

CODE = "P56.22.336-20261109-0000001"
RECEPTION, COMPETENT = "P56.22.336", "P56.1"
APPLICANT = v.Actor("applicant-5601", frozenset({"citizen"}))
PERSONAL = "Nguyễn Thị Bí Mật, sinh ngày 01/02/1990"
SCAN = v.Component("application", v.ComponentSource.ATTACHMENT, "ab" * 32, "application/pdf", 5)
UPLOADED = {SCAN.sha256: v.File(SCAN.sha256, SCAN.media_type, SCAN.size)}
START = datetime(2026, 11, 9, 1, 30, tzinfo=UTC)
ROLES = frozenset({"receptionist", "processor", "approver"})

_DAY = ((time(7, 30), time(11, 30)), (time(13, 30), time(17)))
_CALENDAR = Calendar("vn", 1, "Asia/Ho_Chi_Minh", (_DAY, _DAY, _DAY, _DAY, _DAY, (), ()))
_TERMS = (Term(3, Unit.WORKING_DAYS), Term(12, Unit.HOURS), Term(10, Unit.DAYS), None)


def terms(term: Term | None, fee: FeeCondition | None) -> v.Terms:
    return v.Terms(
        procedure_code="1.001456",
        procedure_version=1,
        term=term,
        calendar=_CALENDAR,
        requirements=(v.Requirement("application", True, frozenset({v.ComponentSource.ATTACHMENT})),),
        steps=(v.StepRule("check", "processor"),),
        fee_items=(v.FeeItem("Lệ phí", 100_000),) if fee else (),
        exemptions=(v.Exempt("poor", 100), v.Exempt("student", 50)),
        pay_within=Term(2, Unit.WORKING_DAYS),
        stops_unpaid=True,
        fee_condition=fee or FeeCondition.RECEPTION,
        document_kind="passport",
    )


def submit(law: v.Terms, code: str = CODE, at: datetime = START) -> c.SubmitDossier:
    submission = c.Submission(
        by=APPLICANT,
        at=at,
        applicant_id=APPLICANT.actor_id,
        applicant_kind=v.ApplicantKind.CITIZEN,
        applicant_name=Sealed(PERSONAL),
        email=Sealed("bi-mat@vi.example"),
        phone=Sealed("0905123456"),
        form=Sealed('{"cccd": "056190001234"}'),
        channel=v.Channel.ONLINE,
        components=(SCAN,),
        uploaded=UPLOADED,
        documents={},
        reuse_consent=False,
        place_of_submission="online",
        reception_agency=RECEPTION,
        competent_agency=COMPETENT,
        province="56",
        delivery_method=v.DeliveryMethod.ELECTRONIC,
        draft_id="draft-5601",
        terms=law,
    )
    return c.SubmitDossier(code=code, fee_id="fee-0", submission=submission)


REASON = Sealed(f"Vì {PERSONAL} chưa nộp bản chính.")


def options(state: Dossier, at: datetime, law: v.Terms, amount: int) -> Iterator[c.Command]:
    """What may be tried next; the decider says what of it is legal."""
    holder = v.Actor("official-5601", ROLES, state.holder)
    system = v.Actor("service:payment")
    yield c.ReceiveDossier(by=holder, at=at, receipt_number="R-1", terms=law)
    correction = c.Correction(
        form=REASON,
        changed=("name",),
        version=state.corrections,
        terms=law,
        before=law.fee_items,
        fee_id=f"fee-{state.revision}",
        reason=REASON,
    )
    yield c.CorrectForm(by=APPLICANT, at=at, correction=correction)
    yield c.CorrectForm(by=APPLICANT, at=at, correction=replace(correction, terms=replace(law, fee_items=())))
    yield c.RequestSupplement(by=holder, at=at, component_codes=("application",), explanation=REASON, terms=law)
    yield c.SupplySupplement(
        by=APPLICANT,
        at=at,
        components=(SCAN,),
        uploaded=UPLOADED,
        documents={},
        receipt_number="R-2",
        terms=law,
        reception_terms=law,
    )
    yield c.AssignStep(by=holder, at=at, step_code="check", assignee_id=holder.actor_id, terms=law)
    yield c.CompleteStep(by=holder, at=at, step_code="check", note=REASON, terms=law)
    for agency in (RECEPTION, COMPETENT, "P56.2"):
        yield c.TransferDossier(by=holder, at=at, to_agency=agency, reason=REASON)
    for condition in FeeCondition:
        fee_id = f"fee-{len(state.fees)}"
        yield c.AssessFee(
            by=holder, at=at, fee_id=fee_id, items=(v.FeeItem("Lệ phí", amount),), condition=condition, terms=law
        )
    for fee in state.fees:
        if fee.finance is Finance.DUE:
            yield c.PayFee(by=system, at=at, fee_id=fee.fee_id, amount=fee.amount, payment_id="payment-5601", terms=law)
            yield c.CancelFee(by=holder, at=at, fee_id=fee.fee_id, reason=REASON, terms=law)
            for exempt in law.exemptions:
                yield c.WaiveFee(
                    by=holder,
                    at=at,
                    fee_id=fee.fee_id,
                    left_id=f"fee-{len(state.fees)}",
                    exemption_code=exempt.code,
                    reason=REASON,
                    terms=law,
                )
        if fee.finance is Finance.PAID:
            yield c.RefundFee(by=system, at=at, fee_id=fee.fee_id, amount=fee.amount, payment_id="payment-5601")
    yield c.RequestWithdrawal(by=APPLICANT, at=at, reason=REASON)
    yield c.DeclineWithdrawal(by=holder, at=at, explanation=REASON)
    yield c.ApproveDossier(by=holder, at=at, terms=law)
    yield c.IssueResult(by=holder, at=at, result_number="result-5601", sha256=SCAN.sha256, uploaded=UPLOADED, terms=law)
    yield c.ReturnResult(by=holder, at=at, delivery_method=v.DeliveryMethod.ELECTRONIC)
    yield c.ExtendDeadline(by=holder, at=at, due_at=at + timedelta(days=2), reason=REASON, signer="Giám đốc")
    if state.due_at:
        yield c.NoteDeadline(by=v.Actor("service:dossier"), at=at, due_at=state.due_at)
    yield c.ConfirmSynchronisation(by=v.Actor("vn"), at=at, peer_revision=state.revision)
    yield c.RateDossier(by=APPLICANT, at=at, score=5, comment=REASON)


def endings(state: Dossier, at: datetime) -> Iterator[c.Command]:
    holder = v.Actor("official-5601", ROLES, state.holder)
    yield c.RefuseDossier(by=holder, at=at, reason=REASON)
    yield c.GrantWithdrawal(by=holder, at=at)
    yield c.StopProcessing(by=holder, at=at, cause=v.StopCause.NOT_SUPPLIED, explanation=REASON)
    for fee in state.fees:
        yield c.LapseFee(by=v.Actor("service:dossier"), at=at, fee_id=fee.fee_id, explanation=REASON)


def _decided(state: Dossier, commands: Iterator[c.Command]) -> list[tuple[Event, ...]]:
    legal = []
    for command in commands:
        try:
            legal.append(tuple(dossier.decide(command, state)))
        except Rejected:
            continue
    return [events for events in legal if events]


@st.composite
def histories(draw: Callable[[st.SearchStrategy[object]], object]) -> list[Event]:
    def pick(options: list[tuple[Event, ...]]) -> tuple[Event, ...]:
        chosen = draw(st.sampled_from(options))
        assert isinstance(chosen, tuple)
        return chosen

    term = draw(st.sampled_from(_TERMS))
    assert term is None or isinstance(term, Term)
    fee = draw(st.sampled_from([None, *FeeCondition]))
    assert fee is None or isinstance(fee, FeeCondition)
    law = terms(term, fee)
    at = START
    history: list[Event] = list(dossier.decide(submit(law), dossier.initial))
    for hours in draw(st.lists(st.integers(0, 40), max_size=25)):  # type: ignore[attr-defined]
        at += timedelta(hours=hours, minutes=7)
        state = dossier.fold(history)
        # Without a due date only the amount tells fees apart.
        amount = 100_000 if term else 100_000 + 1000 * len(state.fees)
        legal = _decided(state, options(state, at, law, amount))
        if hours == 0:
            legal += _decided(state, endings(state, at))
        if not legal:
            break
        history += pick(legal)
    return history
