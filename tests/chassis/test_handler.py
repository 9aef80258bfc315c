import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio

from motcua.dossier.v1 import dossier_service_pb2 as pb
from services.chassis.decider import Rejected, Sealed
from services.chassis.deciding.caller import Caller, Origin
from services.chassis.deciding.handler import Handler, Outcome
from services.chassis.privacy.sealing import SubjectErased
from services.chassis.store.memory import MemoryStore
from services.chassis.store.port import NO_STREAM, Appended, Conflict, EventStore, NewEvent, RecordedEvent
from services.dossier.codec import dossier_codec, draft_codec
from services.dossier.domain import dossier
from services.dossier.draft.commands import CloseDraft, DiscardDraft, SaveDraft
from services.dossier.draft.domain import draft
from tests.chassis.stores import ENGINES, opened
from tests.dossier import world as w
from tests.support.keys import MemoryKeys

NOW = datetime(2026, 3, 2, tzinfo=UTC)
CITIZEN = Caller("citizen-1", "citizen", frozenset({"citizen"}))


def handler_of(store: EventStore, keys: MemoryKeys) -> Handler[Any, Any, Any]:
    return Handler("draft", draft, draft_codec, store, keys, "vn-56", "test", lambda: NOW)


class Draft:
    """A draft's handlers: of one process or several, before and after a restart."""

    def __init__(self, store: EventStore) -> None:
        self.store = store
        self.keys = MemoryKeys()
        self.handler = handler_of(store, self.keys)

    def restart(self) -> None:
        self.handler = handler_of(self.store, self.keys)

    async def save(
        self,
        text: str = "a",
        request_id: str = "",
        handler: Handler[Any, Any, Any] | None = None,
        at: datetime = NOW,
        expected: int | None = None,
        new: bool = True,
    ) -> Outcome[Any]:
        request = pb.SaveDraftRequest(request_id=request_id or str(uuid4()), draft_id=text, expected_revision=expected)
        command = SaveDraft(
            draft_id="draft-1",
            by="citizen-1",
            at=at,
            procedure_code=text,
            form=Sealed("form"),
            components=(),
            reception_agency="P56",
            new=new,
        )
        return await (handler or self.handler).execute(
            "draft-1", command, Origin.of_request(request, CITIZEN), creates=new
        )

    async def revision(self) -> int:
        return len(await self.store.read("draft-draft-1")) - 1


@pytest_asyncio.fixture(params=ENGINES)
async def a_draft(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Draft]:
    async with opened(request.param, tmp_path) as store:
        yield Draft(store)


def origin(request_id: str = "", part: str = "discard") -> Origin:
    return Origin.of_request(pb.DiscardDraftRequest(request_id=request_id or str(uuid4()), draft_id=part), CITIZEN)


@pytest.mark.parametrize("restart", [False, True])
async def test_a_request_sent_twice_has_one_effect_and_one_answer(a_draft: Draft, restart: bool) -> None:
    request_id = str(uuid4())
    first = await a_draft.save(request_id=request_id)
    await a_draft.save("b", new=False)
    if restart:
        a_draft.restart()
    again = await a_draft.save(request_id=request_id, at=datetime(2026, 3, 9, tzinfo=UTC))
    assert (again.revision, again.position) == (first.revision, first.position) == (0, first.position)
    assert [event.at for event in again.events] == [NOW]
    assert await a_draft.revision() == 1


@pytest.mark.parametrize("new", [False, True])
async def test_a_request_sent_again_to_another_replica_is_answered_by_what_was_stored(
    a_draft: Draft, new: bool
) -> None:
    other, request_id, later = handler_of(a_draft.store, a_draft.keys), str(uuid4()), datetime(2026, 3, 9, tzinfo=UTC)
    if not new:
        await a_draft.save("a")
        await other.load("draft-1")
    first = await a_draft.save("b", request_id=request_id, new=new)
    again = await a_draft.save("b", request_id=request_id, handler=other, at=later, new=new)
    assert [event.at for event in again.events] == [event.at for event in first.events] == [NOW]
    assert (again.revision, again.position) == (first.revision, first.position)
    with pytest.raises(Rejected, match="REQUEST_ID_REUSED"):
        await a_draft.save("c", request_id=request_id, handler=handler_of(a_draft.store, a_draft.keys), new=new)


