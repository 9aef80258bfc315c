"""Whether what a site has stored belongs together: asked before anything is opened, made so by the first start, watched after."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib import import_module
from pathlib import Path

import structlog
from sqlalchemy import Connection, inspect, select

from command.site import secrets_kept
from gateway.ledger.format.checkpoint import Checkpoint
from gateway.ledger.format.errors import LedgerError
from gateway.ledger.format.note import Note
from motcua.site.events.v1 import events_pb2 as facts
from services.catalogue.loader import organisations
from services.chassis.blobs.port import BlobsUnavailable
from services.chassis.database.database import Database
from services.chassis.deciding.codec import to_timestamp
from services.chassis.deciding.facts import message_of
from services.chassis.deciding.metadata import Metadata
from services.chassis.files import examination
from services.chassis.following.erasures import erased_accounts
from services.chassis.platform.platform import Platform, open_blobs, open_database, open_store
from services.chassis.platform.settings import Settings
from services.chassis.privacy.sealing import sealed_fields
from services.chassis.site import judging, marks
from services.chassis.site.identity import FOUNDED, Identity, found, identity_of, record, stream_of
from services.chassis.site.judging import Fault, Log, Part
from services.chassis.site.refusal import SiteRefused
from services.chassis.site.watching import Watch, WatchedDatabase, newest
from services.chassis.store.port import START, EventStore, RecordedEvent
from services.identity.kms import KeyNotUnwrapped, LocalKeys
from services.identity.vault import generation_name, subject_keys, wrapping_keys
from services.registry import BLOBS, SERVICES

DURABLE = {name: service.durable for name, service in SERVICES.items() if service.durable}
"""By the service that keeps it; loading all services to ask them takes longer than asking the databases."""
WITH_BLOBS = frozenset(name for name, service in SERVICES.items() if service.files == BLOBS)
MARKER = "motcua:site"
"""The group of the one blob whose name tells the site's id."""
LEDGER_MARKER, CHECKPOINT = "site", "checkpoint"
PAGE = 1000
SUBJECTS_AT_ONCE = 500

Say = Callable[[str], None]

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Place:
    """A database of the site, which may be there or not."""

    name: str
    durable: bool
    settings: Settings

    @property
    def file(self) -> Path | None:
        folder = self.settings.data if self.durable else self.settings.data / "views"
        return None if self.settings.database else folder / f"{self.name}.db"

    @property
    def label(self) -> str:
        return str(self.file or f"the database schema {self.name}")

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Database]:
        database = open_database(self.settings, self.name, durable=self.durable)
        try:
            yield database
        finally:
            await database.close()


def places(settings: Settings, services: Sequence[str]) -> list[Place]:
    """Views first: what they remember of the durable ones is read before those."""
    views = [Place(service, False, settings) for service in services if SERVICES[service].views]
    return views + [Place(DURABLE[service], True, settings) for service in services if service in DURABLE]


def log_file(settings: Settings) -> Path | None:
    return settings.data / "events.db" if settings.event_store == "sqlite:" else None


def log_label(settings: Settings) -> str:
    if settings.event_store == "memory:":
        return "MOTCUA_EVENT_STORE=memory: (which forgets)"
    return str(log_file(settings) or "the event store")


async def require(settings: Settings, services: Sequence[str], *, aside: Say | None) -> None:
    """Raises SiteRefused. `aside` hears of views that are folded anew because a file is damaged or foreign; None: refuse."""
    for fault in await examined(settings, services, aside=aside):
        raise SiteRefused(fault)


async def examined(
    settings: Settings, services: Sequence[str], *, aside: Say | None = None, started: bool = True
) -> list[str]:
    """All that is wrong; nothing is made or changed, but for views that are set aside. `started`: with what is written then."""
    file = log_file(settings)
    if file and not _is_there(file):
        services = tuple(SERVICES)  # whoever would make a new one must know whether anybody remembers another
    asked = places(settings, services)
    if unusable := await _unusable(settings, asked, aside, started):
        return unusable
    said = []
    for fault in await _faults(settings, services, asked):
        file = next((place.file for place in asked if place.name == fault.disposable), None)
        if aside and file:
            aside(_set_aside(file, fault.what))
        else:
            said.append(fault.what)
    return said


def _is_there(file: Path) -> bool:
    try:
        return examination.exists(file)
    except examination.FileUnusable:
        return True


