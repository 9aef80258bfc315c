"""Who may save, discard and submit a draft, and that it becomes a dossier once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import assert_never

from services.chassis.decider import Decider
from services.dossier.draft.commands import ClaimDraft, CloseDraft, Command, DiscardDraft, SaveDraft
from services.dossier.draft.events import DraftClaimed, DraftDiscarded, DraftSaved, DraftSubmitted, Event
from services.dossier.refusals import Refused

# Longer than a submission takes from its claim to its dossier.
CLAIMED = timedelta(seconds=60)


class Stage(Enum):
    ABSENT = auto()
    OPEN = auto()
    CLOSED = auto()


@dataclass(frozen=True, slots=True)
class Draft:
    stage: Stage = Stage.ABSENT
    draft_id: str = ""
    applicant_id: str = ""
    procedure_code: str = ""
    # The code of the dossier that it is to become, and since when.
    claimed: str = ""
    claimed_at: datetime | None = None


def decide(command: Command, draft: Draft) -> Sequence[Event]:
    match command:
        case SaveDraft():
            if draft.stage is Stage.ABSENT and not command.new:
                raise Refused("DRAFT_NOT_FOUND", draft_id=command.draft_id)
            if draft.stage is not Stage.ABSENT:
                require_open(draft, command.by, draft.draft_id)
            return (
                DraftSaved(
                    draft_id=command.draft_id,
                    applicant_id=command.by,
                    at=command.at,
                    by=command.by,
                    procedure_code=command.procedure_code,
                    form=command.form,
                    components=command.components,
                    reception_agency=command.reception_agency,
                ),
            )
        case DiscardDraft():
            require_open(draft, command.by, draft.draft_id)
            return (
                DraftDiscarded(draft_id=draft.draft_id, applicant_id=draft.applicant_id, at=command.at, by=command.by),
            )
        case ClaimDraft():
            return _claim(command, draft)
        case CloseDraft():
            # Whoever names another person's draft closes nothing.
            if draft.stage is not Stage.OPEN or draft.applicant_id != command.applicant_id:
                return ()
            return (
                DraftSubmitted(
                    draft_id=draft.draft_id,
                    applicant_id=draft.applicant_id,
                    at=command.at,
                    by=command.by,
                    code=command.code,
                ),
            )
        case _:
            assert_never(command)


def _claim(command: ClaimDraft, draft: Draft) -> Sequence[Event]:
    require_usable(draft, command.applicant_id, command.draft_id, command.procedure_code)
    if draft.claimed == command.code:
        return ()
    if draft.claimed and draft.claimed == command.found:
        raise Refused("DRAFT_CLOSED")
    over = draft.claimed_at is None or command.at >= draft.claimed_at + CLAIMED
    if draft.claimed and not (over and draft.claimed == command.absent):
        raise Refused("DRAFT_BEING_SUBMITTED", draft_id=draft.draft_id)
    return (
        DraftClaimed(
            draft_id=draft.draft_id, applicant_id=draft.applicant_id, at=command.at, by=command.by, code=command.code
        ),
    )


def require_usable(draft: Draft, by: str, draft_id: str, procedure_code: str) -> None:
    """Refuses a draft that cannot become a dossier of this procedure. Raises Rejected as require_open, DRAFT_OF_OTHER_PROCEDURE."""
    require_open(draft, by, draft_id)
    if draft.procedure_code != procedure_code:
        raise Refused("DRAFT_OF_OTHER_PROCEDURE", draft_id=draft_id, procedure_code=draft.procedure_code)


def require_open(draft: Draft, by: str, draft_id: str) -> None:
    """Refuses a draft that is another's or closed. Raises Rejected DRAFT_NOT_FOUND, DRAFT_CLOSED."""
    # Another person's draft looks like none.
    if draft.stage is Stage.ABSENT or draft.applicant_id != by:
        raise Refused("DRAFT_NOT_FOUND", draft_id=draft_id)
    if draft.stage is Stage.CLOSED:
        raise Refused("DRAFT_CLOSED")


def evolve(draft: Draft, event: Event) -> Draft:
    match event:
        case DraftSaved():
            known = (event.draft_id, event.applicant_id, event.procedure_code)
            return Draft(Stage.OPEN, *known, draft.claimed, draft.claimed_at)
        case DraftClaimed():
            return replace(draft, claimed=event.code, claimed_at=event.at)
        case DraftDiscarded() | DraftSubmitted():
            return replace(draft, stage=Stage.CLOSED)
        case _:
            assert_never(event)


draft = Decider(Draft(), decide, evolve)
