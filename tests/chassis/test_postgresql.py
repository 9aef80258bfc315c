"""PostgreSQL as it is in a data centre: connections are cut, it is restarted, it fails over to another host."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_OID, uuid5

import grpc
import httpx
import psycopg
import pytest
from sqlalchemy import Connection, select, text, update
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from command.run import machine
from command.run.postgresql import PostgresqlError, PrivatePostgresql, reachable
from gateway.status.service import StatusService
from motcua.dossier.events.v1.events_pb2 import DossierRated
from services.chassis.database import database as databases
from services.chassis.database import positions
from services.chassis.database.database import Database, DatabaseUnavailable, insert_new
from services.chassis.deciding.facts import Fact
from services.chassis.following import followers, views
from services.chassis.following.reactions import Reaction
from services.chassis.following.views import RunningView, create
from services.chassis.platform.settings import Settings
from services.chassis.store.memory import MemoryStore
from services.chassis.store.port import ANY, NewEvent
from tests.chassis.test_views import Ratings, rate, rows, scores, until
from tests.notification.world import world
from tests.support.hosted import hosted
from tests.support.postgresql import QUICK, connected, running, standby_of
from tests.support.waiting import PATIENCE_SECONDS

TYPE = DossierRated.DESCRIPTOR.full_name
STREAMS = 5


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(followers, "GRACE_SECONDS", 0.2)
    monkeypatch.setattr(followers, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(followers, "PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(databases, "CONNECT_SECONDS", 2)


@pytest.fixture(scope="module")
def server() -> Iterator[PrivatePostgresql]:
    """One of our own: others go on with the session's."""
    with running() as made:
        yield made


class Load:
    """A view and a reaction under appends that go on, whatever happens to the database."""

    def __init__(self, url: str, name: str) -> None:
        self.store = MemoryStore()
        self.effects = MemoryStore()
        self.database = Database(url, name)
        self.view = RunningView(Ratings().projection, self.database, self.store)
        self.reaction = Reaction(f"{name}.rated", [TYPE], self._react, self.database, self.store)
        self.count = 0
        self._over = asyncio.Event()

    async def _react(self, fact: Fact[Any]) -> None:
        """As a service does: under an id that follows from the fact's."""
        effect = NewEvent(uuid5(NAMESPACE_OID, str(fact.event_id)), TYPE, fact.event.SerializeToString(), b"{}")
        await self.effects.append(f"effects-{fact.stream}", [effect], ANY)

    async def append(self) -> None:
        while not self._over.is_set():
            await rate(self.store, f"a-{self.count % STREAMS}", self.count)
            self.count += 1
            await asyncio.sleep(0.005)

    async def more(self, count: int) -> None:
        """Until so many more are folded: it works."""
        until = self.view.position + count
        async with asyncio.timeout(PATIENCE_SECONDS):
            while self.view.position < until:  # noqa: ASYNC110 - the appends go on
                await asyncio.sleep(0.01)

    async def finish(self, folder: Path) -> None:
        """All is settled, once, and equal to what SQLite makes of the same log."""
        self._over.set()
        head = await self.store.head()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not await self._settled(head):  # noqa: ASYNC110 - another process's state
                await asyncio.sleep(0.05)
        sqlite = Database(f"sqlite:///{folder}", "expected")
        expected = RunningView(Ratings().projection, sqlite, self.store)
        await expected.start()
        await asyncio.wait_for(expected.caught_up.wait(), PATIENCE_SECONDS)
        query = select(scores).order_by(scores.c.code)
        wanted = await sqlite.read(lambda db: db.execute(query).all())
        assert await self.database.read(lambda db: db.execute(query).all()) == wanted
        assert sum(row.sum for row in wanted) == sum(range(self.count))
        await expected.stop()
        await sqlite.close()
        took = [DossierRated.FromString(event.data).score for event in await self.effects.read_all(limit=100_000)]
        assert sorted(took) == list(range(self.count))

    async def _settled(self, head: int) -> bool:
        reached = select(positions.positions.c.position)
        try:
            found = await self.database.read(lambda db: db.execute(reached).scalars().all())
        except DatabaseUnavailable:
            return False
        return list(found) == [head, head]


@asynccontextmanager
async def loaded(url: str, name: str, folder: Path) -> AsyncIterator[Load]:
    load = Load(url, name)
    await load.view.start()
    await load.reaction.start()
    async with asyncio.TaskGroup() as group:
        appending = group.create_task(load.append())
        try:
            await load.more(20)
            yield load
            await load.more(20)
            await load.finish(folder)
        finally:
            appending.cancel()
    await load.reaction.stop()
    await load.view.stop()
    await load.database.close()


async def test_cut_connections_lose_nothing_and_repeat_nothing(server: PrivatePostgresql, tmp_path: Path) -> None:
    async with loaded(server.url, "cut", tmp_path) as load:
        for _ in range(5):
            with connected(server) as db:
                cut = db.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'motcua cut'"
                )
                assert cut.fetchall()
            await load.more(10)


