"""The pages' reader over the views."""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict, defaultdict
from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from datetime import UTC, datetime, time, timedelta
from functools import partial
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Integer, and_, case, cast, func, select

from gateway.status.catalogue import Catalogue
from gateway.status.fold import fold
from gateway.status.model import Bilingual, Board, BoardRow, DossierPage, Figures, Freshness, Procedures, Today
from gateway.status.views import after, dossiers
from motcua.catalogue.events.v1.definitions_pb2 import Procedure
from services.chassis.database.database import utc
from services.chassis.decider import Rejected
from services.chassis.following.views import RunningView, Snapshot, position_token
from services.chassis.store.port import START, EventStore, StoreUnavailable
from services.chassis.work.tasks import Owned
from services.law.days import ZONE, local_day

HELD_PAGES = 2000
# A page waits this long for a view that is about to catch up.
CONFIRM_SECONDS = 0.1
NATION = Bilingual("Cả nước", "The nation")


class ViewReader:
    def __init__(
        self, store: EventStore, view: RunningView, catalogue: Snapshot[Catalogue], now: Callable[[], datetime]
    ) -> None:
        self._store = store
        self._view = view
        self._catalogue = catalogue
        self._now = now
        self._confirmed_at: datetime | None = None
        self._movements = Movements(view)
        self._pages: OrderedDict[str, DossierPage] = OrderedDict()

    async def freshness(self) -> Freshness:
        """Confirmed where the view has all that the log held when it was asked."""
        asked_at = self._now()
        try:
            async with asyncio.timeout(CONFIRM_SECONDS):
                await self._view.reach(position_token(await self._store.head()))
        except (TimeoutError, StoreUnavailable, Rejected):
            return Freshness(self._view.position, self._confirmed_at or await self._recorded_at() or asked_at)
        self._confirmed_at = asked_at
        return Freshness(self._view.position, asked_at)

    async def _recorded_at(self) -> datetime | None:
        """When the newest event here was recorded."""
        query = select(dossiers.c.recorded_at).order_by(dossiers.c.position.desc()).limit(1)
        recorded_at = await self._view.read(lambda db: db.execute(query).scalar())
        return utc(recorded_at) if recorded_at else None

    async def today(self) -> Today:
        now = self._now().astimezone(UTC)
        midnight = datetime.combine(now.astimezone(ZONE), time(), ZONE)
        start, end = (moment.astimezone(UTC) for moment in (midnight, midnight + timedelta(days=1)))

        def on_day(column: Column[Any]) -> ColumnElement[int]:
            return _count(and_(column >= start, column < end))

        columns = [on_day(dossiers.c[name]) for name in ("submitted_at", "received_at", "settled_at")]
        query = select(*columns, _count(_overdue(now)))
        return Today(*await self._view.read(lambda db: tuple(db.execute(query).one())))

    async def dossier(self, code: str) -> DossierPage | None:
        page = self._pages.get(code)
        known = page.revision if page else -1
        for event in await self._view.read(lambda db: after(db, code, known)):
            page = fold(page, event)
        if page is None:
            return None
        self._pages[code] = page
        self._pages.move_to_end(code)
        if len(self._pages) > HELD_PAGES:
            self._pages.popitem(last=False)
        return page

    async def changes(self, code: str, after: int) -> AsyncGenerator[DossierPage]:
        moved = self._movements.listen(code)
        try:
            while True:
                moved.clear()
                page = await self.dossier(code)
                if page and page.revision > after:
                    after = page.revision
                    yield page
                await moved.wait()
        finally:
            self._movements.leave(code, moved)

    async def nation(self) -> Board:
        catalogue = await self._catalogue.get()
        sums = await self._sums(dossiers.c.province)
        return _board("", NATION, sums, {code: _known(catalogue.province_names([code]), code) for code in sums})

    async def province(self, province: str) -> Board | None:
        catalogue = await self._catalogue.get()
        sums = await self._sums(dossiers.c.agency, dossiers.c.province == province)
        known = catalogue.province_names([province])
        if not sums and not known:
            return None
        names = {code: _known(catalogue.agency_names([code], self._day()), code) for code in sums}
        return _board(province, _known(known, province), sums, names)

    async def agency(self, province: str, agency: str) -> Board | None:
        catalogue, day = await self._catalogue.get(), self._day()
        own = and_(dossiers.c.province == province, dossiers.c.agency == agency)
        sums = await self._sums(dossiers.c.procedure_code, own)
        if not sums and not catalogue.serves(province, agency, day):
            return None
        names = {code: catalogue.procedure_name(code, day) for code in sums}
        return _board(agency, _known(catalogue.agency_names([agency], day), agency), sums, names)

    async def procedures(self, words: str, after: str, limit: int) -> Procedures:
        return (await self._catalogue.get()).search(words, self._day(), after, limit)

    async def procedure(self, code: str, version: int | None = None) -> Procedure | None:
        catalogue = await self._catalogue.get()
        return catalogue.in_force(code, self._day()) if version is None else catalogue.version(code, version)

    async def agency_names(self, codes: Collection[str]) -> Mapping[str, Bilingual]:
        return (await self._catalogue.get()).agency_names(codes, self._day())

    async def province_names(self, codes: Collection[str]) -> Mapping[str, Bilingual]:
        return (await self._catalogue.get()).province_names(codes)

    async def calendar_name(self, calendar: str) -> Bilingual | None:
        return (await self._catalogue.get()).calendar_name(calendar)

    def _day(self) -> str:
        return local_day(self._now())

    async def _sums(self, by: Column[Any], *where: ColumnElement[bool]) -> dict[str, Figures]:
        """The figures of the dossiers, grouped. Lateness is counted now: it needs no event."""
        counts = [
            _count(and_(dossiers.c.open, dossiers.c.received_at.is_(None))),
            _count(dossiers.c.received_at.is_not(None)),
            _count(and_(dossiers.c.open, dossiers.c.received_at.is_not(None))),
            _count(and_(dossiers.c.open, dossiers.c.paused)),
            _count(_overdue(self._now().astimezone(UTC))),
            _count(dossiers.c.settled),
            _count(dossiers.c.on_time.is_(True)),
            _count(dossiers.c.on_time.is_(False)),
        ]
        query = select(by, *counts).where(*where).group_by(by)
        rows = await self._view.read(lambda db: db.execute(query).all())
        return {code: Figures(*figures) for code, *figures in sorted(rows, key=lambda row: _by_number(row[0]))}


