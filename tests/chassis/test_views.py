import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from sqlalchemy import Column, Connection, Integer, MetaData, String, Table, select, update

from motcua.dossier.events.v1.events_pb2 import DeadlinePassed, DossierRated
from services.chassis.database import positions
from services.chassis.database.database import Database, insert_new
from services.chassis.decider import Rejected
from services.chassis.deciding.facts import Fact
from services.chassis.following import followers, views
from services.chassis.following.views import Projection, RunningView, Snapshot, parse_position, position_token
from services.chassis.store.memory import MemoryStore
from services.chassis.store.port import ANY, START, NewEvent
from services.dossier.codec import dossier_codec
from services.dossier.views import dossiers, fees, lists
from services.law.course import FeeCondition
from tests.dossier import world as w
from tests.support.postgresql import Engine
from tests.support.waiting import PATIENCE_SECONDS

metadata = MetaData()
scores = Table(
    "scores_v1", metadata, Column("code", String, primary_key=True), Column("sum", Integer), Column("order", String)
)


class Trouble(Exception):
    """A crash between the rows and the commit."""


class Ratings:
    """A view that adds up scores: an event folded twice, left out or out of order shows. It fails when told to."""

    def __init__(self) -> None:
        self.projection = Projection("scores_v1", metadata)
        self.trouble: Callable[[Fact[DossierRated]], bool] = lambda _: False
        self.projection.on(DossierRated)(self.fold)

    def fold(self, db: Connection, fact: Fact[DossierRated]) -> None:
        insert_new(db, scores, {"code": fact.event.code, "sum": 0, "order": ""})
        row = scores.c.code == fact.event.code
        score = fact.event.score
        db.execute(update(scores).where(row).values(sum=scores.c.sum + score, order=scores.c.order + f"{score} "))
        if self.trouble(fact):
            raise Trouble


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(followers, "PAUSE_SECONDS", 0.01)


@pytest_asyncio.fixture
async def database(engine: Engine, tmp_path: Path) -> AsyncIterator[Database]:
    made = Database(engine.url(tmp_path), "test")
    yield made
    await made.close()


def rated(code: str, score: int) -> NewEvent:
    event = DossierRated(code=code, score=score)
    return NewEvent(uuid4(), event.DESCRIPTOR.full_name, event.SerializeToString(), b"{}")


async def rate(store: MemoryStore, code: str, *given: int) -> str:
    appended = [await store.append(code, [rated(code, score)], ANY) for score in given]
    return position_token(appended[-1].position)


async def rows(view: RunningView, token: str = "") -> dict[str, tuple[int, str]]:
    found = await view.read(lambda db: db.execute(select(scores)).all(), token)
    return {row.code: (row.sum, row.order.strip()) for row in found}


async def until(view: RunningView, token: str) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while view.position < parse_position(token):
            await view.changed(view.generation)


async def test_rows_follow_the_log(database: Database) -> None:
    store = MemoryStore()
    view = RunningView(Ratings().projection, database, store)
    await rate(store, "a", 1, 2)
    await view.start()
    await asyncio.wait_for(view.caught_up.wait(), PATIENCE_SECONDS)
    token = await rate(store, "b", 5)
    assert await rows(view, token) == {"a": (3, "1 2"), "b": (5, "5")}
    await view.stop()


async def test_a_crash_between_rows_and_position_leaves_neither(database: Database) -> None:
    ratings, store = Ratings(), MemoryStore()
    failures: list[int] = []

    def crash_twice_at_the_third(fact: Fact[DossierRated]) -> bool:
        if fact.event.score == 3 and len(failures) < 2:
            failures.append(fact.position)
            return True
        return False

    ratings.trouble = crash_twice_at_the_third
    view = RunningView(ratings.projection, database, store)
    token = await rate(store, "a", 1, 2, 3, 4)
    await view.start()
    await until(view, token)
    assert len(failures) == 2
    assert await rows(view) == {"a": (10, "1 2 3 4")}
    await view.stop()


