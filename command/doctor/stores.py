"""The event store, the databases, the files and the backups."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from time import perf_counter

from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import SQLAlchemyError

from command.backup.archive import Archive, ArchiveError
from command.doctor.finding import SECONDS, Finding, Patient, bad, doubtful, good, lasting, said
from command.schemas import Schema, schemas_of
from command.site import belonging
from services.chassis.blobs.port import BlobMissing
from services.chassis.database import positions
from services.chassis.database.database import Database, DatabaseUnavailable
from services.chassis.platform.platform import database_exists, open_blobs, open_database, open_store
from services.chassis.platform.settings import Settings
from services.chassis.store.port import StoreUnavailable
from services.registry import SERVICES

DRIFT, WRONG = timedelta(seconds=1), timedelta(seconds=5)
OLD_BACKUP = timedelta(hours=26)
# All events are read where people's keys were not looked at for long.
EXAMINED_SECONDS = 60.0
CLOCKS = "Tokens are refused, and events carry times that nobody believes."
CHRONY = "On the machine that is wrong: chronyc tracking; systemctl restart chrony"


async def examine(patient: Patient) -> AsyncIterator[Finding]:
    async for finding in _belonging(patient):
        yield finding
    async for finding in _events(patient.settings):
        yield finding
    for service in patient.services:
        for schema in schemas_of(service):
            async for finding in _database(patient.settings, schema):
                yield finding
    if any(SERVICES[service].files for service in patient.services):
        yield await _files(patient.settings)
    if patient.backup:
        yield await _backup(patient.backup)


async def _belonging(patient: Patient) -> AsyncIterator[Finding]:
    """Whether the stores are whole, and of one site and one history."""
    if patient.settings.event_store == "memory:":
        return
    why = "What is written from now on may be in no list, no ledger and no backup, or cannot be opened."
    do = 'Stop the site; docs/backup.md ("Stores that do not belong together") says what then.'
    try:
        async with asyncio.timeout(EXAMINED_SECONDS):
            found = await belonging.examined(patient.settings, patient.services, started=False)
    except (OSError, StoreUnavailable, DatabaseUnavailable, SQLAlchemyError):
        return  # who does not answer is named below
    for fault in found:
        yield bad("stores", fault, why, do)
    if not found:
        yield good("stores", "they belong together, and nothing of them is damaged or lost")


def skew(about: str, difference: timedelta) -> Finding:
    """How another clock differs from ours."""
    direction = "ahead" if difference > timedelta() else "behind"
    text = f"the {about}'s clock is {direction} by {lasting(abs(difference).total_seconds())}"
    if abs(difference) > WRONG:
        return bad("clock", text, CLOCKS, CHRONY)
    if abs(difference) > DRIFT:
        return doubtful("clock", text, CLOCKS, CHRONY)
    return good("clock", f"as the {about}'s")


async def _events(settings: Settings) -> AsyncIterator[Finding]:
    why = "Nothing can be submitted, paid or settled."
    if settings.event_store == "memory:":
        yield doubtful("event store", "in memory", "Everything is forgotten at the end.", "Unset MOTCUA_EVENT_STORE.")
        return
    if settings.event_store == "sqlite:" and not (settings.data / "events.db").exists():
        where = settings.data / "events.db"
        yield doubtful("event store", f"{where} is not there yet", why, "Is MOTCUA_DATA right? If so: motcua up")
        return
    try:
        async with asyncio.timeout(SECONDS):
            store = await open_store(settings)
            try:
                began = perf_counter()
                head = await store.head()
                took = perf_counter() - began
                # Elsewhere not every number is a place in the log.
                newest = await store.read_all(head - 1, (), 1) if head and settings.event_store == "sqlite:" else []
            finally:
                await store.close()
    except Exception as error:
        do = "Is it up, is MOTCUA_EVENT_STORE its address, do credentials, certificate and NetworkPolicy let this pod in?"
        yield bad("event store", said(error) if str(error) else f"no answer within {SECONDS:.0f} s", why, do)
        return
    yield good("event store", f"answers in {took * 1000:.0f} ms, the log ends at {head}")
    ahead = max((event.recorded_at for event in newest), default=datetime.min.replace(tzinfo=UTC)) - datetime.now(UTC)
    if ahead > DRIFT:
        yield skew("event store", ahead)


async def _database(settings: Settings, schema: Schema) -> AsyncIterator[Finding]:
    about = f"database {schema.name}"
    why = "Its lists are not answered, and its views stand still."
    if schema.durable:
        why = "What is kept there is neither read nor written."
    if not database_exists(settings, schema.name, durable=schema.durable):
        yield good(about, "made when the service starts")
        return
    database = open_database(settings, schema.name, durable=schema.durable)
    try:
        async with asyncio.timeout(SECONDS):
            missing, old = await database.read(lambda db: _looked(db, schema, bool(settings.database)))
            clock = await _clock(database) if settings.database else None
    except Exception as error:
        do = "Is it up, is MOTCUA_DATABASE its address, do password, certificate and NetworkPolicy let this pod in?"
        yield bad(about, said(error) if str(error) else f"no answer within {SECONDS:.0f} s", why, do)
        return
    finally:
        await asyncio.shield(database.close())
    if missing:
        do = "motcua migrate (the chart runs it before a roll-out); the service makes them at its start, too."
        yield doubtful(about, f"lacks {', '.join(missing)}", "The version that runs is another than this one.", do)
    else:
        yield good(about, "answers, all its tables are there")
    if old:
        do = "When nobody will roll back any more: motcua migrate --drop-old"
        yield doubtful(about, f"keeps {', '.join(old)} of an earlier version", "They take room.", do)
    if clock is not None:
        yield skew(about, clock)


def _looked(db: Connection, schema: Schema, in_schema: bool) -> tuple[list[str], list[str]]:
    """The tables that are missing, and the views of earlier versions."""
    there = set(inspect(db).get_table_names(schema.name if in_schema else None))
    wanted = {table.name for metadata in schema.others for table in metadata.sorted_tables}
    current = {view.name: [table.name for table in view.tables] for view in schema.views}
    wanted.update(name for names in current.values() for name in names)
    return sorted(wanted - there), sorted(positions.old(db, current)) if current and not wanted - there else []


async def _clock(database: Database) -> timedelta:
    before = datetime.now(UTC)
    there: datetime = await database.read(lambda db: db.execute(text("SELECT clock_timestamp()")).scalar_one())
    return there - before - (datetime.now(UTC) - before) / 2


async def _files(settings: Settings) -> Finding:
    where = settings.blobs or str(settings.data / "blobs")
    try:
        async with asyncio.timeout(SECONDS):
            await open_blobs(settings).size("motcua:doctor/nothing")
    except BlobMissing:
        return good("files", f"{where} answers")
    except Exception as error:
        why = "Attachments are neither taken nor given, and the ledger is not published."
        do = "Check MOTCUA_BLOBS, AWS_ENDPOINT_URL, the credentials and the bucket's policy."
        return bad("files", f"{where}: {said(error)}", why, do)
    return good("files", f"{where} answers")


async def _backup(address: str) -> Finding:
    why, do = "What is lost since the last one is lost for good.", f"motcua backup {address}"
    try:
        newest = await Archive.open(address, create=False).newest()
    except (ArchiveError, OSError, ValueError) as unusable:
        return bad("backup", f"{address}: {said(unusable)}", why, do)
    if newest is None:
        return bad("backup", f"{address} holds none", why, do)
    age = datetime.now(UTC) - datetime.fromisoformat(newest.finished_at)
    what = f"the newest, {newest.number}, is {lasting(age.total_seconds())} old and has {newest.log.events} events"
    return bad("backup", what, why, do) if age > OLD_BACKUP else good("backup", what)
