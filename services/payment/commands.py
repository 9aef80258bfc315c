"""What payments are asked to do. A command carries everything its decision needs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from services.chassis.decider import Sealed
from services.payment.events import CancelCause, FeeItem


class PaymentOutcome(Enum):
    """What a provider says of a transaction."""

    PAID = "paid"
    FAILED = "failed"
    UNSETTLED = "unsettled"


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestPayment:
    code: str
    at: datetime
    by: str
    fee_id: str
    payer_id: str
    amount: int
    items: tuple[FeeItem, ...]
    agency: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StartCheckout:
    checkout_id: str
    at: datetime
    by: str
    provider: str
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpireCheckout:
    checkout_id: str
    at: datetime
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordCallback:
    """A provider's word on a checkout, its signature verified."""

    payment_id: str
    at: datetime
    by: str
    checkout_id: str
    outcome: PaymentOutcome
    provider_code: str
    amount: int
    transaction: str
    bank: str
    paid_at: datetime
    receipt_number: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RefuseCallback:
    """A callback for a known checkout whose signature is wrong."""

    checkout_id: str
    at: datetime
    by: str
    stated_amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiveCash:
    payment_id: str
    at: datetime
    by: str
    amount: int
    receipt_number: str
    counter: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelPayment:
    cause: CancelCause
    at: datetime
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRefund:
    payment_id: str
    at: datetime
    by: str
    reason: Sealed
    agency: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmRefund:
    payment_id: str
    at: datetime
    by: str
    reference: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FailRefund:
    payment_id: str
    at: datetime
    by: str
    attempt: int
    provider_code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnCash:
    payment_id: str
    at: datetime
    by: str
    voucher_number: str
    counter: str


Command = (
    RequestPayment
    | StartCheckout
    | ExpireCheckout
    | RecordCallback
    | RefuseCallback
    | ReceiveCash
    | CancelPayment
    | RequestRefund
    | ConfirmRefund
    | FailRefund
    | ReturnCash
)
