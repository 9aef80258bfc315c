"""The reader over SQL says what folding the whole log says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from gateway.status import views
from gateway.status.catalogue import Catalogue
from gateway.status.model import Bilingual, Freshness, StepKind
from gateway.status.reading import ViewReader
from motcua.catalogue.events.v1 import events_pb2 as catalogue
from services.chassis.clock import FixedClock
from services.chassis.database.database import Database
from services.chassis.following.views import RunningView, Snapshot
from services.chassis.store.memory import MemoryStore
from services.chassis.store.port import EventStore
from tests.status import samples
from tests.status.log import write, write_catalogue, write_histories
from tests.status.memory import MemoryReader
from tests.status.samples import AGENCIES, CODES, FINANCE, HISTORIES, LAND, NOW, POLICE, PROCEDURES, WARD
from tests.support.postgresql import current

pytestmark = pytest.mark.usefixtures("engine")

SECONDS = 30.0


@asynccontextmanager
async def reading(
    store: EventStore, folder: Path, now: Callable[[], datetime] = lambda: NOW
) -> AsyncIterator[ViewReader]:
    database = Database(current().url(folder), "status")
    running = [RunningView(projection, database, store) for projection in (views.pages, views.catalogue)]
    for view in running:
        await view.start()
    async with asyncio.timeout(SECONDS):
        await asyncio.gather(*(view.caught_up.wait() for view in running))
    yield ViewReader(store, running[0], Snapshot(running[1], Catalogue), now)
    for view in running:
        await view.stop()
    await database.close()


@pytest.fixture
async def store() -> AsyncIterator[EventStore]:
    store = MemoryStore()
    await write_catalogue(store)
    await write_histories(store, HISTORIES)
    yield store
    await store.close()


@pytest.fixture
async def reader(store: EventStore, tmp_path: Path) -> AsyncIterator[ViewReader]:
    async with reading(store, tmp_path) as reader:
        yield reader


@pytest.fixture
def expected() -> MemoryReader:
    return MemoryReader(lambda: NOW)


async def test_every_dossier_is_the_fold_of_its_log(reader: ViewReader, expected: MemoryReader) -> None:
    for code in HISTORIES:
        assert await reader.dossier(code) == await expected.dossier(code)
    assert await reader.dossier("P56.22.336-20261109-9999999") is None


async def test_boards_agree_with_a_rebuild_from_the_log(reader: ViewReader, expected: MemoryReader) -> None:
    assert await reader.today() == await expected.today()
    assert await reader.nation() == await expected.nation()
    for province in ("56", "92", "01"):
        assert await reader.province(province) == await expected.province(province)
    for agency in (POLICE, FINANCE, WARD, LAND, "P56.9"):
        assert await reader.agency("56", agency) == await expected.agency("56", agency)
    assert await reader.agency("92", POLICE) is None


async def test_a_second_reading_of_the_log_gives_the_same(
    reader: ViewReader, store: EventStore, tmp_path: Path
) -> None:
    async with reading(store, tmp_path / "again") as again:
        assert await again.nation() == await reader.nation()
        assert await again.dossier(CODES["returned"]) == await reader.dossier(CODES["returned"])
    async with reading(store, tmp_path / "again") as resumed:
        assert await resumed.nation() == await reader.nation()


async def test_the_catalogue_is_searched_with_or_without_marks(reader: ViewReader, expected: MemoryReader) -> None:
    for after in ("", "1.003677", "9.999999"):
        assert await reader.procedures("", after, 20) == await expected.procedures("", after, 20)
    for words in ("hộ chiếu", "ho chieu", "PASSPORT ordinary", "1.001456"):
        found = await reader.procedures(words, "", 20)
        assert [item.code for item in found.entries] == ["1.001456"]
    assert await reader.procedure("1.001456") == await reader.procedure("1.001456", 1) == PROCEDURES["1.001456"]
    assert await reader.procedure("1.001456", 2) is None
    assert await reader.agency_names([POLICE, "P56.9"]) == {POLICE: AGENCIES[POLICE]}


async def test_what_is_withdrawn_or_closed_keeps_its_name(store: EventStore, tmp_path: Path) -> None:
    until = "2026-11-19"
    await write(store, "procedure-1.001456-end", [catalogue.ProcedureWithdrawn(code="1.001456", valid_until=until)])
    for agency in (POLICE, LAND):
        await write(store, f"agency-{agency}-end", [catalogue.AgencyClosed(code=agency, valid_until=until)])
    async with reading(store, tmp_path) as reader:
        assert await reader.procedure("1.001456") is None
        assert await reader.procedure("1.001456", 1) == PROCEDURES["1.001456"]
        board = await reader.agency("56", POLICE)
        assert board
        assert board.rows[0].name == Bilingual(PROCEDURES["1.001456"].name.vi, PROCEDURES["1.001456"].name.en)
        assert await reader.agency("56", LAND) is None


async def test_freshness_is_when_the_view_was_last_level_with_the_log(tmp_path: Path) -> None:
    store, clock = MemoryStore(), FixedClock(NOW)
    await write_histories(store, HISTORIES)
    async with reading(store, tmp_path, clock.now) as reader:
        clock.at = NOW + timedelta(hours=1)
        assert await reader.freshness() == Freshness(await store.head(), clock.at)
    level = clock.at
    await write(store, f"dossier-{CODES['new']}", [samples.received(CODES["new"], NOW, samples.local(12, 2, 17))])
    clock.at = NOW + timedelta(hours=2)
    assert (await reader.freshness()).at == level  # the view has stopped
    await store.close()


async def test_listeners_hear_of_their_dossier_only(reader: ViewReader, store: EventStore) -> None:
    code, other = CODES["new"], CODES["fee_asked"]
    async with asyncio.timeout(SECONDS), aclosing(reader.changes(code, 0)) as changes:
        heard = asyncio.create_task(anext(changes))
        await write(store, f"dossier-{other}", [samples.issued(other, NOW)])
        received = samples.received(code, NOW, samples.local(12, 2, 17))
        await write(store, f"dossier-{code}", [received])
        page = await heard
        assert (page.code, page.revision, page.steps[-1].kind) == (code, 1, StepKind.RECEIVED)
        assert (await reader.freshness()).event_number == await store.head()


async def test_a_listener_who_is_behind_gets_the_page_at_once(reader: ViewReader) -> None:
    async with asyncio.timeout(SECONDS), aclosing(reader.changes(CODES["returned"], -1)) as changes:
        assert await anext(changes) == await reader.dossier(CODES["returned"])
