"""The catalogue as it lies in files: procedures, overlays, calendars, territory, and the agencies of any province."""

from __future__ import annotations

import csv
import io
import re
from collections import defaultdict
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from services.catalogue.domain import territory_fault
from services.catalogue.linter import lint
from services.catalogue.reader import Node, Reader, UnreadableError, text_of
from services.chassis.law.definitions import (
    Agency,
    AgencyKind,
    CalendarVersion,
    Fee,
    FeeOverlay,
    Level,
    Procedure,
    TerritorialUnit,
    Territory,
    Text,
    UnitKind,
    calendar_of,
)
from services.chassis.names import folded

T = TypeVar("T")

DATA = Path(__file__).parent / "data"

_KINDS = {
    "tỉnh": (UnitKind.PROVINCE, "Province"),
    "thành phố": (UnitKind.CITY, "City"),
    "xã": (UnitKind.COMMUNE, "Commune"),
    "phường": (UnitKind.WARD, "Ward"),
    "đặc khu": (UnitKind.SPECIAL_ZONE, "Special Zone"),
}


_DIGITS = re.compile(r"[0-9]+")
_LOCAL = ("xã", "phường", "đặc khu")
_LISTS = ("agencies", "calendars", "overlays", "provinces")


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
class Commune:
    """A row of communes.csv. `earlier_kind` is what it was in the province's versions before the newest."""

    province: str
    code: str
    kind: str
    name: str
    earlier_code: str
    earlier_kind: str

    def known_by(self) -> tuple[tuple[str, ...], ...]:
        """No two rows have one of these in common."""
        once = (("code", self.code), ("commune", self.province, self.kind, folded(self.name)))
        return (*once, ("earlier_code", self.earlier_code)) if self.earlier_code else once


COLUMNS = tuple(Commune.__slots__)


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
    # Where each definition stands, by its list and what it is known by there.
    places: Mapping[tuple[str, Any], str]

    def agencies(self, province: str) -> Iterator[Agency]:
        """The agencies of a province and of its communes; parents come before children."""
        territory = next(each for each in self.territories if each.province.code == province)
        root = self.organisations[province]
        for level, units in ((Level.PROVINCE, (territory.province,)), (Level.COMMUNE, territory.communes)):
            templates = [template for template in self.templates if template.level is level]
            for unit in units:
                stem = root if level is Level.PROVINCE else _stem(root, unit.code)
                for template in templates:
                    yield _agency(template, unit, stem, root, territory)

    def earlier_agencies(self, province: str) -> dict[str, str]:
        """By an agency's code, what it was opened as where its commune had another code."""
        territory = next(each for each in self.territories if each.province.code == province)
        root, templates = self.organisations[province], (each for each in self.templates if each.level is Level.COMMUNE)
        suffixes = [template.suffix for template in templates]
        return {
            _join(_stem(root, unit.code), suffix): _join(_stem(root, earlier), suffix)
            for unit in territory.communes
            for earlier in unit.earlier_codes
            for suffix in suffixes
        }


def _stem(root: str, commune: str) -> str:
    return f"{root}.{commune[:2]}.{commune[2:]}"


def load(folder: Path = DATA) -> Catalogue:
    """Raises FaultyCatalogueError with every fault."""
    files = _Files(folder)
    procedures = [each for path in files.procedures for each in files.read(path, "procedures", Procedure)]
    calendars = files.read(files.one("calendars"), "calendars", CalendarVersion)
    overlays = files.read(files.one("overlays"), "overlays", FeeOverlay)
    provinces = files.read(files.one("provinces"), "provinces", Province)
    templates = files.read(files.one("agencies"), "agencies", AgencyTemplate)
    newest = {
        province.code: max(each.version for each in provinces if each.code == province.code) for province in provinces
    }
    communes = read_communes(files.path("communes.csv"), newest, files.faults)
    territories_read = bool(communes)
    territories = tuple(_territory(each, communes[each.code], each.version < newest[each.code]) for each in provinces)
    for province, territory in zip(provinces, territories, strict=True):
        if territories_read and (fault := territory_fault(territory)):
            files.fault("provinces", province, f"{province.code}: {fault}")
    files.compare(procedures, calendars, overlays, provinces)
    if files.faults:
        raise FaultyCatalogueError(tuple(files.faults))
    return Catalogue(
        tuple(procedures),
        tuple(overlays),
        tuple(calendars),
        territories,
        {province.code: province.organisation for province in provinces},
        tuple(templates),
        files.places,
    )


