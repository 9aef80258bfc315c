"""What the payment service says, as a command."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from motcua.payment.events.v1 import events_pb2 as payment
from services.dossier import commands as c
from services.dossier.casework import terms_of
from services.dossier.domain.state import Dossier
from services.dossier.law import Law
from services.dossier.refusals import Refused
from services.dossier.values import Actor
from services.law.course import Settlement

PAYMENT = Actor("service:payment")
# Refunds that leave the fee as it was.
NOT_THE_FEE = (payment.RefundCause.REFUND_CAUSE_SURPLUS, payment.RefundCause.REFUND_CAUSE_UNMATCHED)


def noted(
    event: payment.PaymentConfirmed | payment.RefundConfirmed, now: datetime, law: Law
) -> Callable[[Dossier], c.Command] | None:
    """What builds the command that notes a payment or a refund; None for what does not change the fee.

    Building it raises Rejected NOT_FOUND for a dossier that is not there.
    """
    if isinstance(event, payment.RefundConfirmed) and event.cause in NOT_THE_FEE:
        return None

    def command(state: Dossier) -> c.Command:
        if state.settlement is Settlement.ABSENT:
            raise Refused("NOT_FOUND", code=event.code)
        if isinstance(event, payment.RefundConfirmed):
            return c.RefundFee(
                by=PAYMENT, at=now, fee_id=event.fee_id, amount=event.amount, payment_id=event.payment_id
            )
        return c.PayFee(
            by=PAYMENT,
            at=now,
            fee_id=event.fee_id,
            amount=event.amount,
            payment_id=event.payment_id,
            terms=terms_of(state, law, now),
            reception_calendar=law.calendar_of(state.reception_agency, now),
        )

    return command
