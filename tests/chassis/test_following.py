"""Replicas that share a position: one works, the others stand by, follow, and take over."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

import pytest
import pytest_asyncio
from sqlalchemy import Connection

from motcua.dossier.events.v1.events_pb2 import DeadlinePassed
from services.chassis.database import positions
from services.chassis.database.database import Database
from services.chassis.database.positions import PositionLost, Standing
from services.chassis.following import followers
from services.chassis.following.reactions import Reaction
from services.chassis.following.views import RunningView
from services.chassis.store.memory import MemoryStore
from services.chassis.store.port import ANY, NewEvent
from tests.chassis.test_reactions import TYPE, Seen, rate
from tests.chassis.test_views import Ratings, rows, scores
from tests.chassis.test_views import rate as rate_and_tell
from tests.support.waiting import PATIENCE_SECONDS

T = TypeVar("T")
NEVER = 1e9
FOLLOWER = "test.rated"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(followers, "PAUSE_SECONDS", 0.01)


class Counting(Database):
    """Counts what it is asked."""

    asked = 0

    async def read(self, work: Callable[[Connection], T]) -> T:
        self.asked += 1
        return await super().read(work)

    async def write(self, work: Callable[[Connection], T], *, lasting: bool = False) -> T:
        self.asked += 1
        return await super().write(work, lasting=lasting)


@pytest_asyncio.fixture
async def databases(tmp_path: Path) -> AsyncIterator[Sequence[Counting]]:
    """Of three processes, one and the same."""
    made = [Counting(f"sqlite:///{tmp_path}", "test") for _ in range(3)]
    yield made
    for database in made:
        await database.close()


def patient(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    monkeypatch.setattr(followers, "GRACE_SECONDS", seconds)


async def standing(database: Database) -> Standing:
    return await database.read(partial(positions.standing, follower=FOLLOWER))


def replica(seen: Seen, database: Database, store: MemoryStore, *, standby: bool = True) -> Reaction:
    return Reaction(FOLLOWER, [TYPE], seen.react, database, store, standby=standby)


async def a_working_view_and_a_standby(databases: Sequence[Database], store: MemoryStore) -> list[RunningView]:
    views = [RunningView(Ratings().projection, database, store) for database in databases[:2]]
    views[1]._standby = True
    await rate_and_tell(store, "a", 1)
    for view in views:
        await view.start()
        await asyncio.wait_for(view.caught_up.wait(), PATIENCE_SECONDS)
    return views


async def test_what_was_written_is_read_at_a_standby_at_once(
    databases: Sequence[Counting], monkeypatch: pytest.MonkeyPatch
) -> None:
    patient(monkeypatch, NEVER)
    store = MemoryStore()
    working, standby = await a_working_view_and_a_standby(databases, store)
    async with asyncio.timeout(PATIENCE_SECONDS):
        # Each would take seconds if the standby only tried again from time to time.
        for score in range(2, 32):
            token = await rate_and_tell(store, "a", score)
            assert (await rows(standby, token))["a"][1].endswith(f" {score}")
    assert standby._standby
    await working.stop()
    await standby.stop()


async def test_watchers_of_a_standby_hear_of_changes(
    databases: Sequence[Counting], monkeypatch: pytest.MonkeyPatch
) -> None:
    patient(monkeypatch, NEVER)
    store = MemoryStore()
    working, standby = await a_working_view_and_a_standby(databases, store)
    seen = standby.generation
    token = await rate_and_tell(store, "b", 5)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while "b" not in await rows(standby):
            seen = await standby.changed(seen)
    assert await rows(standby, token) == {"a": (1, "1"), "b": (5, "5")}
    await working.stop()
    await standby.stop()


async def test_a_standby_with_nothing_to_wait_for_asks_nothing(
    databases: Sequence[Counting], monkeypatch: pytest.MonkeyPatch
) -> None:
    patient(monkeypatch, NEVER)
    store = MemoryStore()
    working, standby = await a_working_view_and_a_standby(databases, store)
    asked = databases[1].asked
    for _ in range(20):
        await store.append("other", [NewEvent(uuid4(), DeadlinePassed.DESCRIPTOR.full_name, b"", b"{}")], ANY)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while standby.position < await store.head():  # noqa: ASYNC110 - nothing to fold, nobody is told
                await asyncio.sleep(0)
    assert databases[1].asked == asked
    await working.stop()
    await standby.stop()


async def test_a_standby_takes_over_in_the_middle_of_the_log(
    databases: Sequence[Counting], monkeypatch: pytest.MonkeyPatch
) -> None:
    patient(monkeypatch, 0.2)
    store = MemoryStore()
    working, standby = await a_working_view_and_a_standby(databases, store)
    await working.stop()
    token = await rate_and_tell(store, "a", *range(2, 50))
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (await rows(standby)).get("a") != (sum(range(50)), " ".join(map(str, range(1, 50)))):
            await standby.changed(standby.generation)
    assert not standby._standby
    assert await rows(standby, token)
    await standby.stop()


async def test_who_was_held_up_stands_by_and_folds_nothing_twice(databases: Sequence[Counting]) -> None:
    """Two that both believe they work: the compare-and-swap decides, event by event."""
    store = MemoryStore()
    views = [RunningView(Ratings().projection, database, store) for database in databases]
    for view in views:
        await view.start()
    for score in range(1, 60):
        token = await rate_and_tell(store, "a", score)
        await asyncio.sleep(0)
    async with asyncio.timeout(PATIENCE_SECONDS):
        for view in views:
            while (await rows(view)).get("a") != (sum(range(60)), " ".join(map(str, range(1, 60)))):
                await view.changed(view.generation)
            assert await rows(view, token)
            await view.stop()


async def test_the_position_went_back(databases: Sequence[Counting], monkeypatch: pytest.MonkeyPatch) -> None:
    """An operator has the view made again while a standby watches."""
    patient(monkeypatch, 0.2)
    store = MemoryStore()
    working, standby = await a_working_view_and_a_standby(databases, store)
    await working.stop()

    def empty(db: Connection) -> None:
        db.execute(scores.delete())
        db.execute(positions.positions.update().values(position=0))

    await databases[2].write(empty)
    token = await rate_and_tell(store, "a", 2)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (await rows(standby)).get("a") != (3, "1 2"):
            await standby.changed(standby.generation)
    assert await rows(standby, token)
    await standby.stop()


async def test_a_fact_is_not_reacted_to_twice(databases: Sequence[Counting], monkeypatch: pytest.MonkeyPatch) -> None:
    patient(monkeypatch, NEVER)
    store, seen = MemoryStore(), Seen()
    working = replica(seen, databases[0], store, standby=False)
    standbys = [replica(seen, database, store) for database in databases[1:]]
    for each in (working, *standbys):
        await each.start()
    for score in range(100):
        await rate(store, f"a-{score % 7}", score)
        await asyncio.sleep(0)
    async with asyncio.timeout(PATIENCE_SECONDS):
        for each in standbys:
            while each._done < await store.head():  # noqa: ASYNC110 - reactions tell nobody
                await asyncio.sleep(0.01)
    for each in (working, *standbys):
        await each.stop()
    assert seen.attempts == Counter(range(100))


async def test_of_replicas_that_start_together_one_reacts(
    databases: Sequence[Counting], monkeypatch: pytest.MonkeyPatch
) -> None:
    patient(monkeypatch, 1.0)
    store, seen = MemoryStore(), Seen()
    await rate(store, "a", *range(50))
    replicas = [replica(seen, database, store) for database in databases]
    for each in replicas:
        await each.start()
    await seen.until(lambda: len(seen.scores) == 50)
    async with asyncio.timeout(PATIENCE_SECONDS):
        for each in replicas:
            await each.caught_up.wait()
    for each in replicas:
        await each.stop()
    assert seen.of("a") == list(range(50))
    assert [each._standby for each in replicas].count(False) == 1


async def test_what_takes_long_is_left_to_the_one_that_does_it(
    databases: Sequence[Counting], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A system that does not answer is not asked by two replicas."""
    patient(monkeypatch, 1.0)
    go = asyncio.Event()

    async def wait(_: int) -> None:
        await go.wait()

    store, seen = MemoryStore(), Seen(wait)
    replicas = [replica(seen, database, store) for database in databases[:2]]
    await rate(store, "a", 7)
    for each in replicas:
        await each.start()
    async with asyncio.timeout(PATIENCE_SECONDS):
        # Four turns are a grace.
        while (await standing(databases[2])).turn < 7:  # noqa: ASYNC110 - a database does not call back
            await asyncio.sleep(0.05)
    assert seen.attempts == {7: 1}
    go.set()
    async with asyncio.timeout(PATIENCE_SECONDS):
        for each in replicas:
            await each.caught_up.wait()
            await each.stop()
    assert seen.scores == [("a", 7)]


