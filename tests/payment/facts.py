"""One fee, told in facts."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from services.chassis.decider import Sealed
from services.payment.commands import Outcome, RecordCallback
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
    SurplusReceived,
    UnmatchedReceived,
)

NOW = datetime(2026, 3, 2, 2, 0, tzinfo=UTC)
LATER = NOW + timedelta(minutes=15)
PAYER, CASHIER, VNPAY = "payer-1", "cashier-1", "system:vnpay"
ITEMS = (FeeItem("Lệ phí", 15_000), FeeItem("Bản sao", 5_000))
HEAD: tuple[str, str, datetime] = ("P56-20260302-0000001", PAYER, NOW)


def head(by: str) -> tuple[str, str, datetime, str, str]:
    return (*HEAD, by, "fee-1")


requested = PaymentRequested(*head("service:payment"), 20_000, ITEMS, "P56.1")


def started(checkout_id: str = "c1") -> CheckoutStarted:
    return CheckoutStarted(*head(PAYER), checkout_id, "vnpay", 20_000, LATER)


def expired(checkout_id: str = "c1", by: str = "service:payment") -> CheckoutExpired:
    return CheckoutExpired(*head(by), checkout_id)


def word(checkout_id: str = "c1", payment_id: str = "p1", **changes: Any) -> RecordCallback:
    said: dict[str, Any] = {
        "outcome": Outcome.PAID,
        "provider_code": "00",
        "amount": 20_000,
        "transaction": f"t-{payment_id}",
        "bank": "NCB",
        "paid_at": NOW,
        "receipt_number": "R1",
        "at": NOW,
        "by": VNPAY,
    }
    return RecordCallback(payment_id, checkout_id, **(said | changes))


def surplus(checkout_id: str = "c1", payment_id: str = "p1") -> SurplusReceived:
    return SurplusReceived(
        *head(VNPAY),
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
    origin = ("vnpay", checkout_id, f"t-{payment_id}") if method is PaymentMethod.ONLINE else ("", "", "")
    return RefundRequested(*head(by), payment_id, attempt, method, 20_000, cause, Sealed(reason), *origin, NOW)


def refunded(cause: RefundCause, payment_id: str = "p1", reference: str = "rf1") -> RefundConfirmed:
    return RefundConfirmed(*head(VNPAY), payment_id, PaymentMethod.ONLINE, 20_000, cause, reference)


def refund_failed(attempt: int = 1, payment_id: str = "p1") -> RefundFailed:
    return RefundFailed(*head(VNPAY), payment_id, attempt, 20_000, "99")


def cancelled(cause: CancelCause) -> PaymentCancelled:
    return PaymentCancelled(*head("service:payment"), cause)
