"""`motcua rebuild`: a view is folded anew from the log beside the one that serves, and takes its place in one transaction.

Until then nothing of the view changes, so that whatever interrupts it leaves all as it was. Whoever keeps the view finds the
position moved, and goes on from there.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from sqlalchemy import Connection, inspect, select, text
from sqlalchemy.exc import SQLAlchemyError

from command.console import err, fail, out
from command.schemas import views
from command.site import belonging
from services.chassis.database import positions
from services.chassis.database.database import Database, DatabaseUnavailable
from services.chassis.database.positions import positions as kept
from services.chassis.following.views import Projection, create, fold
from services.chassis.platform.platform import open_database, open_store
from services.chassis.platform.settings import Settings
from services.chassis.store.port import START, EventStore, RecordedEvent, StoreUnavailable

AT_ONCE = 1000
PAUSE_SECONDS = 0.2
# For so long calls wait behind the exchange, which waits for those that are being answered; then it is tried again. Less than the
# second after which PostgreSQL looks for deadlocks, so that it never ends a call for one.
LOCK_MILLISECONDS = 500


class RebuildFailed(Exception):
    """The text says why; nothing was changed."""


@dataclass(frozen=True, slots=True)
class Reached:
    position: int
    head: int
    events: int


Progressed = Callable[[Reached], None]


def find(name: str) -> tuple[str, Projection]:
    """Service and view of `<view>` or `<service>/<view>`. Raises RebuildFailed."""
    service, _, wanted = name.rpartition("/")
    found = [(of, view) for of, view in views() if view.name == wanted and service in ("", of)]
    if not found:
        raise RebuildFailed(f"there is no view {name}: `motcua rebuild --list` names them")
    if len(found) > 1:
        raise RebuildFailed(f"several services have it: choose of {', '.join(f'{of}/{wanted}' for of, _ in found)}")
    of, view = found[0]
    if view.kept:
        raise RebuildFailed(
            f"{view.name} holds numbers that were drawn and are in no event yet. To have it filled from the log all the same, stop "
            f"the service {of}, drop the table {', '.join(table.name for table in view.tables)}, and start it again"
        )
    return of, view


class Rebuilding:
    def __init__(self, view: Projection, store: EventStore, database: Database) -> None:
        self._view = view
        self._store = store
        self._database = database
        self._beside = Database(database.url, f"{database.name}-rebuild")
        self._position = START
        self._events = 0
        self._head = START

    async def run(self, progressed: Progressed = lambda _: None) -> Reached:
        """Raises RebuildFailed, DatabaseUnavailable, StoreUnavailable."""
        if not await self._database.read(partial(_position, view=self._view.name, schema=self._database.schema)):
            raise RebuildFailed(
                f"{self._view.name} is not there yet: it is filled from the log when its service starts"
            )
        async with _alone(self._database):
            try:
                await self._clear()
                await create(self._view, self._beside)
                await self._beside.write(partial(positions.load, follower=self._view.name))
                await self._catch_up(progressed)
                await self._exchange(progressed)
            finally:
                await self._beside.close()
                await self._clear()
        return Reached(self._position, self._head, self._events)

    async def _clear(self) -> None:
        """What an earlier run left, or this one does not need any more."""
        if self._beside.file:
            for path in self._beside.file.parent.glob(f"{self._beside.file.name}*"):
                path.unlink()
        else:
            drop = f'DROP SCHEMA IF EXISTS "{self._beside.name}" CASCADE'
            await self._database.write(lambda db: db.exec_driver_sql(drop))

    async def _catch_up(self, progressed: Progressed, until: int | None = None) -> None:
        """Fold until few events are left, or up to a position."""
        while until is None or self._position < until:
            self._head = await self._store.head()
            events = await self._store.read_all(self._position, tuple(self._view.folds), AT_ONCE)
            if events:
                await self._fold(events, events[-1].position)
                progressed(Reached(self._position, self._head, self._events))
            else:
                await self._fold((), max(self._position, self._head))
            if until is None and len(events) < AT_ONCE:
                return

    async def _fold(self, events: Sequence[RecordedEvent], new: int) -> None:
        work = partial(fold, view=self._view, events=events, old=self._position, new=new)
        await self._beside.write(work)
        self._position = new
        self._events += len(events)

    async def _exchange(self, progressed: Progressed) -> None:
        loop = asyncio.get_running_loop()

        def follow(position: int) -> int:
            """From the thread that holds the view's position: nobody moves it meanwhile."""
            asyncio.run_coroutine_threadsafe(self._catch_up(progressed, position), loop).result()
            return self._position

        if self._database.file:
            await asyncio.to_thread(self._exchange_rows, self._database.file, follow)
            return
        while True:
            try:
                await self._database.write(partial(self._exchange_tables, follow))
                return
            except DatabaseUnavailable as unavailable:
                if "lock timeout" not in str(unavailable):
                    raise
            await asyncio.sleep(PAUSE_SECONDS)

    def _exchange_tables(self, follow: Callable[[int], int], db: Connection) -> None:
        """The new tables are moved to where the old ones were."""
        db.exec_driver_sql("SET LOCAL statement_timeout = 0")
        mine = kept.c.follower == self._view.name
        new = follow(db.execute(select(kept.c.position).where(mine).with_for_update()).scalar_one())
        db.exec_driver_sql(f"SET LOCAL lock_timeout = {LOCK_MILLISECONDS}")
        for table in self._view.tables:
            db.exec_driver_sql(f'DROP TABLE "{self._database.name}"."{table.name}"')
            db.exec_driver_sql(f'ALTER TABLE "{self._beside.name}"."{table.name}" SET SCHEMA "{self._database.name}"')
        db.execute(kept.update().where(mine).values(position=new))

    def _exchange_rows(self, file: Path, follow: Callable[[int], int]) -> None:
        """The new rows are copied over the old ones: readers see those until it is done."""
        with closing(sqlite3.connect(file, isolation_level=None, timeout=60)) as db:
            db.execute("BEGIN IMMEDIATE")
            mine = (self._view.name,)
            (position,) = db.execute("SELECT position FROM main.positions WHERE follower = ?", mine).fetchone()
            new = follow(position)
            db.execute("ATTACH ? AS beside", (str(self._beside.file),))
            for table in self._view.tables:
                columns = ", ".join(f'"{column.name}"' for column in table.columns)
                db.execute(f'DELETE FROM main."{table.name}"')
                db.execute(f'INSERT INTO main."{table.name}" ({columns}) SELECT {columns} FROM beside."{table.name}"')
            db.execute("UPDATE main.positions SET position = ? WHERE follower = ?", (new, *mine))
            db.execute("COMMIT")