async def examined_to_save(settings: Settings) -> list[str]:
    """The same of what a backup holds: by who may read no views and has no secret."""
    asked = [place for place in places(settings, tuple(DURABLE)) if place.durable]
    return await _unusable(settings, asked, None, False) or [
        fault.what for fault in await _faults(settings, tuple(DURABLE), asked, master_key=False)
    ]


async def examined_view(settings: Settings, service: str) -> list[str]:
    """Before it is folded beside the old one."""
    asked = [Place(service, False, settings)]
    return await _unusable(settings, asked, None, False) or [fault.what for fault in await _faults(settings, (), asked)]


# The files


async def _unusable(settings: Settings, asked: Sequence[Place], aside: Say | None, written: bool) -> list[str]:
    disposable = {place.file: not place.durable for place in asked if place.file}
    wanted = [*disposable, *filter(None, [log_file(settings)])]
    stopped = threading.Event()
    try:
        looked = await asyncio.gather(*(asyncio.to_thread(_look, path, stopped.is_set, written) for path in wanted))
    finally:
        stopped.set()
    said = []
    for path, (what, damaged) in zip(wanted, looked, strict=True):
        if what and damaged and aside and disposable.get(path):
            aside(_set_aside(path, f"{path} {what}"))
        elif what:
            said.append(f"{path} {what}")
    return said


def _look(path: Path, stopped: Callable[[], bool], written: bool) -> tuple[str, bool]:
    """What is wrong with the file, and whether it is damaged."""
    try:
        if examination.exists(path):
            examination.examine(path, stopped, written=written)
    except examination.FileDamaged as damaged:
        return str(damaged), True
    except examination.FileUnusable as unusable:
        return str(unusable), False
    return "", False


def _set_aside(path: Path, what: str) -> str:
    away = examination.set_aside(path)
    return f"{what}. It is kept as {away.name}, and folded anew from the log"


# The stores


async def _faults(
    settings: Settings, services: Sequence[str], asked: Sequence[Place], *, master_key: bool = True
) -> list[Fault]:
    async with _log(settings) as store:
        before = await identity_of(store, settings.site) if store else None
        if before is None and (fault := await _no_site(settings, store)):
            return [Fault(fault)]
        parts = [await _part(settings, place) for place in asked]
        if store is None and (file := log_file(settings)) and _is_there(file):
            # Of a site that begins: another process has made it meanwhile, and what the parts remember is of it.
            return await _faults(settings, services, asked, master_key=master_key)
        identity = await identity_of(store, settings.site) if store else None
        head = await store.head() if store else START
        named = not settings.distributed
        whole = Log(log_label(settings), head, identity, await _events(store, parts, head) if store and named else {})
        said = list(judging.faults(whole, parts, before.stores if before else ()))
        if all(fault.disposable for fault in said):
            said += [Fault(what) for what in await _others(settings, services, whole, before)]
            if "identity" in services:
                keys = next(part for part in parts if part.name == "keys")
                said += [Fault(what) async for what in _keys(settings, store, keys, master_key=master_key)]
                if master_key and set(services) == set(SERVICES):
                    said += map(Fault, secrets_kept.faults(settings, keys.memory.marks))
    return said


async def _no_site(settings: Settings, store: EventStore | None) -> str:
    """Where the log knows no site of this name: what is wrong with the name, which every event would have for ever."""
    said = [message_of(recorded) for recorded in await store.read_all(START, (FOUNDED,), 9)] if store else []
    others = {fact.site for fact in said if isinstance(fact, facts.SiteFounded)}
    if store and log_file(settings) and not others:  # a catalogue may have been loaded before the first start
        first = await store.read_all(START, (), 1)
        others = {Metadata.read(event.metadata).site or settings.site for event in first} - {settings.site}
    if settings.site in others:  # another process has founded it meanwhile
        return ""
    if others:
        return f"MOTCUA_SITE is {settings.site}, and {log_label(settings)} is the log of the site {', '.join(sorted(others))}"
    known = await asyncio.to_thread(organisations)
    if settings.site == "vn" or settings.site.removeprefix("vn-") in known:
        return ""
    return f"MOTCUA_SITE is {settings.site}, and no province has this code: vn, or vn- and one of {', '.join(sorted(known))}"


@asynccontextmanager
async def _log(settings: Settings) -> AsyncIterator[EventStore | None]:
    """None where there is none yet: nothing is made."""
    file = log_file(settings)
    if settings.event_store == "memory:" or (file and not examination.exists(file)):
        yield None
        return
    store = await open_store(settings)
    try:
        yield store
    finally:
        await store.close()


