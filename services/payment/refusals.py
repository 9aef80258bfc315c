"""Why payment refuses: a reason that its protos do not have does not type-check."""

from __future__ import annotations

from typing import Literal

from services.chassis.decider import Rejected

# The values of PaymentError, and of CommonError those that its own rules give.
Reason = Literal[
    "ACCOUNT_RESTRICTED",
    "ALREADY_PAID",
    "ALREADY_REFUNDED",
    "ALREADY_REQUESTED",
    "AMOUNT_INVALID",
    "CANCELLED",
    "CHECKOUT_EXISTS",
    "CHECKOUT_NOT_EXPIRED",
    "CHECKOUT_NOT_FOUND",
    "DAY_INVALID",
    "EXPIRY_INVALID",
    "NOTHING_OWED",
    "NOT_TAKEN",
    "OTHER_AGENCY",
    "OTHER_METHOD",
    "OUTCOME_UNSETTLED",
    "PAYMENT_NOT_FOUND",
    "REASON_MISSING",
    "RECEIPT_NUMBER_MISSING",
    "REFUND_ALREADY_REQUESTED",
    "REFUND_NOT_REQUESTED",
    "SCOPE_MISSING",
    "UNAVAILABLE",
    "VOUCHER_NUMBER_MISSING",
    "WRONG_AMOUNT",
]


class Refused(Rejected):
    def __init__(self, reason: Reason, **facts: str) -> None:
        super().__init__(reason, **facts)
