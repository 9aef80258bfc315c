"""While a site runs: that its stores stay the ones that it began with; and what each remembers of the others is kept up to date.

What is found ends the process: nothing may be acknowledged that goes into a file which is not there any more.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import structlog
from sqlalchemy import Connection

from services.chassis.database.database import Database, DatabaseUnavailable
from services.chassis.files import examination
from services.chassis.machine import moments, threads
from services.chassis.site import marks
from services.chassis.site.identity import Identity, identity_of
from services.chassis.site.marks import Mark
from services.chassis.site.refusal import SiteRefused
from services.chassis.store.port import START, EventStore, StoreUnavailable

SECONDS = 1.0
# So often the log is asked for the site's identity where it is no file that can be looked at.
IDENTITY_SECONDS = 30.0

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class WatchedDatabase:
    """A database of this process, and those of which it remembers how far they were."""

    database: Database
    label: str
    siblings: tuple[str, ...] = ()


async def newest(store: EventStore, *, named: bool) -> tuple[int, str]:
    """Where the log ends, and with which event, if the store's positions are places in it (`named`)."""
    head = await store.head()
    if not named or head == START:
        return head, ""
    found = await store.read_all(head - 1, (), 1)
    return (found[0].position, str(found[0].id)) if found else (head, "")


class Watch:
    """`begin()`, then `run()` for as long as the site runs, then `finish()`."""

    def __init__(
        self,
        store: EventStore,
        site: str,
        identity: Identity,
        kept: Sequence[WatchedDatabase],
        log_file: Path | None,
        log_label: str,
        *,
        named: bool,
        damage: Callable[[], Mapping[str, str]],
    ) -> None:
        self._store = store
        self._site = site
        self.identity = identity
        # Those that no log gives back come first: what others remember of them must be on their disk.
        self._kept = sorted(kept, key=lambda each: bool(each.siblings))
        self._log_file, self._log_label = log_file, log_label
        self._named = named
        self._damage = damage
        self._opened: dict[str, int] = {}
        self._head = START
        self._places = {label: _place(path) for label, path in self._files()}
        self._stopped = threading.Event()
        self._since_identity = 0.0

    async def begin(self) -> None:
        """Count that the databases are opened, and make them the site's."""
        self._head, event = await newest(self._store, named=self._named)
        mark = Mark(self.identity.site_id, 0, self._head, event)
        for kept in self._kept:
            await kept.database.create(marks.metadata)
            name = kept.database.name
            opened = await kept.database.write(partial(marks.open_own, store=name, mark=mark), lasting=True)
            self._opened[name] = opened.opened
        await self._keep(self._head, event)
        self._places = {label: _place(path) for label, path in self._files()}

    async def run(self) -> None:
        """Returns never. Raises SiteRefused."""
        reading = asyncio.create_task(self._read_large(), name="site: large files")
        try:
            while True:
                await moments.sleep(SECONDS)
                await self.look()
                if reading.done():
                    reading.result()
        finally:
            self._stopped.set()
            reading.cancel()

    async def look(self) -> None:
        """Raises SiteRefused."""
        for label, path in self._files():
            if _place(path) != self._places[label]:
                raise SiteRefused(f"{label} was removed or replaced while the site ran, and the site was stopped")
        for label, what in self._damage().items():
            raise SiteRefused(f"{label} is damaged ({what}), and the site was stopped")
        try:
            await self._look_at_log()
        except (StoreUnavailable, DatabaseUnavailable) as error:
            log.warning("the stores' places are not kept", error=repr(error))
        except SiteRefused:
            raise
        except Exception:
            log.exception("the stores' places are not kept, trying again")

    async def finish(self) -> None:
        with suppress(StoreUnavailable, DatabaseUnavailable):
            head, event = await newest(self._store, named=self._named)
            if head >= self._head:
                await self._keep(head, event)

    async def _look_at_log(self) -> None:
        head, event = await newest(self._store, named=self._named)
        if self._named and head < self._head:
            raise SiteRefused(
                f"{self._log_label} ends at position {head}, and ended at {self._head} before: it was replaced while the site ran, "
                "and the site was stopped"
            )
        if not self._named:
            await self._require_same_site()
        if head > self._head:
            await self._keep(head, event)
            self._head = head

    async def _require_same_site(self) -> None:
        self._since_identity += SECONDS
        if self._since_identity < IDENTITY_SECONDS:
            return
        self._since_identity = 0.0
        there = await identity_of(self._store, self._site)
        if there is None or there.site_id != self.identity.site_id:
            what = f"of the site {there.site_id}" if there else "of no site"
            raise SiteRefused(
                f"{self._log_label} is {what} now, and was of {self.identity.site_id} when the site started: the site was stopped"
            )

    async def _keep(self, head: int, event: str) -> None:
        for kept in self._kept:
            own = {kept.database.name: self._mark(kept.database.name, head, event)}
            # What their own databases have by now.
            of_siblings = {name: self._mark(name, head, event) for name in kept.siblings}
            await kept.database.write(partial(_write, rows=own | of_siblings), lasting=not kept.siblings)

    def _mark(self, name: str, head: int, event: str) -> Mark:
        return Mark(self.identity.site_id, self._opened[name], head, event)

    def _files(self) -> list[tuple[str, Path]]:
        found = [(kept.label, kept.database.file) for kept in self._kept if kept.database.file]
        if self._log_file:
            found.append((self._log_label, self._log_file))
        return [(label, path) for label, path in found if path]

    async def _read_large(self) -> None:
        """What was too large to be read before the start."""
        for label, path in self._files():
            if path.exists() and path.stat().st_size > examination.READ_BYTES:
                await self._read(label, path)

    async def _read(self, label: str, path: Path) -> None:
        look = partial(examination.examine, path, self._stopped.is_set, all_of_it=True, written=False)
        try:
            await threads.in_thread(look)
        except examination.FileDamaged as damaged:
            raise SiteRefused(f"{label} {damaged}, and the site was stopped") from None
        except examination.FileUnusable as unusable:
            log.warning("a store's file was not read through", store=label, error=str(unusable))


def _write(db: Connection, rows: Mapping[str, Mark]) -> None:
    for name, mark in rows.items():
        marks.keep(db, name, mark)


def _place(path: Path) -> tuple[int, int] | None:
    """Which file it is, under whatever name."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


async def beside(work: Callable[[], Awaitable[None]], watch: Callable[[], Awaitable[None]]) -> None:
    """Both; whichever fails ends both. The watch goes on after the work."""
    tasks = [asyncio.ensure_future(work()), asyncio.ensure_future(watch())]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
