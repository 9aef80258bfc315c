"""The event store in a KurrentDB cluster.

Three connections, because the client answers one UNAVAILABLE by closing all that the connection carries: appends, reads, and one
subscription to everything. That subscription fills the feed from which every follower of this process lives; what is older they
read, filtered by the server. docs/event-store.md says what the server must be like.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, suppress
from functools import partial
from typing import TypeVar, cast
from urllib.parse import parse_qsl, unquote, urlencode, urlunsplit

import grpc
import structlog

from services.chassis.channels import RECONNECT
from services.chassis.machine import chance, moments
from services.chassis.network.addresses import server
from services.chassis.store import restored
from services.chassis.store.feed import PAGE, Feed
from services.chassis.store.kurrentdb_client import ConnectionSpec, errors, kdb, status_pb2
from services.chassis.store.port import (
    ANY,
    LOOK_BACK,
    NO_STREAM,
    START,
    Appended,
    Batch,
    Conflict,
    NewEvent,
    RecordedEvent,
    StoreUnavailable,
)
from services.chassis.work.tasks import Owned

T = TypeVar("T")

PATIENCE_SECONDS = 10.0
"""How long a call is repeated before it is StoreUnavailable: a leader is elected in less."""
ATTEMPT_SECONDS = 4.0
FIRST_DELAY_SECONDS = 0.1
LONGEST_DELAY_SECONDS = 2.0
STALL_SECONDS = 10.0
"""A subscription that shows nothing for so long while there is something is begun again."""
# Records that the server looks through before it says how far it is; at the client's 30 it would do little else.
WINDOW = 2000
# In milliseconds. A broken line is noticed within both together.
KEEP_ALIVE = {"KeepAliveInterval": "10000", "KeepAliveTimeout": "10000"}
# The client makes ^(?!(...$)) of it.
SYSTEM_EVENTS = (r"\$.*",)
REFUSED = (errors.AccessDeniedError, errors.UnauthenticatedError)
# What another attempt cannot change; everything else can.
FINAL = (
    *REFUSED,
    errors.WrongCurrentVersionError,
    errors.NotFoundError,
    errors.StreamIsDeletedError,
    errors.MaximumAppendSizeExceededError,
    errors.BadRequestError,
    errors.InvalidTransactionError,
)

log = structlog.get_logger()


class AccessRefused(StoreUnavailable):
    """The store answers, but not to these credentials."""


class _Behind(errors.KurrentDBClientError):
    """A node that was leader a moment ago answered with less than is known to be there."""


class _Interrupted(errors.KurrentDBClientError):
    """The connection was closed while an answer was read from it."""


class _Ended(Exception):
    """A subscription did, in whatever way."""


class KurrentStore:
    """Open with `await KurrentStore.open(uri)`, on the loop that uses it."""

    def __init__(self, uri: str, patience: float | None = None, stall: float | None = None) -> None:
        checked = checked_uri(uri)
        self._appends, self._reads, self._live = (_client(checked) for _ in range(3))
        self._patience = patience or PATIENCE_SECONDS
        self._attempt = min(ATTEMPT_SECONDS, self._patience / 2)
        self._stall = stall or STALL_SECONDS
        self._feed = Feed(START)
        self._arrived: list[RecordedEvent] = []
        self._owned = [
            Owned("event store: subscription", self._stay_subscribed),
            Owned("event store: watch", self._watch),
        ]
        self._following: asyncio.Task[None] | None = None
        self._subscribed = False
        self._closed = False

    @classmethod
    async def open(cls, uri: str, patience: float | None = None, stall: float | None = None) -> KurrentStore:
        """Wait until the store answers. Raises ValueError for a URI that cannot be used, AccessRefused."""
        store = cls(uri, patience, stall)
        try:
            while True:
                try:
                    store._feed = Feed(await store.head())
                    break
                except AccessRefused:
                    raise
                except StoreUnavailable as error:
                    log.warning("the event store does not answer, trying again", error=str(error))
        except BaseException:
            await store.close()
            raise
        store._feed.live = False
        for owned in store._owned:
            owned.start()
        return store

    async def append(self, stream: str, events: Sequence[NewEvent], expected: int) -> Appended:
        if not events:
            raise ValueError(f"nothing to append to {stream}")
        # A list: the client sends it again, and a generator would be empty by then.
        sent = [kdb.NewEvent(e.type, e.data, restored.written(e), "application/octet-stream", e.id) for e in events]
        if expected != ANY:
            return await self._append(stream, sent, expected)
        # The server knows an append at ANY again only while the ids are in its memory: not after a restart, which is just when
        # an answer is lost. So it is one at the stream's own revision, decided here.
        while True:
            newest = await self._newest(stream, LOOK_BACK)
            if earlier := _earlier(newest, events):
                return earlier
            with suppress(Conflict):
                return await self._append(stream, sent, newest[-1].revision if newest else NO_STREAM)

    async def read(self, stream: str, after: int = NO_STREAM) -> list[RecordedEvent]:
        async def work() -> list[RecordedEvent]:
            try:
                found = await self._reads.get_stream(stream, stream_position=after + 1, timeout=self._attempt)
            except errors.NotFoundError:
                return []
            return [_recorded(event) for event in found]

        return await self._asked(self._reads, f"read {stream}", work)

    async def read_all(self, after: int = START, types: Sequence[str] = (), limit: int = 1000) -> list[RecordedEvent]:
        found: list[RecordedEvent] = []
        async with aclosing(self._look_through(after, types)) as batches:  # type: ignore[type-var]
            async for batch in batches:
                found += batch.events
                if len(found) >= limit:
                    break
        return found[:limit]

    async def subscribe(self, after: int = START, types: Sequence[str] = ()) -> AsyncIterator[Batch]:
        while True:
            older = after < self._feed.start
            part = self._look_through(after, types, self._feed.last) if older else self._feed.recent(after, types)
            async with aclosing(part) as batches:  # type: ignore[type-var]
                async for batch in batches:
                    yield batch
                    after = batch.position

    async def head(self) -> int:
        return await self._asked(self._reads, "read the newest position", self._head)

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        for owned in self._owned:
            await owned.stop()
        for client in (self._live, self._reads, self._appends):
            with suppress(Exception):
                await client.close()

    # Single calls

    async def _append(self, stream: str, sent: Sequence[kdb.NewEvent], expected: int) -> Appended:
        version = kdb.StreamState.NO_STREAM if expected == NO_STREAM else expected

        async def work() -> int:
            return await self._appends.append_to_stream(
                stream, events=sent, current_version=version, timeout=self._attempt
            )

        try:
            position = await self._asked(self._appends, f"append to {stream}", work)
        except errors.WrongCurrentVersionError as error:
            actual = error.actual_version
            raise Conflict(stream, expected, actual if isinstance(actual, int) else NO_STREAM) from None
        revision = expected + len(sent)
        if position == START:  # a repetition may be answered without the position
            position = (await self.read(stream, revision - 1))[0].position
        return Appended(revision, position)

    async def _newest(self, stream: str, count: int) -> list[RecordedEvent]:
        async def work() -> list[RecordedEvent]:
            try:
                found = await self._reads.get_stream(stream, backwards=True, limit=count, timeout=self._attempt)
            except errors.NotFoundError:
                return []
            return [_recorded(event) for event in reversed(found)]

        return await self._asked(self._reads, f"read {stream}", work)

    async def _head(self) -> int:
        return await self._reads.get_commit_position(filter_exclude=SYSTEM_EVENTS, timeout=self._attempt)

    async def _look_through(self, after: int, types: Sequence[str], known: int = START) -> AsyncIterator[Batch]:
        """What there is after a position, until all of it was seen; `known` is a position that there is for certain.

        A subscription of its own and no read: it says how far it has looked. For a type that is rare in a long log a read would
        find nothing within any time that a call may take, and begin at the same place again.
        """
        position, progressed = after, moments.monotonic()
        delay = FIRST_DELAY_SECONDS
        while True:
            subscription = await self._asked(
                self._reads, "read all streams", partial(self._begin, position, types, known)
            )
            events: list[RecordedEvent] = []
            try:
                while True:
                    event = await self._next(subscription)
                    if event.is_caught_up:
                        reached = events[-1].position if events else position
                        yield Batch(events, max(reached, known), caught_up=False)
                        return
                    if not event.is_checkpoint:
                        events.append(_recorded(event))
                    if len(events) < PAGE and not event.is_checkpoint:
                        continue
                    position, progressed = max(position, event.commit_position), moments.monotonic()
                    delay = FIRST_DELAY_SECONDS
                    yield Batch(events, position, caught_up=False)
                    events = []
            except _Ended as ended:
                if moments.monotonic() - progressed > self._patience:
                    raise StoreUnavailable(f"read all streams after {position}: {ended}") from ended
            finally:
                with suppress(Exception):
                    await subscription.stop()
            await moments.sleep(chance.uniform(delay / 2, delay))
            delay = min(delay * 2, LONGEST_DELAY_SECONDS)

    async def _begin(self, after: int, types: Sequence[str], known: int) -> kdb.AsyncCatchupSubscription:
        node = self._reads.connection_id
        # Caught up means: with what this node has. It is at the end of all that is known only if it has that.
        if known > START and await self._head() < known:
            raise _Behind(f"{self._reads.connection_target} does not have what is at position {known} yet")
        subscription = await self._subscribed_to(self._reads, after, types)
        if self._reads.connection_id != node:
            await subscription.stop()
            raise _Behind("another node answered")
        return subscription

    @staticmethod
    async def _subscribed_to(
        client: kdb.AsyncKurrentDBClient, after: int, types: Sequence[str]
    ) -> kdb.AsyncCatchupSubscription:
        subscription = await client.subscribe_to_all(
            commit_position=after or None,
            filter_exclude=SYSTEM_EVENTS,
            filter_include=_pattern(types),
            include_checkpoints=True,
            include_caught_up=True,
            include_fell_behind=True,
            window_size=WINDOW,
            checkpoint_interval_multiplier=1,
        )
        return cast(kdb.AsyncCatchupSubscription, subscription)

    async def _next(self, subscription: kdb.AsyncCatchupSubscription) -> kdb.RecordedEvent:
        """Raises _Ended when the subscription cannot be used any more."""
        # Not in `async with subscription`: there an error would end the loop as if it were the end.
        try:
            async with asyncio.timeout(self._patience):
                return await anext(subscription)
        except StopAsyncIteration:
            raise _Ended("it ended") from None
        except TimeoutError:
            raise _Ended("no answer") from None
        except (errors.KurrentDBClientError, grpc.RpcError) as error:
            raise _Ended(f"{type(error).__name__}: {error}") from error
        except asyncio.CancelledError as error:
            if _cancelled():
                raise
            raise _Ended("the connection was closed") from error

    async def _asked(self, client: kdb.AsyncKurrentDBClient, what: str, work: Callable[[], Awaitable[T]]) -> T:
        """Ask until the time is out. Everything that is asked here may be asked twice.

        Raises what is FINAL, ValueError for what is too large, StoreUnavailable.
        """
        failure: BaseException | None = None
        delay = FIRST_DELAY_SECONDS
        try:
            async with asyncio.timeout(self._patience):
                while True:
                    if self._closed:
                        raise StoreUnavailable("the event store is closed")
                    try:
                        await client.connect()
                        connection = client.connection_id
                        try:
                            answer = await work()
                            # The client takes an answer that was cut off, because another call's failure replaced the connection,
                            # for a whole one.
                            if client is self._reads and (self._closed or client.connection_id != connection):
                                raise _Interrupted("another call closed the connection")
                            return answer
                        except (errors.ServiceUnavailableError, errors.NodeIsNotLeaderError, _Behind):
                            # The client does so itself for calls, but not for what fails while it is read.
                            await client.reconnect(connection_id=connection)
                            raise
                    except REFUSED as error:
                        raise AccessRefused(f"{what}: the event store refuses these credentials: {error}") from error
                    except FINAL as error:
                        if isinstance(error, errors.MaximumAppendSizeExceededError | errors.BadRequestError):
                            raise ValueError(f"{what}: {error}") from error
                        raise
                    except (errors.KurrentDBClientError, errors.ProgrammingError, grpc.RpcError) as error:
                        if _too_large(error):
                            raise ValueError(f"{what}: an event is larger than the event store takes") from error
                        failure = error
                    except grpc.aio.UsageError as error:
                        failure = error
                    except asyncio.CancelledError as error:
                        # grpc says so too when another call's failure closed the connection; then nobody cancelled this task.
                        if _cancelled():
                            raise
                        failure = error
                    await moments.sleep(chance.uniform(delay / 2, delay))
                    delay = min(delay * 2, LONGEST_DELAY_SECONDS)
        except AttributeError:
            if self._closed:  # the client has no connection any more
                raise StoreUnavailable("the event store is closed") from None
            raise
        except TimeoutError:
            reason = f"{type(failure).__name__}: {failure}" if failure else "no answer"
            raise StoreUnavailable(f"{what}: {reason}") from failure

    # The subscription

    async def _stay_subscribed(self) -> None:
        """For ever, from the last position; after a failure again, after longer and longer pauses."""
        resume, delay = self._feed.last, FIRST_DELAY_SECONDS
        while True:
            self._following = asyncio.create_task(self._follow(resume), name="event store: feed")
            try:
                await asyncio.wait({self._following})
            finally:
                self._following.cancel()
            self._feed.live = False
            progressed = self._feed.last > resume
            resume = self._feed.last
            failure = None if self._following.cancelled() else self._following.exception()
            if self._subscribed:
                log.warning("the event store's subscription ended, going on", after=resume, error=repr(failure))
            self._subscribed = False
            delay = FIRST_DELAY_SECONDS if progressed else min(delay * 2, LONGEST_DELAY_SECONDS)
            await moments.sleep(chance.uniform(delay / 2, delay))

    async def _follow(self, after: int) -> None:
        async with asyncio.timeout(self._patience):
            subscription = await self._subscribed_to(self._live, after, ())
        self._subscribed = True
        log.info("subscribed to the event store", after=after)
        try:
            async for event in subscription:
                if event.is_caught_up:
                    self._flush()
                    self._feed.live = True
                elif event.is_fell_behind:
                    self._feed.live = False
                elif not event.is_checkpoint:
                    self._arrive(_recorded(event))
        finally:
            self._flush()
            with suppress(Exception):
                await subscription.stop()

    def _arrive(self, event: RecordedEvent) -> None:
        """Whatever has come at a time wakes the followers once."""
        self._arrived.append(event)
        if len(self._arrived) == 1:
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        arrived, self._arrived = self._arrived, []
        self._feed.push([event for event in arrived if event.position > self._feed.last])

    async def _watch(self) -> None:
        while True:
            seen = self._feed.last
            try:
                head = await self.head()
            except StoreUnavailable:
                head = START
            await moments.sleep(self._stall)
            if seen == self._feed.last < head and self._following is not None:
                log.warning("the event store's subscription has stalled", at=seen, newest=head)
                self._following.cancel()


def _client(uri: str) -> kdb.AsyncKurrentDBClient:
    client = kdb.AsyncKurrentDBClient(uri)
    client.grpc_options += RECONNECT
    # The client would send them as they stand in the address.
    spec = client.connection_spec
    client._call_credentials = client.construct_call_credentials(
        unquote(spec.username or ""), unquote(spec.password or "")
    )
    return client


def checked_uri(uri: str) -> str:
    """With keep-alive unless it says otherwise. Raises ValueError without showing the password."""
    try:
        parts = server(uri, ("kurrentdb", "kurrentdb+discover", "esdb", "esdb+discover"), hosts=range(100))
    except ValueError as error:
        raise ValueError(f"MOTCUA_EVENT_STORE: {error}") from None
    options = dict(parse_qsl(parts.query))
    named = {name.lower() for name in options}
    options |= {name: value for name, value in KEEP_ALIVE.items() if name.lower() not in named}
    full = urlunsplit(parts._replace(query=urlencode(options)))
    try:
        spec = ConnectionSpec(full)
    except ValueError as error:
        hidden = str(error).replace(full, f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}/")
        if any(secret and secret in hidden for secret in (parts.password, unquote(parts.password or ""))):
            hidden = "the client refuses it"
        raise ValueError(f"MOTCUA_EVENT_STORE: {hidden}") from None
    if spec.options.node_preference != "leader":
        raise ValueError(
            f"MOTCUA_EVENT_STORE: NodePreference={spec.options.node_preference} would show followers less than was acknowledged;"
            " leave it out"
        )
    return full


def _pattern(types: Sequence[str]) -> tuple[str, ...]:
    """One expression for the client's ^...$: of several it would make ^A|B$. The server's own prefixes depend on its language."""
    return (f"({'|'.join(map(re.escape, types))}).*",) if types else ()


def _recorded(event: kdb.RecordedEvent) -> RecordedEvent:
    assert event.recorded_at is not None  # every answer of the server has it
    metadata, recorded_at = restored.read(event.metadata)
    return RecordedEvent(
        event.id,
        event.type,
        event.data,
        metadata,
        event.stream_name,
        event.stream_position,
        event.commit_position,
        recorded_at or event.recorded_at,
    )


def _earlier(newest: Sequence[RecordedEvent], events: Sequence[NewEvent]) -> Appended | None:
    """Where the same events stand among the newest."""
    ids = [event.id for event in newest]
    if events[0].id not in ids:
        return None
    first = ids.index(events[0].id)
    if ids[first : first + len(events)] != [event.id for event in events]:
        return None
    last = newest[first + len(events) - 1]
    return Appended(last.revision, last.position)


def _too_large(error: BaseException) -> bool:
    """The client has no exception for this answer."""
    status = error.args[0] if error.args else None
    return isinstance(status, status_pb2.Status) and "MaximumAppend" in status.details.type_url


def _cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
