"""A service's own database: views, positions, counters. SQLite in a file, or PostgreSQL.

Statements run in threads, a whole transaction per hop, so that the loop never waits for a disk and a fold of a hundred events
costs one hand-over. SQLite commits without fsync here: what a power cut takes, the log gives back. A durable database keeps what
no log gives back: each commit is an fsync, and what is deleted is overwritten.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, Insert, MetaData, Table, create_engine, event, text
from sqlalchemy.engine import make_url

T = TypeVar("T")

READERS = 2


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
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


class Database:
    def __init__(self, url: str, name: str, *, durable: bool = False) -> None:
        """`url` is SQLAlchemy's. `name` becomes the file's name (SQLite, where `url` names a folder) or the schema."""
        parsed = make_url(url)
        self._sqlite = parsed.get_backend_name() == "sqlite"
        if self._sqlite:
            folder = Path(parsed.database or ".")
            folder.mkdir(parents=True, exist_ok=True)
            target = parsed.set(database=str(folder / f"{name}.db"))
            self._write_engine = self._sqlite_engine(target, "BEGIN IMMEDIATE", durable)
            self._read_engine = self._sqlite_engine(target, "BEGIN", durable)
        else:
            options: dict[str, Any] = {
                "pool_pre_ping": True,
                # A failed statement goes to the log; its values do not.
                "hide_parameters": True,
                "execution_options": {"schema_translate_map": {None: name}},
            }
            self._write_engine = self._read_engine = create_engine(parsed, pool_size=READERS + 1, **options)
        self._writers = ThreadPoolExecutor(1, f"{name}-write")
        self._readers = ThreadPoolExecutor(READERS, f"{name}-read")
        self._schema = name

    @staticmethod
    def _sqlite_engine(url: Any, begin: str, durable: bool) -> Engine:
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

    async def create(self, metadata: MetaData) -> None:
        """Create the tables that are missing."""

        def run(connection: Connection) -> None:
            if not self._sqlite:
                # Replicas that start at once would create the same tables at once.
                connection.execute(text("SELECT pg_advisory_xact_lock(hashtext(:schema))"), {"schema": self._schema})
                connection.exec_driver_sql(f'CREATE SCHEMA IF NOT EXISTS "{self._schema}"')
            metadata.create_all(connection)

        await self.write(run)

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in one transaction, after all earlier writes."""

        def run() -> T:
            with self._write_engine.begin() as connection:
                return work(connection)

        return await asyncio.get_running_loop().run_in_executor(self._writers, run)

    async def read(self, work: Callable[[Connection], T]) -> T:
        def run() -> T:
            with self._read_engine.begin() as connection:
                return work(connection)

        return await asyncio.get_running_loop().run_in_executor(self._readers, run)

    async def checkpoint(self) -> None:
        """Empty SQLite's write-ahead log into the file: older copies of changed rows are gone from it."""

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

        await asyncio.to_thread(run)
