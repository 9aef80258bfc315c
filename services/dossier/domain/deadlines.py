"""When a dossier is to be received and settled: counting, pausing, noting that it passed, extending."""

from __future__ import annotations

from datetime import datetime
from typing import TypedDict

from services.dossier.commands import Command, ExtendDeadline, NoteDeadline, NoteReceptionDeadline, RecountDeadline
from services.dossier.domain.guards import require_holder, require_state, stamp_of
from services.dossier.domain.state import OPEN, Dossier, span
from services.dossier.events import DeadlineExtended, DeadlinePassed, DeadlineRecounted, Events, ReceptionDeadlinePassed
from services.dossier.refusals import Refused
from services.dossier.values import Terms, require_reason
from services.law.deadlines import Calendar, Term, counted, due_at, is_provisional, moved


def reception_deadline(term: Term | None, calendar: Calendar | None, since: datetime) -> datetime | None:
    return due_at(calendar, term, since) if term and calendar else None


def late_reception(command: Command, dossier: Dossier) -> Events:
    """The fact that reception is late, if it is: once, whether or not the clock came by before the office answered."""
    due = dossier.reception_due_at
    if due is None or dossier.reception_passed is not None or not dossier.reception_overdue(command.at):
        return ()
    return (ReceptionDeadlinePassed(**stamp_of(command, dossier), reception_due_at=due, agency=dossier.holder),)


def note_reception_deadline(command: NoteReceptionDeadline, dossier: Dossier) -> Events:
    """Notes that reception is late; nothing if the moment moved."""
    return late_reception(command, dossier) if command.reception_due_at == dossier.reception_due_at else ()


def note_deadline(command: NoteDeadline, dossier: Dossier) -> Events:
    """Notes that the due date passed; nothing if it moved, was noted before or does not count any more."""
    if command.due_at != dossier.due_at or dossier.passed == dossier.due_at or not dossier.overdue(command.at):
        return ()
    return (DeadlinePassed(**stamp_of(command, dossier), due_at=command.due_at, agency=dossier.holder),)


def recount(command: RecountDeadline, dossier: Dossier) -> Events:
    """Counts the due date anew; nothing if no time runs any more, or if it was counted so before."""
    due, name = dossier.due_at, command.calendar.name
    if not dossier.settlement.open or due is None or name == dossier.calendar:
        return ()
    if not dossier.paused and due <= command.at:
        return ()
    again = _counted(dossier, command.calendar, dossier.ended_pauses)
    if again <= command.at < due:
        # Nobody is late because a holiday was given up.
        again = due
    return (
        DeadlineRecounted(
            **stamp_of(command, dossier),
            original_due_at=due,
            due_at=again,
            calendar=name,
            original_calendar=dossier.calendar,
            provisional=is_provisional(command.calendar, again),
            legal_basis=command.legal_basis,
            agency=dossier.holder,
        ),
    )


def extend(command: ExtendDeadline, dossier: Dossier) -> Events:
    require_state(dossier, *OPEN)
    require_holder(command.by, dossier)
    require_reason(command.reason)
    if dossier.due_at is None or not dossier.overdue(command.at):
        raise Refused("NOT_OVERDUE", due_at=dossier.due_at.isoformat() if dossier.due_at else "-")
    if command.due_at <= command.at:
        raise Refused("DUE_DATE_PAST")
    stamp = stamp_of(command, dossier)
    # The lateness is a fact of its own, whether or not the clock came by before the apology.
    passed = (
        ()
        if dossier.passed == dossier.due_at
        else (DeadlinePassed(**stamp, due_at=dossier.due_at, agency=dossier.holder),)
    )
    return (
        *passed,
        DeadlineExtended(
            **stamp, original_due_at=dossier.due_at, due_at=command.due_at, reason=command.reason, signer=command.signer
        ),
    )


class Resumption(TypedDict):
    """When a dossier is due once time counts again. `calendar`: where it is another version than before."""

    due_at: datetime | None
    provisional: bool
    calendar: str


NO_RESUMPTION = Resumption(due_at=None, provisional=False, calendar="")


def resumption(dossier: Dossier, at: datetime, terms: Terms) -> Resumption:
    if dossier.due_at is None or dossier.paused_at is None:
        return NO_RESUMPTION
    calendar = terms.calendar
    due = _counted(dossier, calendar, (*dossier.ended_pauses, span(dossier.paused_at, at)))
    name = calendar.name if calendar.name != dossier.calendar else ""
    return Resumption(due_at=due, provisional=is_provisional(calendar, due), calendar=name)


def _counted(dossier: Dossier, calendar: Calendar, pauses: tuple[tuple[datetime, datetime], ...]) -> datetime:
    """From the beginning by this version: what was counted by another may have counted other days."""
    assert dossier.term is not None
    assert dossier.counts_from is not None
    if dossier.appointed is not None:
        return moved(calendar, dossier.term, dossier.appointed, pauses)
    return counted(calendar, dossier.term, dossier.counts_from, pauses)