def _by_number(code: str) -> list[int | str]:
    """P56.2 before P56.15."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", code)]


def _count(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return cast(func.coalesce(func.sum(case((condition, 1), else_=0)), 0), Integer)


def _overdue(now: datetime) -> ColumnElement[bool]:
    return and_(dossiers.c.open, ~dossiers.c.paused, dossiers.c.due_at < now)


def _known(names: Mapping[str, Bilingual], code: str) -> Bilingual:
    return names.get(code, Bilingual(code, code))


def _board(code: str, name: Bilingual, sums: Mapping[str, Figures], names: Mapping[str, Bilingual]) -> Board:
    rows = tuple(BoardRow(row, names[row], figures) for row, figures in sums.items())
    return Board(code, name, sum(sums.values(), Figures()), rows)


class Movements:
    """Wakes who listens to a dossier when it moved: one query a batch, however many listen."""

    def __init__(self, view: RunningView) -> None:
        self._view = view
        self._listeners: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self._seen = START
        self._owned = Owned("movements", self._run)

    def listen(self, code: str) -> asyncio.Event:
        moved = asyncio.Event()
        self._listeners[code].add(moved)
        if self._owned.stopped:
            self._seen = self._view.position
            self._owned.start()
        return moved

    def leave(self, code: str, moved: asyncio.Event) -> None:
        self._listeners[code].discard(moved)
        if not self._listeners[code]:
            del self._listeners[code]
        if not self._listeners:
            self._owned.leave()

    async def _run(self) -> None:
        generation = -1  # of no view: the first look is at once
        while True:
            generation = await self._view.changed(generation)
            moved, self._seen = await self._view.read(partial(_moved, seen=self._seen))
            self._owned.worked()
            for code in moved:
                for listener in self._listeners.get(code, ()):
                    listener.set()


def _moved(db: Connection, seen: int) -> tuple[list[str], int]:
    rows = db.execute(select(dossiers.c.code, dossiers.c.position).where(dossiers.c.position > seen)).all()
    return [row.code for row in rows], max((row.position for row in rows), default=seen)