async def _part(settings: Settings, place: Place) -> Part:
    memory = marks.NOTHING
    if place.file is None or examination.exists(place.file):
        async with place.opened() as database:
            memory = await database.read(partial(marks.memory, schema=database.schema))
    remade = place.name == "ledger" and not settings.ledger_witnessed and await _published(settings) is not None
    return Part(place.name, place.label, place.durable, memory, remade)


async def _events(store: EventStore, parts: Sequence[Part], head: int) -> Mapping[int, str]:
    """Those that marks name."""
    wanted = {mark.position for part in parts for mark in part.memory.marks.values() if START < mark.position <= head}
    found = {}
    for position in wanted:
        there = await store.read_all(position - 1, (), 1)
        found[position] = str(there[0].id) if there and there[0].position == position else ""
    return found


async def _published(settings: Settings) -> int | None:
    """The size of the published checkpoint, None if nothing is published. What is wrong with it the ledger says."""
    from gateway.ledger.running import open_storage

    try:
        content = await open_storage(settings).read("checkpoint")
        return Checkpoint.parse(Note.parse(content).text).size if content is not None else None
    except (OSError, LedgerError):
        return 0


async def _others(settings: Settings, services: Sequence[str], whole: Log, before: Identity | None) -> list[str]:
    """Files beside the databases."""
    found = []
    if WITH_BLOBS.intersection(services):
        found += await _blobs(settings, whole, before)
    if "ledger" in services:
        found += await _ledger(settings, whole)
    return found


async def _blobs(settings: Settings, whole: Log, before: Identity | None) -> list[str]:
    label = settings.blobs or str(settings.data / "blobs")
    if fault := _no_folder(settings.data / "blobs") if not settings.blobs else "":
        return [fault]
    try:
        ids = await open_blobs(settings).members(MARKER)
    except BlobsUnavailable:
        return []  # it may come; calls that need it fail until then
    except OSError as error:
        return [f"{label} cannot be read: {error.strerror}"]
    site_id = whole.identity.site_id if whole.identity else ""
    if ids and site_id not in ids:
        return [f"{label} holds the attachments of the site {ids[0]}, {whole.label} is of {site_id or 'no site'}"]
    if not ids and before and BLOBS in before.stores:
        return [f"{label} is lost: the site has had attachments there, and what is there now is not it"]
    return []


def _no_folder(folder: Path) -> str:
    """What keeps this machine's own files from being read and written; a bucket may come back, a folder does not."""
    if not folder.is_dir():
        return f"{folder} is no folder" if folder.exists() or folder.is_symlink() else ""
    return (
        "" if os.access(folder, os.R_OK | os.W_OK | os.X_OK) else f"{folder} may not be read and written by this user"
    )


async def _ledger(settings: Settings, whole: Log) -> list[str]:
    from gateway.ledger.running import open_storage

    label = settings.blobs or str(settings.data / "ledger")
    if not settings.blobs and (settings.data / "ledger" / CHECKPOINT).is_dir():
        return [f"{settings.data / 'ledger' / CHECKPOINT} is a folder, and no file can be written there"]
    try:
        content = await open_storage(settings).read(LEDGER_MARKER)
    except BlobsUnavailable:
        return []
    except OSError as error:
        return [f"{label} cannot be read: {error.strerror}"]
    site_id = whole.identity.site_id if whole.identity else ""
    there = content.decode(errors="replace").strip() if content is not None else ""
    if there and there != site_id:
        return [f"{label} holds the published ledger of the site {there}, {whole.label} is of {site_id or 'no site'}"]
    published = await _published(settings) or 0
    if whole.head == START and published:
        return [f"{whole.label} is empty or missing, and {label} holds a published ledger"]
    kept = await _leaves(settings)
    if kept is not None and kept < published:
        return [
            f"{Place('ledger', True, settings).label} is an older copy: it has {kept} leaves, and {published} are published; moved "
            "away, it is made again from the published files"
        ]
    return []


async def _leaves(settings: Settings) -> int | None:
    """How many the ledger's database has, None if it is not there: it is made again then."""
    from gateway.ledger.keep import tables
    from gateway.ledger.keep.opening import UNFINISHED

    def read(db: Connection, schema: str | None) -> int | None:
        if tables.ledger.name not in inspect(db).get_table_names(schema):
            return None
        standing = tables.standing(db)
        return standing.size if standing and standing.vkey != UNFINISHED else None

    place = Place("ledger", True, settings)
    if place.file and not examination.exists(place.file):
        return None
    async with place.opened() as database:
        return await database.read(partial(read, schema=database.schema))