async def test_a_standby_goes_on_where_the_other_died_in_its_work(
    databases: Sequence[Counting], monkeypatch: pytest.MonkeyPatch
) -> None:
    patient(monkeypatch, 0.4)
    hang = asyncio.Event()

    async def wait(score: int) -> None:
        if score == 3:
            await hang.wait()

    store, before, after = MemoryStore(), Seen(wait), Seen()
    one, other = replica(before, databases[0], store, standby=False), replica(after, databases[1], store)
    await one.start()
    await rate(store, "a", 1, 2)
    await before.until(lambda: len(before.scores) == 2)
    await other.start()
    await rate(store, "a", 3, 4)
    await before.until(lambda: before.attempts[3] == 1)
    await one.stop()
    await after.until(lambda: len(after.scores) >= 2)
    await other.stop()
    assert after.of("a")[-2:] == [3, 4]


async def test_whose_work_was_taken_over_does_nothing_more(
    databases: Sequence[Counting], monkeypatch: pytest.MonkeyPatch
) -> None:
    patient(monkeypatch, 0.2)
    store, seen = MemoryStore(), Seen()
    slept = replica(seen, databases[0], store)
    await rate(store, "a", 1)
    await slept.start()
    await seen.until(lambda: seen.of("a") == [1])
    await asyncio.wait_for(slept.caught_up.wait(), PATIENCE_SECONDS)
    await slept.stop()
    position, turn = await standing(databases[1])
    await databases[1].write(partial(positions.turn, follower=FOLLOWER, known=turn))
    await rate(store, "a", 2)
    with pytest.raises(PositionLost):
        await slept.take(await store.read("a", 0), position, position + 1)
    assert seen.attempts == {1: 1}


