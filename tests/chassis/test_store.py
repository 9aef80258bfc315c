"""Every event store keeps the contract; and what is SQLite's own."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import pytest
import pytest_asyncio
from hypothesis import settings
from hypothesis.stateful import rule

from services.chassis.store.memory import MemoryStore
from services.chassis.store.port import ANY, NO_STREAM, START, Conflict, EventStore, NewEvent, StoreUnavailable
from services.chassis.store.sqlite import SqliteStore
from tests.chassis.store_contract import StoreContract, StoreMachine, event, follow
from tests.chassis.stores import ENGINES, opened


class TestEveryStore(StoreContract):
    @pytest_asyncio.fixture(params=ENGINES)
    async def store(self, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[EventStore]:
        async with opened(request.param, tmp_path) as store:
            yield store


# One file, several processes


async def test_two_stores_on_one_file_see_each_other_s_events_in_order(tmp_path: Path) -> None:
    one, other = [await SqliteStore.open(tmp_path / "events.db") for _ in range(2)]
    following = [asyncio.create_task(follow(store, START, (), 60)) for store in (one, other)]
    await asyncio.gather(*((one, other)[n % 2].append(f"a-{n % 5}", [event()], ANY) for n in range(60)))
    everything = await one.read_all()
    assert await other.read_all() == everything
    for found in await asyncio.gather(*following):
        assert found == everything
    outcomes = await asyncio.gather(
        *((one, other)[n % 2].append("b-1", [event()], NO_STREAM) for n in range(6)), return_exceptions=True
    )
    assert sum(isinstance(outcome, Conflict) for outcome in outcomes) == 5
    await one.close()
    await other.close()


async def test_a_restart_loses_nothing_and_goes_on(tmp_path: Path) -> None:
    before = await SqliteStore.open(tmp_path / "events.db")
    sent = [event(), event()]
    await before.append("a-1", sent, NO_STREAM)
    written = await before.read_all()
    await before.close()
    after = await SqliteStore.open(tmp_path / "events.db")
    assert await after.read_all() == written
    assert (await after.append("a-1", sent, NO_STREAM)).position == written[-1].position
    await after.append("a-1", [event()], 1)
    assert len(await follow(after, written[0].position, (), 2)) == 2
    await after.close()


async def test_a_closed_store_takes_nothing(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "events.db")
    await store.close()
    await store.close()
    with pytest.raises(StoreUnavailable):
        await store.append("a-1", [event()], NO_STREAM)


async def test_the_writer_outlives_what_cannot_be_written(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "events.db")
    broken = NewEvent(uuid4(), "motcua.test.Happened", object(), b"{}")  # type: ignore[arg-type]
    with pytest.raises(StoreUnavailable):
        await store.append("a-1", [event(), broken], NO_STREAM)
    with pytest.raises(StoreUnavailable):
        await store.append("\ud800", [event()], NO_STREAM)
    assert (await store.append("a-1", [event()], NO_STREAM)).revision == 0
    await store.close()


async def test_the_poll_outlives_a_disk_that_fails_for_a_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = [await SqliteStore.open(tmp_path / "events.db") for _ in range(2)]
    failed = asyncio.Event()

    async def failing() -> int:
        failed.set()
        raise sqlite3.OperationalError("disk I/O error")

    with monkeypatch.context() as broken:
        broken.setattr(one, "head", failing)
        await asyncio.wait_for(failed.wait(), 5)
    await other.append("a-1", [event()], NO_STREAM)
    assert len(await follow(one, START, (), 1)) == 1
    await one.append("a-2", [event()], NO_STREAM)
    assert len(await follow(one, START, (), 2)) == 2
    await one.close()
    await other.close()


# Against a list


class MemoryMachine(StoreMachine):
    async def open(self) -> EventStore:
        return MemoryStore()


class SqliteMachine(StoreMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()

    async def open(self) -> EventStore:
        return await SqliteStore.open(Path(self.folder.name) / "events.db")

    @rule()
    def restart(self) -> None:
        self.run(self.store.close())
        self.store = self.run(self.open())

    def teardown(self) -> None:
        super().teardown()
        self.folder.cleanup()


class KurrentMachine(StoreMachine):
    def __init__(self) -> None:
        super().__init__()
        self.stack = AsyncExitStack()

    async def open(self) -> EventStore:
        return await self.stack.enter_async_context(opened("kurrentdb", Path()))

    def teardown(self) -> None:
        self.run(self.stack.aclose())
        self.loop.close()


TestMemoryMachine = MemoryMachine.TestCase
TestMemoryMachine.settings = settings(max_examples=40, stateful_step_count=20)
TestSqliteMachine = SqliteMachine.TestCase
TestSqliteMachine.settings = settings(max_examples=10, stateful_step_count=20)
TestKurrentMachine = KurrentMachine.TestCase
TestKurrentMachine.settings = settings(max_examples=5, stateful_step_count=15)
