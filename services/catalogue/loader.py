"""The catalogue as it lies in files: procedures, overlays, calendars, territory, and the agencies of any province."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from services.catalogue import checks, typed
from services.catalogue.communes import Commune, read_communes, unit_name_fault
from services.catalogue.domain.territory import evolve_territory
from services.catalogue.events import TerritoryPublished
from services.catalogue.reader import Node, Reader, name_of
from services.catalogue.values import ORGANISATION, TerritoryState
from services.chassis.text.plain import name_fault
from services.law.definitions import (
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


_PROVINCIAL = ("tỉnh", "thành phố")
_LISTS = ("agencies", "calendars", "overlays", "provinces")
_COMMUNES = "communes.csv"
# What systems leave beside people's files.
_LEFT_BEHIND = frozenset({"thumbs.db", "desktop.ini"})


class CatalogueFaulty(Exception):
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


AGENCIES: Mapping[str, type[Agency | AgencyTemplate]] = {"code": Agency, "suffix": AgencyTemplate}


@dataclass(frozen=True, slots=True)
class Catalogue:
    procedures: tuple[Procedure, ...]
    overlays: tuple[FeeOverlay, ...]
    calendars: tuple[CalendarVersion, ...]
    territories: tuple[Territory, ...]
    organisations: dict[str, str]
    templates: tuple[AgencyTemplate, ...]
    # The site's own, beside what the templates make, or in its place.
    own: tuple[Agency, ...]
    # Where each definition stands, by its list and what it is known by there.
    places: Mapping[tuple[str, Any], str]

    def agencies(self, province: str) -> Iterator[Agency]:
        """The agencies of a province and of its communes; parents come before children."""
        yield from parents_first([*self._made(province), *(each for each in self.own if each.province == province)])

    def agencies_of(self, provinces: Iterable[str]) -> Iterator[Agency]:
        """Of these provinces, and the site's own wherever they lie; parents come before children."""
        wanted = list(dict.fromkeys(provinces))
        yield from parents_first([*(each for one in wanted for each in self._made(one)), *self.own])

    def _made(self, province: str) -> Iterator[Agency]:
        """By the templates, but for what the site has of its own."""
        territory = next(each for each in self.territories if each.province.code == province)
        root, own = self.organisations[province], {each.code for each in self.own}
        for level, units in ((Level.PROVINCE, (territory.province,)), (Level.COMMUNE, territory.communes)):
            templates = [template for template in self.templates if template.level is level]
            for unit in units:
                stem = root if level is Level.PROVINCE else _stem(root, unit.code)
                for template in templates:
                    if _join(stem, template.suffix) not in own:
                        yield _agency(template, unit, stem, root, territory)

    def place_of(self, agency: Agency) -> str:
        """Where it is written, or its template."""
        root = self.organisations.get(agency.province, "")
        stem = root if agency.level is Level.PROVINCE else _stem(root, agency.commune)
        template = agency.level, agency.code.removeprefix(stem).removeprefix(".")
        return self.places.get(("agencies", agency.code)) or self.places.get(("agencies", template), "agencies.yaml:1")

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
    """Raises CatalogueFaulty with every fault."""
    files = _Files(folder)
    procedures = [each for path in files.procedures for each in files.read(path, "procedures", Procedure)]
    calendars = files.read(files.one("calendars"), "calendars", CalendarVersion)
    overlays = files.read(files.one("overlays"), "overlays", FeeOverlay)
    before = len(files.faults)
    provinces = files.read(files.one("provinces"), "provinces", Province)
    sound = len(files.faults) == before
    agencies = files.read(files.one("agencies"), "agencies", AGENCIES)
    newest = {
        province.code: max(each.version for each in provinces if each.code == province.code) for province in provinces
    }
    communes = read_communes(files.one("communes"), newest if sound else None, files.faults)
    for province in provinces if communes and sound else ():
        if province.code not in communes:
            files.fault("provinces", province, f"{_COMMUNES} has no commune of {province.code}")
    files.raise_faults()
    catalogue = Catalogue(
        tuple(procedures),
        tuple(overlays),
        tuple(calendars),
        tuple(_territory(each, communes[each.code], each.version < newest[each.code]) for each in provinces),
        {province.code: province.organisation for province in provinces},
        tuple(each for each in agencies if isinstance(each, AgencyTemplate)),
        tuple(each for each in agencies if isinstance(each, Agency)),
        files.places,
    )
    files.compare(catalogue)
    files.raise_faults()
    return catalogue


