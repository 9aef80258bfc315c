"""A reader over histories in memory: the same folds as anywhere, without a database."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Mapping
from datetime import datetime

from google.protobuf.message import Message

from gateway.status.fold import folded
from gateway.status.model import (
    Bilingual,
    Board,
    BoardRow,
    DossierPage,
    Figures,
    Freshness,
    Procedures,
    Today,
    figures,
)
from motcua.catalogue.events.v1.definitions_pb2 import Procedure
from services.chassis.privacy.public_view import public_view
from services.law.days import local_date
from tests.status.samples import AGENCIES, CALENDARS, HISTORIES, PROCEDURES, PROVINCES


class MemoryReader:
    def __init__(self, clock: Callable[[], datetime], histories: Mapping[str, Iterable[Message]] = HISTORIES) -> None:
        self.clock = clock
        self.histories = {code: list(history) for code, history in histories.items()}
        self.withheld: set[str] = set()
        self.changed = asyncio.Condition()

    async def append(self, code: str, event: Message) -> None:
        async with self.changed:
            self.histories.setdefault(code, []).append(event)
            self.changed.notify_all()

    def pages(self) -> list[DossierPage]:
        pages = (folded(map(public_view, history)) for history in self.histories.values())
        return [page for page in pages if page and page.code not in self.withheld]

    async def freshness(self) -> Freshness:
        return Freshness(sum(map(len, self.histories.values())), self.clock())

    async def today(self) -> Today:
        today, pages = local_date(self.clock()), self.pages()

        def on_day(moments: Iterable[datetime | None]) -> int:
            return sum(moment is not None and local_date(moment) == today for moment in moments)

        return Today(
            submitted=on_day(page.submitted_at for page in pages),
            received=on_day(page.received_at for page in pages),
            settled=on_day(page.settled_at for page in pages),
            overdue=sum(figures(page, self.clock()).overdue for page in pages),
        )

    async def dossier(self, code: str) -> DossierPage | None:
        return None if code in self.withheld else folded(map(public_view, self.histories.get(code, ())))

    async def changes(self, code: str, after: int) -> AsyncGenerator[DossierPage]:
        while True:
            async with self.changed:
                while len(self.histories[code]) - 1 <= after:
                    await self.changed.wait()
            page = await self.dossier(code)
            assert page
            after = page.revision
            yield page

    async def nation(self) -> Board:
        return self._board("", Bilingual("Cả nước", "The nation"), lambda page: page.province, PROVINCES, self.pages())

    async def province(self, province: str) -> Board | None:
        if province not in PROVINCES:
            return None
        pages = [page for page in self.pages() if page.province == province]
        return self._board(province, PROVINCES[province], lambda page: page.competent_agency, AGENCIES, pages)

    async def agency(self, province: str, agency: str) -> Board | None:
        if province not in PROVINCES or agency not in AGENCIES:
            return None
        names = {code: Bilingual(item.name.vi, item.name.en) for code, item in PROCEDURES.items()}
        pages = [page for page in self.pages() if (page.province, page.competent_agency) == (province, agency)]
        return self._board(agency, AGENCIES[agency], lambda page: page.procedure_code, names, pages)

    async def procedures(self, words: str, after: str, limit: int) -> Procedures:
        wanted = words.casefold().split()
        found = [
            item
            for item in PROCEDURES.values()
            if all(word in f"{item.code} {item.name.vi} {item.name.en}".casefold() for word in wanted)
        ]
        return Procedures.cut(found, after, limit)

    async def procedure(self, code: str, version: int | None = None) -> Procedure | None:
        return PROCEDURES.get(code)

    async def agency_names(self, codes: Collection[str]) -> Mapping[str, Bilingual]:
        return {code: AGENCIES[code] for code in codes if code in AGENCIES}

    async def calendar_name(self, calendar: str) -> Bilingual | None:
        return CALENDARS.get(calendar)

    async def province_names(self, codes: Collection[str]) -> Mapping[str, Bilingual]:
        return {code: PROVINCES[code] for code in codes if code in PROVINCES}

    def _board(
        self,
        code: str,
        name: Bilingual,
        key: Callable[[DossierPage], str],
        names: Mapping[str, Bilingual],
        pages: list[DossierPage],
    ) -> Board:
        sums: dict[str, Figures] = defaultdict(Figures)
        for page in pages:
            sums[key(page)] += figures(page, self.clock())
        rows = tuple(BoardRow(row, names[row], sums[row]) for row in sorted(sums))
        return Board(code, name, sum(sums.values(), Figures()), rows)
