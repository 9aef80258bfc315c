"""Which agency holds a dossier."""

from __future__ import annotations

from services.chassis.decider import replace
from services.dossier.commands import ForwardDossier, RehomeDossier, TransferDossier
from services.dossier.domain.guards import require_holder, require_state, stamp_of
from services.dossier.domain.state import Dossier
from services.dossier.events import DossierTransferred, Events
from services.dossier.refusals import Refused
from services.dossier.values import require_reason
from services.law.course import Settlement
from services.law.deadlines import Calendar, due_at, is_provisional


def transfer(command: TransferDossier, dossier: Dossier) -> Events:
    require_state(dossier, Settlement.RECEIVED, Settlement.BEING_PROCESSED)
    require_holder(command.by, dossier)
    require_reason(command.reason)
    if command.to_agency == dossier.holder:
        raise Refused("SAME_AGENCY", agency=dossier.holder)
    if dossier.approved:
        raise Refused("ALREADY_APPROVED")
    return (_transferred(command, dossier, command.to_agency, command.calendar),)


def forward(command: ForwardDossier, dossier: Dossier) -> Events:
    """Passes the dossier to the competent agency; nothing if it is there, or went elsewhere, or waits for somebody."""
    here = dossier.holder == dossier.reception_agency and dossier.competent_received_at is None
    if dossier.settlement not in (Settlement.RECEIVED, Settlement.BEING_PROCESSED) or not here:
        return ()
    return (_transferred(command, dossier, dossier.competent_agency, command.calendar),)


def rehome(command: RehomeDossier, dossier: Dossier) -> Events:
    """Puts the successor in the closed agency's place; nothing if the dossier is done, or names the closed agency nowhere."""
    homes = (dossier.reception_agency, dossier.competent_agency, dossier.holder)
    if not dossier.settlement.open or command.closed not in homes:
        return ()
    stamp = stamp_of(command, dossier)
    return (
        DossierTransferred(
            **stamp, from_agency=command.closed, to_agency=command.successor, reason=command.reason, succession=True
        ),
    )


def _transferred(
    command: TransferDossier | ForwardDossier, dossier: Dossier, to: str, calendar: Calendar | None
) -> DossierTransferred:
    """The first one says that the competent agency got it; none restarts the clock."""
    reached = dossier.competent_received_at is None
    transferred = DossierTransferred(
        **stamp_of(command, dossier),
        from_agency=dossier.holder,
        to_agency=to,
        reason=command.reason,
        reached=reached,
    )
    if not (reached and dossier.across_boundaries and dossier.term and calendar):
        return transferred
    due = due_at(calendar, dossier.term, command.at)
    return replace(transferred, due_at=due, calendar=calendar.name, provisional=is_provisional(calendar, due))
