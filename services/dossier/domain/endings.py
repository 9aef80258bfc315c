"""A dossier that ends without a result: withdrawn, stopped, not paid."""

from __future__ import annotations

from services.chassis.decider import Sealed
from services.dossier.commands import DeclineWithdrawal, GrantWithdrawal, LapseFee, RequestWithdrawal, StopProcessing
from services.dossier.domain.deadlines import late_reception
from services.dossier.domain.fees import cancellation, fee_of
from services.dossier.domain.guards import require_exists, require_holder, require_on_behalf, require_state, stamp_of
from services.dossier.domain.settlements import wrong_state
from services.dossier.domain.state import PAUSED, Dossier
from services.dossier.events import Events, ProcessingStopped, WithdrawalDeclined, WithdrawalRequested
from services.dossier.values import StopCause, require_reason
from services.law.course import FeeCondition, Finance, Settlement


def request_withdrawal(command: RequestWithdrawal, dossier: Dossier) -> Events:
    require_exists(dossier)
    require_on_behalf(command.by, dossier)
    require_state(dossier, Settlement.NEWLY_REGISTERED, Settlement.BEING_PROCESSED)
    return (WithdrawalRequested(**stamp_of(command, dossier), reason=command.reason),)


def grant_withdrawal(command: GrantWithdrawal, dossier: Dossier) -> Events:
    require_state(dossier, Settlement.WITHDRAWAL_REQUESTED)
    require_holder(command.by, dossier)
    return (ProcessingStopped(**stamp_of(command, dossier), cause=StopCause.WITHDRAWN, explanation=Sealed()),)


def decline_withdrawal(command: DeclineWithdrawal, dossier: Dossier) -> Events:
    require_state(dossier, Settlement.WITHDRAWAL_REQUESTED)
    require_holder(command.by, dossier)
    require_reason(command.explanation)
    return (WithdrawalDeclined(**stamp_of(command, dossier), explanation=command.explanation),)


def stop(command: StopProcessing, dossier: Dossier) -> Events:
    require_state(dossier, Settlement.NEWLY_REGISTERED, Settlement.BEING_PROCESSED, *PAUSED)
    require_holder(command.by, dossier)
    require_reason(command.explanation)
    if command.cause is StopCause.WITHDRAWN:
        raise wrong_state(dossier.settlement)
    stopped = _stopped(command, command.cause, command.explanation, dossier)
    return (*late_reception(command, dossier), *stopped)


def lapse(command: LapseFee, dossier: Dossier) -> Events:
    """Stops a dossier whose fee was not paid in time.

    Nothing if it was paid or cancelled meanwhile, or the dossier waits for something else.
    """
    fee = fee_of(command.fee_id, dossier)
    waiting = dossier.settlement in (
        Settlement.NEWLY_REGISTERED,
        Settlement.SUPPLEMENT_REQUESTED,
        Settlement.FINANCIAL_OBLIGATION_REQUESTED,
    )
    over = fee.pay_by is not None and command.at > fee.pay_by
    if fee.finance is not Finance.DUE or not (waiting and over and fee.stops_unpaid):
        return ()
    return _stopped(command, StopCause.NOT_PAID, command.explanation, dossier)


def _stopped(command: StopProcessing | LapseFee, cause: StopCause, explanation: Sealed, dossier: Dossier) -> Events:
    """The portal leads from "financial obligation requested" to "being processed" only: what is asked for ends before."""
    asked = [
        cancellation(command, explanation, fee, dossier)
        for fee in dossier.fees
        if fee.finance is Finance.DUE and fee.condition is FeeCondition.PROCESSING
    ]
    return *asked, ProcessingStopped(**stamp_of(command, dossier), cause=cause, explanation=explanation)
