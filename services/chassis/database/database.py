"""A service's own database: views, positions, counters. SQLite in a file, or PostgreSQL.

Statements run in threads, a whole transaction per hop, so that the loop never waits for a disk and a fold of a hundred events
costs one hand-over. Views are committed without waiting for the disk: what a power cut takes, the log gives back. A durable
database keeps what no log gives back: each commit is an fsync, and what is deleted is overwritten.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Engine, Insert, MetaData, Table, create_engine, event, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from services.chassis.database.schema import create
from services.chassis.files.examination import is_damage
from services.chassis.machine import threads
from services.chassis.telemetry import telemetry

T = TypeVar("T")

READERS = 2

CONNECT_SECONDS = 5
STATEMENT_SECONDS = 30
# A transaction that its client left open, as a machine does that vanished, holds its rows no longer.
IDLE_SECONDS = 60
# An answer that does not come within this time, because the line is dead.
LINE_SECONDS = 20

# Of SQLite's result codes: busy, locked, input or output failed, full, cannot be opened.
SQLITE_PASSING = frozenset({5, 6, 10, 13, 14})
# Of SQLSTATE: connection, read-only (it was the primary), transaction rollback, resources, not now, intervention, system.
POSTGRESQL_PASSING = ("08", "25006", "40", "53", "55", "57", "58")


class DatabaseUnavailable(Exception):
    """The database does not answer, or could not carry this out now: the same may succeed later."""


def insert_new(db: Connection, table: Table, *rows: dict[str, Any]) -> None:
    """Insert each row unless one with its key is there, be it that another replica inserts it at this moment."""
    db.execute(_insertion(table, db.dialect.name), list(rows))


@cache
def _insertion(table: Table, dialect: str) -> Insert:
    insertion: Insert = insertion_of(dialect)(table).on_conflict_do_nothing()
    return insertion


def insertion_of(dialect: str) -> Any:
    """The dialect's `insert`, which knows conflicts. Only the one that is used is loaded: each brings its drivers."""
    return import_module(f"sqlalchemy.dialects.{dialect}").insert


def utc(moment: datetime) -> datetime:
    """A moment as it was written: SQLite gives it back without its zone."""
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


class Database:
    def __init__(self, url: str | URL, name: str, *, durable: bool = False) -> None:
        """`url` is SQLAlchemy's. `name` becomes the file's name (SQLite, where `url` names a folder) or the schema."""
        parsed = make_url(url)
        self.name = name
        self.url = parsed
        self.damage = ""
        """What SQLite said of a damaged page, if it met one."""
        self._sqlite = parsed.get_backend_name() == "sqlite"
        if self._sqlite:
            assert self.file
            self.file.parent.mkdir(parents=True, exist_ok=True)
            target = parsed.set(database=str(self.file))
            self._write_engine = _sqlite_engine(target, "BEGIN IMMEDIATE", durable)
            self._read_engine = _sqlite_engine(target, "BEGIN", durable)
        else:
            self._write_engine = _postgresql_engine(parsed, name, durable)
            # What one transaction reads is of one moment, as it always is in SQLite.
            self._read_engine = self._write_engine.execution_options(
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            )
        self._writers = ThreadPoolExecutor(1, f"{name}-write")
        self._readers = ThreadPoolExecutor(READERS, f"{name}-read")
        for operation in ("write", "read"):
            telemetry.DATABASE_FAILURES.labels(name, operation)
        self._created: set[MetaData] = set()

    @property
    def schema(self) -> str | None:
        """Where its tables are; None in SQLite, which has a file for each."""
        return None if self._sqlite else self.name

    @property
    def file(self) -> Path | None:
        return Path(self.url.database or ".") / f"{self.name}.db" if self._sqlite else None

    async def create(
        self,
        metadata: MetaData,
        *,
        kept: Collection[Table] = (),
        afresh: Callable[[Connection], None] | None = None,
    ) -> list[str]:
        """Create the tables that are missing, and say which; `kept` and `afresh` are schema.create's.

        Raises SchemaChanged, DatabaseUnavailable.
        """
        if metadata in self._created:
            return []
        made = await self.write(lambda db: create(db, self.schema, metadata, kept=kept, afresh=afresh))
        self._created.add(metadata)
        return made

    async def write(self, work: Callable[[Connection], T], *, lasting: bool = False) -> T:
        """Run `work` in one transaction, after all earlier writes. Raises DatabaseUnavailable: it may be done, or not.

        `lasting`: what the log does not give back, as a number before it is used. A crash of the server takes away what was written
        in its last moments, but for that.
        """
        whole = _lasting(work) if lasting and not self._sqlite else work
        with self._measured("write"):
            return await asyncio.get_running_loop().run_in_executor(self._writers, self._run, self._write_engine, whole)

    async def read(self, work: Callable[[Connection], T]) -> T:
        """All that `work` reads is of one moment. Raises DatabaseUnavailable."""
        with self._measured("read"):
            return await asyncio.get_running_loop().run_in_executor(self._readers, self._run, self._read_engine, work)

    def _run(self, engine: Engine, work: Callable[[Connection], T]) -> T:
        try:
            return _run(engine, work, f"{self.file}: " if self.file else "")
        except DBAPIError as error:
            if not is_damage(error.orig):
                raise
            self.damage = str(error.orig)
            raise DatabaseUnavailable(f"{self.file} is damaged: {error.orig}") from error

    async def ping(self) -> None:
        """Raises DatabaseUnavailable; sqlalchemy's error for a user or a database that is not there."""
        await self.read(lambda db: db.execute(select(1)))

    @contextmanager
    def _measured(self, operation: str) -> Iterator[None]:
        with telemetry.DATABASE_SECONDS.labels(self.name, operation).time():
            try:
                yield
            except DatabaseUnavailable:
                telemetry.DATABASE_FAILURES.labels(self.name, operation).inc()
                raise

    def session(self) -> Connection:
        """A connection of its own, each statement by itself; what it holds ends when it is closed. Blocks."""
        session = self._write_engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        session.detach()
        return session

    async def checkpoint(self) -> None:
        """Overwrite older copies of changed rows as far as the engine does: SQLite wholly, PostgreSQL when the space is used."""

        def run() -> None:
            with closing(self._write_engine.raw_connection()) as connection:
                connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")

        if self._sqlite:
            await asyncio.get_running_loop().run_in_executor(self._writers, run)

    async def close(self) -> None:
        def run() -> None:
            self._writers.shutdown()
            self._readers.shutdown()
            self._write_engine.dispose()
            self._read_engine.dispose()

        await threads.in_thread(run)


