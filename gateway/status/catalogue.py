"""The catalogue as the pages show it, in memory."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class _Agency:
    name: Bilingual
    province: str
    valid_until: str


class Catalogue:
    def __init__(self, db: Connection) -> None:
        self._procedures: defaultdict[str, dict[int, tuple[str, Procedure]]] = defaultdict(dict)
        self._agencies: dict[str, _Agency] = {}
        self._provinces: dict[str, Bilingual] = {}
        self._calendars: dict[str, Bilingual] = {}
        for row in db.execute(select(definitions).order_by(definitions.c.key, definitions.c.version)):
            match row.kind:
                case "procedure":
                    procedure = Procedure.FromString(row.definition)
                    self._procedures[row.key][row.version] = (row.valid_until, procedure)
                case "agency":
                    agency = Agency.FromString(row.definition)
                    self._agencies[row.key] = _Agency(_both(agency.name), agency.province, row.valid_until)
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
        return {code: self._agencies[code].name for code in codes if code in self._agencies}

    def province_names(self, codes: Collection[str]) -> Mapping[str, Bilingual]:
        return {code: self._provinces[code] for code in codes if code in self._provinces}

    def calendar_name(self, calendar: str) -> Bilingual | None:
        return self._calendars.get(calendar)

    def serves(self, province: str, agency: str, day: str) -> bool:
        known = self._agencies.get(agency)
        return known is not None and known.province == province and (not known.valid_until or day <= known.valid_until)


def _both(name: Text) -> Bilingual:
    return Bilingual(name.vi, name.en)
