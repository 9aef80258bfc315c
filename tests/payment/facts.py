"""One fee, told in facts."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from services.chassis.decider import Sealed
from services.payment.commands import PaymentOutcome, RecordCallback
from services.payment.events import (
    CancelCause,
    CheckoutExpired,
    CheckoutStarted,
    FeeItem,
    PaymentCancelled,
    PaymentConfirmed,
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

NOW = datetime(2026, 3, 2, 2, 0, tzinfo=UTC)
LATER = NOW + timedelta(minutes=15)
PAYER, CASHIER, VNPAY = "payer-1", "cashier-1", "system:vnpay"
ITEMS = (FeeItem(name="Lệ phí", amount=15_000), FeeItem(name="Bản sao", amount=5_000))
CODE = "P56-20260302-0000001"


def stamp(by: str) -> Stamp:
    return Stamp(code=CODE, at=NOW, by=by, payer_id=PAYER, fee_id="fee-1")


requested = PaymentRequested(**stamp("service:payment"), amount=20_000, items=ITEMS, agency="P56.1")


def started(checkout_id: str = "c1") -> CheckoutStarted:
    return CheckoutStarted(**stamp(PAYER), checkout_id=checkout_id, provider="vnpay", amount=20_000, expires_at=LATER)


def expired(checkout_id: str = "c1", by: str = "service:payment") -> CheckoutExpired:
    return CheckoutExpired(**stamp(by), checkout_id=checkout_id)


def word(checkout_id: str = "c1", payment_id: str = "p1", **changes: Any) -> RecordCallback:
    said: dict[str, Any] = {
        "outcome": PaymentOutcome.PAID,
        "provider_code": "00",
        "amount": 20_000,
        "transaction": f"t-{payment_id}",
        "bank": "NCB",
        "paid_at": NOW,
        "receipt_number": "R1",
        "at": NOW,
        "by": VNPAY,
    }
    return RecordCallback(payment_id=payment_id, checkout_id=checkout_id, **(said | changes))


def surplus(checkout_id: str = "c1", payment_id: str = "p1") -> SurplusReceived:
    return SurplusReceived(
        **stamp(VNPAY),
        payment_id=payment_id,
        method=PaymentMethod.ONLINE,
        amount=20_000,
        agency="P56.1",
        provider="vnpay",
        checkout_id=checkout_id,
        transaction=f"t-{payment_id}",
        bank="NCB",
        paid_at=NOW,
    )


def unmatched(amount: int, checkout_id: str = "c1", payment_id: str = "p1") -> UnmatchedReceived:
    return UnmatchedReceived(**asdict(replace(surplus(checkout_id, payment_id), amount=amount)), owed=20_000)


def confirmed(checkout_id: str = "c1", payment_id: str = "p1") -> PaymentConfirmed:
    return PaymentConfirmed(**asdict(surplus(checkout_id, payment_id)), receipt_number="R1", counter="")


def cash(payment_id: str = "p1") -> PaymentConfirmed:
    return replace(
        confirmed(payment_id=payment_id),
        by=CASHIER,
        method=PaymentMethod.CASH,
        provider="",
        checkout_id="",
        transaction="",
        bank="",
        counter="P56.22.336",
    )


def refund(
    cause: RefundCause,
    payment_id: str = "p1",
    *,
    attempt: int = 1,
    by: str = VNPAY,
    checkout_id: str = "c1",
    reason: str = "",
    method: PaymentMethod = PaymentMethod.ONLINE,
) -> RefundRequested:
    online = method is PaymentMethod.ONLINE
    return RefundRequested(
        **stamp(by),
        payment_id=payment_id,
        attempt=attempt,
        method=method,
        amount=20_000,
        cause=cause,
        reason=Sealed(reason),
        provider="vnpay" if online else "",
        checkout_id=checkout_id if online else "",
        transaction=f"t-{payment_id}" if online else "",
        paid_at=NOW,
    )


def refunded(cause: RefundCause, payment_id: str = "p1", reference: str = "rf1") -> RefundConfirmed:
    return RefundConfirmed(
        **stamp(VNPAY),
        payment_id=payment_id,
        method=PaymentMethod.ONLINE,
        amount=20_000,
        cause=cause,
        reference=reference,
    )


def refund_failed(attempt: int = 1, payment_id: str = "p1") -> RefundFailed:
    return RefundFailed(**stamp(VNPAY), payment_id=payment_id, attempt=attempt, amount=20_000, provider_code="99")


def cancelled(cause: CancelCause) -> PaymentCancelled:
    return PaymentCancelled(**stamp("service:payment"), cause=cause)