async def test_a_request_sent_at_once_has_one_effect(a_draft: Draft) -> None:
    request_id = str(uuid4())
    other = handler_of(a_draft.store, a_draft.keys)
    moments = [datetime(2026, 3, day, tzinfo=UTC) for day in range(1, 11)]
    outcomes = await asyncio.gather(
        *(
            a_draft.save(request_id=request_id, handler=(a_draft.handler, other)[n % 2], at=at)
            for n, at in enumerate(moments)
        )
    )
    assert len({(outcome.revision, outcome.position) for outcome in outcomes}) == 1
    assert await a_draft.revision() == 0


@pytest.mark.parametrize("restart", [False, True])
async def test_a_request_id_is_not_used_for_another_content(a_draft: Draft, restart: bool) -> None:
    request_id = str(uuid4())
    await a_draft.save(request_id=request_id)
    if restart:
        a_draft.restart()
    with pytest.raises(Rejected) as refused:
        await a_draft.save("b", request_id=request_id)
    assert (refused.value.reason, refused.value.facts) == ("REQUEST_ID_REUSED", {"request_id": request_id})
    assert await a_draft.revision() == 0


async def test_an_earlier_answer_is_found_by_its_request(a_draft: Draft) -> None:
    request = pb.SaveDraftRequest(request_id=str(uuid4()), draft_id="a")
    sent = Origin.of_request(request, CITIZEN)
    assert await a_draft.handler.outcome_of("draft-1", sent) is None
    first = await a_draft.save(request_id=request.request_id)
    for handler in (a_draft.handler, handler_of(a_draft.store, a_draft.keys)):
        found = await handler.outcome_of("draft-1", sent)
        assert found
        assert (found.revision, found.position) == (first.revision, first.position)
        with pytest.raises(Rejected, match="REQUEST_ID_REUSED"):
            await handler.outcome_of("draft-1", origin(request.request_id))


async def test_all_events_of_a_request_are_its_answer() -> None:
    keys, store = MemoryKeys(), MemoryStore()
    handler: Handler[Any, Any, Any] = Handler(
        "dossier", dossier, dossier_codec, store, keys, "vn-56", "test", lambda: NOW
    )
    for command in (w.submit(), w.receive()):
        await handler.execute(w.CODE, command, origin())
    sent = origin()
    first = await handler.execute(w.CODE, w.assign(), sent)
    await handler.execute(w.CODE, w.transfer(), origin())
    again = await handler.execute(w.CODE, w.assign(), sent)
    assert [type(event).__name__ for event in again.events] == ["ProcessingStarted", "StepAssigned"]
    assert (again.events, again.revision) == (first.events, 3)
    stored = [json.loads(event.metadata) for event in await store.read(f"dossier-{w.CODE}", 1)]
    assert ["request_hash" in metadata for metadata in stored] == [True, False, True]
    assert {metadata["request_id"] for metadata in stored[:2]} == {sent.request_id}


class Slow(MemoryStore):
    """Others run while it reads."""

    async def read(self, stream: str, after: int = NO_STREAM) -> list[RecordedEvent]:
        found = await super().read(stream, after)
        await asyncio.sleep(0)
        return found


async def test_a_replica_that_is_behind_answers_all_who_ask_at_once() -> None:
    """Each is refused on what the replica holds, and one of them fetches for all what was stored since."""
    keys, store = MemoryKeys(), Slow()
    ahead, behind = (
        Handler[Any, Any, Any]("dossier", dossier, dossier_codec, store, keys, "vn-56", "test", lambda: NOW)
        for _ in range(2)
    )
    await ahead.execute(w.CODE, w.submit(), origin())
    await behind.load(w.CODE)
    await ahead.execute(w.CODE, w.receive(), origin())
    sent = origin()
    first = await ahead.execute(w.CODE, w.assign(), sent)
    again = await asyncio.gather(*(behind.execute(w.CODE, w.assign(), sent) for _ in range(3)))
    assert [(outcome.events, outcome.revision) for outcome in again] == [(first.events, first.revision)] * 3