# People's keys


async def _keys(settings: Settings, store: EventStore | None, keys: Part, *, master_key: bool) -> AsyncIterator[str]:
    place = Place("keys", True, settings)
    if place.file is None or examination.exists(place.file):
        async with place.opened() as database:
            if master_key and (what := await _not_opened(settings, place, database)):
                yield what
                return
            async for what in _lost(store, settings.site, place, database, keys):
                yield what
    elif store:
        async for what in _lost(store, settings.site, place, None, keys):
            yield what


async def _not_opened(settings: Settings, place: Place, database: Database) -> str:
    """What is wrong with the master key."""
    there = await database.read(lambda db: set(inspect(db).get_table_names(database.schema)))
    if wrapping_keys.name not in there:
        return ""
    rows = (await database.read(lambda db: db.execute(select(wrapping_keys)).all())) or []
    secret = settings.data / "secrets" / "master"
    if rows and not settings.master_key and not secret.exists():
        return f"{secret} is missing, and {place.label} can be opened with it only: bring it back, or set MOTCUA_MASTER_KEY"
    kms = LocalKeys.of(settings)
    for row in rows:
        try:
            await kms.unwrap(row.wrapped, generation_name(row.number))
        except (KeyNotUnwrapped, ValueError):
            given = "MOTCUA_MASTER_KEY" if settings.master_key else str(secret)
            return f"{place.label} cannot be opened with this master key: {given} is not the one that it was made under"
    return ""


async def _lost(
    store: EventStore | None, site: str, place: Place, database: Database | None, keys: Part
) -> AsyncIterator[str]:
    """Whose data the log holds, sealed under a key that is not there though nobody decided an erasure."""
    if store is None:
        return
    own = keys.memory.marks.get("keys")
    lost = await lost_subjects(store, site, database, own.position if own else START)
    if lost:
        yield (
            f"{place.label} lacks the keys of {len(lost)} people whose data the log holds, as {min(lost)}: it is missing, older "
            "than the log, or cut off; their data cannot be opened without it"
        )


async def lost_subjects(store: EventStore, site: str, database: Database | None, after: int = START) -> set[str]:
    """Subjects of events after a position who have no key and were not erased."""
    lost: set[str] = set()
    position = after
    while events := await store.read_all(position, (), PAGE):
        wanted = {subject for event in events for subject in _subjects(event, site)}
        lost |= wanted - await _known(database, sorted(wanted))
        position = events[-1].position
    return lost - await erased_accounts(store) if lost else lost


async def _known(database: Database | None, subjects: Sequence[str]) -> set[str]:
    if database is None:
        return set()
    there = await database.read(lambda db: set(inspect(db).get_table_names(database.schema)))
    if subject_keys.name not in there:
        return set()
    found: set[str] = set()
    for start in range(0, len(subjects), SUBJECTS_AT_ONCE):
        some = select(subject_keys.c.subject).where(
            subject_keys.c.subject.in_(subjects[start : start + SUBJECTS_AT_ONCE])
        )
        found |= set(await database.read(lambda db, some=some: db.execute(some).scalars().all()))  # type: ignore[misc]
    return found


def _subjects(event: RecordedEvent, site: str) -> Iterator[str]:
    if event.stream == stream_of(site):
        return
    try:
        import_module(f"{event.type.rpartition('.')[0]}.events_pb2")
        message = message_of(event)
    except (ImportError, KeyError, ValueError):
        return  # of another version
    for field, subject in sealed_fields(message.DESCRIPTOR).items():
        if getattr(message, field) and (name := getattr(message, subject)):
            yield name


# The start, and a restore


async def restored(settings: Settings, store: EventStore, names: Iterable[str] = ()) -> None:
    """What a backup brought back is the site's: of these databases, or of all that its log names. Raises SiteRefused."""
    identity = await identity_of(store, settings.site)
    if identity is None:
        return  # a backup of before: the first start makes it
    head, event = await newest(store, named=not settings.distributed)
    for name in sorted(set(names) or identity.stores & set(DURABLE.values())):
        # What knew the one that was lost shall take this one for it.
        mark = marks.Mark(identity.site_id, await _opened(settings, name), head, event)
        async with Place(name, True, settings).opened() as database:
            await database.create(marks.metadata)
            await database.write(partial(marks.keep, store=name, mark=mark), lasting=True)
    if not names and BLOBS in identity.stores:
        if foreign := set(await open_blobs(settings).members(MARKER)) - {identity.site_id}:
            raise SiteRefused(f"the attachments' place is of the site {min(foreign)}, the backup of {identity.site_id}")
        await mark_blobs(settings, identity)


