"""Ids that name their fee: a provider's callback leads to its stream without a look-up."""

from __future__ import annotations

import re
from uuid import UUID, uuid5

from services.payment.provider import NAME
from services.payment.refusals import Refused
from services.payment.vnpay import Callback

CHECKOUT = re.compile(r"[0-9a-f]{64}")


def fee_id_of(text: str) -> str:
    """Raises Rejected PAYMENT_NOT_FOUND."""
    try:
        return str(UUID(text))
    except ValueError:
        raise Refused("PAYMENT_NOT_FOUND") from None


def checkout_of(fee_id: str, request_id: str) -> str:
    """The fee's id and the request's, as hexadecimal digits: also the order's reference at the provider."""
    return UUID(fee_id).hex + uuid5(UUID(request_id), "checkout").hex


def fee_of(checkout_id: str) -> str | None:
    return str(UUID(checkout_id[:32])) if CHECKOUT.fullmatch(checkout_id) else None


def payment_id_of(said: Callback) -> str:
    """One per transaction, however often it is reported."""
    return str(uuid5(UUID(said.txn_ref[:32]), f"{NAME} {said.txn_ref} {said.transaction}"))
