"""Following the log: alone, for what is kept in memory; or from a stored position that the replicas of a service share."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any

import structlog
from prometheus_client import Counter

from services.chassis.database import positions
from services.chassis.database.database import Database, DatabaseUnavailable
from services.chassis.database.positions import PositionLost, Standing
from services.chassis.machine import moments
from services.chassis.store.feed import PAGE
from services.chassis.store.lag import lag
from services.chassis.store.port import START, Batch, EventStore, RecordedEvent, StoreUnavailable
from services.chassis.telemetry.gauges import MEMORY_LAG, WORKING, Labelled, Sample, observe
from services.chassis.work.tasks import STILL_SECONDS, Owned

# After a failure, first; at most so many times that.
PAUSE_SECONDS = 1.0
LONGEST_PAUSES = 5
# For so long nothing has to move before a standby takes over.
GRACE_SECONDS = 2.0
# How soon a standby sees what the other replica did.
POLL_SECONDS = 0.1
# What passes by itself.
PASSING = (StoreUnavailable, DatabaseUnavailable)

log = structlog.get_logger()


class Follower:
    """Hands every batch to `take`, for ever; after a failure again from the last one taken."""

    def __init__(
        self, name: str, store: EventStore, after: int, types: Sequence[str], take: Callable[[Batch], Awaitable[None]]
    ) -> None:
        self.name = name
        self._store = store
        self._after = after
        self._types = tuple(types)
        self._take = take
        self._owned = Owned(
            f"follower {name}",
            self._follow,
            passing=(StoreUnavailable,),
            rest_seconds=PAUSE_SECONDS,
            longest_seconds=LONGEST_PAUSES * PAUSE_SECONDS,
            proving=True,
            waiting=self._waiting,
        )
        self._forget: Callable[[], None] = lambda: None

    def start(self) -> None:
        self._forget = observe(f"lag of {self.name}", self._observe)
        self._owned.start()

    async def stop(self) -> None:
        self._forget()
        await self._owned.stop()

    async def _follow(self) -> None:
        async with aclosing(self._store.subscribe(self._after, self._types)) as batches:  # type: ignore[type-var]
            async for batch in batches:
                await self._take(batch)
                self._after = batch.position
                self._owned.worked()

    async def _waiting(self) -> int | None:
        return self._after if await self._store.head() > self._after else None

    async def _observe(self) -> list[Sample]:
        return [MEMORY_LAG.at(await lag(self._store, self._after, self._types), self.name)]


class SharedFollower:
    """One of the replicas that share a position: one of them works, the others stand by.

    Who moves the position by compare-and-swap works; who loses stands by. A standby reads the log too, leaves what it read to the
    one that works, and follows its position. If that does not move for the grace, it takes over. So an idle standby costs nothing,
    and no clocks are compared. Two that work at once, because one was held up, change nothing: the position is moved once.
    """

    most = 1
    """So many events are taken at a time if that many wait."""
    still_seconds = STILL_SECONDS
    """For so long, and its grace, it may be at one place while something waits."""

    def __init__(
        self,
        name: str,
        types: Sequence[str],
        database: Database,
        store: EventStore,
        *,
        lag: Labelled,
        failures: Counter | None = None,
        standby: bool = False,
        grace_seconds: float | None = None,
    ) -> None:
        """`lag` tells the age of the oldest event that waits. `standby`: begin as one, another replica may be at work."""
        self.name = name
        self.caught_up = asyncio.Event()
        self._types = tuple(types)
        self._database = database
        self._store = store
        self._failures = failures
        self._standby = standby
        self._grace_seconds = GRACE_SECONDS if grace_seconds is None else grace_seconds
        self._done = START
        # The one of the last take-over, None while no other replica was ever seen.
        self._turn: int | None = None
        self._waiting: list[RecordedEvent] = []
        self._owned = Owned(
            f"follower {name}",
            self._run,
            passing=PASSING,
            failed=self._failed,
            rest_seconds=PAUSE_SECONDS,
            longest_seconds=LONGEST_PAUSES * PAUSE_SECONDS,
            proving=True,
            waiting=self._place,
            still_seconds=self.still_seconds + self._grace_seconds,
        )
        self._lag = lag
        self._forget: Callable[[], None] | None = None

    async def take(self, events: Sequence[RecordedEvent], old: int, new: int) -> None:
        """Do what is to be done, and move the position from `old` to `new`. Raises PositionLost."""
        raise NotImplementedError

    async def begin(self) -> None:
        """Called before the log is followed, also after a failure."""

    async def reached(self, position: int, *, worked: bool) -> None:
        """Called when all up to here is done. `worked`: there was something to do, here or by another replica."""

    async def left(self) -> None:
        """Called when another replica took what this one saw."""

    async def start(self) -> None:
        await self._database.create(positions.metadata)
        # Asked from the store, not from what came: a subscription that fell silent is seen too.
        self._forget = observe(f"lag of {self.name}", self._observe)
        self._owned.start()

    async def _observe(self) -> list[Sample]:
        age = await lag(self._store, self._done, self._types)
        return [self._lag.at(age), WORKING.at(float(not self._standby), self.name)]

    async def _place(self) -> object:
        """Where it stands while something waits that concerns it."""
        if await self._store.head() <= self._done:
            return None
        waits = self._waiting or await self._store.read_all(self._done, self._types, 1)
        return self._done if waits else None

    async def resume(self) -> None:
        """Follow from the stored position again."""
        await self._owned.restart()

    async def stop(self) -> None:
        if self._forget:
            self._forget()
        await self._owned.stop()

    def _failed(self) -> None:
        if self._failures:
            self._failures.inc()

    async def _run(self) -> None:
        while True:
            try:
                await self._follow()
            except PositionLost:
                log.warning("the position went back, following from there", follower=self.name)
            await moments.sleep(PAUSE_SECONDS)

    async def _follow(self) -> None:
        stored = await self._database.write(partial(positions.load, follower=self.name))
        await self.begin()
        self._done = START
        await self._reached(stored, worked=True)
        self._waiting = []
        async with aclosing(self._store.subscribe(stored, self._types)) as batches:  # type: ignore[type-var]
            async for batch in batches:
                self._waiting += batch.events
                full = len(batch.events) >= PAGE and not batch.caught_up
                if self._waiting and (not full or len(self._waiting) >= self.most):
                    stored = await self._advance(stored, batch.position)
                if not self._waiting:
                    await self._reached(batch.position, worked=False)
                    self._owned.worked()
                    if batch.caught_up:
                        self.caught_up.set()

    async def _advance(self, stored: int, new: int) -> int:
        """Works or stands by until the position is past what waits; returns the position."""
        while self._waiting:
            if self._standby:
                stored = await self._stand_by(stored, self._waiting[-1].position)
            else:
                try:
                    await self.take(self._waiting, stored, new)
                except PositionLost:
                    log.info("another replica works, standing by", follower=self.name)
                    self._standby = True
                    continue
                stored = new
                await self._reached(stored, worked=True)
                self._owned.worked()
            self._waiting = [event for event in self._waiting if event.position > stored]
        return stored

    async def _stand_by(self, stored: int, wanted: int) -> int:
        """The position, when another replica moved it there, or when it is for this one to move it. Raises PositionLost."""
        seen: Standing | None = None
        since = moments.monotonic()
        while True:
            standing = await self._database.read(partial(positions.standing, follower=self.name))
            if standing.position < stored:
                raise PositionLost(self.name)
            if standing != seen:
                since = moments.monotonic()
                await self._reached(standing.position, worked=True)
                seen = standing
            if standing.position >= wanted:
                await self.left()
                self._owned.worked()
                return standing.position
            if moments.monotonic() - since >= self._grace_seconds and await self._take_over(standing):
                return standing.position
            await moments.sleep(min(POLL_SECONDS, self._grace_seconds / 4))

    async def _take_over(self, standing: Standing) -> bool:
        """Whether no other standby was faster."""
        try:
            self._turn = await self._database.write(partial(positions.turn, follower=self.name, known=standing.turn))
        except PositionLost:
            return False
        log.warning("no replica works, taking over", follower=self.name, position=standing.position)
        self._standby = False
        return True

    async def _reached(self, position: int, *, worked: bool) -> None:
        self._done = max(self._done, position)  # one looked further than the other, and found nothing
        await self.reached(self._done, worked=worked)

    async def _visibly(self, work: Callable[[], Coroutine[Any, Any, None]], position: int) -> None:
        """Do what lies outside of the position's transaction, unless another replica does it; standbys see that it goes on.

        Raises PositionLost.
        """
        if self._turn is None:
            await work()
            return
        standing = await self._database.read(partial(positions.standing, follower=self.name))
        if standing != (position, self._turn):
            raise PositionLost(self.name)
        over = asyncio.Event()
        doing, showing = asyncio.create_task(work()), asyncio.create_task(self._show(over))
        try:
            await asyncio.wait({doing, showing}, return_when=asyncio.FIRST_COMPLETED)
            if showing.done():
                showing.result()
            over.set()
            await showing
            await doing
        finally:
            doing.cancel()
            showing.cancel()
            await asyncio.gather(doing, showing, return_exceptions=True)

    async def _show(self, over: asyncio.Event) -> None:
        while not over.is_set():
            try:
                async with asyncio.timeout(self._grace_seconds / 4):
                    await over.wait()
            except TimeoutError:
                known = self._turn or 0
                self._turn = await self._database.write(partial(positions.turn, follower=self.name, known=known))


class Rounds:
    """Periodic work that one of the replicas does: who sees that another one was at it since leaves it out this time."""

    def __init__(self, name: str, seconds: float, database: Database) -> None:
        self._name = name
        self._seconds = seconds
        self._database = database
        self._known: int | None = None
        self._prepared = False

    async def take(self, work: Callable[[], Awaitable[Any]]) -> None:
        if not self._prepared:
            await self._database.create(positions.metadata)
            self._prepared = True
        turn = await self._database.read(partial(positions.turn_of, follower=self._name))
        if self._known in (None, turn):
            try:
                await self._turn(turn)
            except PositionLost:
                return
            showing = asyncio.create_task(self._show(), name=f"rounds {self._name}")
            try:
                await work()
            finally:
                showing.cancel()
                await asyncio.gather(showing, return_exceptions=True)
        else:
            self._known = turn

    async def _turn(self, known: int) -> None:
        self._known = known  # if it is lost, the next look sees another one
        self._known = await self._database.write(partial(positions.turn, follower=self._name, known=known))

    async def _show(self) -> None:
        """What takes longer than a round is not begun by another replica."""
        while True:
            await moments.sleep(self._seconds / 2)
            await self._turn(self._known or 0)
