"""The facts of payments, as domain.py decides them. Each has its protobuf twin in motcua.payment.events.v1."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import TypedDict

from services.chassis.decider import Sealed


class PaymentMethod(IntEnum):
    ONLINE = 1
    CASH = 2


class CancelCause(IntEnum):
    REFUSED = 1
    WITHDRAWN = 2
    STOPPED = 3
    FEE_CANCELLED = 4


class RefundCause(IntEnum):
    SURPLUS = 1
    DOSSIER_REFUSED = 2
    DECIDED = 3
    DOSSIER_STOPPED = 4
    DOSSIER_WITHDRAWN = 5
    UNMATCHED = 6
    FEE_CANCELLED = 7


class CallbackFault(IntEnum):
    SIGNATURE = 1
    AMOUNT = 2


class Stamp(TypedDict):
    """What every fact of a payment says: of which fee it is, when it happened and by whom."""

    code: str
    at: datetime
    by: str
    payer_id: str
    fee_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FeeItem:
    name: str
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentRequested:
    code: str
    at: datetime
    by: str
    payer_id: str
    fee_id: str
    amount: int
    items: tuple[FeeItem, ...]
    agency: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckoutStarted:
    code: str
    at: datetime
    by: str
    payer_id: str
    fee_id: str
    checkout_id: str
    provider: str
    amount: int
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckoutExpired:
    code: str
    at: datetime
    by: str
    payer_id: str
    fee_id: str
    checkout_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentConfirmed:
    code: str
    at: datetime
    by: str
    payer_id: str
    fee_id: str
    payment_id: str
    method: PaymentMethod
    amount: int
    agency: str
    provider: str
    checkout_id: str
    transaction: str
    bank: str
    paid_at: datetime
    receipt_number: str
    counter: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SurplusReceived:
    code: str
    at: datetime
    by: str
    payer_id: str
    fee_id: str
    payment_id: str
    method: PaymentMethod
    amount: int
    agency: str
    provider: str
    checkout_id: str
    transaction: str
    bank: str
    paid_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class UnmatchedReceived:
    code: str
    at: datetime
    by: str
    payer_id: str
    fee_id: str
    payment_id: str
    method: PaymentMethod
    amount: int
    agency: str
    provider: str
    checkout_id: str
    transaction: str
    bank: str
    paid_at: datetime
    owed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentFailed:
    code: str
    at: datetime
    by: str
    payer_id: str
    fee_id: str
    checkout_id: str
    provider: str
    provider_code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackRefused:
    code: str
    at: datetime
    by: str
    payer_id: str
    fee_id: str
    checkout_id: str
    provider: str
    fault: CallbackFault
    stated_amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundRequested:
    code: str
    at: datetime
    by: str
    payer_id: str
    fee_id: str
    payment_id: str
    attempt: int
    method: PaymentMethod
    amount: int
    cause: RefundCause
    reason: Sealed
    provider: str
    checkout_id: str
    transaction: str
    paid_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundConfirmed:
    code: str
    at: datetime
    by: str
    payer_id: str
    fee_id: str
    payment_id: str
    method: PaymentMethod
    amount: int
    cause: RefundCause
    reference: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundFailed:
    code: str
    at: datetime
    by: str
    payer_id: str
    fee_id: str
    payment_id: str
    attempt: int
    amount: int
    provider_code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentCancelled:
    code: str
    at: datetime
    by: str
    payer_id: str
    fee_id: str
    cause: CancelCause


Event = (
    PaymentRequested
    | CheckoutStarted
    | CheckoutExpired
    | PaymentConfirmed
    | SurplusReceived
    | UnmatchedReceived
    | PaymentFailed
    | CallbackRefused
    | RefundRequested
    | RefundConfirmed
    | RefundFailed
    | PaymentCancelled
)
