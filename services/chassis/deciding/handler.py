"""The write path: load, decide, append; decide again on a conflict."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Generic, TypeVar
from uuid import UUID

from services.chassis.decider import Decider, Rejected
from services.chassis.deciding.caller import Origin
from services.chassis.deciding.codec import Codec
from services.chassis.deciding.metadata import Metadata
from services.chassis.privacy.sealing import KeyRing
from services.chassis.store.port import NO_STREAM, Appended, Conflict, EventStore, NewEvent, RecordedEvent
from services.chassis.telemetry import telemetry

C = TypeVar("C")
S = TypeVar("S")
E = TypeVar("E")
T = TypeVar("T")

FromState = Callable[[S], C]
"""A command that is built from the state it is decided on. Called anew at every attempt, and never for a request that was settled
before: look-ups that may refuse belong in it."""

CACHED_STREAMS = 20_000
ATTEMPTS = 20


@dataclass(frozen=True, slots=True)
class Outcome(Generic[E]):
    """What a command led to, now or when the same request was first sent."""

    events: tuple[E, ...]
    revision: int
    position: int

    def one(self, kind: type[T]) -> T:
        """The first event of a kind of which the command leads to one."""
        return next(event for event in self.events if isinstance(event, kind))

    def first(self, kind: type[T]) -> T | None:
        return next((event for event in self.events if isinstance(event, kind)), None)


@dataclass(frozen=True, slots=True)
class _Settled:
    """A request that a stream remembers. `first` and `last`: the revisions of its events."""

    digest: str
    first: int
    last: int


@dataclass(slots=True)
class _Stream(Generic[S]):
    state: S
    revision: int = NO_STREAM
    position: int = 0
    requests: dict[str, _Settled] = field(default_factory=dict)


class Handler(Generic[C, S, E]):
    """Executes commands on the streams of one decider, named `<category>-<id>`."""

    def __init__(
        self,
        category: str,
        decider: Decider[C, S, E],
        codec: Codec[E],
        store: EventStore,
        keys: KeyRing,
        site: str,
        service: str,
        now: Callable[[], datetime],
    ) -> None:
        self._category = category
        self._decider = decider
        self._codec = codec
        self._store = store
        self._keys = keys
        self._site = site
        self._now = now
        self._service = service
        self._append_seconds = telemetry.APPEND_SECONDS.labels(service)
        self._cache: OrderedDict[str, _Stream[S]] = OrderedDict()

    async def execute(
        self, id_: str, command: C | FromState[S, C], origin: Origin, *, creates: bool = False
    ) -> Outcome[E]:
        """What the command led to, which is stored when this returns.

        `creates` spares the look-up of a stream that should not exist.

        Raises Rejected (the decider's reasons, REQUEST_ID_REUSED, REVISION_CONFLICT), SubjectErased, StoreUnavailable, and
        Conflict where others change the stream faster than this command is decided.
        """
        stream = f"{self._category}-{id_}"
        current = self._cache.get(stream)
        if current is None:
            current = _Stream(self._decider.initial)
            if not creates:
                await self._refresh(stream, current)
        for _ in range(ATTEMPTS):
            # 1. What the stream remembers of this request is the answer.
            if settled := current.requests.get(origin.request_id):
                return await self._replay(stream, settled, origin)
            decided_on = current.revision
            # 2. The caller may say which revision the request is about.
            if origin.expected_revision not in (None, decided_on):
                if await self._moved(stream, current, decided_on):
                    continue
                raise _revision_conflict(origin, decided_on)
            # 3. Decide. The cached state may be old: a refusal, or "nothing to do", counts only if the stream has not moved.
            try:
                events = self._decide(command, current.state)
            except Rejected:
                if await self._moved(stream, current, decided_on):
                    continue
                raise
            if not events:
                if await self._moved(stream, current, decided_on):
                    continue
                return Outcome((), current.revision, current.position)
            # 4. Append after exactly the revision that was decided on.
            try:
                appended = await self._append(stream, events, decided_on, origin)
            except Conflict:
                await self._refresh(stream, current)
                continue
            # 5. Fold it into the cached state, unless a concurrent command has read it back already.
            if current.revision == decided_on:
                for event in events:
                    current.state = self._decider.evolve(current.state, event)
                current.revision, current.position = appended.revision, appended.position
                current.requests[origin.request_id] = _Settled(origin.digest, decided_on + 1, appended.revision)
            self._keep_cached(stream, current)
            return Outcome(events, appended.revision, appended.position)
        raise Conflict(stream, decided_on, current.revision)

    async def preview(self, id_: str, command: C | FromState[S, C], origin: Origin) -> Outcome[E]:
        """What `execute` would lead to on the newest state, with the revision of that state. Nothing is stored or remembered.

        Raises Rejected (the decider's reasons, REVISION_CONFLICT), StoreUnavailable.
        """
        stream = f"{self._category}-{id_}"
        current = self._cache.get(stream) or _Stream(self._decider.initial)
        await self._refresh(stream, current)
        if origin.expected_revision not in (None, current.revision):
            raise _revision_conflict(origin, current.revision)
        return Outcome(self._decide(command, current.state), current.revision, current.position)

    async def outcome_of(self, id_: str, origin: Origin) -> Outcome[E] | None:
        """What this request led to before, None if the stream does not remember it. Raises Rejected REQUEST_ID_REUSED."""
        stream = f"{self._category}-{id_}"
        current = self._cache.get(stream) or _Stream(self._decider.initial)
        if origin.request_id not in current.requests:
            await self._refresh(stream, current)
        settled = current.requests.get(origin.request_id)
        return await self._replay(stream, settled, origin) if settled else None

    async def execute_on_history(
        self, id_: str, command: Callable[[Sequence[RecordedEvent]], Awaitable[C]], origin: Origin
    ) -> Outcome[E]:
        """As execute, for a command with what only the history holds, as sealed text. Made again if the stream moved meanwhile.

        Raises as execute.
        """
        for _ in range(ATTEMPTS):
            history = await self.read(id_)
            made = await command(history)
            if origin.expected_revision is not None:
                return await self.execute(id_, made, origin)
            newest = history[-1].revision if history else NO_STREAM
            try:
                return await self.execute(id_, made, replace(origin, expected_revision=newest))
            except Rejected as rejected:
                if rejected.reason != "REVISION_CONFLICT":
                    raise
        raise Rejected("OVERLOADED")

    async def load(self, id_: str) -> tuple[S, int]:
        """The newest state and its revision; the initial state and NO_STREAM if there is no such stream."""
        stream = f"{self._category}-{id_}"
        current = self._cache.get(stream) or _Stream(self._decider.initial)
        await self._refresh(stream, current)
        return current.state, current.revision

    def known(self, id_: str) -> S:
        """The state as it was read last, without asking the store; the initial one if it never was."""
        current = self._cache.get(f"{self._category}-{id_}")
        return current.state if current else self._decider.initial

    async def read(self, id_: str, after: int = NO_STREAM) -> list[RecordedEvent]:
        """The stored events after a revision, all by default."""
        return await self._store.read(f"{self._category}-{id_}", after)

    def _keep_cached(self, stream: str, current: _Stream[S]) -> None:
        self._cache[stream] = current
        self._cache.move_to_end(stream)
        if len(self._cache) > CACHED_STREAMS:
            self._cache.popitem(last=False)

    async def _moved(self, stream: str, current: _Stream[S], since: int) -> bool:
        """Fetches what is newer. Whether the stream is at another revision than `since`."""
        await self._refresh(stream, current)
        return current.revision != since

    async def _refresh(self, stream: str, current: _Stream[S]) -> None:
        """Folds what was stored since, by whichever process."""
        news = [e for e in await self._store.read(stream, current.revision) if e.revision > current.revision]
        for event in news:
            current.state = self._decider.evolve(current.state, self._codec.decode(event.type, event.data))
            current.revision, current.position = event.revision, event.position
            metadata = Metadata.read(event.metadata)
            if metadata.request_hash:
                settled = _Settled(metadata.request_hash, event.revision, event.revision)
                current.requests[metadata.request_id] = settled
            elif (settled_so_far := current.requests.get(metadata.request_id)) is not None:
                current.requests[metadata.request_id] = replace(settled_so_far, last=event.revision)
        if current.revision > NO_STREAM:
            self._keep_cached(stream, current)

    async def _replay(self, stream: str, settled: _Settled, origin: Origin) -> Outcome[E]:
        if settled.digest != origin.digest:
            raise Rejected("REQUEST_ID_REUSED", request_id=origin.request_id)
        stored = (await self._store.read(stream, settled.first - 1))[: settled.last - settled.first + 1]
        events = tuple(self._codec.decode(event.type, event.data) for event in stored)
        return Outcome(events, stored[-1].revision, stored[-1].position)

    def _decide(self, command: C | FromState[S, C], state: S) -> tuple[E, ...]:
        return tuple(self._decider.decide(command(state) if callable(command) else command, state))

    async def _append(self, stream: str, events: tuple[E, ...], expected: int, origin: Origin) -> Appended:
        """Raises Conflict, SubjectErased, StoreUnavailable."""
        encoded = await self._encode(events, origin)
        with self._append_seconds.time():
            appended = await self._store.append(stream, encoded, expected)
        for event in encoded:
            telemetry.EVENTS.labels(self._service, event.type.rpartition(".")[2]).inc()
        return appended

    async def _encode(self, events: tuple[E, ...], origin: Origin) -> list[NewEvent]:
        subjects = self._codec.subjects(events)
        keys = await self._keys.keys(subjects, create=True) if subjects else {}
        now = self._now()
        # The first event remembers the request, so that another content under its id is noticed for ever.
        first = origin.metadata(self._site, now, remembered=True)
        others = origin.metadata(self._site, now) if len(events) > 1 else b""
        encoded = []
        for index, event in enumerate(events):
            event_id, type_, data = self._codec.encode(event, UUID(origin.request_id), index, keys)
            encoded.append(NewEvent(event_id, type_, data, others if index else first))
        return encoded


def _revision_conflict(origin: Origin, revision: int) -> Rejected:
    return Rejected("REVISION_CONFLICT", revision=str(revision), expected=str(origin.expected_revision))
