"""The adapter's own: each thing that goes wrong between it and a KurrentDB, over the wire against the stand-in."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from functools import partial
from typing import Any, TypeVar

import grpc
import pytest
from structlog.testing import capture_logs

from services.chassis.store import kurrentdb
from services.chassis.store.kurrentdb import AccessRefused, KurrentStore, checked_uri
from services.chassis.store.kurrentdb_client import errors, kdb
from services.chassis.store.port import ANY, NO_STREAM, START, Batch, Conflict, RecordedEvent, StoreUnavailable
from tests.chassis.store_contract import event, follow, ids
from tests.chassis.stores import doubled
from tests.doubles.kurrentdb import Double
from tests.doubles.kurrentdb_log import Log
from tests.doubles.kurrentdb_protos import streams_pb2
from tests.support.waiting import PATIENCE_SECONDS, eventually_here

T = TypeVar("T")

IMPATIENT = 1.0


def ours(log: Log) -> list[Any]:
    return [record.proposed.id for record in log.records if not record.proposed.type.startswith("$")]


def subscriptions(double: Double) -> int:
    """How many were asked for."""
    reads = [request for request in double.requests if isinstance(request, streams_pb2.ReadReq)]
    return sum(request.options.WhichOneof("count_option") == "subscription" for request in reads)


def appends(double: Double) -> list[streams_pb2.BatchAppendReq]:
    return [request for request in double.requests if isinstance(request, streams_pb2.BatchAppendReq)]


@contextmanager
def impatient(store: KurrentStore, patience: float = IMPATIENT) -> Iterator[None]:
    """For what is to fail; what is to succeed has time, however slow the machine is."""
    before = store._patience, store._attempt
    store._patience, store._attempt = patience, IMPATIENT / 2
    try:
        yield
    finally:
        store._patience, store._attempt = before


class Follower:
    """What one who follows the log saw, kept with the position as views keep it."""

    def __init__(self, store: KurrentStore, after: int = START, types: Sequence[str] = ()) -> None:
        self.seen: list[RecordedEvent] = []
        self.batches: list[Batch] = []
        self._store, self._after, self._types = store, after, types

    async def run(self) -> None:
        async with aclosing(self._store.subscribe(self._after, self._types)) as batches:  # type: ignore[type-var]
            async for batch in batches:
                self.batches.append(batch)
                self.seen += batch.events

    @property
    def newest(self) -> Batch:
        return self.batches[-1] if self.batches else Batch((), START, caught_up=False)


@asynccontextmanager
async def followed(store: KurrentStore, after: int = START, types: Sequence[str] = ()) -> AsyncIterator[Follower]:
    follower = Follower(store, after, types)
    task = asyncio.create_task(follower.run())
    try:
        yield follower
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


# Appends


@pytest.mark.parametrize("fault", ["before_write", "after_write", "not_ready", "timeouts"])
@pytest.mark.parametrize("expected", [NO_STREAM, ANY])
async def test_an_append_that_fails_for_a_moment_is_written_once(fault: str, expected: int) -> None:
    """The client sends the events again: a generator would be empty by then, and nothing would be written."""
    async with doubled() as (double, store):
        setattr(double.faults, fault, 2)
        sent = [event(), event()]
        appended = await store.append("a-1", sent, expected)
        assert ids(await store.read("a-1")) == ours(double.log) == ids(sent)
        assert appended.revision == 1
        assert [len(request.proposed_messages) for request in appends(double)] == [2, 2, 2]


async def test_an_answer_that_is_lost_is_asked_for_again() -> None:
    async with doubled() as (double, store):
        double.faults.lost_answers = 1
        with impatient(store, patience=PATIENCE_SECONDS):
            first = await store.append("a-1", [event()], NO_STREAM)
        second = await store.append("a-1", [event()], 0)
        assert first.position < second.position
        assert len(ours(double.log)) == 2


@pytest.mark.parametrize("expected", [NO_STREAM, ANY])
async def test_an_append_of_which_nothing_is_known_is_sent_again_by_the_caller(expected: int) -> None:
    async with doubled() as (double, store):
        sent = [event(), event()]
        double.faults.lost_answers = 1000
        with impatient(store, patience=3), pytest.raises(StoreUnavailable, match="append to a-1"):
            await store.append("a-1", sent, expected)
        double.faults.lost_answers = 0
        other = await store.append("a-1", [event()], 1)
        appended = await store.append("a-1", sent, expected)
        assert appended.revision == 1 < other.revision
        assert appended.position == (await store.read("a-1"))[1].position
        assert len(await store.read("a-1")) == 3


async def test_at_any_revision_a_server_that_was_restarted_forgets_ids_and_the_store_does_not() -> None:
    async with doubled() as (double, store):
        sent = [event(), event()]
        first = await store.append("a-1", sent, ANY)
        double.log.forget_ids()
        assert await store.append("a-1", sent, ANY) == first
        assert ours(double.log) == ids(sent)


async def test_a_position_that_is_not_answered_is_looked_up() -> None:
    async with doubled() as (double, store):
        double.faults.no_position = True
        sent = [event(), event()]
        first = await store.append("a-1", sent, NO_STREAM)
        assert await store.append("a-1", sent, NO_STREAM) == first
        assert first.position == await store.head()


async def test_a_slow_store_is_unavailable_and_works_again() -> None:
    async with doubled() as (double, store):
        await store.append("a-1", [event()], NO_STREAM)
        double.faults.open.clear()
        calls = [store.append("a-1", [event()], 0), store.read("a-1"), store.read_all(), store.head()]
        with impatient(store):
            outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [StoreUnavailable] * 4
        double.faults.open.set()
        assert len(await store.read("a-1")) == 1
        assert (await store.append("a-1", [event()], 0)).revision == 1


async def test_appends_do_not_wait_for_each_other() -> None:
    """Nor for one whose answer never comes."""
    async with doubled() as (double, store):
        double.faults.lost_answers = 1
        stuck = asyncio.create_task(store.append("a-1", [event()], NO_STREAM))
        await eventually_here(lambda: double.faults.lost_answers == 0)
        async with asyncio.timeout(PATIENCE_SECONDS):
            await asyncio.gather(*(store.append(f"b-{n}", [event()], NO_STREAM) for n in range(50)))
        assert not stuck.done()
        stuck.cancel()


async def test_a_connection_that_is_closed_under_a_call_does_not_cancel_the_caller() -> None:
    """gRPC says `cancelled` when another call's failure made the client close the connection."""
    async with doubled() as (double, store):
        double.faults.lost_answers = 1
        append = asyncio.create_task(store.append("a-1", [event()], NO_STREAM))
        await eventually_here(lambda: double.faults.lost_answers == 0)
        await store._appends.connection._grpc_channel.close(None)
        assert (await append).revision == 0
        assert len(ours(double.log)) == 1