def _lasting(work: Callable[[Connection], T]) -> Callable[[Connection], T]:
    def run(db: Connection) -> T:
        db.exec_driver_sql("SET LOCAL synchronous_commit = on")
        return work(db)

    return run


def _run(engine: Engine, work: Callable[[Connection], T], where: str) -> T:
    try:
        with engine.begin() as connection:
            return work(connection)
    except DBAPIError as error:
        if not _passes(error):
            raise
        if getattr(error.orig, "sqlstate", None) == "25006":
            engine.dispose()  # the primary is elsewhere now
        raise DatabaseUnavailable(where + str(error.orig).partition("\n")[0]) from error


def _passes(error: DBAPIError) -> bool:
    code = getattr(error.orig, "sqlite_errorcode", None)
    if code is not None:
        return code & 0xFF in SQLITE_PASSING
    state = getattr(error.orig, "sqlstate", None)
    # What never reached a server has no state.
    return error.connection_invalidated or (
        state.startswith(POSTGRESQL_PASSING) if state else type(error.orig).__name__ == "OperationalError"
    )


def _sqlite_engine(url: URL, begin: str, durable: bool) -> Engine:
    options: dict[str, Any] = {"connect_args": {"timeout": 30, "check_same_thread": False}, "pool_size": READERS}
    engine = create_engine(url, hide_parameters=True, **options)

    @event.listens_for(engine, "connect")
    def on_connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
        connection.execute(f"PRAGMA secure_delete={'ON' if durable else 'OFF'}")

    @event.listens_for(engine, "begin")
    def on_begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _postgresql_engine(url: URL, name: str, durable: bool) -> Engine:
    options: dict[str, Any] = {
        "connect_args": _connecting(url, name, durable),
        "pool_size": READERS + 1,
        # A connection that died while nobody used it is replaced before anybody does.
        "pool_pre_ping": True,
        "execution_options": {"schema_translate_map": {None: name}},
    }
    # A failed statement goes to the log; its values do not.
    return create_engine(url, hide_parameters=True, **options)


def _connecting(url: URL, name: str, durable: bool) -> Mapping[str, str]:
    """libpq's parameters, but for those that the URL sets itself."""
    server = {
        "timezone": "UTC",
        "statement_timeout": f"{STATEMENT_SECONDS}s",
        "idle_in_transaction_session_timeout": f"{IDLE_SECONDS}s",
    }
    if not durable:
        server["synchronous_commit"] = "off"
    ours = {
        "application_name": f"motcua {name}",
        "connect_timeout": str(CONNECT_SECONDS),
        # Of several hosts the primary, whichever it is now.
        "target_session_attrs": "read-write",
        "keepalives_idle": "30",
        "keepalives_interval": "5",
        "keepalives_count": "3",
        "tcp_user_timeout": str(LINE_SECONDS * 1000),
    }
    options = " ".join(f"-c {key}={value}" for key, value in server.items())
    if given := url.query.get("options"):
        options += f" {given}"
    return {key: value for key, value in ours.items() if key not in url.query} | {"options": options}
