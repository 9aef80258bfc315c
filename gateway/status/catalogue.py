"""The catalogue as the pages show it, in memory."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, select

from gateway.status.model import Bilingual, Procedures
from gateway.status.views import definitions
from motcua.catalogue.events.v1.definitions_pb2 import (
    Agency,
    CalendarVersion,
    Procedure,
    TerritorialUnit,
    Text,
)
from services.chassis.search import search

ZONE = ZoneInfo("Asia/Ho_Chi_Minh")


@dataclass(frozen=True, slots=True)
class _Agency:
    name: Bilingual
    province: str
    valid_from: str
    valid_until: str


class Catalogue:
    def __init__(self, db: Connection) -> None:
        self._procedures: defaultdict[str, dict[int, tuple[str, Procedure]]] = defaultdict(dict)
        # Versions, oldest first.
        self._agencies: defaultdict[str, list[_Agency]] = defaultdict(list)
        self._provinces: dict[str, Bilingual] = {}
        self._calendars: dict[str, Bilingual] = {}
        for row in db.execute(select(definitions).order_by(definitions.c.key, definitions.c.version)):
            match row.kind:
                case "procedure":
                    procedure = Procedure.FromString(row.definition)
                    self._procedures[row.key][row.version] = (row.valid_until, procedure)
                case "agency":
                    agency = Agency.FromString(row.definition)
                    known = _Agency(_both(agency.name), agency.province, agency.valid_from, row.valid_until)
                    self._agencies[row.key].append(known)
                case "province":
                    self._provinces[row.key] = _both(TerritorialUnit.FromString(row.definition).name)
                case "calendar":
                    calendar = CalendarVersion.FromString(row.definition)
                    self._calendars[f"{row.key}@{row.version}"] = _both(calendar.name)

    def version(self, code: str, version: int) -> Procedure | None:
        _, procedure = self._procedures.get(code, {}).get(version, ("", None))
        return procedure

    def in_force(self, code: str, day: str) -> Procedure | None:
        """The newest version in force on a day."""
        for until, procedure in reversed(self._procedures.get(code, {}).values()):
            if procedure.valid_from <= day and (not until or day <= until):
                return procedure
        return None

    def search(self, words: str, day: str, offset: int, limit: int) -> Procedures:
        """Procedures in force as the API finds them."""
        in_force = [found for code in self._procedures if (found := self.in_force(code, day))]
        having = search(words, in_force, lambda each: ((each.name.vi, each.name.en), each.code))
        return Procedures(tuple(having[offset : offset + limit]), len(having))

    def procedure_name(self, code: str, day: str) -> Bilingual:
        """Of the version in force or, where there is none, of the newest; the code where there is none either."""
        newest = next(reversed(self._procedures.get(code, {})), 0)
        procedure = self.in_force(code, day) or self.version(code, newest)
        return _both(procedure.name) if procedure else Bilingual(code, code)

    def agency_names(self, codes: Collection[str]) -> Mapping[str, Bilingual]:
        """As they are called today."""
        day = datetime.now(ZONE).date().isoformat()
        return {code: _on(self._agencies[code], day).name for code in codes if code in self._agencies}

    def province_names(self, codes: Collection[str]) -> Mapping[str, Bilingual]:
        return {code: self._provinces[code] for code in codes if code in self._provinces}

    def calendar_name(self, calendar: str) -> Bilingual | None:
        return self._calendars.get(calendar)

    def serves(self, province: str, agency: str, day: str) -> bool:
        if agency not in self._agencies:
            return False
        known = _on(self._agencies[agency], day)
        return known.province == province and (not known.valid_until or day <= known.valid_until)


def _on(versions: list[_Agency], day: str) -> _Agency:
    return max(
        (each for each in versions if each.valid_from <= day), key=lambda each: each.valid_from, default=versions[0]
    )


def _both(name: Text) -> Bilingual:
    return Bilingual(name.vi, name.en)