async def test_a_caller_that_is_cancelled_is_cancelled() -> None:
    async with doubled() as (double, store):
        double.faults.open.clear()
        append = asyncio.create_task(store.append("a-1", [event()], NO_STREAM))
        await eventually_here(lambda: bool(appends(double)))
        append.cancel()
        with pytest.raises(asyncio.CancelledError):
            await append


@pytest.mark.parametrize(
    ("sizes", "why"),
    [([1101], "an event is larger"), ([999, 999], "Max size is 1500")],
    ids=["an event", "all together"],
)
async def test_what_is_too_large_is_said_at_once(sizes: list[int], why: str) -> None:
    async with doubled() as (double, store):
        double.largest_event, double.largest_append = 1100, 1500
        with pytest.raises(ValueError, match=f"append to a-1: {why}"):
            await store.append("a-1", [event("m.A", bytes(size)) for size in sizes], NO_STREAM)
        assert len(appends(double)) == 1
        assert await store.read("a-1") == []


async def test_another_s_events_at_a_revision_are_a_conflict_also_when_some_are_the_same() -> None:
    async with doubled() as (_, store):
        first, second = event(), event()
        await store.append("a-1", [first, second], NO_STREAM)
        with pytest.raises(Conflict) as conflict:
            await store.append("a-1", [first, event()], NO_STREAM)
        assert conflict.value.revision == 1
        # At ANY too: neither new nor a repetition for the server, new for the port.
        assert (await store.append("a-1", [second, event()], ANY)).revision == 3


