"""Tables are made, found again, and refused in another form."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio
from sqlalchemy import Boolean, Column, Connection, DateTime, Integer, MetaData, String, Table, select

from motcua.dossier.events.v1.events_pb2 import DossierRated
from services.chassis.database import positions
from services.chassis.database.database import Database
from services.chassis.database.schema import SchemaChanged, drop
from services.chassis.deciding.facts import Fact
from services.chassis.following import views
from services.chassis.following.views import Projection, RunningView
from services.chassis.store.memory import MemoryStore
from services.chassis.store.port import START
from tests.chassis.test_views import rate, until
from tests.support.postgresql import Engine


@pytest_asyncio.fixture
async def database(engine: Engine, tmp_path: Path) -> AsyncIterator[Database]:
    made = Database(engine.url(tmp_path), "test")
    yield made
    await made.close()


def counting(version: int, *more: Column[object]) -> tuple[Projection, Table]:
    """A version of one view: how often, times the version, so that their rows differ."""
    metadata = MetaData()
    table = Table(
        f"rated_v{version}",
        metadata,
        Column("code", String, primary_key=True),
        Column("times", Integer, nullable=False),
        *more,
    )
    projection = Projection(f"rated_v{version}", metadata)

    @projection.on(DossierRated)
    def rated(db: Connection, fact: Fact[DossierRated]) -> None:
        known = db.execute(select(table.c.times).where(table.c.code == fact.event.code)).scalar()
        if known is None:
            db.execute(table.insert().values(code=fact.event.code, times=version))
        else:
            db.execute(table.update().where(table.c.code == fact.event.code).values(times=known + version))

    return projection, table


async def rows(database: Database, table: Table) -> list[tuple[object, ...]]:
    return await database.read(lambda db: [tuple(row) for row in db.execute(select(table).order_by(table.c.code))])


async def test_what_is_there_is_left_alone(database: Database, engine: Engine, tmp_path: Path) -> None:
    projection, table = counting(1)
    assert await views.create(projection, database) == ["rated_v1"]
    await database.write(lambda db: db.execute(table.insert().values(code="a", times=1)))
    again = Database(engine.url(tmp_path), "test")
    assert await views.create(projection, again) == []
    assert await rows(again, table) == [("a", 1)]
    await again.close()


async def test_replicas_that_start_at_once_make_one_schema(engine: Engine, tmp_path: Path) -> None:
    replicas = [Database(engine.url(tmp_path), "test") for _ in range(4)]
    projection, _ = counting(1)
    made = await asyncio.gather(*(views.create(projection, replica) for replica in replicas))
    assert sorted(made) == [[], [], [], ["rated_v1"]]
    await asyncio.gather(*(replica.close() for replica in replicas))


@pytest.mark.parametrize(
    ("column", "said"),
    [
        (partial(Column, "extra", Boolean), "extra is missing, and should be BOOLEAN"),
        (partial(Column, "extra", DateTime(timezone=True), nullable=False), "extra is missing, and should be"),
    ],
    ids=["nullable", "not null"],
)
async def test_a_changed_table_needs_a_new_version(
    database: Database, engine: Engine, tmp_path: Path, column: Callable[[], Column[object]], said: str
) -> None:
    await views.create(counting(1)[0], database)
    changed = Database(engine.url(tmp_path), "test")
    with pytest.raises(SchemaChanged, match=said) as refused:
        await views.create(counting(1, column())[0], changed)
    assert "the table rated_v1" in str(refused.value)
    assert "a new number in the names of the view and of its tables" in str(refused.value)
    # And back: a column more in the database than in the program.
    await changed.write(lambda db: drop(db, ["rated_v1"]))
    await views.create(counting(1, column())[0], changed)
    back = Database(engine.url(tmp_path), "test")
    with pytest.raises(SchemaChanged, match=r"extra is .*, and should be no column"):
        await views.create(counting(1)[0], back)
    for each in (changed, back):
        await each.close()


async def test_a_column_of_another_type_is_told(database: Database, engine: Engine, tmp_path: Path) -> None:
    await views.create(counting(1, Column("extra", Integer))[0], database)
    changed = Database(engine.url(tmp_path), "test")
    with pytest.raises(SchemaChanged, match="extra is INTEGER, and should be VARCHAR"):
        await views.create(counting(1, Column("extra", String))[0], changed)
    await changed.close()


@pytest.mark.parametrize(
    ("name", "table", "said"),
    [
        ("rated", "rated_v1", "the view rated has no version"),
        ("rated_v0", "rated_v0", "the view rated_v0 has no version"),
        ("rated_v2", "rated_v1", "the table rated_v1 of the view rated_v2 must end in _v2"),
    ],
)
def test_names_carry_the_version(name: str, table: str, said: str) -> None:
    metadata = MetaData()
    Table(table, metadata, Column("code", String, primary_key=True))
    with pytest.raises(ValueError, match=said):
        Projection(name, metadata)


async def test_text_is_ordered_by_its_bytes(database: Database) -> None:
    projection, table = counting(1)
    await views.create(projection, database)
    codes = ["a", "B", "Đ", "b", "á", "A", "_", "-", " ", "P56.15", "P56.2", "Z", "ấ"]
    await database.write(lambda db: db.execute(table.insert(), [{"code": code, "times": 0} for code in codes]))
    assert [code for code, _ in await rows(database, table)] == sorted(codes)


# Versions


async def test_a_new_version_fills_beside_the_old_one_that_serves(engine: Engine, tmp_path: Path) -> None:
    """A rolling update: two releases on one database, each with its version, and both stay right."""
    store = MemoryStore()
    old_release, new_release = (Database(engine.url(tmp_path), "test") for _ in range(2))
    (one, old_table), (two, new_table) = counting(1), counting(2)
    await rate(store, "a", 1, 2, 3)
    old = RunningView(one, old_release, store)
    await old.start()
    await asyncio.wait_for(old.caught_up.wait(), 20)
    assert await rows(old_release, old_table) == [("a", 3)]
    new = RunningView(two, new_release, store)
    await new.start()
    await asyncio.wait_for(new.caught_up.wait(), 20)
    token = await rate(store, "b", 4)
    for view in (old, new):
        await until(view, token)
    assert await rows(old_release, old_table) == [("a", 3), ("b", 1)]
    assert await rows(new_release, new_table) == [("a", 6), ("b", 2)]
    await old.stop()
    token = await rate(store, "b", 5)
    await until(new, token)
    # A roll-back: the old release goes on from where it was.
    back = RunningView(one, old_release, store)
    await back.start()
    await until(back, token)
    assert await rows(old_release, old_table) == [("a", 3), ("b", 2)]
    await back.stop()
    await new.stop()
    for database in (old_release, new_release):
        await database.close()


async def test_only_what_is_older_is_dropped(database: Database) -> None:
    projections = [counting(version)[0] for version in (1, 2, 3)]
    for projection in projections:
        await views.create(projection, database)
        await database.write(lambda db, of=projection.name: positions.load(db, of))  # type: ignore[misc]
    current = {"rated_v2": ["rated_v2"]}
    assert await database.read(lambda db: positions.old(db, current)) == {"rated_v1": ["rated_v1"]}
    # A view that is no more.
    assert await database.read(lambda db: positions.old(db, {"other_v1": ["other_v1"]})) == {
        f"rated_v{n}": [f"rated_v{n}"] for n in (1, 2, 3)
    }


async def test_a_view_whose_tables_are_lost_is_filled_from_the_beginning(
    database: Database, engine: Engine, tmp_path: Path
) -> None:
    store = MemoryStore()
    projection, table = counting(1)
    view = RunningView(projection, database, store)
    token = await rate(store, "a", 1, 2)
    await view.start()
    await until(view, token)
    await view.stop()
    engine.sql(tmp_path, "test", "DROP TABLE rated_v1")
    again = Database(engine.url(tmp_path), "test")
    view = RunningView(projection, again, store)
    await view.start()
    assert view.position == START
    await until(view, token)
    assert await rows(again, table) == [("a", 2)]
    await view.stop()
    await again.close()