async def accept(settings: Settings, name: str) -> None:
    """Go on without what a lost store held, for which there is no backup. Raises SiteRefused where it is not lost."""
    found = await examined(settings, tuple(SERVICES), started=False)
    async with _log(settings) as store:
        identity = await identity_of(store, settings.site) if store else None
        if store is None or identity is None or name not in identity.stores:
            raise SiteRefused(f"{log_label(settings)} knows of no store {name} that the site has had")
        if not await _is_gone(settings, name):
            raise SiteRefused(f"the store {name} is there: move what is damaged or foreign away first")
        if not found:
            raise SiteRefused(f"nothing is lost: the store {name} is made again by itself")
        now = datetime.now(UTC)
        fact = facts.StoreLossAccepted(site_id=identity.site_id, at=to_timestamp(now), store=name)
        await record(store, settings.site, fact, f"loss of {name} at {now.isoformat()}")
        if name == BLOBS:
            await mark_blobs(settings, identity)
        else:
            await restored(settings, store, [name])


async def _is_gone(settings: Settings, name: str) -> bool:
    if name == BLOBS:
        return not await open_blobs(settings).members(MARKER)
    return name not in (await _part(settings, Place(name, True, settings))).memory.marks


async def _opened(settings: Settings, name: str) -> int:
    """How often it was opened, as its sibling remembers."""
    known = [
        (await _part(settings, Place(service, False, settings))).memory.marks.get(name)
        for service, durable in DURABLE.items()
        if durable == name and SERVICES[service].views
    ]
    return max((mark.opened for mark in known if mark), default=0)


async def begin(platform: Platform, services: Sequence[str]) -> Watch:
    """The stores of these services are the site's from now on. What `require` found is not asked again."""
    settings, store = platform.settings, platform.store
    identity = await found(store, settings.site, platform.clock.now())
    kept = [
        WatchedDatabase(
            platform.database(place.name, durable=place.durable),
            place.label,
            (DURABLE[place.name],) if not place.durable and place.name in DURABLE else (),
        )
        for place in places(settings, services)
    ]
    watch = Watch(
        store,
        settings.site,
        identity,
        kept,
        log_file(settings),
        log_label(settings),
        named=not settings.distributed,
        damage=platform.damage,
    )
    await watch.begin()
    if set(services) == set(SERVICES):
        await keep_secrets(platform, identity)
    made = {DURABLE[service] for service in services if service in DURABLE}
    made |= await _mark_files(settings, services, identity)
    for name in sorted(made - identity.stores):
        fact = facts.StoreFounded(site_id=identity.site_id, at=to_timestamp(platform.clock.now()), store=name)
        await record(store, settings.site, fact, f"founded {name}")
    return watch


async def keep_secrets(platform: Platform, identity: Identity) -> None:
    """Only where all parts of the site have the same: on one machine."""
    known = secrets_kept.marks_of(platform.settings, identity.site_id)

    def write(db: Connection) -> None:
        for name, mark in known.items():
            marks.keep(db, name, mark)

    await platform.database("keys", durable=True).write(write, lasting=True)


async def _mark_files(settings: Settings, services: Sequence[str], identity: Identity) -> set[str]:
    """What is known to be the site's from now on. A bucket that is away is marked by a later start."""
    from gateway.ledger.running import open_storage

    try:
        if "ledger" in services:
            await open_storage(settings).create(LEDGER_MARKER, f"{identity.site_id}\n".encode())
        if WITH_BLOBS.intersection(services):
            await mark_blobs(settings, identity)
            return {BLOBS}
    except BlobsUnavailable as error:
        log.warning("the bucket is not marked as the site's", error=str(error))
    return set()


async def mark_blobs(settings: Settings, identity: Identity) -> None:
    async def content() -> AsyncIterator[bytes]:
        yield identity.site_id.encode()

    blobs = open_blobs(settings)
    if identity.site_id not in await blobs.members(MARKER):
        await blobs.put(f"{MARKER}/{identity.site_id}", content())
