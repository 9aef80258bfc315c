"""What payments are asked to do. A command carries everything its decision needs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from services.chassis.decider import Sealed
from services.payment.events import CancelCause, FeeItem


class Outcome(Enum):
    """What a provider says of a transaction."""

    PAID = "paid"
    FAILED = "failed"
    UNSETTLED = "unsettled"


@dataclass(frozen=True, slots=True)
class RequestPayment:
    code: str
    fee_id: str
    payer_id: str
    amount: int
    items: tuple[FeeItem, ...]
    agency: str
    at: datetime
    by: str


@dataclass(frozen=True, slots=True)
class StartCheckout:
    checkout_id: str
    provider: str
    expires_at: datetime
    at: datetime
    by: str


@dataclass(frozen=True, slots=True)
class ExpireCheckout:
    checkout_id: str
    at: datetime
    by: str


@dataclass(frozen=True, slots=True)
class RecordCallback:
    """A provider's word on a checkout, its signature verified."""

    payment_id: str
    checkout_id: str
    outcome: Outcome
    provider_code: str
    amount: int
    transaction: str
    bank: str
    paid_at: datetime
    receipt_number: str
    at: datetime
    by: str


@dataclass(frozen=True, slots=True)
class RefuseCallback:
    """A callback for a known checkout whose signature is wrong."""

    checkout_id: str
    stated_amount: int
    at: datetime
    by: str


@dataclass(frozen=True, slots=True)
class ReceiveCash:
    payment_id: str
    amount: int
    receipt_number: str
    counter: str
    at: datetime
    by: str


@dataclass(frozen=True, slots=True)
class CancelPayment:
    cause: CancelCause
    at: datetime
    by: str


@dataclass(frozen=True, slots=True)
class RequestRefund:
    payment_id: str
    reason: Sealed
    agency: str
    at: datetime
    by: str


@dataclass(frozen=True, slots=True)
class ConfirmRefund:
    payment_id: str
    reference: str
    at: datetime
    by: str


@dataclass(frozen=True, slots=True)
class FailRefund:
    payment_id: str
    attempt: int
    provider_code: str
    at: datetime
    by: str


@dataclass(frozen=True, slots=True)
class ReturnCash:
    payment_id: str
    voucher_number: str
    counter: str
    at: datetime
    by: str


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
