"""The read side: tables folded from events. Rows and position are committed together; views are disposable."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import aclosing
from functools import partial
from itertools import count, groupby
from operator import attrgetter, itemgetter
from typing import Any, Generic, TypeVar

import structlog
from google.protobuf.message import Message
from sqlalchemy import Connection, MetaData

from services.chassis import positions, telemetry
from services.chassis.database import Database
from services.chassis.decider import Rejected
from services.chassis.facts import Fact, fact_of
from services.chassis.positions import PositionLost
from services.chassis.store.port import START, EventStore, RecordedEvent

T = TypeVar("T")
M = TypeVar("M", bound=Message)
Fold = Callable[[Connection, Fact[Any]], None]
FoldMany = Callable[[Connection, Sequence[Fact[Any]]], None]

# How long a replica leaves a view to the one that runs it before it tries again, and a failed view pauses.
BACK_OFF_SECONDS = 2.0
WAIT_SECONDS = 5.0
LONGEST_NUMBER = 19  # digits of 64 bits

log = structlog.get_logger()


class Projection:
    """Tables and the folds that fill them. The name ends in the version: other folds, another version."""

    def __init__(self, name: str, metadata: MetaData, *, by_stream: bool = False) -> None:
        """`by_stream`: a fold touches only rows of its event's stream, so that events of different streams may change places."""
        self.name = name
        self.by_stream = by_stream
        self.metadata = metadata
        self.folds: dict[str, FoldMany] = {}

    def on(self, *events: type[Message]) -> Callable[[Fold], Fold]:
        """Fold these events: `fold(db, fact)`, in the order of the log."""

        def register(fold: Fold) -> Fold:
            def each(db: Connection, facts: Sequence[Fact[Any]]) -> None:
                for fact in facts:
                    fold(db, fact)

            self.on_many(*events)(each)
            return fold

        return register

    def on_many(self, *events: type[Message]) -> Callable[[FoldMany], FoldMany]:
        """The same for a fold that takes several of one type at a time: `fold(db, facts)`, in order."""

        def register(fold: FoldMany) -> FoldMany:
            for event in events:
                self.folds[event.DESCRIPTOR.full_name] = fold
            return fold

        return register


class RunningView:
    """Keeps a view up to date and reads it."""

    def __init__(self, view: Projection, database: Database, store: EventStore) -> None:
        self.view = view
        self.position = START
        self.caught_up = asyncio.Event()
        self.generation = 0
        """Grows whenever rows may have changed."""
        self._database = database
        self._store = store
        self._moved = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await self._database.create(positions.metadata)
        await self._database.create(self.view.metadata)
        self._task = asyncio.create_task(self._run(), name=f"view {self.view.name}")

    async def stop(self) -> None:
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def read(self, work: Callable[[Connection], T], min_position: str = "") -> T:
        """Query the tables, at least as new as `min_position`.

        Raises Rejected NOT_READY when the view does not get there in time, INVALID_POSITION and POSITION_UNUSABLE for a token that
        was never given.
        """
        await self.reach(min_position)
        return await self._database.read(work)

    async def changed(self, since: int) -> int:
        """Wait until the generation is not `since`; returns it."""
        async with self._moved:
            await self._moved.wait_for(lambda: self.generation != since)
            return self.generation

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Change rows beside the folds: for what must be atomic with them, as a counter."""
        return await self._database.write(work)

    async def reach(self, min_position: str) -> None:
        """Wait until the view is as new; raises as `read` does."""
        position = parse_position(min_position) if min_position else START
        if self.position >= position:
            return
        if position > await self._store.head():
            raise Rejected("POSITION_UNUSABLE", position=min_position, oldest=position_token(START))
        try:
            async with asyncio.timeout(WAIT_SECONDS), self._moved:
                await self._moved.wait_for(lambda: self.position >= position)
        except TimeoutError:
            raise Rejected("NOT_READY") from None

    async def _run(self) -> None:
        while True:
            try:
                await self._follow()
            except PositionLost:
                log.info("view runs elsewhere", view=self.view.name)
                # What the other replica folded is in the same tables.
                await self._reached(await self._database.write(lambda db: positions.load(db, self.view.name)))
                self.caught_up.set()
            except Exception:
                log.exception("view stopped, trying again", view=self.view.name)
                telemetry.VIEW_FAILURES.labels(self.view.name).inc()
            await asyncio.sleep(BACK_OFF_SECONDS)

    async def _follow(self) -> None:
        stored = await self._database.write(lambda db: positions.load(db, self.view.name))
        self.generation += 1
        await self._reached(stored)
        async with aclosing(self._store.subscribe(stored, tuple(self.view.folds))) as batches:  # type: ignore[type-var]
            async for batch in batches:
                if batch.events:
                    events, old = batch.events, stored
                    await self._database.write(partial(self._apply, events=events, old=old, new=batch.position))
                    stored = batch.position
                    self.generation += 1
                    newest = batch.events[-1].recorded_at
                    telemetry.VIEW_LAG.labels(self.view.name).set(telemetry.age(newest))
                if batch.caught_up:
                    telemetry.VIEW_LAG.labels(self.view.name).set(0)
                    self.caught_up.set()
                await self._reached(batch.position)

    async def _reached(self, position: int) -> None:
        async with self._moved:
            self.position = position
            self._moved.notify_all()

    def _apply(self, db: Connection, events: Sequence[RecordedEvent], old: int, new: int) -> None:
        positions.move(db, self.view.name, old, new)
        for type_, run in groupby(_side_by_side(events) if self.view.by_stream else events, attrgetter("type")):
            self.view.folds[type_](db, [fact_of(event) for event in run])


def _side_by_side(events: Sequence[RecordedEvent]) -> list[RecordedEvent]:
    """Those of one type together, as far as the order within each stream allows."""
    places: defaultdict[str, count[int]] = defaultdict(count)
    placed = [(next(places[event.stream]), event.type, event) for event in events]
    return [event for _, _, event in sorted(placed, key=itemgetter(0, 1))]


class Snapshot(Generic[T]):
    """What `build` makes of a view's rows, kept until they change."""

    def __init__(self, view: RunningView, build: Callable[[Connection], T]) -> None:
        self._view = view
        self._build = build
        self._lock = asyncio.Lock()
        self._held: tuple[int, T] | None = None

    async def get(self, min_position: str = "") -> T:
        """At least as new as `min_position`, as RunningView.read has it."""
        await self._view.reach(min_position)
        async with self._lock:
            generation = self._view.generation
            if self._held is None or self._held[0] != generation:
                self._held = (generation, await self._view.read(self._build))
            return self._held[1]


def position_token(position: int) -> str:
    return f"p{position}"


def parse_position(token: str) -> int:
    """Raises Rejected INVALID_POSITION."""
    digits = token[1:]
    plain = digits.isascii() and digits.isdigit() and len(digits) <= LONGEST_NUMBER
    if token[:1] != "p" or not plain or position_token(int(digits)) != token:
        raise Rejected("INVALID_POSITION", position=token[:40])
    return int(digits)
