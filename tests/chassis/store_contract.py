"""What every event store keeps. An adapter, also one of another repository, is held to it by two classes:

class TestMine(StoreContract):
    @pytest_asyncio.fixture
    async def store(self) -> AsyncIterator[EventStore]: ...  # empty

class Machine(StoreMachine):
    async def open(self) -> EventStore: ...  # empty

TestMachine = Machine.TestCase
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import UUID, uuid4

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from services.chassis.store.port import ANY, LOOK_BACK, NO_STREAM, START, Conflict, EventStore, NewEvent, RecordedEvent
from tests.support.waiting import PATIENCE_SECONDS

T = TypeVar("T")


def event(type_: str = "motcua.test.Happened", data: bytes = b"x", id_: UUID | None = None) -> NewEvent:
    return NewEvent(id_ or uuid4(), type_, data, b'{"request_id": "r"}')


def ids(events: Sequence[NewEvent | RecordedEvent]) -> list[UUID]:
    return [one.id for one in events]


async def follow(store: EventStore, after: int, types: Sequence[str], count: int) -> list[RecordedEvent]:
    """The first so many events of a subscription."""
    found: list[RecordedEvent] = []
    async with asyncio.timeout(PATIENCE_SECONDS), aclosing(store.subscribe(after, types)) as batches:  # type: ignore[type-var]
        async for batch in batches:
            found.extend(batch.events)
            if len(found) >= count:
                return found
    raise AssertionError("a subscription never ends by itself")


class StoreContract:
    """Its tests ask for a fixture `store`: one that is empty, on the test's own loop."""

    async def test_a_stream_counts_its_events_from_nought(self, store: EventStore) -> None:
        first, second, third = event(), event(), event()
        assert (await store.append("a-1", [first, second], NO_STREAM)).revision == 1
        appended = await store.append("a-1", [third], 1)
        read = await store.read("a-1")
        assert ids(read) == ids([first, second, third])
        assert [one.revision for one in read] == [0, 1, 2]
        assert (appended.revision, appended.position) == (2, read[2].position)
        assert ids(await store.read("a-1", 0)) == ids([second, third])
        assert await store.read("a-1", 2) == []

    async def test_an_event_comes_back_as_it_went(self, store: EventStore) -> None:
        sent = NewEvent(uuid4(), "motcua.test.Đã", bytes(range(256)), '{"tên": "x"}'.encode())
        await store.append("a-1", [sent], NO_STREAM)
        (read,) = await store.read("a-1")
        assert (read.id, read.type, read.data, read.metadata, read.stream) == (
            sent.id,
            sent.type,
            sent.data,
            sent.metadata,
            "a-1",
        )
        assert read.recorded_at.tzinfo is not None

    async def test_a_restored_event_keeps_its_moment_and_its_bytes(self, store: EventStore) -> None:
        """Ledger entries show the moment, and commit to the metadata."""
        moment = datetime(2025, 12, 31, 23, 59, 59, 45, UTC)
        old, new = replace(event(), recorded_at=moment), event()
        await store.append("a-1", [old], NO_STREAM)
        await store.append("a-1", [old], NO_STREAM)
        await store.append("a-1", [new], 0)
        for found in (await store.read("a-1"), await store.read_all()):
            assert [(one.id, one.metadata) for one in found] == [(old.id, old.metadata), (new.id, new.metadata)]
            assert found[0].recorded_at == moment
            assert found[1].recorded_at > moment

    async def test_no_stream_is_empty(self, store: EventStore) -> None:
        assert await store.read("a-1") == []
        assert await store.read_all() == []
        assert await store.head() == START

    @pytest.mark.parametrize(("expected", "at"), [(NO_STREAM, 0), (1, 0), (7, 0)])
    async def test_another_revision_than_expected_is_a_conflict(
        self, store: EventStore, expected: int, at: int
    ) -> None:
        await store.append("a-1", [event()], NO_STREAM)
        with pytest.raises(Conflict) as conflict:
            await store.append("a-1", [event()], expected)
        assert (conflict.value.stream, conflict.value.expected, conflict.value.revision) == ("a-1", expected, at)
        assert len(await store.read("a-1")) == 1

    async def test_a_stream_that_is_expected_must_be_there(self, store: EventStore) -> None:
        with pytest.raises(Conflict) as conflict:
            await store.append("a-1", [event()], 0)
        assert conflict.value.revision == NO_STREAM

    async def test_any_revision_will_do(self, store: EventStore) -> None:
        for revision in range(3):
            assert (await store.append("a-1", [event()], ANY)).revision == revision

    @pytest.mark.parametrize("expected", [NO_STREAM, ANY])
    async def test_the_same_append_again_succeeds_without_writing(self, store: EventStore, expected: int) -> None:
        events = [event(), event()]
        first = await store.append("a-1", events, expected)
        await store.append("a-1", [event()], 1)
        assert await store.append("a-1", events, expected) == first
        assert len(await store.read("a-1")) == 3

    async def test_at_any_revision_a_stream_s_newest_events_are_known_again(self, store: EventStore) -> None:
        """Not all of them: however long a stream gets, an append costs the same."""
        events = [event() for _ in range(LOOK_BACK + 1)]
        await store.append("a-1", events, NO_STREAM)
        assert (await store.append("a-1", events[1:2], ANY)).revision == 1
        assert (await store.append("a-1", events[:1], ANY)).revision == LOOK_BACK + 1
        assert len(await store.read("a-1")) == LOOK_BACK + 2

    async def test_other_events_at_the_same_revision_conflict(self, store: EventStore) -> None:
        first, second = event(), event()
        await store.append("a-1", [first, second], NO_STREAM)
        for others in ([first], [first, event()], [second, first]):
            if others == [first]:
                assert (await store.append("a-1", others, NO_STREAM)).revision == 0
                continue
            with pytest.raises(Conflict):
                await store.append("a-1", others, NO_STREAM)

    async def test_there_is_no_append_of_nothing(self, store: EventStore) -> None:
        for expected in (NO_STREAM, ANY):
            with pytest.raises(ValueError, match="nothing to append"):
                await store.append("a-1", [], expected)
        await store.append("a-1", [event()], NO_STREAM)

    async def test_of_concurrent_appends_one_wins_and_the_others_fail_alone(self, store: EventStore) -> None:
        rivals = [store.append("a-1", [event()], NO_STREAM) for _ in range(10)]
        others = [store.append(f"b-{number}", [event()], NO_STREAM) for number in range(10)]
        outcomes = await asyncio.gather(*rivals, *others, return_exceptions=True)
        assert sum(isinstance(outcome, Conflict) for outcome in outcomes[:10]) == 9
        assert not any(isinstance(outcome, Exception) for outcome in outcomes[10:])
        assert len(await store.read("a-1")) == 1
        assert len(await store.read_all()) == 11

    async def test_positions_order_all_streams(self, store: EventStore) -> None:
        await asyncio.gather(*(store.append(f"a-{n % 7}", [event(), event()], ANY) for n in range(40)))
        everything = await store.read_all()
        positions = [one.position for one in everything]
        assert positions == sorted(set(positions))
        assert positions[0] > START
        assert await store.head() == positions[-1]
        for stream in {one.stream for one in everything}:
            assert [one for one in everything if one.stream == stream] == await store.read(stream)

    async def test_reading_on_is_exclusive_and_limited(self, store: EventStore) -> None:
        for _ in range(5):
            await store.append("a-1", [event()], ANY)
        everything = await store.read_all()
        page = await store.read_all(limit=2)
        assert page == everything[:2]
        assert await store.read_all(page[-1].position, limit=2) == everything[2:4]
        assert await store.read_all(everything[-1].position) == []

    async def test_types_are_filtered_by_prefix_and_not_by_pattern(self, store: EventStore) -> None:
        names = ["motcua.a.One", "motcua.a.Two", "motcua.b.One", "motcuaXa.One", "other.a.One"]
        await store.append("a-1", [event(name) for name in names], NO_STREAM)

        async def found(*types: str) -> list[str]:
            return [one.type for one in await store.read_all(types=types)]

        assert await found("motcua.a.") == names[:2]
        assert await found("motcua.b.", "other.") == [names[2], names[4]]
        assert await found("motcua.a.One") == names[:1]
        assert await found("%", "motcua_a") == []
        assert await found() == names

    async def test_a_subscription_reads_history_and_then_what_comes(self, store: EventStore) -> None:
        before, later = [event(), event()], [event(), event("other.Happened"), event()]
        await store.append("a-1", before, NO_STREAM)
        following = asyncio.create_task(follow(store, START, ("motcua.",), 4))
        await asyncio.sleep(0.05)
        for one in later:
            await store.append("a-2", [one], ANY)
        assert ids(await following) == ids([*before, later[0], later[2]])

    async def test_a_subscription_resumes_after_its_position(self, store: EventStore) -> None:
        await store.append("a-1", [event() for _ in range(5)], NO_STREAM)
        everything = await store.read_all()
        assert await follow(store, everything[2].position, (), 2) == everything[3:]

    async def test_a_subscription_says_when_it_has_caught_up_and_how_far_it_looked(self, store: EventStore) -> None:
        await store.append("a-1", [event("other.Happened") for _ in range(3)], NO_STREAM)
        async with asyncio.timeout(PATIENCE_SECONDS), aclosing(store.subscribe(START, ("motcua.",))) as batches:  # type: ignore[type-var]
            async for batch in batches:
                assert list(batch.events) == []
                if batch.caught_up and batch.position == await store.head():
                    return

    async def test_every_subscription_gets_everything(self, store: EventStore) -> None:
        following = [asyncio.create_task(follow(store, START, (), 30)) for _ in range(3)]
        await asyncio.gather(*(store.append(f"a-{n}", [event()], ANY) for n in range(30)))
        everything = ids(await store.read_all())
        assert [ids(found) for found in await asyncio.gather(*following)] == [everything] * 3