def organisations(folder: Path = DATA) -> dict[str, str]:
    """By a province's code, the prefix of its agencies' codes: the code of its own authority. Raises FaultyCatalogueError."""
    files = _Files(folder)
    provinces = files.read(files.one("provinces"), "provinces", Province)
    if files.faults:
        raise FaultyCatalogueError(tuple(files.faults))
    return {province.code: province.organisation for province in provinces}


def enacted(valid_from: str, now: datetime) -> datetime:
    """When to say that what the files hold was decided: what is law already, on the eve of its first day."""
    return min(now, datetime.fromisoformat(valid_from).replace(tzinfo=now.tzinfo) - timedelta(days=1))


class _Files:
    """A folder laid out as the sample. What lies in it and is not read is a fault, but for hidden files and texts."""

    def __init__(self, folder: Path) -> None:
        self.faults: list[str] = []
        self.places: dict[tuple[str, Any], str] = {}
        self._folder = folder
        self._known: dict[str, Path] = {}
        self.procedures = []
        for path in sorted(folder.iterdir()):
            if path.name == "procedures" and path.is_dir():
                self.procedures = [each for each in sorted(path.iterdir()) if self._taken(each, is_yaml(each))]
            elif self._taken(path, (is_yaml(path) and path.stem in _LISTS) or path.name == "communes.csv"):
                if path.stem in self._known:
                    self.faults.append(f"{path.name}:1: {self._known[path.stem].name} lies beside it")
                self._known[path.stem] = path

    def _taken(self, path: Path, fits: bool) -> bool:
        if fits or path.name.startswith(".") or path.suffix == ".md":
            return fits
        self.faults.append(f"{path.name}:1: nothing reads this file; lists are {', '.join(_LISTS)} and communes.csv")
        return False

    def one(self, stem: str) -> Path:
        return self._known.get(stem, self._folder / f"{stem}.yaml")

    def path(self, name: str) -> Path:
        return self._folder / name

    def read(self, path: Path, key: str, kind: type[T]) -> list[T]:
        reader = Reader(path, (key,))
        read = reader.items(key, kind)
        for each, node in read:
            check(reader, each, node)
            here, known = reader.where(node), self.places.get((key, identity(each)))
            if known:
                reader.fault(node, "", f"it stands at {known} too")
            self.places[key, identity(each)] = here
        self.faults += reader.faults
        return [each for each, _ in read]

    def fault(self, key: str, each: Any, text: str) -> None:
        self.faults.append(f"{self.places[key, identity(each)]}: {text}")

    def compare(
        self,
        procedures: list[Procedure],
        calendars: list[CalendarVersion],
        overlays: list[FeeOverlay],
        provinces: list[Province],
    ) -> None:
        """What refers to something that no file holds. A file that could not be read is no reason for more."""
        if self.faults:
            return
        charges = {(each.code, charge.code) for each in procedures for charge in (each.fee or Fee()).charges}
        for overlay in overlays:
            code, charge = overlay.procedure_code, overlay.charge_code
            if overlay.province not in {each.code for each in provinces}:
                self.fault(
                    "overlays", overlay, f"there is no province {overlay.province!r}; codes have two digits, in quotes"
                )
            if code and code not in {each.code for each in procedures}:
                self.fault("overlays", overlay, f"there is no procedure {code!r}")
            elif charge and not any(charge == known and code in ("", of) for of, known in charges):
                self.fault("overlays", overlay, f"{code or 'no procedure'} has no charge {charge!r}")
        for stem, known in ((each, self.places) for each in ("calendars", "procedures", "provinces")):
            if not any(key == stem for key, _ in known):
                self.faults.append(f"{stem}.yaml:1: it defines nothing")


def only_yaml(folder: Path) -> list[Path]:
    """The files of a folder that holds nothing else. Raises FaultyCatalogueError."""
    seen = [path for path in sorted(folder.iterdir()) if not path.name.startswith(".") and path.suffix != ".md"]
    faults = [f"{path.name}:1: nothing reads this file" for path in seen if not (path.is_file() and is_yaml(path))]
    if not seen:
        faults.append(f"{folder.name}:1: there is nothing to read")
    if faults:
        raise FaultyCatalogueError(tuple(faults))
    return seen