async def test_an_error_stops_the_view_and_skips_nothing(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    ratings, store = Ratings(), MemoryStore()
    ratings.trouble = lambda fact: fact.event.score == 3
    view = RunningView(ratings.projection, database, store)
    await rate(store, "a", 1)
    await view.start()
    await asyncio.wait_for(view.caught_up.wait(), PATIENCE_SECONDS)
    token = await rate(store, "a", 3)
    with monkeypatch.context() as hurried:
        hurried.setattr(views, "WAIT_SECONDS", 0.05)
        with pytest.raises(Rejected, match="NOT_READY"):
            await rows(view, token)
    assert await rows(view) == {"a": (1, "1")}
    ratings.trouble = lambda _: False
    await until(view, token)
    assert await rows(view) == {"a": (4, "1 3")}
    await view.stop()


async def test_of_two_replicas_one_folds_and_the_other_takes_over(
    database: Database, engine: Engine, tmp_path: Path
) -> None:
    store, other_database = MemoryStore(), Database(engine.url(tmp_path), "test")
    one, other = (RunningView(Ratings().projection, held, store) for held in (database, other_database))
    await one.start()
    await other.start()
    for number in range(20):
        token = await rate(store, f"a-{number % 3}", number)
        await asyncio.sleep(0.002)
    for view in (one, other):
        await until(view, token)
    await one.stop()
    token = await rate(store, "b", 1)
    await until(other, token)
    orders = {f"a-{n}": [score for score in range(20) if score % 3 == n] for n in range(3)} | {"b": [1]}
    expected = {code: (sum(given), " ".join(map(str, given))) for code, given in orders.items()}
    assert await rows(other) == expected
    await other.stop()
    await other_database.close()


async def test_a_position_is_moved_by_who_knows_it(database: Database) -> None:
    await database.create(positions.metadata)
    assert await database.write(lambda db: positions.load(db, "x")) == START
    await database.write(lambda db: positions.move(db, "x", START, 7))
    assert await database.write(lambda db: positions.load(db, "x")) == 7
    with pytest.raises(positions.PositionLost):
        await database.write(lambda db: positions.move(db, "x", START, 9))
    assert await database.write(lambda db: positions.load(db, "x")) == 7


async def test_a_token_that_was_never_given_is_refused_at_once(database: Database) -> None:
    store = MemoryStore()
    view = RunningView(Ratings().projection, database, store)
    await view.start()
    for token, reason in (("p1", "POSITION_UNUSABLE"), ("x", "INVALID_POSITION"), ("p01", "INVALID_POSITION")):
        with pytest.raises(Rejected, match=reason):
            await rows(view, token)
    await view.stop()


@pytest.mark.parametrize("token", ["", "p", "1", "p-1", "p٣", "p1 ", "p" + "1" * 5000])
def test_a_token_has_one_form(token: str) -> None:
    with pytest.raises(Rejected, match="INVALID_POSITION"):
        parse_position(token)
    assert parse_position(position_token(2**63 - 1)) == 2**63 - 1


async def test_a_snapshot_is_built_when_rows_changed(database: Database) -> None:
    store, built = MemoryStore(), []
    view = RunningView(Ratings().projection, database, store)

    def build(db: Connection) -> int:
        built.append(1)
        return int(db.execute(select(scores.c.sum)).scalar() or 0)

    snapshot = Snapshot(view, build)
    await rate(store, "a", 1)
    await view.start()
    await asyncio.wait_for(view.caught_up.wait(), PATIENCE_SECONDS)
    assert [await snapshot.get() for _ in range(3)] == [1, 1, 1]
    assert len(built) == 1
    assert await snapshot.get(await rate(store, "a", 2)) == 3
    assert len(built) == 2
    await view.stop()


# Rebuilding


async def folded(engine: Engine, folder: Path, store: MemoryStore, pauses: bool) -> list[Any]:
    """The dossier's lists, folded event by event as they came, or all at once afterwards."""
    database, source = Database(engine.url(folder), "lists"), MemoryStore() if pauses else store
    view = RunningView(lists, database, source)
    await view.start()
    if pauses:
        for event in await store.read_all():
            new = NewEvent(event.id, event.type, event.data, event.metadata)
            token = position_token((await source.append(event.stream, [new], ANY)).position)
            await until(view, token)
    await until(view, position_token(await store.head()))

    def query(db: Connection) -> list[Any]:
        tables: Sequence[Table] = (dossiers, fees)
        return [
            tuple(row) for table in tables for row in db.execute(select(table).order_by(*table.primary_key.columns))
        ]

    found = await view.read(query)
    await view.stop()
    await database.close()
    return found


async def test_a_rebuilt_view_is_the_same(engine: Engine, tmp_path: Path) -> None:
    store = MemoryStore()
    late = w.note(w.at("2026-03-10T08:00"))
    lives = [
        w.story(*w.RETURNED, w.rate()),
        w.story(*w.PROCESSED_BY_COMMUNE, w.assess(), w.pay(), w.transfer()),
        w.story(*w.PROCESSED_BY_COMMUNE, w.request_supplement(), w.supply(), w.transfer(), late),
        w.story(w.submit(terms=w.owing(FeeCondition.RECEPTION)), w.pay("fee-0"), w.refund("fee-0")),
        w.story(*w.NEW, w.withdraw()),
        w.story(*w.NEW, w.rehome(), w.request_supplement(by=w.OUTSIDER)),
    ]
    for turn in range(max(len(life) for life in lives)):
        for number, life in enumerate(lives):
            if turn < len(life):
                event: Any = life[turn]
                code = f"{w.CODE[:-1]}{number}"
                _, type_, data = dossier_codec.encode(_renamed(event, code), uuid4(), turn, {"citizen-1": bytes(32)})
                await store.append(f"dossier-{code}", [NewEvent(uuid4(), type_, data, b'{"request_id": "r"}')], ANY)
    one_by_one = await folded(engine, tmp_path / "live", store, pauses=True)
    assert await folded(engine, tmp_path / "rebuilt", store, pauses=False) == one_by_one
    assert len(one_by_one) > len(lives)


def _renamed(event: Any, code: str) -> Any:
    changes = {"code": code} | ({"fee_id": f"{code} {event.fee_id}"} if hasattr(event, "fee_id") else {})
    return replace(event, **changes)


def test_types_that_are_not_folded_are_not_asked_for() -> None:
    assert set(Ratings().projection.folds) == {DossierRated.DESCRIPTOR.full_name}
    assert DeadlinePassed.DESCRIPTOR.full_name in lists.folds
