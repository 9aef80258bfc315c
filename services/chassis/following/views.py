"""The read side: tables folded from events. Rows and position are committed together; views are disposable."""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from functools import partial
from itertools import count, groupby
from operator import attrgetter, itemgetter
from typing import Any, Generic, TypeVar

import structlog
from google.protobuf.message import Message
from sqlalchemy import Connection, MetaData, Table
from sqlalchemy.exc import SQLAlchemyError

from services.chassis.database import positions
from services.chassis.database.database import Database, DatabaseUnavailable
from services.chassis.decider import Rejected
from services.chassis.deciding.facts import Fact, fact_of
from services.chassis.following.followers import SharedFollower
from services.chassis.machine import moments
from services.chassis.store.port import START, EventStore, RecordedEvent
from services.chassis.telemetry import gauges, telemetry
from services.chassis.work.tasks import Owned

log = structlog.get_logger()

T = TypeVar("T")
M = TypeVar("M", bound=Message)
Fold = Callable[[Connection, Fact[Any]], None]
FoldMany = Callable[[Connection, Sequence[Fact[Any]]], None]

WAIT_SECONDS = 5.0
LOOK_BACK_SECONDS = 5.0
LONGEST_NUMBER = 19  # digits of 64 bits
VERSIONED = re.compile(r"(.+)_v([1-9]\d*)", re.ASCII)


class Projection:
    """Tables and the folds that fill them. The name ends in the version: other folds, or other columns, another version.

    The names of its tables end in it too, so that a new version fills its own beside those that the old one still serves from.
    """

    def __init__(self, name: str, metadata: MetaData, *, by_stream: bool = False, kept: Collection[Table] = ()) -> None:
        """`by_stream`: a fold touches only rows of its event's stream, so that events of different streams may change places.

        `kept`: tables that hold what no event tells, as numbers that were drawn; they outlive versions, and have none.
        """
        version = VERSIONED.fullmatch(name)
        if version is None:
            raise ValueError(f"the view {name} has no version: name it {name}_v1")
        for table in metadata.tables.values():
            if table not in kept and not table.name.endswith(f"_v{version[2]}"):
                raise ValueError(f"the table {table.name} of the view {name} must end in _v{version[2]}")
            for index in table.indexes:
                if table.name not in str(index.name):
                    raise ValueError(f"the index {index.name} must have the name of its table {table.name} in its own")
        self.name = name
        self.base, self.version = version[1], int(version[2])
        self.by_stream = by_stream
        self.kept = kept
        self.metadata = metadata
        self.tables = [table for table in metadata.sorted_tables if table not in kept]
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
        """Fold these events, several of one type at a time: `fold(db, facts)`, in order."""

        def register(fold: FoldMany) -> FoldMany:
            for event in events:
                self.folds[event.DESCRIPTOR.full_name] = fold
            return fold

        return register


class RunningView(SharedFollower):
    """Keeps a view up to date and reads it."""

    def __init__(self, view: Projection, database: Database, store: EventStore) -> None:
        super().__init__(
            view.name,
            tuple(view.folds),
            database,
            store,
            lag=gauges.VIEW_LAG.of(view.name),
            failures=telemetry.VIEW_FAILURES.labels(view.name),
        )
        self.view = view
        self.position = START
        self.generation = 0
        """Grows whenever rows may have changed."""
        self._moved = asyncio.Condition()
        self._folded = START
        self._looking = Owned(f"view {self.name} looks back", self._look_back)

    async def start(self) -> None:
        await create(self.view, self._database)
        await super().start()
        if self._database.schema:
            self._looking.start()

    async def stop(self) -> None:
        await self._looking.stop()
        await super().stop()

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
        return await self._database.write(work, lasting=True)

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

    async def reached(self, position: int, *, worked: bool) -> None:
        async with self._moved:
            self.generation += worked
            self.position = position
            self._moved.notify_all()

    async def take(self, events: Sequence[RecordedEvent], old: int, new: int) -> None:
        await self._database.write(partial(fold, view=self.view, events=events, old=old, new=new))
        self._folded = new

    async def _look_back(self) -> None:
        """After a failover rows may be older than what was folded: without it they stayed so until the next event."""
        while True:
            await moments.sleep(LOOK_BACK_SECONDS)
            folded = self._folded
            try:
                standing = await self._database.read(partial(positions.standing, follower=self.name))
            except (DatabaseUnavailable, SQLAlchemyError):
                continue  # the follower says so
            if standing.position < folded:
                log.warning("the view went back, folding again", view=self.name, position=standing.position)
                self._folded = standing.position
                await self.resume()
            else:
                self._folded = max(self._folded, standing.position)


async def create(view: Projection, database: Database) -> list[str]:
    """Create the view's tables if they are missing, empty, and to be filled from the log's start; returns their names."""
    await database.create(positions.metadata)
    begin = partial(positions.begin, follower=view.name, tables=[table.name for table in view.tables])
    return await database.create(view.metadata, kept=view.kept, afresh=begin)


def fold(db: Connection, view: Projection, events: Sequence[RecordedEvent], old: int, new: int) -> None:
    """Folds the events: rows and position in one transaction. Raises PositionLost."""
    positions.move(db, view.name, old, new)
    for type_, run in groupby(_side_by_side(events) if view.by_stream else events, attrgetter("type")):
        view.folds[type_](db, [fact_of(event) for event in run])


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
        """What was built, at least as new as `min_position`, as RunningView.read has it."""
        await self._view.reach(min_position)
        async with self._lock:
            generation = self._view.generation
            if self._held is None or self._held[0] != generation:
                self._held = (generation, await self._view.read(self._build))
            return self._held[1]


def position_token(position: int) -> str:
    return f"p{position}"


def parse_position(token: str) -> int:
    """The position that a token says. Raises Rejected INVALID_POSITION."""
    digits = token[1:]
    plain = digits.isascii() and digits.isdigit() and len(digits) <= LONGEST_NUMBER
    if token[:1] != "p" or not plain or position_token(int(digits)) != token:
        raise Rejected("INVALID_POSITION", position=token[:40])
    return int(digits)