def is_yaml(path: Path) -> bool:
    return path.suffix.lower() in (".yaml", ".yml")


def check(reader: Reader, each: Any, node: Node) -> None:
    """Notes what a definition that could be read says wrongly."""
    match each:
        case Procedure():
            for fault in lint(each):
                reader.fault(node, fault.path, f"{each.code}: {fault.text.en} [{fault.code}]")
        case CalendarVersion():
            try:
                calendar_of(each)
            except ValueError as error:
                reader.fault(node, "", f"{each.calendar_id}: {error}")


def identity(each: Any) -> Any:
    match each:
        case Procedure() | Province():
            return each.code, each.version
        case Territory():
            return each.province.code, each.version
        case CalendarVersion():
            return each.calendar_id, each.version
        case FeeOverlay():
            return each.province, each.procedure_code, each.charge_code, frozenset(each.channels), each.valid_from
        case AgencyTemplate():
            return each.level, each.suffix
        case _:
            return each.code


def read_communes(path: Path, provinces: Container[str], faults: list[str]) -> dict[str, list[Commune]]:
    """By province, as spreadsheets save it: with commas, semicolons or tabs. Lines that begin with # are remarks."""
    found: dict[str, list[Commune]] = defaultdict(list)
    try:
        text = text_of(path)
    except UnreadableError as error:
        faults.append(f"{path.name}:{error}")
        return found
    lines = [(line, row) for line, row in _rows(text) if any(map(str.strip, row))]
    if not lines or [name.strip() for name in lines[0][1]] != list(COLUMNS):
        faults.append(f"{path.name}:{lines[0][0] if lines else 1}: expected the names {','.join(COLUMNS)}")
        return found
    seen: dict[Any, int] = {}
    for line, row in lines[1:]:
        problem, cells = "", [cell.strip() for cell in row]
        if len(cells) != len(COLUMNS):
            problem = f"expected {','.join(COLUMNS)}"
        else:
            commune = Commune(*cells)
            problem = _commune_fault(commune, provinces) or next(
                (f"it stands in line {seen[key]} too: {key}" for key in commune.known_by() if key in seen), ""
            )
        if problem:
            faults.append(f"{path.name}:{line}: {problem}")
        else:
            seen |= dict.fromkeys(commune.known_by(), line)
            found[commune.province].append(commune)
    return found


def _rows(text: str) -> Iterator[tuple[int, list[str]]]:
    """Each row with its line."""
    named = next((line for line in text.splitlines() if line.strip(" ,;\t") and not line.startswith("#")), "")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=named.count))
    line = 1
    for row in reader:
        if not (row and row[0].startswith("#")):
            yield line, row
        line = reader.line_num + 1


def _commune_fault(commune: Commune, provinces: Container[str]) -> str:
    for name, code, digits in (
        ("province", commune.province, 2),
        ("code", commune.code, 5),
        ("earlier_code", commune.earlier_code or "00000", 5),
    ):
        if not (_DIGITS.fullmatch(code) and len(code) == digits):
            lost = f"; the zeros before it are lost, write {code:0>{digits}}" if _DIGITS.fullmatch(code) else ""
            return f"{name} {code!r} has not {digits} digits{lost}"
    if commune.province not in provinces:
        return f"there is no province {commune.province!r}"
    for kind in (commune.kind, commune.earlier_kind or commune.kind):
        if kind not in _LOCAL:
            return f"{kind!r} is none of {', '.join(_LOCAL)}"
    return "" if commune.name else "it has no name"


def _unit(
    code: str, kind: str, name: str, former: tuple[str, ...] = (), earlier: tuple[str, ...] = ()
) -> TerritorialUnit:
    number, english = _KINDS[kind]
    return TerritorialUnit(code, number, Text(f"{kind.capitalize()} {name}", f"{name} {english}"), former, earlier)


def _territory(province: Province, communes: list[Commune], earlier: bool) -> Territory:
    unit = _unit(province.code, province.kind, province.name, province.former)
    units = (
        _unit(
            each.code,
            each.earlier_kind or each.kind if earlier else each.kind,
            each.name,
            earlier=(each.earlier_code,) if each.earlier_code else (),
        )
        for each in communes
    )
    return Territory(unit, tuple(units), province.version, province.valid_from, province.legal_basis)


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
