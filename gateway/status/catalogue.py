"""The catalogue as the pages show it, in memory."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Generic, TypeVar

from google.protobuf.message import Message
from sqlalchemy import Connection, Row, select

from gateway.status.model import Bilingual, Procedures
from gateway.status.views import definitions
from motcua.catalogue.events.v1.definitions_pb2 import (
    Agency,
    CalendarVersion,
    Procedure,
    TerritorialUnit,
    Text,
)
from services.chassis.text.search import search
from services.law.validity import Validity, in_turn, nearest, newest

Definition = TypeVar("Definition", bound=Message)


@dataclass(frozen=True, slots=True)
class _Version(Generic[Definition]):
    validity: Validity
    of: Definition


class Catalogue:
    def __init__(self, db: Connection) -> None:
        self._procedures: defaultdict[str, dict[int, _Version[Procedure]]] = defaultdict(dict)
        self._agencies: dict[str, list[_Version[Agency]]] = {}
        self._provinces: dict[str, Bilingual] = {}
        self._calendars: dict[str, Bilingual] = {}
        t = definitions
        rows = db.execute(select(t).order_by(t.c.kind, t.c.key, t.c.version))
        for (kind, key), grouped in groupby(rows, key=lambda row: (row.kind, row.key)):
            versions = list(grouped)
            match kind:
                case "procedure":
                    numbers = (row.version for row in versions)
                    self._procedures[key] = dict(zip(numbers, _versions(versions, Procedure), strict=True))
                case "agency":
                    self._agencies[key] = _versions(versions, Agency)
                case "province":
                    self._provinces[key] = _both(TerritorialUnit.FromString(versions[-1].definition).name)
                case "calendar":
                    for row in versions:
                        self._calendars[f"{key}@{row.version}"] = _both(CalendarVersion.FromString(row.definition).name)

    def version(self, code: str, version: int) -> Procedure | None:
        found = self._procedures.get(code, {}).get(version)
        return found.of if found else None

    def in_force(self, code: str, day: str) -> Procedure | None:
        """The newest version in force on a day."""
        found = newest(self._procedures.get(code, {}).values(), day)
        return found.of if found else None

    def search(self, words: str, day: str, after: str, limit: int) -> Procedures:
        """Procedures in force as the API finds them."""
        in_force = [found for code in self._procedures if (found := self.in_force(code, day))]
        having = search(words, in_force, lambda each: ((each.name.vi, each.name.en), each.code))
        return Procedures.cut(having, after, limit)

    def procedure_name(self, code: str, day: str) -> Bilingual:
        """Of the version in force or, where there is none, of the newest; the code where there is none either."""
        last = next(reversed(self._procedures.get(code, {})), 0)
        procedure = self.in_force(code, day) or self.version(code, last)
        return _both(procedure.name) if procedure else Bilingual(code, code)

    def agency_names(self, codes: Collection[str], day: str) -> Mapping[str, Bilingual]:
        """As they are called on a day."""
        return {code: _both(nearest(self._agencies[code], day).of.name) for code in codes if code in self._agencies}

    def province_names(self, codes: Collection[str]) -> Mapping[str, Bilingual]:
        return {code: self._provinces[code] for code in codes if code in self._provinces}

    def calendar_name(self, calendar: str) -> Bilingual | None:
        return self._calendars.get(calendar)

    def serves(self, province: str, agency: str, day: str) -> bool:
        found = newest(self._agencies.get(agency, ()), day)
        return found is not None and found.of.province == province


def _versions(rows: Sequence[Row[Any]], kind: type[Definition]) -> list[_Version[Definition]]:
    found: list[Any] = [kind.FromString(row.definition) for row in rows]
    stated = [Validity(each.valid_from, row.valid_until) for each, row in zip(found, rows, strict=True)]
    return [_Version(validity, each) for validity, each in zip(in_turn(stated), found, strict=True)]


def _both(name: Text) -> Bilingual:
    return Bilingual(name.vi, name.en)