# Reads


@pytest.mark.parametrize("fault", ["before_read", "within_read"])
async def test_a_read_that_breaks_off_is_not_taken_for_the_end(fault: str) -> None:
    async with doubled() as (double, store):
        sent = [event() for _ in range(5)]
        await store.append("a-1", sent, NO_STREAM)
        setattr(double.faults, fault, 2)
        assert ids(await store.read("a-1")) == ids(sent)
        setattr(double.faults, fault, 2)
        assert ids(await store.read_all()) == ids(sent)
        assert getattr(double.faults, fault) == 0


@pytest.mark.parametrize("events", [0, 1, 4])
async def test_a_read_that_another_call_cuts_off_is_not_taken_for_the_end(events: int) -> None:
    """A failure replaces the connection of all calls under way, and the client lets them end as if that were all."""
    async with doubled() as (double, store):
        sent = [event() for _ in range(5)]
        await store.append("a-1", sent, NO_STREAM)
        for ask in (partial(store.read, "a-1"), partial(store._newest, "a-1", 5)):
            async with cut_off(double, ask(), events) as asking:
                replaced = asyncio.create_task(store._reads.reconnect())
                before = store._reads.connection_id
                await eventually_here(lambda before=before: store._reads.connection_id != before)  # type: ignore[misc]
            assert ids(await asking) == ids(sent)
            await replaced


async def test_a_read_that_the_close_cuts_off_is_not_taken_for_the_end() -> None:
    async with doubled() as (double, store):
        await store.append("a-1", [event() for _ in range(5)], NO_STREAM)
        async with cut_off(double, store.read("a-1"), 1) as asking:
            closed = asyncio.create_task(store.close())
            await eventually_here(lambda: not hasattr(store._reads, "_connection"))
        with pytest.raises(StoreUnavailable, match="closed"):
            await asking
        await closed


@asynccontextmanager
async def cut_off(double: Double, call: Coroutine[Any, Any, T], events: int) -> AsyncIterator[asyncio.Task[T]]:
    """Whatever happens within happens after so many events of the answer."""
    double.faults.halts_after = events
    double.faults.go_on.clear()
    asking = asyncio.create_task(call)
    await eventually_here(lambda: double.faults.halts_after is None)
    await asyncio.sleep(0.1)  # until the events have come
    yield asking
    double.faults.go_on.set()


async def test_deleted_streams_are_empty_and_tombstones_are_loud() -> None:
    async with doubled() as (double, store):
        client = kdb.AsyncKurrentDBClient(checked_uri(double.uri))
        for stream in ("a-1", "b-1"):
            await store.append(stream, [event(), event()], NO_STREAM)
        await client.delete_stream("a-1", current_version=kdb.StreamState.ANY)
        await client.tombstone_stream("b-1", current_version=1)
        await client.close()
        assert await store.read("a-1") == []
        with pytest.raises(errors.StreamIsDeletedError):
            await store.read("b-1")
        with pytest.raises(errors.StreamIsDeletedError):
            await store.append("b-1", [event()], 1)


NAMES = ["m.A", "m.AB", "m.A+", "mXA", "m.(A)", "m.A|B", "m.Đã", "n.A", "m.A\\d", "^m.A$"]


@pytest.mark.parametrize(
    ("types", "found"),
    [
        (["m.A"], ["m.A", "m.AB", "m.A+", "m.A|B", "m.A\\d"]),
        (["m.AB", "n."], ["m.AB", "n.A"]),
        (["m.A+"], ["m.A+"]),
        (["m.(A)"], ["m.(A)"]),
        (["m.A|"], ["m.A|B"]),
        (["m.A|B", "m.Đ"], ["m.A|B", "m.Đã"]),
        (["m.A\\"], ["m.A\\d"]),
        (["^m"], ["^m.A$"]),
        (["B", "A"], []),
        ([".*"], []),
        ([], NAMES),
    ],
)
async def test_types_are_prefixes_whatever_their_letters(types: list[str], found: list[str]) -> None:
    """Also of each other, and where a list would become the expression ^A|B$."""
    async with doubled() as (double, store):
        before = await store.append("a-1", [event(name) for name in NAMES], NO_STREAM)
        double.log.system_event("$stats", "$statsCollected")
        assert [one.type for one in await store.read_all(types=types)] == found
        await store.append("a-1", [event(name) for name in NAMES], before.revision)
        async with followed(store, types=types) as history, followed(store, before.position, types) as live:
            head = await store.head()
            await eventually_here(lambda: history.newest.position == live.newest.position == head)
            assert [one.type for one in history.seen] == found * 2
            assert [one.type for one in live.seen] == found