def organisations(folder: Path = DATA) -> dict[str, str]:
    """By a province's code, the prefix of its agencies' codes: the code of its own authority. Raises CatalogueFaulty."""
    files = _Files(folder)
    provinces = files.read(files.one("provinces"), "provinces", Province)
    files.raise_faults()
    return {province.code: province.organisation for province in provinces}


def enacted(valid_from: str, now: datetime) -> datetime:
    """When to say that what the files hold was decided: what is law already, on the eve of its first day."""
    return min(now, datetime.fromisoformat(valid_from).replace(tzinfo=now.tzinfo) - timedelta(days=1))


def parents_first(agencies: Iterable[Agency]) -> list[Agency]:
    """In their order otherwise. Those that are each other's parents come last: no one can be opened."""
    found, left = [], list(agencies)
    waiting = {each.code for each in left}
    while ready := [each for each in left if each.parent not in waiting]:
        found += ready
        waiting -= {each.code for each in ready}
        left = [each for each in left if each.code in waiting]
    return [*found, *left]


class _Files:
    """A folder laid out as the sample. What lies in it and is not read is a fault, but for hidden files and texts."""

    def __init__(self, folder: Path) -> None:
        self.faults: list[str] = []
        self.places: dict[tuple[str, Any], str] = {}
        self._folder = folder
        self._known: dict[str, Path] = {}
        self.procedures: list[Path] = []
        for path in seen_in(folder):
            name = path.name.casefold()
            if name == "procedures" and path.is_dir():
                self.procedures += [each for each in seen_in(path) if self._taken(each, is_yaml(each))]
            elif self._taken(path, (is_yaml(path) and _stem_of(path) in _LISTS) or name == _COMMUNES):
                if (stem := _stem_of(path)) in self._known:
                    self.faults.append(f"{name_of(path)}:1: {name_of(self._known[stem])} lies beside it")
                self._known[stem] = path

    def _taken(self, path: Path, fits: bool) -> bool:
        if not fits:
            self.faults.append(unread(path, f"lists are {', '.join(_LISTS)} and {_COMMUNES}"))
        return fits

    def raise_faults(self) -> None:
        if self.faults:
            raise CatalogueFaulty(tuple(self.faults))

    def one(self, stem: str) -> Path:
        return self._known.get(stem, self._folder / (_COMMUNES if stem == "communes" else f"{stem}.yaml"))

    def read(self, path: Path, key: str, kind: type[T] | Mapping[str, type[T]]) -> list[T]:
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

    def compare(self, catalogue: Catalogue) -> None:
        """What refers to something that no file holds."""
        self._compare_overlays(catalogue)
        self._compare_agencies(catalogue)
        for stem in ("calendars", "procedures", "provinces"):
            if not any(key == stem for key, _ in self.places):
                self.faults.append(f"{stem}.yaml:1: it defines nothing")

    def _compare_overlays(self, catalogue: Catalogue) -> None:
        codes = {each.code for each in catalogue.procedures}
        charges = {(each.code, charge.code) for each in catalogue.procedures for charge in (each.fee or Fee()).charges}
        for overlay in catalogue.overlays:
            code, charge = overlay.procedure_code, overlay.charge_code
            if overlay.province not in catalogue.organisations:
                self.fault(
                    "overlays", overlay, f"there is no province {overlay.province!r}; codes have two digits, in quotes"
                )
            if code and code not in codes:
                self.fault("overlays", overlay, f"there is no procedure {code!r}{typed.perhaps(code, codes)}")
            elif charge and not any(charge == known and code in ("", of) for of, known in charges):
                self.fault("overlays", overlay, f"{code or 'no procedure'} has no charge {charge!r}")

    def _compare_agencies(self, catalogue: Catalogue) -> None:
        calendars = {each.calendar_id for each in catalogue.calendars}
        states: dict[str, TerritoryState] = {}
        for one in catalogue.territories:
            known = states.get(one.province.code, TerritoryState())
            states[one.province.code] = evolve_territory(
                known, TerritoryPublished(territory=one, at=datetime.min, by="")
            )
        roots = set(catalogue.organisations.values())
        suffixes = {each.suffix for each in catalogue.templates if each.level is Level.PROVINCE}
        own = {each.code for each in catalogue.own}
        opened = {each.code: each for each in catalogue.agencies_of(states)} if own else {}
        both: list[AgencyTemplate | Agency] = [*catalogue.templates, *catalogue.own]
        for each in both:
            if each.calendar_id not in calendars:
                self.fault("agencies", each, f"there is no calendar {each.calendar_id!r}")
        for template in catalogue.templates:
            parent = template.parent
            if parent is not None and parent not in suffixes and not own & {_join(root, parent) for root in roots}:
                self.fault("agencies", template, f"no template of the province has the suffix {parent!r} of its parent")
        for agency in catalogue.own:
            for _, fault in checks.agency_faults(agency, states.get(agency.province, TerritoryState())):
                self.fault("agencies", agency, fault)
            if agency.parent and agency.parent not in opened:
                self.fault("agencies", agency, f"there is no agency {agency.parent!r}, its parent")
            elif _is_below_itself(agency, opened):
                self.fault("agencies", agency, "it is its own parent, perhaps by others")