async def test_a_restart_is_waited_for(server: PrivatePostgresql, tmp_path: Path) -> None:
    async with loaded(server.url, "restart", tmp_path) as load:
        await asyncio.to_thread(server.stop)
        with pytest.raises(DatabaseUnavailable):
            await load.view.read(lambda db: db.execute(select(scores)).all())
        with pytest.raises(DatabaseUnavailable):
            await load.view.write(lambda db: db.execute(scores.delete()))
        known = load.count
        async with asyncio.timeout(PATIENCE_SECONDS):
            while load.count < known + 20:  # noqa: ASYNC110 - appends need no view
                await asyncio.sleep(0.01)
        await asyncio.to_thread(server.start)


async def test_a_crash_is_recovered_from(server: PrivatePostgresql, tmp_path: Path) -> None:
    async with loaded(server.url, "crash", tmp_path):
        assert server.pid
        os.kill(server.pid, signal.SIGKILL)  # it is started again by itself


async def test_a_failover_to_the_standby_loses_nothing_and_repeats_nothing(tmp_path: Path) -> None:
    """The standby may lack what the primary committed last: rows and positions go back together, and come again."""
    with running() as primary:
        async with failing_over(primary, tmp_path) as standby:
            await asyncio.to_thread(primary.stop, at_once=True)
            with connected(standby) as db:
                assert db.execute("SELECT pg_promote()").fetchone() == (True,)


@asynccontextmanager
async def failing_over(primary: PrivatePostgresql, folder: Path) -> AsyncIterator[PrivatePostgresql]:
    with standby_of(primary) as standby:
        hosts = [str(make_url(server.url).query["host"]) for server in (standby, primary)]
        url = make_url(primary.url).set(query={"host": hosts}).render_as_string(hide_password=False)
        async with loaded(url, "failover", folder) as load:
            yield standby
            await load.more(20)


async def test_a_call_while_the_database_is_away_may_be_repeated(server: PrivatePostgresql, tmp_path: Path) -> None:
    with world(tmp_path, database=server.url) as running:
        assert running.inbox() == []
        await asyncio.to_thread(server.stop)
        with pytest.raises(grpc.RpcError) as away:
            running.inbox()
        assert away.value.code() is grpc.StatusCode.UNAVAILABLE
        await asyncio.to_thread(server.start)
        assert running.inbox() == []


async def test_a_page_while_the_database_is_away_says_when_to_come_again(
    server: PrivatePostgresql, tmp_path: Path
) -> None:
    with hosted(tmp_path, [StatusService], database=server.url) as host:
        async with httpx.AsyncClient(base_url=f"http://{host.platform.http_addresses['status']}") as client:
            assert (await client.get("/boards")).status_code == 200
            await asyncio.to_thread(server.stop)
            away = await client.get("/boards", params={"lang": "en"})
            assert (away.status_code, away.headers["retry-after"]) == (503, "30")
            assert "Your dossier is safe" in away.text
            await asyncio.to_thread(server.start)
            assert (await client.get("/boards")).status_code == 200


async def test_rows_that_a_failover_took_come_again_though_nothing_new_happens(
    server: PrivatePostgresql, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "LOOK_BACK_SECONDS", 0.05)
    store, database = MemoryStore(), Database(server.url, "back")
    view = RunningView(Ratings().projection, database, store)
    await rate(store, "a", 1)
    token = await rate(store, "b", 2)
    await view.start()
    await until(view, token)

    def take_away(db: Connection) -> None:
        db.execute(scores.delete().where(scores.c.code == "b"))
        db.execute(update(positions.positions).values(position=1))

    await database.write(take_away)
    query = select(scores.c.code).order_by(scores.c.code)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await database.read(lambda db: db.execute(query).scalars().all()) != ["a", "b"]:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert await rows(view, token) == {"a": (1, "1"), "b": (2, "2")}
    await view.stop()
    await database.close()


# What a connection is like


async def said(database: Database, setting: str) -> Any:
    return await database.read(lambda db: db.execute(text(f"SHOW {setting}")).scalar())


@pytest.mark.parametrize(("durable", "synchronous"), [(False, "off"), (True, "on")])
async def test_every_session_has_limits_and_a_name(server: PrivatePostgresql, durable: bool, synchronous: str) -> None:
    url = server.url + "&options=-c%20synchronous_commit%3Don" if durable else server.url
    database = Database(url, "limits", durable=durable)
    for setting, value in (
        ("statement_timeout", "30s"),
        ("idle_in_transaction_session_timeout", "1min"),
        ("TimeZone", "UTC"),
        ("application_name", "motcua limits"),
        ("synchronous_commit", synchronous),
        ("transaction_isolation", "repeatable read"),
        ("transaction_read_only", "on"),
    ):
        assert await said(database, setting) == value, setting
    written = await database.write(lambda db: db.execute(text("SHOW transaction_read_only")).scalar())
    assert written == "off"
    await database.close()


