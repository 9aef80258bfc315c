"""A payment as it is shown, folded from its facts: by reading its stream, or by the lists' view."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from motcua.payment.events.v1 import events_pb2 as e
from motcua.payment.v1 import payment_pb2 as p
from services.chassis.deciding.facts import fact_of
from services.chassis.store.port import RecordedEvent
from services.payment.counterparts import ITEM, METHOD, REFUND_CAUSE

OWED = p.PaymentStatus.PAYMENT_STATUS_OWED
PAID = p.PaymentStatus.PAYMENT_STATUS_PAID
REFUNDING = p.PaymentStatus.PAYMENT_STATUS_REFUNDING
REFUNDED = p.PaymentStatus.PAYMENT_STATUS_REFUNDED
CANCELLED = p.PaymentStatus.PAYMENT_STATUS_CANCELLED


def payment_of(history: Iterable[RecordedEvent]) -> p.Payment:
    payment = p.Payment()
    for recorded in history:
        apply(payment, fact_of(recorded).event, recorded.revision)
    return payment


def apply(payment: p.Payment, event: Any, revision: int) -> None:
    payment.revision = revision
    match event:
        case e.PaymentRequested():
            payment.fee_id, payment.dossier_code, payment.payer_id = event.fee_id, event.code, event.payer_id
            payment.amount, payment.agency, payment.status = event.amount, event.agency, OWED
            payment.items.extend(map(ITEM.shown, event.items))
            payment.requested_at.CopyFrom(event.at)
        case e.CheckoutStarted():
            payment.checkout.CopyFrom(
                p.Checkout(checkout_id=event.checkout_id, provider=event.provider, expires_at=event.expires_at)
            )
        case e.CheckoutExpired() | e.PaymentFailed():
            if payment.checkout.checkout_id == event.checkout_id:
                payment.ClearField("checkout")
        case e.PaymentConfirmed():
            payment.status = PAID
            payment.ClearField("checkout")
            _take(payment, event, receipt_number=event.receipt_number, counter=event.counter)
        case e.SurplusReceived():
            _take(payment, event)
        case e.UnmatchedReceived():
            _take(payment, event, unmatched=True)
        case e.PaymentCancelled():
            payment.ClearField("checkout")
            payment.status = CANCELLED if payment.status == OWED else payment.status
        case e.RefundRequested():
            refund = p.Refund(
                status=p.RefundStatus.REFUND_STATUS_REQUESTED,
                cause=REFUND_CAUSE.shown(event.cause),
                attempt=event.attempt,
                at=event.at,
            )
            _refund(payment, event, refund, REFUNDING)
        case e.RefundFailed():
            failed = p.Refund(status=p.RefundStatus.REFUND_STATUS_FAILED, at=event.at)
            _refund(payment, event, failed, REFUNDING)
        case e.RefundConfirmed():
            done = p.Refund(status=p.RefundStatus.REFUND_STATUS_CONFIRMED, at=event.at, reference=event.reference)
            _refund(payment, event, done, REFUNDED)


def _take(payment: p.Payment, event: Any, **more: Any) -> None:
    # The provider corrected an amount: it is the same money.
    for place, taking in enumerate(payment.takings):
        if taking.payment_id == event.payment_id:
            del payment.takings[place]
            break
    payment.takings.add(
        payment_id=event.payment_id,
        method=METHOD.shown(event.method),
        amount=event.amount,
        paid_at=event.paid_at,
        provider=event.provider,
        transaction=event.transaction,
        **more,
    )


def _refund(payment: p.Payment, event: Any, news: p.Refund, status: p.PaymentStatus.ValueType) -> None:
    taking = next(taking for taking in payment.takings if taking.payment_id == event.payment_id)
    taking.refund.MergeFrom(news)
    if taking.receipt_number:  # what settled nothing comes and goes without touching the fee
        payment.status = status