class StoreMachine(RuleBasedStateMachine):
    """The store behaves as a list of appended events does."""

    streams = st.sampled_from(["a-1", "a-2", "b-1"])

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.store: EventStore
        self.all: list[tuple[str, NewEvent]] = []
        self.appends: list[tuple[str, list[NewEvent], int]] = []

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    def of(self, stream: str) -> list[NewEvent]:
        return [one for name, one in self.all if name == stream]

    async def open(self) -> EventStore:
        raise NotImplementedError

    @initialize()
    def begin(self) -> None:
        self.store = self.run(self.open())

    @rule(stream=streams, count=st.integers(1, 3), off=st.sampled_from([0, 0, 0, 1, -1]), any_=st.booleans())
    def append(self, stream: str, count: int, off: int, any_: bool) -> None:
        events = [event() for _ in range(count)]
        revision = len(self.of(stream)) - 1
        expected = ANY if any_ else max(NO_STREAM, revision + off)
        if expected not in (ANY, revision):
            with pytest.raises(Conflict):
                self.run(self.store.append(stream, events, expected))
            return
        assert self.run(self.store.append(stream, events, expected)).revision == revision + count
        self.all.extend((stream, one) for one in events)
        self.appends.append((stream, events, expected))

    @rule(data=st.data())
    def append_again(self, data: st.DataObject) -> None:
        if self.appends:
            stream, events, expected = data.draw(st.sampled_from(self.appends))
            appended = self.run(self.store.append(stream, events, expected))
            assert self.of(stream)[appended.revision].id == events[-1].id

    @rule(stream=streams, after=st.integers(-1, 5))
    def read(self, stream: str, after: int) -> None:
        assert ids(self.run(self.store.read(stream, after))) == ids(self.of(stream)[after + 1 :])

    @rule(skip=st.integers(0, 10), limit=st.integers(1, 5))
    def read_all(self, skip: int, limit: int) -> None:
        everything = self.run(self.store.read_all())
        after = everything[skip - 1].position if 0 < skip <= len(everything) else START
        start = skip if 0 < skip <= len(everything) else 0
        expected = [one for _, one in self.all[start : start + limit]]
        assert ids(self.run(self.store.read_all(after, limit=limit))) == ids(expected)

    @rule()
    def subscribe(self) -> None:
        if self.all:
            found = self.run(follow(self.store, START, (), len(self.all)))
            assert ids(found) == [one.id for _, one in self.all]

    @invariant()
    def nothing_is_lost_or_moved(self) -> None:
        if self.all:
            assert ids(self.run(self.store.read_all())) == [one.id for _, one in self.all]

    def teardown(self) -> None:
        self.run(self.store.close())
        self.loop.close()