async def test_what_the_log_does_not_give_back_waits_for_the_disk(server: PrivatePostgresql) -> None:
    database = Database(server.url, "lasting")

    def setting(db: Connection) -> Any:
        return db.execute(text("SHOW synchronous_commit")).scalar()

    assert [await database.write(setting), await database.write(setting, lasting=True)] == ["off", "on"]
    assert await database.write(setting) == "off"
    view = RunningView(Ratings().projection, database, MemoryStore())
    assert await view.write(setting) == "on"
    await database.close()


async def test_what_the_url_says_wins(server: PrivatePostgresql) -> None:
    database = Database(f"{server.url}&application_name=mine&options=-c%20statement_timeout%3D5s", "wins")
    assert (await said(database, "application_name"), await said(database, "statement_timeout")) == ("mine", "5s")
    await database.close()


async def test_a_statement_that_takes_too_long_may_be_repeated(server: PrivatePostgresql) -> None:
    database = Database(f"{server.url}&options=-c%20statement_timeout%3D10ms", "slow")
    with pytest.raises(DatabaseUnavailable, match="statement timeout"):
        await database.read(lambda db: db.execute(text("SELECT pg_sleep(5)")))
    await database.close()


async def test_what_is_wrong_with_a_statement_is_no_outage(server: PrivatePostgresql) -> None:
    database = Database(server.url, "wrong")
    for statement in ("SELECT * FROM nothing", "SELECT 1/0", "SEL"):
        with pytest.raises(DBAPIError):
            await database.read(lambda db, statement=statement: db.execute(text(statement)))  # type: ignore[misc]
    await database.close()


async def test_a_demoted_primary_is_left(server: PrivatePostgresql) -> None:
    """It takes no writes any more, though its connections go on: the next ones go where they are taken."""
    database = Database(server.url, "demoted")
    await create(Ratings().projection, database)

    def put(db: Connection) -> None:
        insert_new(db, scores, {"code": "a", "sum": 1, "order": ""})

    with connected(server) as db:
        db.execute("ALTER SYSTEM SET default_transaction_read_only = on")
        db.execute("SELECT pg_reload_conf()")
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                try:
                    await database.write(put)
                except DatabaseUnavailable:
                    break
        with pytest.raises(DatabaseUnavailable, match="read-only"):
            await database.write(put)
    finally:
        with connected(server) as db:
            db.execute("SET default_transaction_read_only = off")
            db.execute("ALTER SYSTEM RESET default_transaction_read_only")
            db.execute("SELECT pg_reload_conf()")
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                await database.write(put)
                break
            except DatabaseUnavailable:
                await asyncio.sleep(0.05)
    await database.close()


# The server of our own


def test_only_we_may_connect(server: PrivatePostgresql) -> None:
    with pytest.raises(psycopg.OperationalError, match="Peer authentication failed"):
        psycopg.connect(host=str(make_url(server.url).query["host"]), user="somebody", dbname="motcua")


def test_a_command_finds_the_server_of_a_data_folder_or_starts_it(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    with reachable(settings) as known:
        assert known is settings  # it has none
    server = PrivatePostgresql(tmp_path / "postgresql", QUICK)
    server.start()
    with reachable(settings) as known:
        assert known.database == server.url
    server.stop()
    with reachable(settings) as known, psycopg.connect(host=str(make_url(known.database).query["host"]), user="motcua"):
        pass
    assert not PrivatePostgresql(tmp_path / "postgresql").find()
    with reachable(Settings(data=tmp_path, database="postgresql+psycopg://elsewhere/motcua")) as known:
        assert known.database == "postgresql+psycopg://elsewhere/motcua"


@pytest.mark.parametrize(
    ("there", "database", "said"),
    [
        ("keys.db", "postgresql", "are SQLite files, with persons' keys in them"),
        ("keys.db", "postgresql+psycopg://elsewhere/motcua", "are SQLite files, with persons' keys in them"),
        ("postgresql/cluster", "postgresql+psycopg://elsewhere/motcua", "are in a PostgreSQL server of its own"),
    ],
)
async def test_a_site_is_not_begun_again_without_its_keys(tmp_path: Path, there: str, database: str, said: str) -> None:
    (tmp_path / there).mkdir(parents=True)
    settings = Settings(data=tmp_path).model_copy(update={"database": database})
    async with AsyncExitStack() as stack:
        with pytest.raises(machine.StartFailed, match=said):
            await machine.open_database(settings, stack)


def test_another_version_s_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cluster").mkdir()
    (tmp_path / "cluster" / "PG_VERSION").write_text("16\n")
    with pytest.raises(PostgresqlError, match="was written by PostgreSQL 16, and this is 18"):
        PrivatePostgresql(tmp_path).start()


def test_a_start_that_fails_says_why(tmp_path: Path) -> None:
    server = PrivatePostgresql(tmp_path, {"max_connections": "many"})
    with pytest.raises(PostgresqlError, match='invalid value for parameter "max_connections"'):
        server.start()
    assert (tmp_path / "cluster" / "PG_VERSION").exists()
