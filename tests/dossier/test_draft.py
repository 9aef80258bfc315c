from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from services.chassis.decider import Rejected, Sealed
from services.dossier.draft.commands import ClaimDraft, CloseDraft, Command, DiscardDraft, SaveDraft
from services.dossier.draft.domain import CLAIMED, draft
from services.dossier.draft.events import DraftClaimed, DraftDiscarded, DraftSaved, DraftSubmitted, Event
from tests.support.given import given

NOW = datetime(2026, 3, 2, tzinfo=UTC)
FORM = Sealed('{"people": 2}')


def save(by: str = "citizen-1", *, new: bool = False) -> SaveDraft:
    return SaveDraft(
        draft_id="draft-1",
        by=by,
        at=NOW,
        procedure_code="1.004222",
        form=FORM,
        components=(),
        reception_agency="P56.22.336",
        new=new,
    )


SAVED = DraftSaved(
    draft_id="draft-1",
    applicant_id="citizen-1",
    at=NOW,
    by="citizen-1",
    procedure_code="1.004222",
    form=FORM,
    components=(),
    reception_agency="P56.22.336",
)
DISCARDED = DraftDiscarded(draft_id="draft-1", applicant_id="citizen-1", at=NOW, by="citizen-1")
SUBMITTED = DraftSubmitted(draft_id="draft-1", applicant_id="citizen-1", at=NOW, by="citizen-1", code="code-1")


def test_a_draft_is_saved_and_saved_again() -> None:
    given(draft).when(save(new=True)).then(SAVED)
    given(draft, SAVED).when(save()).then(SAVED)


def test_a_draft_is_discarded() -> None:
    given(draft, SAVED).when(DiscardDraft(by="citizen-1", at=NOW)).then(DISCARDED)


def test_a_draft_closes_when_its_owner_s_dossier_is_submitted() -> None:
    given(draft, SAVED).when(CloseDraft(by="citizen-1", at=NOW, applicant_id="citizen-1", code="code-1")).then(
        SUBMITTED
    )


@pytest.mark.parametrize("history", [(), (SAVED, DISCARDED), (SAVED, SUBMITTED)])
def test_what_is_not_open_is_not_closed(history: tuple[Event, ...]) -> None:
    given(draft, *history).when(
        CloseDraft(by="citizen-1", at=NOW, applicant_id="citizen-1", code="code-1")
    ).then_nothing()


def test_naming_another_s_draft_closes_nothing() -> None:
    given(draft, SAVED).when(CloseDraft(by="citizen-2", at=NOW, applicant_id="citizen-2", code="code-2")).then_nothing()


@pytest.mark.parametrize("command", [save("citizen-2"), DiscardDraft(by="citizen-2", at=NOW)])
def test_another_s_draft_looks_like_none(command: Command) -> None:
    given(draft, SAVED).when(command).then_rejected("DRAFT_NOT_FOUND", draft_id="draft-1")


def test_there_must_be_a_draft() -> None:
    given(draft).when(save()).then_rejected("DRAFT_NOT_FOUND", draft_id="draft-1")
    given(draft).when(DiscardDraft(by="citizen-1", at=NOW)).then_rejected("DRAFT_NOT_FOUND", draft_id="")


@pytest.mark.parametrize("command", [save(), DiscardDraft(by="citizen-1", at=NOW)])
@pytest.mark.parametrize("end", [DISCARDED, SUBMITTED])
def test_a_closed_draft_stays_closed(end: Event, command: Command) -> None:
    given(draft, SAVED, end).when(command).then_rejected("DRAFT_CLOSED")


CLAIM = ClaimDraft(
    by="citizen-1", at=NOW, draft_id="draft-1", applicant_id="citizen-1", procedure_code="1.004222", code="code-1"
)
TAKEN = DraftClaimed(draft_id="draft-1", applicant_id="citizen-1", at=NOW, by="citizen-1", code="code-1")
LATER = NOW + CLAIMED


def test_a_draft_is_claimed_once() -> None:
    given(draft, SAVED).when(CLAIM).then(TAKEN)
    given(draft, SAVED, TAKEN).when(CLAIM).then_nothing()
    given(draft, SAVED, TAKEN, SAVED).when(CLAIM).then_nothing()


def test_a_claim_that_came_to_nothing_passes_on() -> None:
    second = replace(CLAIM, code="code-2", at=LATER, absent="code-1")
    given(draft, SAVED, TAKEN).when(second).then(
        DraftClaimed(draft_id="draft-1", applicant_id="citizen-1", at=LATER, by="citizen-1", code="code-2")
    )


@pytest.mark.parametrize(
    "second",
    [
        replace(CLAIM, code="code-2", absent="code-1", at=LATER - timedelta(seconds=1)),
        replace(CLAIM, code="code-2", at=LATER),
        replace(CLAIM, code="code-2", at=LATER, found="code-0", absent="code-0"),
    ],
)
def test_a_draft_that_becomes_a_dossier_is_not_claimed(second: ClaimDraft) -> None:
    given(draft, SAVED, TAKEN).when(second).then_rejected("DRAFT_BEING_SUBMITTED", draft_id="draft-1")


@pytest.mark.parametrize(
    ("history", "claim", "reason"),
    [
        ((), CLAIM, "DRAFT_NOT_FOUND"),
        ((SAVED,), replace(CLAIM, applicant_id="citizen-2"), "DRAFT_NOT_FOUND"),
        ((SAVED, SUBMITTED), CLAIM, "DRAFT_CLOSED"),
        ((SAVED, DISCARDED), CLAIM, "DRAFT_CLOSED"),
        ((SAVED, TAKEN), replace(CLAIM, code="code-2", at=LATER, found="code-1"), "DRAFT_CLOSED"),
        ((SAVED,), replace(CLAIM, procedure_code="1.000001"), "DRAFT_OF_OTHER_PROCEDURE"),
    ],
)
def test_a_claim_is_refused(history: tuple[Event, ...], claim: ClaimDraft, reason: str) -> None:
    with pytest.raises(Rejected) as refusal:
        draft.decide(claim, draft.fold(history))
    assert refusal.value.reason == reason