async def test_an_expected_revision_must_be_the_newest(a_draft: Draft) -> None:
    await a_draft.save()
    request_id = str(uuid4())
    assert (await a_draft.save("b", request_id, expected=0, new=False)).revision == 1
    assert (await a_draft.save("b", request_id, expected=0, new=False)).revision == 1
    with pytest.raises(Rejected) as refused:
        await a_draft.save("c", expected=0, new=False)
    assert (refused.value.reason, refused.value.facts) == ("REVISION_CONFLICT", {"revision": "1", "expected": "0"})


async def test_of_two_who_expect_the_same_revision_one_is_refused(a_draft: Draft) -> None:
    await a_draft.save()
    other = handler_of(a_draft.store, a_draft.keys)
    outcomes = await asyncio.gather(
        *(
            a_draft.save(text, expected=0, new=False, handler=handler)
            for text, handler in (("b", other), ("c", a_draft.handler))
        ),
        return_exceptions=True,
    )
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Outcome", "Rejected"]


async def test_nothing_is_lost_when_many_change_one_stream(a_draft: Draft) -> None:
    await a_draft.save()
    other = handler_of(a_draft.store, a_draft.keys)
    changes = [a_draft.save(str(n), new=False, handler=(a_draft.handler, other)[n % 2]) for n in range(12)]
    outcomes = await asyncio.gather(*changes)
    assert sorted(outcome.revision for outcome in outcomes) == list(range(1, 13))


class Busy(MemoryStore):
    """Somebody else appends first, always."""

    theirs: NewEvent

    async def append(self, stream: str, events: Sequence[NewEvent], expected: int) -> Appended:
        if expected == NO_STREAM:
            self.theirs = events[0]
        else:
            await super().append(stream, [replace(self.theirs, id=uuid4())], expected)
        return await super().append(stream, events, expected)


async def test_who_never_comes_first_is_told_of_what_was_expected_and_what_was_there() -> None:
    busy = Draft(Busy())
    await busy.save()
    with pytest.raises(Conflict) as conflict:
        await busy.save("b", new=False)
    assert conflict.value.revision == conflict.value.expected + 1


async def test_what_a_stale_state_refuses_is_decided_again(a_draft: Draft) -> None:
    await a_draft.save()
    other = handler_of(a_draft.store, a_draft.keys)
    with pytest.raises(Rejected, match="DRAFT_NOT_FOUND"):
        await other.execute("draft-2", DiscardDraft(by="citizen-1", at=NOW), origin())
    assert (await other.load("draft-1"))[1] == 0
    await a_draft.handler.execute("draft-1", DiscardDraft(by="citizen-1", at=NOW), origin())
    with pytest.raises(Rejected, match="DRAFT_CLOSED"):
        await other.execute("draft-1", DiscardDraft(by="citizen-1", at=NOW), origin())


async def test_what_a_stale_state_has_nothing_to_say_on_is_decided_again(a_draft: Draft) -> None:
    store, keys = a_draft.store, a_draft.keys
    absent = handler_of(store, keys)
    close = CloseDraft(by="citizen-1", at=NOW, applicant_id="citizen-1", code="code")
    assert (await absent.execute("draft-1", close, origin(), creates=True)).events == ()
    await a_draft.save()
    stale = handler_of(store, keys)
    outcome = await stale.execute("draft-1", close, origin(), creates=True)
    assert [type(event).__name__ for event in outcome.events] == ["DraftSubmitted"]


async def test_a_command_may_be_made_of_the_state_it_is_decided_on(a_draft: Draft) -> None:
    await a_draft.save()
    seen: list[Any] = []

    def make(state: Any) -> DiscardDraft:
        seen.append(state.draft_id)
        return DiscardDraft(by=state.applicant_id, at=NOW)

    await handler_of(a_draft.store, a_draft.keys).execute("draft-1", make, origin())
    assert seen == ["draft-1"]


async def test_no_stream_has_no_state(a_draft: Draft) -> None:
    state, revision = await a_draft.handler.load("draft-9")
    assert (state, revision) == (draft.initial, NO_STREAM)
    assert await a_draft.handler.read("draft-9") == []


async def test_nothing_is_stored_for_a_person_who_was_erased(a_draft: Draft) -> None:
    a_draft.keys.erase("citizen-1")
    with pytest.raises(SubjectErased):
        await a_draft.save()
    assert await a_draft.revision() == NO_STREAM
