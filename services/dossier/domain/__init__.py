"""A dossier: one application, from submission to returned result.

Settlement moves only as the national portal's states allow (docs/architecture.md has the table). The clock starts at valid
reception, stands still in the two paused states, and never depends on a transfer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from services.chassis.decider import Decider
from services.dossier.commands import (
    ApproveDossier,
    AssessFee,
    AssignStep,
    CancelFee,
    Command,
    CompleteStep,
    ConfirmSynchronisation,
    CorrectForm,
    DeclineWithdrawal,
    ExtendDeadline,
    ForwardDossier,
    GrantWithdrawal,
    IssueResult,
    LapseFee,
    NoteDeadline,
    NoteReceptionDeadline,
    PayFee,
    RateDossier,
    ReceiveDossier,
    RecountDeadline,
    RefundFee,
    RefuseDossier,
    RehomeDossier,
    RequestSupplement,
    RequestWithdrawal,
    ReturnResult,
    StopProcessing,
    SubmitDossier,
    SupplySupplement,
    TransferDossier,
    WaiveFee,
)
from services.dossier.domain import (
    corrections,
    deadlines,
    endings,
    fees,
    reception,
    results,
    steps,
    submission,
    supplements,
    synchronisation,
    transfers,
)
from services.dossier.domain.state import Dossier, evolve
from services.dossier.events import Event


def decide(command: Command, dossier: Dossier) -> Sequence[Event]:
    match command:
        case SubmitDossier():
            return submission.submit(command, dossier)
        case ReceiveDossier():
            return reception.receive(command, dossier)
        case RefuseDossier():
            return reception.refuse(command, dossier)
        case CorrectForm():
            return corrections.correct(command, dossier)
        case RequestSupplement():
            return supplements.request_supplement(command, dossier)
        case SupplySupplement():
            return supplements.supply(command, dossier)
        case AssignStep():
            return steps.assign(command, dossier)
        case CompleteStep():
            return steps.complete(command, dossier)
        case TransferDossier():
            return transfers.transfer(command, dossier)
        case ForwardDossier():
            return transfers.forward(command, dossier)
        case RehomeDossier():
            return transfers.rehome(command, dossier)
        case AssessFee():
            return fees.assess(command, dossier)
        case WaiveFee():
            return fees.waive(command, dossier)
        case CancelFee():
            return fees.cancel(command, dossier)
        case LapseFee():
            return endings.lapse(command, dossier)
        case PayFee():
            return fees.pay(command, dossier)
        case RefundFee():
            return fees.refund(command, dossier)
        case RequestWithdrawal():
            return endings.request_withdrawal(command, dossier)
        case GrantWithdrawal():
            return endings.grant_withdrawal(command, dossier)
        case DeclineWithdrawal():
            return endings.decline_withdrawal(command, dossier)
        case StopProcessing():
            return endings.stop(command, dossier)
        case ApproveDossier():
            return results.approve(command, dossier)
        case IssueResult():
            return results.issue(command, dossier)
        case ReturnResult():
            return results.hand_over(command, dossier)
        case NoteDeadline():
            return deadlines.note_deadline(command, dossier)
        case NoteReceptionDeadline():
            return deadlines.note_reception_deadline(command, dossier)
        case RecountDeadline():
            return deadlines.recount(command, dossier)
        case ExtendDeadline():
            return deadlines.extend(command, dossier)
        case RateDossier():
            return results.rate(command, dossier)
        case ConfirmSynchronisation():
            return synchronisation.confirm(command, dossier)
        case _:
            assert_never(command)


dossier = Decider(Dossier(), decide, evolve)