async def test_the_system_s_events_are_nobody_s_business() -> None:
    async with doubled() as (double, store):
        appended = await store.append("a-1", [event()], NO_STREAM)
        for type_ in ("$statsCollected", "$metadata", "$>"):
            double.log.system_event("$stats", type_)
        assert await store.head() == appended.position
        assert len(await store.read_all()) == 1
        assert await store.read_all(appended.position) == []


# The subscription


async def test_a_process_has_one_subscription_and_appends_that_fail_do_not_end_it() -> None:
    async with doubled() as (double, store):
        async with asyncio.TaskGroup() as group:
            followers = [group.create_task(follow(store, START, (), 20)) for _ in range(30)]
            for number in range(20):
                double.faults.before_write = number % 3 == 0
                await store.append(f"a-{number}", [event()], NO_STREAM)
        assert [ids(follower.result()) for follower in followers] == [ours(double.log)] * 30
        assert subscriptions(double) == double.nodes[0].subscriptions == 1


DROPS = [
    (grpc.StatusCode.UNAVAILABLE, "Server Is Not Ready"),
    (grpc.StatusCode.ABORTED, "Consumer too slow"),
    (grpc.StatusCode.UNKNOWN, "Exception was thrown by handler."),
    (grpc.StatusCode.CANCELLED, "Operation Cancelled"),
    (None, "an end without an error"),
]


async def test_a_subscription_goes_on_wherever_it_was_dropped() -> None:
    async with doubled() as (double, store), followed(store) as follower:
        sent = []
        for code, details in DROPS * 2:
            sent += [event() for _ in range(3)]
            await store.append(f"a-{len(sent)}", sent[-3:], NO_STREAM)
            double.drop_subscriptions(code, details)
        await eventually_here(lambda: len(follower.seen) >= len(sent))
        assert ids(follower.seen) == ids(sent)
        positions = [one.position for one in follower.seen]
        assert positions == sorted(set(positions))


async def test_a_store_that_is_away_for_a_while_is_followed_on() -> None:
    async with doubled() as (double, store), followed(store) as follower:
        await store.append("a-1", [event()], NO_STREAM)
        await eventually_here(lambda: follower.newest.caught_up and len(follower.seen) == 1)
        await double.stop()
        await eventually_here(lambda: not store._feed.live)
        await eventually_here(lambda: not follower.newest.caught_up)
        later = asyncio.create_task(store.append("a-1", [event()], 0))
        await double.start()
        assert (await later).revision == 1
        await eventually_here(lambda: follower.newest.caught_up and len(follower.seen) == 2)
        assert ids(follower.seen) == ours(double.log)


async def test_a_subscription_that_falls_silent_is_begun_again() -> None:
    async with doubled(stall=0.2) as (double, store), followed(store) as follower:
        await eventually_here(lambda: subscriptions(double) == 1)
        double.faults.silent = True
        await store.append("a-1", [event(), event()], NO_STREAM)
        await eventually_here(lambda: subscriptions(double) > 1)
        double.speak()
        await eventually_here(lambda: len(follower.seen) == 2)
        assert ids(follower.seen) == ours(double.log)


async def test_a_quiet_store_is_not_taken_for_a_silent_one() -> None:
    async with doubled(stall=0.05) as (double, store):
        await store.append("a-1", [event()], NO_STREAM)
        await eventually_here(lambda: store._feed.last == double.log.records[-1].position)
        double.log.system_event("$stats", "$statsCollected")
        reads = len(double.requests)
        await eventually_here(lambda: len(double.requests) > reads + 5)  # the watch has looked several times
        assert subscriptions(double) == 1


