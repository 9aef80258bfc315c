"""The rules of a fee's payment: one fee is paid once, and whatever else comes goes back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from enum import Enum
from typing import assert_never

from services.chassis.decider import Decider, Sealed
from services.payment.commands import (
    CancelPayment,
    Command,
    ConfirmRefund,
    ExpireCheckout,
    FailRefund,
    PaymentOutcome,
    ReceiveCash,
    RecordCallback,
    RefuseCallback,
    RequestPayment,
    RequestRefund,
    ReturnCash,
    StartCheckout,
)
from services.payment.events import (
    CallbackFault,
    CallbackRefused,
    CancelCause,
    CheckoutExpired,
    CheckoutStarted,
    Event,
    PaymentCancelled,
    PaymentConfirmed,
    PaymentFailed,
    PaymentMethod,
    PaymentRequested,
    RefundCause,
    RefundConfirmed,
    RefundFailed,
    RefundRequested,
    Stamp,
    SurplusReceived,
    UnmatchedReceived,
)
from services.payment.refusals import Refused

REFUND_CAUSES = {
    CancelCause.REFUSED: RefundCause.DOSSIER_REFUSED,
    CancelCause.WITHDRAWN: RefundCause.DOSSIER_WITHDRAWN,
    CancelCause.STOPPED: RefundCause.DOSSIER_STOPPED,
    CancelCause.FEE_CANCELLED: RefundCause.FEE_CANCELLED,
}


class RefundStatus(Enum):
    NONE = "none"
    REQUESTED = "requested"
    FAILED = "failed"
    CONFIRMED = "confirmed"


@dataclass(frozen=True, slots=True)
class Checkout:
    provider: str
    expires_at: datetime
    open: bool = True
    failed: bool = False
    faults: frozenset[CallbackFault] = frozenset()


@dataclass(frozen=True, slots=True)
class Taking:
    """Money that came, and how far it is on its way back."""

    method: PaymentMethod
    amount: int
    paid_at: datetime
    receipt_number: str = ""
    counter: str = ""
    provider: str = ""
    checkout_id: str = ""
    transaction: str = ""
    refund: RefundStatus = RefundStatus.NONE
    cause: RefundCause | None = None
    attempt: int = 0
    # Another amount than the fee owes.
    unmatched: bool = False


@dataclass(frozen=True, slots=True)
class State:
    request: PaymentRequested | None = None
    cancelled: bool = False
    receipt_number: str = ""
    checkouts: Mapping[str, Checkout] = field(default_factory=dict)
    takings: Mapping[str, Taking] = field(default_factory=dict)

    @property
    def paid(self) -> bool:
        """The fee was paid once; a refund of it does not make it owed again."""
        return self.receipt_number != ""


def decide(command: Command, state: State) -> Sequence[Event]:
    match command:
        case RequestPayment():
            return _request_payment(command, state)
        case StartCheckout():
            return _start_checkout(command, state)
        case ExpireCheckout():
            return _expire_checkout(command, state)
        case RecordCallback():
            return _record_callback(command, state)
        case RefuseCallback():
            return _refuse_callback(command, state, CallbackFault.SIGNATURE, command.stated_amount)
        case ReceiveCash():
            return _receive_cash(command, state)
        case CancelPayment():
            return _cancel(command, state)
        case RequestRefund():
            return _request_refund(command, state)
        case ConfirmRefund():
            return _confirm_refund(command, state, PaymentMethod.ONLINE, command.reference)
        case FailRefund():
            return _fail_refund(command, state)
        case ReturnCash():
            return _return_cash(command, state)
    assert_never(command)


def _request_payment(c: RequestPayment, state: State) -> Sequence[Event]:
    if c.amount <= 0 or any(i.amount < 0 for i in c.items) or c.amount != sum(i.amount for i in c.items):
        raise Refused("AMOUNT_INVALID", amount=str(c.amount))
    if (r := state.request) is not None:
        if (r.code, r.fee_id, r.payer_id, r.items, r.agency) == (c.code, c.fee_id, c.payer_id, c.items, c.agency):
            return ()
        raise Refused("ALREADY_REQUESTED")
    return (
        PaymentRequested(
            code=c.code,
            payer_id=c.payer_id,
            at=c.at,
            by=c.by,
            fee_id=c.fee_id,
            amount=c.amount,
            items=c.items,
            agency=c.agency,
        ),
    )


def _start_checkout(c: StartCheckout, state: State) -> Sequence[Event]:
    request = _requested(state)
    if c.by != request.payer_id:
        raise Refused("PAYMENT_NOT_FOUND")
    _still_owed(state)
    if c.checkout_id in state.checkouts:
        raise Refused("CHECKOUT_EXISTS", checkout_id=c.checkout_id)
    if c.expires_at <= c.at:
        raise Refused("EXPIRY_INVALID")
    stamp = _stamp(request, c)
    return (
        *(CheckoutExpired(**stamp, checkout_id=checkout_id) for checkout_id in _open(state)),
        CheckoutStarted(
            **stamp, checkout_id=c.checkout_id, provider=c.provider, amount=request.amount, expires_at=c.expires_at
        ),
    )


def _expire_checkout(c: ExpireCheckout, state: State) -> Sequence[Event]:
    request, checkout = _requested(state), _checkout(c.checkout_id, state)
    if not checkout.open:
        return ()
    if c.at < checkout.expires_at:
        raise Refused("CHECKOUT_NOT_EXPIRED", expires_at=checkout.expires_at.isoformat())
    return (CheckoutExpired(**_stamp(request, c), checkout_id=c.checkout_id),)


def _record_callback(c: RecordCallback, state: State) -> Sequence[Event]:
    request, checkout = _requested(state), _checkout(c.checkout_id, state)
    said = (checkout.provider, c.transaction)
    known = next((t for t in state.takings.values() if (t.provider, t.transaction) == said), None)
    match c.outcome:
        case PaymentOutcome.PAID if c.amount != request.amount:
            return _wrong_amount(request, c.amount) if known else (_unmatched(c, checkout, request),)
        case _ if c.amount != request.amount:
            return _refuse_callback(c, state, CallbackFault.AMOUNT, c.amount) or _wrong_amount(request, c.amount)
        case PaymentOutcome.UNSETTLED:
            raise Refused("OUTCOME_UNSETTLED", checkout_id=c.checkout_id)
        case PaymentOutcome.FAILED:
            if checkout.failed or any(t.checkout_id == c.checkout_id for t in state.takings.values()):
                return ()
            return (
                PaymentFailed(
                    **_stamp(request, c),
                    checkout_id=c.checkout_id,
                    provider=checkout.provider,
                    provider_code=c.provider_code,
                ),
            )
        case PaymentOutcome.PAID:
            # What came in another amount is the fee's once the provider corrects itself, unless it is on its way back.
            corrected = known is not None and known.unmatched and known.refund is RefundStatus.NONE
            return _take_online(c, checkout, request, state) if corrected or not known else ()
    assert_never(c.outcome)


def _surplus(c: RecordCallback, checkout: Checkout, request: PaymentRequested) -> SurplusReceived:
    return SurplusReceived(
        **_stamp(request, c),
        payment_id=c.payment_id,
        method=PaymentMethod.ONLINE,
        amount=c.amount,
        agency=request.agency,
        provider=checkout.provider,
        checkout_id=c.checkout_id,
        transaction=c.transaction,
        bank=c.bank,
        paid_at=c.paid_at,
    )


def _unmatched(c: RecordCallback, checkout: Checkout, request: PaymentRequested) -> UnmatchedReceived:
    return UnmatchedReceived(**asdict(_surplus(c, checkout, request)), owed=request.amount)


def _take_online(c: RecordCallback, checkout: Checkout, request: PaymentRequested, state: State) -> Sequence[Event]:
    surplus = _surplus(c, checkout, request)
    if state.paid or state.cancelled:
        return (surplus, _refund(c, request, c.payment_id, _taken(surplus), RefundCause.SURPLUS))
    if not c.receipt_number:
        raise Refused("RECEIPT_NUMBER_MISSING")
    return (PaymentConfirmed(**asdict(surplus), receipt_number=c.receipt_number, counter=""),)


def _refuse_callback(
    c: RecordCallback | RefuseCallback, state: State, fault: CallbackFault, stated_amount: int
) -> Sequence[Event]:
    """Once per checkout and fault: a stranger must not be able to fill the log."""
    request, checkout = _requested(state), _checkout(c.checkout_id, state)
    if fault in checkout.faults:
        return ()
    return (
        CallbackRefused(
            **_stamp(request, c),
            checkout_id=c.checkout_id,
            provider=checkout.provider,
            fault=fault,
            stated_amount=stated_amount,
        ),
    )


def _receive_cash(c: ReceiveCash, state: State) -> Sequence[Event]:
    request = _requested(state)
    if (state.paid or state.cancelled) and c.counter not in _agencies(request, state):
        raise Refused("NOTHING_OWED")
    _still_owed(state)
    if c.amount != request.amount:
        _wrong_amount(request, c.amount)
    if not c.receipt_number:
        raise Refused("RECEIPT_NUMBER_MISSING")
    return (
        PaymentConfirmed(
            **_stamp(request, c),
            payment_id=c.payment_id,
            method=PaymentMethod.CASH,
            amount=c.amount,
            agency=request.agency,
            provider="",
            checkout_id="",
            transaction="",
            bank="",
            paid_at=c.at,
            receipt_number=c.receipt_number,
            counter=c.counter,
        ),
    )


def _cancel(c: CancelPayment, state: State) -> Sequence[Event]:
    request = _requested(state)
    if state.cancelled:
        return ()
    return (
        PaymentCancelled(**_stamp(request, c), cause=c.cause),
        *(
            _refund(c, request, payment_id, taking, _cause(taking, REFUND_CAUSES[c.cause]))
            for payment_id, taking in state.takings.items()
            if taking.refund is RefundStatus.NONE
        ),
    )


def _request_refund(c: RequestRefund, state: State) -> Sequence[Event]:
    request = _requested(state)
    if c.agency not in _agencies(request, state):
        raise Refused("PAYMENT_NOT_FOUND")
    taking = _taking(c.payment_id, state)
    if c.agency not in (request.agency, taking.counter):
        raise Refused("OTHER_AGENCY", agency=request.agency)
    if not c.reason.strip():
        raise Refused("REASON_MISSING")
    match taking.refund:
        case RefundStatus.REQUESTED:
            raise Refused("REFUND_ALREADY_REQUESTED")
        case RefundStatus.CONFIRMED:
            raise Refused("ALREADY_REFUNDED")
        case RefundStatus.NONE | RefundStatus.FAILED:
            return (_refund(c, request, c.payment_id, taking, _cause(taking, RefundCause.DECIDED), c.reason),)
    assert_never(taking.refund)


def _confirm_refund(
    c: ConfirmRefund | ReturnCash, state: State, method: PaymentMethod, reference: str
) -> Sequence[Event]:
    request, taking = _requested(state), _taking(c.payment_id, state)
    if taking.method is not method:
        raise Refused("OTHER_METHOD")
    if taking.cause is None:
        raise Refused("REFUND_NOT_REQUESTED")
    if taking.refund is RefundStatus.CONFIRMED:
        return ()
    # Money that left counts, even where the provider first reported a failure.
    return (
        RefundConfirmed(
            **_stamp(request, c),
            payment_id=c.payment_id,
            method=method,
            amount=taking.amount,
            cause=taking.cause,
            reference=reference,
        ),
    )


def _return_cash(c: ReturnCash, state: State) -> Sequence[Event]:
    request = _requested(state)
    if c.counter not in _agencies(request, state):
        raise Refused("PAYMENT_NOT_FOUND")
    taking = _taking(c.payment_id, state)
    if c.counter not in (request.agency, taking.counter):
        raise Refused("OTHER_AGENCY", agency=taking.counter or request.agency)
    if not c.voucher_number:
        raise Refused("VOUCHER_NUMBER_MISSING")
    if taking.refund is RefundStatus.CONFIRMED:
        raise Refused("ALREADY_REFUNDED")
    return _confirm_refund(c, state, PaymentMethod.CASH, c.voucher_number)


def _fail_refund(c: FailRefund, state: State) -> Sequence[Event]:
    request, taking = _requested(state), _taking(c.payment_id, state)
    if taking.method is not PaymentMethod.ONLINE:
        raise Refused("OTHER_METHOD")
    if taking.cause is None:
        raise Refused("REFUND_NOT_REQUESTED")
    if taking.refund is not RefundStatus.REQUESTED or taking.attempt != c.attempt:
        return ()
    return (
        RefundFailed(
            **_stamp(request, c),
            payment_id=c.payment_id,
            attempt=c.attempt,
            amount=taking.amount,
            provider_code=c.provider_code,
        ),
    )


def _cause(taking: Taking, otherwise: RefundCause) -> RefundCause:
    """A refund that is tried again keeps its cause."""
    return taking.cause or (RefundCause.UNMATCHED if taking.unmatched else otherwise)


def _refund(
    c: Command, request: PaymentRequested, payment_id: str, t: Taking, cause: RefundCause, reason: Sealed | None = None
) -> RefundRequested:
    return RefundRequested(
        **_stamp(request, c),
        payment_id=payment_id,
        attempt=t.attempt + 1,
        method=t.method,
        amount=t.amount,
        cause=cause,
        reason=reason or Sealed(),
        provider=t.provider,
        checkout_id=t.checkout_id,
        transaction=t.transaction,
        paid_at=t.paid_at,
    )


def _stamp(request: PaymentRequested, c: Command) -> Stamp:
    return Stamp(code=request.code, at=c.at, by=c.by, payer_id=request.payer_id, fee_id=request.fee_id)


def _requested(state: State) -> PaymentRequested:
    if state.request is None:
        raise Refused("PAYMENT_NOT_FOUND")
    return state.request


def _agencies(request: PaymentRequested, state: State) -> set[str]:
    """Whose affair the fee is, as GetPayment has it: who settles the dossier, and whose cashiers took cash for it."""
    return {request.agency, *(taking.counter for taking in state.takings.values())} - {""}


def _checkout(checkout_id: str, state: State) -> Checkout:
    if (checkout := state.checkouts.get(checkout_id)) is None:
        raise Refused("CHECKOUT_NOT_FOUND", checkout_id=checkout_id)
    return checkout


def _taking(payment_id: str, state: State) -> Taking:
    if (taking := state.takings.get(payment_id)) is None:
        raise Refused("NOT_TAKEN", payment_id=payment_id)
    return taking


def _open(state: State) -> list[str]:
    return [checkout_id for checkout_id, checkout in state.checkouts.items() if checkout.open]


def _still_owed(state: State) -> None:
    if state.paid:
        raise Refused("ALREADY_PAID", receipt_number=state.receipt_number)
    if state.cancelled:
        raise Refused("CANCELLED")


def _wrong_amount(request: PaymentRequested, amount: int) -> Sequence[Event]:
    raise Refused("WRONG_AMOUNT", owed=str(request.amount), amount=str(amount))


def evolve(state: State, event: Event) -> State:
    match event:
        case PaymentRequested():
            return replace(state, request=event)
        case CheckoutStarted():
            return _with_checkout(state, event.checkout_id, Checkout(event.provider, event.expires_at))
        case CheckoutExpired():
            return _with_checkout(state, event.checkout_id, replace(state.checkouts[event.checkout_id], open=False))
        case PaymentFailed():
            checkout = replace(state.checkouts[event.checkout_id], open=False, failed=True)
            return _with_checkout(state, event.checkout_id, checkout)
        case CallbackRefused():
            checkout = state.checkouts[event.checkout_id]
            checkout = replace(checkout, faults=checkout.faults | {event.fault})
            return _with_checkout(state, event.checkout_id, checkout)
        case PaymentConfirmed():
            taking = replace(_taken(event), receipt_number=event.receipt_number, counter=event.counter)
            return replace(_with_taking(_closed(state), event.payment_id, taking), receipt_number=event.receipt_number)
        case SurplusReceived():
            return _with_taking(state, event.payment_id, _taken(event))
        case UnmatchedReceived():
            return _with_taking(state, event.payment_id, replace(_taken(event), unmatched=True))
        case RefundRequested():
            refund = (RefundStatus.REQUESTED, event.cause, event.attempt)
            return _with_refund(state, event.payment_id, *refund)
        case RefundConfirmed():
            return _with_refund(state, event.payment_id, RefundStatus.CONFIRMED)
        case RefundFailed():
            return _with_refund(state, event.payment_id, RefundStatus.FAILED)
        case PaymentCancelled():
            return replace(_closed(state), cancelled=True)
    assert_never(event)


def _taken(event: PaymentConfirmed | SurplusReceived | UnmatchedReceived) -> Taking:
    return Taking(
        event.method,
        event.amount,
        event.paid_at,
        provider=event.provider,
        checkout_id=event.checkout_id,
        transaction=event.transaction,
    )


def _closed(state: State) -> State:
    return replace(state, checkouts={i: replace(checkout, open=False) for i, checkout in state.checkouts.items()})


def _with_checkout(state: State, checkout_id: str, checkout: Checkout) -> State:
    return replace(state, checkouts={**state.checkouts, checkout_id: checkout})


def _with_taking(state: State, payment_id: str, taking: Taking) -> State:
    return replace(state, takings={**state.takings, payment_id: taking})


def _with_refund(
    state: State, payment_id: str, status: RefundStatus, cause: RefundCause | None = None, attempt: int = 0
) -> State:
    taking = state.takings[payment_id]
    taking = replace(taking, refund=status, cause=cause or taking.cause, attempt=attempt or taking.attempt)
    return _with_taking(state, payment_id, taking)


payment: Decider[Command, State, Event] = Decider(State(), decide, evolve)