def _is_below_itself(agency: Agency, opened: Mapping[str, Agency]) -> bool:
    seen, parent = set[str](), agency.parent
    while parent and parent not in seen and parent in opened:
        seen.add(parent)
        parent = opened[parent].parent
    return agency.code in seen


def seen_in(folder: Path) -> list[Path]:
    """What people put there. Raises CatalogueFaulty."""
    try:
        found = sorted(folder.iterdir())
    except OSError as error:
        raise CatalogueFaulty((f"{name_of(folder)}:1: it cannot be opened: {error.strerror}",)) from error
    return [
        path
        for path in found
        if not (path.name.startswith(".") or path.suffix.lower() == ".md" or path.name.casefold() in _LEFT_BEHIND)
    ]


def unread(path: Path, expected: str = "") -> str:
    """The fault of a file that nothing reads."""
    if path.name.startswith("~$"):
        what = "a program has the file open that this one stands for: save it there, and close it"
    elif path.suffix.lower() in (".xlsx", ".xls", ".ods"):
        what = f"a spreadsheet is not read: save it as CSV UTF-8, as {_COMMUNES}"
    else:
        what = "nothing reads this file" + (f"; {expected}" if expected else "")
    return f"{name_of(path)}:1: {what}"


def only_yaml(folder: Path) -> list[Path]:
    """The files of a folder that holds nothing else. Raises CatalogueFaulty."""
    seen = seen_in(folder)
    faults = [unread(path) for path in seen if not (path.is_file() and is_yaml(path))]
    if not seen:
        faults.append(f"{name_of(folder)}:1: there is nothing to read")
    if faults:
        raise CatalogueFaulty(tuple(faults))
    return seen


def is_yaml(path: Path) -> bool:
    return path.suffix.lower() in (".yaml", ".yml")


def is_whole(path: Path) -> bool:
    """Laid out as the sample, not a folder of files with lists."""
    return path.is_dir() and any(
        each.name.casefold() in (_COMMUNES, "procedures") or _stem_of(each) == "provinces" for each in seen_in(path)
    )


def _stem_of(path: Path) -> str:
    return path.stem.casefold()


def check(reader: Reader, each: Any, node: Node) -> None:
    """Notes what a definition that could be read says wrongly."""
    match each:
        case Province():
            found: Iterable[tuple[str, str]] = _province_faults(each)
        case AgencyTemplate():
            found = _template_faults(each)
        case _:
            found = checks.faults(each)
    for path, fault in found:
        reader.fault(node, path, fault)


def _province_faults(province: Province) -> Iterator[tuple[str, str]]:
    if fault := typed.digits_fault("code", province.code, 2):
        yield "code", fault
    if province.kind.casefold() not in _PROVINCIAL:
        yield "kind", typed.listed_fault(province.kind, _PROVINCIAL)
    if fault := unit_name_fault(province.name):
        yield "name", fault
    if not ORGANISATION.fullmatch(province.organisation):
        yield "organisation", f"{province.organisation!r} is no code such as P56 or H26"
    if province.version < 1:
        yield "version", "versions count from 1"
    if not province.legal_basis:
        yield "legal_basis", "it names no legal basis"


def _template_faults(template: AgencyTemplate) -> Iterator[tuple[str, str]]:
    for language in ("vi", "en"):
        name = getattr(template.name, language)
        if not name or (fault := name_fault(name)):
            yield f"name.{language}", fault[1] if name and fault else "it has no name"
    if template.level not in (Level.PROVINCE, Level.COMMUNE):
        yield "level", "a template is for every province or every commune; another agency is written with its code"
    stem = "P00" if template.level is Level.PROVINCE else _stem("P00", "00000")
    if not ORGANISATION.fullmatch(_join(stem, template.suffix)):
        yield "suffix", f"{template.suffix!r} makes no agency's code: one or two numbers, as 5 or 5.1"


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


def _unit(
    code: str, kind: str, name: str, former: tuple[str, ...] = (), earlier: tuple[str, ...] = ()
) -> TerritorialUnit:
    kind = kind.casefold()
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