@asynccontextmanager
async def _alone(database: Database) -> AsyncIterator[None]:
    """One at a time on a database. Raises RebuildFailed."""
    busy = RebuildFailed(f"another view of {database.name} is being rebuilt at this moment")
    if database.file:
        descriptor = os.open(database.file.with_suffix(".rebuild"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError:
            raise busy from None
        finally:
            os.close(descriptor)
        return
    with database.session() as session:
        name = {"name": f"motcua rebuild {database.name}"}
        if not session.execute(text("SELECT pg_try_advisory_lock(hashtext(:name))"), name).scalar_one():
            raise busy
        try:
            yield
        finally:
            # The server would do it a moment after the connection is gone, and the next one be refused until then.
            with suppress(SQLAlchemyError):
                session.execute(text("SELECT pg_advisory_unlock(hashtext(:name))"), name)


async def rebuild(settings: Settings, name: str) -> None:
    service, view = find(name)
    for fault in await belonging.examined_view(settings, service):
        raise RebuildFailed(fault)
    store = await open_store(settings)
    database = open_database(settings, service, durable=False)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[told]}"), TimeRemainingColumn())
    began = time.monotonic()
    try:
        with Progress(*columns, console=err, transient=True) as shown:
            task = shown.add_task(view.name, total=None, told="")

            def progressed(reached: Reached) -> None:
                rate = reached.events / max(time.monotonic() - began, 0.001)
                told = f"{reached.position} of {reached.head}, {rate:,.0f} events/s"
                shown.update(task, total=reached.head, completed=reached.position, told=told)

            reached = await Rebuilding(view, store, database).run(progressed)
    finally:
        await database.close()
        await store.close()
    seconds = time.monotonic() - began
    out.print(
        f"{service}/{view.name} is rebuilt: {reached.events} events in {seconds:.1f} s, up to position {reached.position}.",
        highlight=False,
    )


async def listed(settings: Settings) -> list[tuple[str, str, str, str]]:
    """Service, view, how far it is, and whether it is rebuilt."""
    rows = []
    for service, of in groupby(views(), itemgetter(0)):
        database = open_database(settings, service, durable=False)
        try:
            for _, view in of:
                reached = await database.read(partial(_position, view=view.name, schema=database.schema))
                about = "no: it holds drawn numbers" if view.kept else "yes"
                rows.append((service, view.name, reached or "not there yet", about))
        finally:
            await database.close()
    return rows


def _position(db: Connection, view: str, schema: str | None) -> str:
    """Empty where the view was never filled."""
    if not inspect(db).has_table(kept.name, schema):
        return ""
    found = db.execute(select(kept.c.position).where(kept.c.follower == view)).scalar()
    return "" if found is None else str(found)


def show(settings: Settings) -> int:
    try:
        rows = asyncio.run(listed(settings))
    except (DatabaseUnavailable, SQLAlchemyError) as error:
        fail(f"The database does not answer: {str(error).partition(chr(10))[0]}")
    table = Table("service", "view", "position", "rebuilt")
    for row in rows:
        table.add_row(*row)
    out.print(table)
    return 0


def run(settings: Settings, name: str) -> int:
    if settings.event_store == "memory:":
        fail("There is no log to rebuild from: MOTCUA_EVENT_STORE is memory:.")
    try:
        asyncio.run(rebuild(settings, name))
    except RebuildFailed as why:
        fail(f"Nothing was changed: {why}.")
    except (DatabaseUnavailable, StoreUnavailable, SQLAlchemyError, sqlite3.OperationalError) as error:
        fail(f"Nothing was changed: {str(error).partition(chr(10))[0]}", "Run it again when this is mended.")
    except KeyboardInterrupt:
        fail("Interrupted: nothing was changed.", "Run it again when you like.")
    return 0