async def test_followers_far_behind_read_history_page_by_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kurrentdb, "PAGE", 3)
    async with doubled() as (double, before):
        sent = [event("m.A" if number % 4 else "m.B") for number in range(20)]
        for one in sent:
            await before.append("a-1", [one], ANY)
        store = await KurrentStore.open(double.uri)
        try:
            async with followed(store) as all_, followed(store, types=["m.B"]) as some:
                await eventually_here(lambda: len(all_.seen) == 20 and some.newest.position == all_.newest.position)
                assert ids(all_.seen) == ids(sent)
                assert ids(some.seen) == ids(sent[::4])
                assert max(len(batch.events) for batch in all_.batches) == 3
        finally:
            await store.close()


async def test_a_follower_that_the_feed_overtook_reads_on_from_history() -> None:
    async with doubled() as (_, store):
        store._feed._capacity = 3
        first = await store.append("a-1", [event()], NO_STREAM)
        async with aclosing(store.subscribe()) as batches:  # type: ignore[type-var]
            seen = list((await anext(batches)).events)
            sent = [event() for _ in range(30)]
            for revision, one in enumerate(sent):
                await store.append("a-1", [one], revision)
            await eventually_here(lambda: store._feed.start > first.position)
            async with asyncio.timeout(PATIENCE_SECONDS):
                while len(seen) < 31:
                    seen += (await anext(batches)).events
        assert ids(seen) == ids(await store.read("a-1"))