async def test_a_turn_is_taken_by_one(databases: Sequence[Counting]) -> None:
    await databases[0].create(positions.metadata)
    await databases[0].write(partial(positions.load, follower=FOLLOWER))

    async def take(database: Database) -> int:
        return await database.write(partial(positions.turn, follower=FOLLOWER, known=0))

    outcomes = await asyncio.gather(*map(take, databases), return_exceptions=True)
    assert Counter(map(type, outcomes)) == {PositionLost: 2, int: 1}
    assert await standing(databases[0]) == Standing(0, 1)


async def test_a_round_is_done_by_one(databases: Sequence[Counting]) -> None:
    done: list[int] = []

    async def work(number: int) -> None:
        done.append(number)

    replicas = [followers.Rounds("test.every", 1000, database) for database in databases]
    for _ in range(4):
        for number, replica_ in enumerate(replicas):
            await replica_.take(partial(work, number))
    # Each begins with a round of its own, as it cannot know of others; then one goes on.
    assert done == [0, 1, 2, 2, 2, 2]
    for _ in range(2):
        await replicas[0].take(partial(work, 0))
    assert done == [0, 1, 2, 2, 2, 2, 0]


async def test_a_long_round_is_not_begun_by_another(databases: Sequence[Counting]) -> None:
    go, began = asyncio.Event(), Counter[str]()

    async def work(name: str) -> None:
        began[name] += 1
        await go.wait()

    one, other = (followers.Rounds("test.every", 0.4, database) for database in databases[:2])
    working = asyncio.create_task(one.take(partial(work, "one")))
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not began["one"]:  # noqa: ASYNC110 - a database does not call back
            await asyncio.sleep(0.01)
    other._known = 0  # it has looked before
    for _ in range(4):
        shown = await turn_of(databases[2])
        await other.take(partial(work, "other"))
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await turn_of(databases[2]) == shown:  # noqa: ASYNC110 - a database does not call back
                await asyncio.sleep(0.05)
    go.set()
    await working
    assert began == {"one": 1}


async def turn_of(database: Database) -> int:
    return await database.read(partial(positions.turn_of, follower="test.every"))
