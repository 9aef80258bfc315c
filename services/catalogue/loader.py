"""The catalogue as it lies in files: procedures, overlays, calendars, territory, and the agencies of any province."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

from services.catalogue.linter import lint
from services.catalogue.reader import Reader
from services.chassis.law.definitions import (
    Agency,
    AgencyKind,
    CalendarVersion,
    FeeOverlay,
    Level,
    Procedure,
    TerritorialUnit,
    Territory,
    Text,
    UnitKind,
    calendar_of,
)

T = TypeVar("T")

DATA = Path(__file__).parent / "data"

_KINDS = {
    "tỉnh": (UnitKind.PROVINCE, "Province"),
    "thành phố": (UnitKind.CITY, "City"),
    "xã": (UnitKind.COMMUNE, "Commune"),
    "phường": (UnitKind.WARD, "Ward"),
    "đặc khu": (UnitKind.SPECIAL_ZONE, "Special Zone"),
}


class FaultyCatalogueError(Exception):
    """Every fault of the files, each as `file:line: what`."""

    def __init__(self, faults: tuple[str, ...]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


@dataclass(frozen=True, slots=True)
class Province:
    """One version of a province in provinces.yaml; its communes lie in communes.csv."""

    code: str
    kind: str
    name: str
    # The prefix of its agencies' codes.
    organisation: str
    former: tuple[str, ...] = ()
    version: int = 1
    valid_from: str = "2025-07-01"
    legal_basis: str = "202/2025/QH15"


@dataclass(frozen=True, slots=True)
class AgencyTemplate:
    """An agency that every province, or every commune, has. {unit} in its name is the province or commune."""

    level: Level
    suffix: str
    name: Text
    kind: AgencyKind
    calendar_id: str
    # An agency of the province, by its suffix; "" is the provincial people's committee.
    parent: str | None
    field: str = ""
    one_stop_shop: bool = False


@dataclass(frozen=True, slots=True)
class Catalogue:
    procedures: tuple[Procedure, ...]
    overlays: tuple[FeeOverlay, ...]
    calendars: tuple[CalendarVersion, ...]
    territories: tuple[Territory, ...]
    organisations: dict[str, str]
    templates: tuple[AgencyTemplate, ...]

    def agencies(self, province: str) -> Iterator[Agency]:
        """The agencies of a province and of its communes; parents come before children."""
        territory = next(each for each in self.territories if each.province.code == province)
        root = self.organisations[province]
        for level, units in ((Level.PROVINCE, (territory.province,)), (Level.COMMUNE, territory.communes)):
            templates = [template for template in self.templates if template.level is level]
            for unit in units:
                stem = root if level is Level.PROVINCE else f"{root}.{unit.code[:2]}.{unit.code[2:]}"
                for template in templates:
                    yield _agency(template, unit, stem, root, territory)


def load(folder: Path = DATA) -> Catalogue:
    faults: list[str] = []
    procedures = [each for path in sorted((folder / "procedures").glob("*.yaml")) for each in _procedures(path, faults)]
    calendars = _calendars(folder / "calendars.yaml", faults)
    overlays = _plain(folder / "overlays.yaml", "overlays", FeeOverlay, faults)
    provinces = _plain(folder / "provinces.yaml", "provinces", Province, faults)
    templates = _plain(folder / "agencies.yaml", "agencies", AgencyTemplate, faults)
    communes = _communes(folder / "communes.csv", faults)
    for code in sorted({procedure.code for procedure in procedures if _times(procedure, procedures) > 1}):
        faults.append(f"procedures: {code} is defined twice in one version")
    if faults:
        raise FaultyCatalogueError(tuple(faults))
    return Catalogue(
        tuple(procedures),
        tuple(overlays),
        tuple(calendars),
        tuple(_territory(province, communes[province.code]) for province in provinces),
        {province.code: province.organisation for province in provinces},
        tuple(templates),
    )


def enacted(valid_from: str, now: datetime) -> datetime:
    """When to say that what the files hold was decided: what is law already, on the eve of its first day."""
    return min(now, datetime.fromisoformat(valid_from).replace(tzinfo=now.tzinfo) - timedelta(days=1))


def _plain(path: Path, key: str, kind: type[T], faults: list[str]) -> list[T]:
    reader = Reader(path)
    read = [each for each, _ in reader.items(key, kind)]
    faults += reader.faults
    return read


def _procedures(path: Path, faults: list[str]) -> list[Procedure]:
    reader = Reader(path)
    read = reader.items("procedures", Procedure)
    for procedure, node in read:
        for fault in lint(procedure):
            reader.fault(node, fault.path, f"{procedure.code}: {fault.text.en} [{fault.code}]")
    faults += reader.faults
    return [procedure for procedure, _ in read]


def _calendars(path: Path, faults: list[str]) -> list[CalendarVersion]:
    reader = Reader(path)
    read = reader.items("calendars", CalendarVersion)
    for calendar, node in read:
        try:
            calendar_of(calendar)
        except ValueError as error:
            reader.fault(node, "", f"{calendar.calendar_id}: {error}")
    faults += reader.faults
    return [calendar for calendar, _ in read]


def _times(procedure: Procedure, procedures: list[Procedure]) -> int:
    return sum((other.code, other.version) == (procedure.code, procedure.version) for other in procedures)


def _communes(path: Path, faults: list[str]) -> dict[str, list[TerritorialUnit]]:
    communes: dict[str, list[TerritorialUnit]] = defaultdict(list)
    with path.open(encoding="utf-8", newline="") as file:
        for line, row in enumerate(csv.reader(file), 1):
            if len(row) != 4 or row[2] not in _KINDS:
                faults.append(f"{path.name}:{line}: expected province,code,kind,name")
                continue
            province, code, kind, name = row
            communes[province].append(_unit(code, kind, name))
    return communes


def _unit(code: str, kind: str, name: str, former: tuple[str, ...] = ()) -> TerritorialUnit:
    number, english = _KINDS[kind]
    return TerritorialUnit(code, number, Text(f"{kind.capitalize()} {name}", f"{name} {english}"), former)


def _territory(province: Province, communes: list[TerritorialUnit]) -> Territory:
    unit = _unit(province.code, province.kind, province.name, province.former)
    return Territory(unit, tuple(communes), province.version, province.valid_from, province.legal_basis)


def _agency(template: AgencyTemplate, unit: TerritorialUnit, stem: str, root: str, territory: Territory) -> Agency:
    vi = unit.name.vi[0].lower() + unit.name.vi[1:]
    return Agency(
        code=_join(stem, template.suffix),
        name=Text(template.name.vi.replace("{unit}", vi), template.name.en.replace("{unit}", unit.name.en)),
        level=template.level,
        kind=template.kind,
        province=territory.province.code,
        calendar_id=template.calendar_id,
        valid_from=territory.valid_from,
        field=template.field,
        commune=unit.code if template.level is Level.COMMUNE else "",
        parent="" if template.parent is None else _join(root, template.parent),
        one_stop_shop=template.one_stop_shop,
    )


def _join(stem: str, suffix: str) -> str:
    return f"{stem}.{suffix}" if suffix else stem