async def test_what_is_rare_in_a_long_log_is_found_bit_by_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing matches, the position moves all the same: after a break the server need not look from the start again."""
    monkeypatch.setattr(kurrentdb, "WINDOW", 10)
    async with doubled() as (double, before):
        rare = [event("m.Rare"), event("m.Rare")]
        await before.append("a-1", rare[:1], NO_STREAM)
        await before.append("b-1", [event("m.Common") for _ in range(500)], NO_STREAM)
        await before.append("a-1", rare[1:], 0)
        await before.close()
        store = await KurrentStore.open(double.uri)
        try:
            await eventually_here(lambda: store._feed.live)
            double.requests.clear()
            double.faults.after_checkpoints = 2
            assert ids(await store.read_all(types=["m.Rare"])) == ids(rare)
            assert double.faults.after_checkpoints == 0
            asked = [request.options.all.position.commit_position for request in double.requests]
            assert asked == sorted(set(asked))
            async with followed(store, types=["m.Rare"]) as follower:
                await eventually_here(lambda: len(follower.seen) == 2)
                positions = [batch.position for batch in follower.batches]
                assert positions == sorted(positions)
                assert len(set(positions)) > 15
        finally:
            await store.close()


async def test_positions_are_never_counted_with() -> None:
    """A server refuses places between two records; every position that is given out is one of a record."""
    async with doubled() as (double, store):
        appended = await store.append("a-1", [event(), event()], NO_STREAM)
        with impatient(store), pytest.raises(StoreUnavailable, match="invalid position"):
            await store.read_all(appended.position - 1)
        async with followed(store) as follower:
            await eventually_here(lambda: len(follower.seen) == 2)
            places = {record.position for record in double.log.records} | {START}
            assert {batch.position for batch in follower.batches} <= places


# The cluster


async def test_another_leader_is_found_by_appends_and_reads_and_the_subscription() -> None:
    async with doubled(nodes=2) as (double, store), followed(store) as follower:
        sent = []
        for leader in (1, 0, 1):
            sent.append(event())
            await store.append("a-1", sent[-1:], ANY)
            double.elect(leader)
            double.drop_subscriptions(grpc.StatusCode.UNAVAILABLE, "Server Is Not Ready")
            assert ids(await store.read("a-1")) == ids(await store.read_all()) == ids(sent)
        sent.append(event())
        await store.append("a-1", sent[-1:], 2)
        await eventually_here(lambda: len(follower.seen) == 4)
        assert ids(follower.seen) == ids(sent)
        assert store._appends.connection_target == double.nodes[1].address


async def test_a_write_that_the_old_leader_did_not_answer_is_found_at_the_new_one() -> None:
    async with doubled(nodes=2) as (double, store):
        double.faults.after_write = 1
        sent = [event()]
        append = asyncio.create_task(store.append("a-1", sent, NO_STREAM))
        await eventually_here(lambda: bool(ours(double.log)))
        double.elect(1)
        double.log.forget_ids()
        assert (await append).revision == 0
        assert ours(double.log) == ids(sent)


async def test_a_leader_that_was_deposed_does_not_hide_history_from_followers() -> None:
    """The one that answers reads is cut off and thinks itself leader; the feed knows of more."""
    async with doubled(nodes=2) as (double, store):
        sent = [event() for _ in range(6)]
        await store.append("a-1", sent[:3], NO_STREAM)
        node = double.nodes[0]
        node.hidden_after = (await store.read("a-1"))[0].position
        double.elect(1)
        late = await KurrentStore.open(f"esdb://{double.nodes[1].address}?Tls=false")
        try:
            await late.append("a-1", sent[3:], 2)
            late._feed.start = late._feed.last = (await late.read("a-1"))[-1].position
            # As a client has it that was connected before the line was cut.
            await late._reads.reconnect(node.address)
            async with followed(late) as follower:
                await eventually_here(lambda: len(follower.seen) >= 6)
                assert ids(follower.seen) == ids(sent)
        finally:
            await late.close()


# Opening


async def test_opening_waits_for_a_store_that_is_away() -> None:
    double = Double()
    await double.start()
    await double.stop()
    with capture_logs() as logs:
        opening = asyncio.create_task(KurrentStore.open(double.uri, patience=IMPATIENT))
        await eventually_here(lambda: bool(logs))
    assert logs[0]["event"] == "the event store does not answer, trying again"
    assert "Connection refused" in logs[0]["error"]
    assert not opening.done()
    await double.start()
    store = await opening
    store._patience = PATIENCE_SECONDS
    assert await store.head() == START
    await store.close()
    await double.stop()


async def test_credentials_that_are_refused_are_said_and_not_waited_for() -> None:
    async with doubled() as (double, store):
        double.faults.denied = True
        with pytest.raises(AccessRefused, match="read a-1: the event store refuses these credentials"):
            await store.read("a-1")
        with pytest.raises(AccessRefused, match="append to a-1: the event store refuses these credentials"):
            await store.append("a-1", [event()], NO_STREAM)
        with pytest.raises(AccessRefused):
            await KurrentStore.open(double.uri)


async def test_a_closed_store_takes_nothing() -> None:
    async with doubled() as (_, store):
        await store.close()
        await store.close()
        with pytest.raises(StoreUnavailable):
            await store.append("a-1", [event()], NO_STREAM)


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("esdb://h:1?Tls=false&NodePreference=follower", "NodePreference=follower would show followers less"),
        ("esdb://user:hidden@h:1?Speed=fast", "Unknown field in connection query string: SPEED"),
        ("esdb://user:hidden@?Tls=false", "No targets specified: esdb:///"),
        ("esdb://h:1", "Username and password are required: esdb://h:1/"),
    ],
)
def test_a_uri_that_cannot_be_used_is_refused_without_its_password(uri: str, reason: str) -> None:
    with pytest.raises(ValueError, match=f"^MOTCUA_EVENT_STORE: {re.escape(reason)}") as refused:
        checked_uri(uri)
    assert "hidden" not in str(refused.value)


@pytest.mark.parametrize(
    ("uri", "checked"),
    [
        ("esdb://h:1?Tls=false", "esdb://h:1?Tls=false&KeepAliveInterval=10000&KeepAliveTimeout=10000"),
        (
            "kurrentdb+discover://u:p@h?keepaliveinterval=5",
            "kurrentdb+discover://u:p@h?keepaliveinterval=5&KeepAliveTimeout=10000",
        ),
    ],
)
def test_a_broken_line_is_noticed_unless_the_uri_says_otherwise(uri: str, checked: str) -> None:
    assert checked_uri(uri) == checked


@pytest.mark.parametrize("first", ["motcua.options.v1.options_pb2", kurrentdb.__name__])
def test_the_client_and_our_protos_are_loaded_in_any_order(first: str) -> None:
    """The client brings a google.rpc.Code of its own, and protobuf takes a name once."""
    code = f"import {first}, {kurrentdb.__name__}, motcua.options.v1.options_pb2"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
