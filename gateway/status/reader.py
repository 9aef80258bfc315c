from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Mapping
from typing import Protocol

from gateway.status.model import Bilingual, Board, DossierPage, Freshness, Procedures, Today
from motcua.catalogue.events.v1.definitions_pb2 import Procedure


class Reader(Protocol):
    """What the pages read. What may not be shown is None, exactly as what does not exist."""

    async def freshness(self) -> Freshness: ...

    async def today(self) -> Today: ...

    async def dossier(self, code: str) -> DossierPage | None: ...

    def changes(self, code: str, after: int) -> AsyncGenerator[DossierPage]:
        """The dossier as soon as its revision is above `after`, and again at each change."""
        ...

    async def nation(self) -> Board: ...

    async def province(self, province: str) -> Board | None: ...

    async def agency(self, province: str, agency: str) -> Board | None: ...

    async def procedures(self, words: str, after: str, limit: int) -> Procedures: ...

    async def procedure(self, code: str, version: int | None = None) -> Procedure | None:
        """The given version, or the one in force."""
        ...

    async def agency_names(self, codes: Collection[str]) -> Mapping[str, Bilingual]: ...

    async def province_names(self, codes: Collection[str]) -> Mapping[str, Bilingual]: ...

    async def calendar_name(self, calendar: str) -> Bilingual | None:
        """Of a calendar's version, as dossiers name it: `general@1`."""
        ...
