"""A view is folded anew while it is kept and read: nobody sees it half made, nothing is lost or counted twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import inspect, select, update

from command.views import rebuild
from command.views.rebuild import Reached, RebuildFailed, Rebuilding, find
from services.chassis.database.database import Database
from services.chassis.following import followers
from services.chassis.following.views import RunningView, parse_position
from services.chassis.store.memory import MemoryStore
from tests.chassis.test_views import Ratings, rate, rows, scores, until
from tests.support.postgresql import Engine

BEFORE = 100


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(followers, "GRACE_SECONDS", 0.2)
    monkeypatch.setattr(followers, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(followers, "PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(rebuild, "AT_ONCE", 7)


@pytest_asyncio.fixture
async def database(engine: Engine, tmp_path: Path) -> AsyncIterator[Database]:
    made = Database(engine.url(tmp_path), "test")
    yield made
    await made.close()


@pytest_asyncio.fixture
async def other(engine: Engine, tmp_path: Path) -> AsyncIterator[Database]:
    """As the command has it, in another process."""
    made = Database(engine.url(tmp_path), "test")
    yield made
    await made.close()


async def spoil(database: Database) -> None:
    await database.write(lambda db: db.execute(update(scores).values(sum=-1)))


async def left_over(database: Database) -> list[str]:
    if database.file:
        return [path.name for path in database.file.parent.iterdir() if "-rebuild" in path.name]
    return await database.read(lambda db: [name for name in inspect(db).get_schema_names() if "-rebuild" in name])


async def test_a_view_is_rebuilt_while_nobody_keeps_it(database: Database, other: Database) -> None:
    store = MemoryStore()
    view = RunningView(Ratings().projection, database, store)
    token = await rate(store, "a", *range(20))
    await view.start()
    await until(view, token)
    before = await rows(view)
    await view.stop()
    await spoil(database)
    told: list[Reached] = []
    reached = await Rebuilding(Ratings().projection, store, other).run(told.append)
    assert await rows(view) == before
    assert (reached.events, reached.position, reached.head) == (20, parse_position(token), parse_position(token))
    assert [each.events for each in told] == [7, 14, 20]
    assert await left_over(database) == []
    # And whoever keeps it again goes on from there.
    again = RunningView(Ratings().projection, database, store)
    await again.start()
    await until(again, await rate(store, "a", 100))
    assert (await rows(again))["a"][0] == sum(range(20)) + 100
    await again.stop()


async def test_it_goes_on_under_load(database: Database, other: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Appends, folds and reads go on; a reader sees rows that grow, never some that are half there."""
    monkeypatch.setattr(rebuild, "AT_ONCE", 40)
    store = MemoryStore()
    kept = RunningView(Ratings().projection, database, store)
    await rate(store, "a", *[1] * BEFORE)
    await kept.start()
    await asyncio.wait_for(kept.caught_up.wait(), 20)
    over, seen = asyncio.Event(), [BEFORE]

    async def append() -> int:
        count = BEFORE
        while not over.is_set():
            await rate(store, "a", 1)
            count += 1
            await asyncio.sleep(0.02)
        return count

    async def read() -> None:
        while not over.is_set():
            found: Any = await other.read(lambda db: db.execute(select(scores.c.sum)).scalar_one())
            seen.append(found)

    async with asyncio.TaskGroup() as group:
        appending = group.create_task(append())
        group.create_task(read())
        for _ in range(3):
            reached = await asyncio.wait_for(Rebuilding(Ratings().projection, store, other).run(), 60)
            assert reached.events >= BEFORE
        over.set()
    count = appending.result()
    assert seen == sorted(seen)
    token = await rate(store, "a", 1)
    await until(kept, token)
    assert await rows(kept) == {"a": (count + 1, " ".join(["1"] * (count + 1)))}
    assert await left_over(database) == []
    await kept.stop()


async def test_interrupted_it_changed_nothing_and_is_begun_again(database: Database, other: Database) -> None:
    store = MemoryStore()
    view = RunningView(Ratings().projection, database, store)
    token = await rate(store, "a", *range(20))
    await view.start()
    await until(view, token)
    await spoil(database)

    class Interrupt(BaseException):
        pass

    def interrupt(reached: Reached) -> None:
        if reached.events == 14:
            raise Interrupt

    with pytest.raises(Interrupt):
        await Rebuilding(Ratings().projection, store, other).run(interrupt)
    assert (await rows(view))["a"][0] == -1
    assert await left_over(database) == []
    await Rebuilding(Ratings().projection, store, other).run()
    assert (await rows(view))["a"][0] == sum(range(20))
    await view.stop()


async def test_a_view_that_was_never_filled_is_not_rebuilt(database: Database) -> None:
    with pytest.raises(RebuildFailed, match="it is filled from the log when its service starts"):
        await Rebuilding(Ratings().projection, MemoryStore(), database).run()


async def test_one_is_rebuilt_at_a_time(database: Database, other: Database) -> None:
    store = MemoryStore()
    view = RunningView(Ratings().projection, database, store)
    await view.start()
    await until(view, await rate(store, "a", *range(20)))
    refused: list[str] = []

    async def second() -> None:
        with pytest.raises(RebuildFailed) as busy:
            await Rebuilding(Ratings().projection, store, database).run()
        refused.append(str(busy.value))

    attempts: list[asyncio.Task[None]] = []

    def meanwhile(_: Reached) -> None:
        if not attempts:
            attempts.append(asyncio.create_task(second()))

    await Rebuilding(Ratings().projection, store, other).run(meanwhile)
    await asyncio.wait_for(attempts[0], 20)
    assert refused == ["another view of test is being rebuilt at this moment"]
    await view.stop()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("scores_v1", "there is no view scores_v1"),
        ("law_v3", "several services have it: choose of identity/law_v3, catalogue/law_v3, dossier/law_v3"),
        ("codes_v2", "holds numbers that were drawn and are in no event yet"),
        ("payment/receipts_v1", "stop the service payment, drop the table receipts_given_v1"),
        ("payment/dossiers_v4", "there is no view payment/dossiers_v4"),
    ],
)
def test_what_cannot_be_rebuilt_is_told(name: str, said: str) -> None:
    with pytest.raises(RebuildFailed, match=said):
        find(name)
    assert find("dossier/law_v3")[1].name == find("catalogue/law_v3")[1].name
