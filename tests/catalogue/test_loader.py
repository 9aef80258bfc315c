from __future__ import annotations

import json
import re
import shutil
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path

import jsonschema_rs
import pytest

from motcua.catalogue.events.v1 import events_pb2
from services.catalogue import domain
from services.catalogue.domain import calendars, is_date, overlays, procedures, territories
from services.catalogue.loader import DATA, FaultyCatalogueError, enacted, load
from services.chassis.codec import Codec, Shape
from services.chassis.law.definitions import AgencyKind, Level, Procedure, UnitKind, calendar_of
from tests.catalogue.samples import catalogue
from tests.catalogue.test_domain import AT, BY
from tests.support.given import given

COMMUNES = """
    01 126 04 56 08 124 11 45 12 38 14 75 15 99 19 92 20 65 22 54 24 99 25 148 31 114 33 104 37 129 38 166 40
    130 42 69 44 78 46 40 48 94 51 96 52 135 56 65 66 102 68 124 75 95 79 168 80 96 82 102 86 124 91 102 92
    103 96 64
""".split()  # noqa: SIM905 - a table reads better than quotes
PROCEDURES = """
    1.001193 2.000635 1.000894 1.000656 1.004873 2.000815 2.001263 1.004222 1.004194 2.001159 1.003677
    1.010041 1.014061 1.014063 1.014064 1.001456 3.000333 1.013080 3.000347 1.001612 2.001583 2.002043
    1.001613 1.013225 1.012787 1.013978 1.007277 2.000986 2.001023 9.000001
""".split()  # noqa: SIM905 - a table reads better than quotes


def test_every_province_has_its_communes() -> None:
    today = {each.province.code: len(each.communes) for each in catalogue().territories}
    assert today == {code: int(count) for code, count in zip(COMMUNES[::2], COMMUNES[1::2], strict=True)}
    assert (len(today), sum(today.values())) == (34, 3321)


def test_dong_nai_is_a_city_from_30_april() -> None:
    province, city = [each for each in catalogue().territories if each.province.code == "75"]
    assert (province.province.kind, city.province.kind) == (UnitKind.PROVINCE, UnitKind.CITY)
    assert (city.version, city.valid_from) == (2, "2026-04-30")


def test_names_in_both_languages() -> None:
    khanh_hoa = next(each for each in catalogue().territories if each.province.code == "56")
    names = {unit.code: (unit.name.vi, unit.name.en) for unit in (khanh_hoa.province, *khanh_hoa.communes)}
    assert names["56"] == ("Tỉnh Khánh Hòa", "Khánh Hòa Province")
    assert names["22366"] == ("Phường Nha Trang", "Nha Trang Ward")
    assert names["22736"] == ("Đặc khu Trường Sa", "Trường Sa Special Zone")


def test_every_procedure_is_there() -> None:
    assert sorted(each.code for each in catalogue().procedures) == sorted(PROCEDURES)


@pytest.mark.parametrize("procedure", catalogue().procedures, ids=lambda procedure: procedure.code)
def test_a_form_accepts_only_what_it_asks_for(procedure: Procedure) -> None:
    assert procedure.form is not None
    schema = json.loads(procedure.form.schema)
    validator = jsonschema_rs.validator_for(schema, validate_formats=True)
    missing = {error.message for error in validator.iter_errors({})}
    assert len(missing) >= len(schema["required"]) > 0
    assert not validator.is_valid({"unasked": True})


def test_children_are_procedures_of_the_catalogue() -> None:
    children = {child.procedure_code for each in catalogue().procedures for child in each.children}
    assert children == {"1.001193", "1.004222", "9.000001"}


@pytest.mark.parametrize("province", ["56", "01"])
def test_the_agencies_of_a_province(province: str) -> None:
    found = list(catalogue().agencies(province))
    territory = next(each for each in catalogue().territories if each.province.code == province)
    codes = [agency.code for agency in found]
    assert len(codes) == len(set(codes)) == 19 + 2 * len(territory.communes)
    assert sum(agency.kind is AgencyKind.DEPARTMENT for agency in found) == 14
    opened: set[str] = set()
    for agency in found:
        assert not agency.parent or agency.parent in opened
        assert agency.calendar_id == ("police" if agency.kind is AgencyKind.POLICE else "general")
        assert re.fullmatch(r"[A-Z]\d{2}(\.\d{1,3}){0,4}", agency.code)
        opened.add(agency.code)


def test_the_agencies_of_a_commune() -> None:
    police = next(agency for agency in catalogue().agencies("56") if agency.code == "P56.22.366.1")
    assert (police.name.vi, police.parent, police.commune) == ("Công an phường Nha Trang", "P56.15", "22366")
    assert police.level is Level.COMMUNE


def test_every_authority_has_an_agency() -> None:
    agencies = {(agency.level, agency.kind, agency.field) for agency in catalogue().agencies("56")}
    wanted = {
        (authority.level, authority.kind, authority.field)
        for procedure in catalogue().procedures
        for authority in procedure.authorities
        if authority.kind is not AgencyKind.NOTARY
    }
    assert wanted <= agencies


def test_the_calendars_are_those_of_2025_to_2027() -> None:
    found = catalogue().calendars
    assert [(each.calendar_id, each.version, each.known_until) for each in found] == [
        ("general", 1, "2026-12-31"),
        ("police", 1, "2026-12-31"),
        ("general", 2, "2027-12-31"),
        ("police", 2, "2027-12-31"),
    ]
    for general, police, days in ((found[0], found[1], (0, 18, 1)), (found[2], found[3], (22, 18, 22))):
        read = calendar_of(general)
        assert tuple(sum(day.year == year for day in read.closed) for year in (2025, 2026, 2027)) == days
        assert (general.closed, general.worked) == (police.closed, police.worked)
        assert all(map(is_date, general.closed))


def test_a_site_that_begins_late_gets_every_version() -> None:
    first, second = (each for each in catalogue().calendars if each.calendar_id == "general")
    late = datetime(2027, 7, 1, tzinfo=UTC)
    at = enacted(second.announced_on, late)
    given(calendars, domain.CalendarPublished(first, late, BY)).when(domain.PublishCalendar(second, at, BY)).then(
        domain.CalendarPublished(second, at, BY)
    )


def test_the_deciders_accept_what_is_loaded() -> None:
    for procedure in catalogue().procedures:
        given(procedures).when(domain.PublishProcedure(procedure, (), AT, BY)).then(
            domain.ProcedurePublished(procedure, AT, BY)
        )
    for overlay in catalogue().overlays:
        given(overlays).when(domain.AdoptFeeOverlay(overlay, True, True, AT, BY)).then(
            domain.FeeOverlayAdopted(overlay, AT, BY)
        )
    published: dict[str, list[domain.TerritoryPublished]] = defaultdict(list)
    for territory in catalogue().territories:
        at, history = enacted(territory.valid_from, AT), published[territory.province.code]
        event = domain.TerritoryPublished(territory, at, BY)
        given(territories, *history).when(domain.PublishTerritory(territory, at, BY)).then(event)
        history.append(event)


def test_events_and_protos_agree() -> None:
    for events in (
        domain.ProcedureEvent,
        domain.FeeOverlayAdopted,
        domain.AgencyEvent,
        domain.CalendarPublished,
        domain.TerritoryEvent,
    ):
        Codec(events, events_pb2)
    shape = Shape(domain.ProcedurePublished, events_pb2.ProcedurePublished)
    for procedure in catalogue().procedures:
        event = domain.ProcedurePublished(procedure, AT, BY)
        assert shape.read(shape.write(event)) == event


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(DATA, tmp_path / "data"))


def faults(folder: Path) -> tuple[str, ...]:
    with pytest.raises(FaultyCatalogueError) as error:
        load(folder)
    return error.value.faults


def edit(path: Path, old: str, new: str) -> int:
    """Replaces the first occurrence and says in which line it stood."""
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return text[: text.index(old)].count("\n") + 1


def test_every_fault_of_every_file_with_its_line(folder: Path) -> None:
    civil, land = folder / "procedures/civil-status.yaml", folder / "procedures/land.yaml"
    term = edit(civil, "{channel: counter, term: 1 working-days}", "{channel: counter, term: 1}")
    amount = edit(civil, "amount: 8_000", "amount: 8")
    level = edit(land, "online_level: full", "online_level: complete")
    overlay = edit(folder / "overlays.yaml", "amount: 150_000", "amount: much")
    edit(folder / "communes.csv", "01,00004,phường,Ba Đình", "01,00004,quận,Ba Đình")
    assert faults(folder) == (
        f"civil-status.yaml:{amount}: fee.charges[0].amount: 2.000635: 8 đồng cannot be right; "
        "perhaps thousands are meant. [AMOUNT_SUSPECT]",
        f"civil-status.yaml:{term}: channels[0].term: 1.000894: The time 1 has no unit "
        "(working days, days, hours, months). [TERM_WITHOUT_UNIT]",
        f"land.yaml:{level}: 'complete' is none of information, partial, full",
        f"overlays.yaml:{overlay}: 'much' is no int",
        "communes.csv:1: expected province,code,kind,name",
    )


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("loa: 1", "loa: 1\n    colour: red", "Procedure has no 'colour'"),
        ("    loa: 1\n", "", "Procedure lacks 'loa'"),
        ("loa: 1", "loa: 1\n    loa: 2", "'loa' twice"),
        ("loa: 1", "loa: [1]", "expected a single value"),
        ("term: same-day", "term: soon", "'soon' is no time such as '3 working-days' or 'same-day'"),
        ("term: same-day", "term: 3 fortnights", "'3 fortnights' is no time such as '3 working-days' or 'same-day'"),
        ("legal_basis: *law", "legal_basis: law", "expected a list"),
        ("fee: {charges: []}", "fee: free", "expected a Fee"),
        (
            "form_value: true",
            "form_value: 2025-01-01",
            "not expressible as JSON: Object of type date is not JSON serializable",
        ),
        ("procedures:\n", "procedures: {\n", "node content"),
    ],
)
def test_what_cannot_be_read(folder: Path, old: str, new: str, fault: str) -> None:
    path = folder / "procedures/civil-status.yaml"
    edit(path, old, new)
    found = faults(folder)
    assert all(re.match(r"civil-status\.yaml:\d+: ", each) for each in found)
    assert fault in found[0]


def test_a_calendar_that_makes_none(folder: Path) -> None:
    edit(folder / "calendars.yaml", "*full, *off, *off]", "*full, *off]")
    (fault,) = faults(folder)
    assert re.fullmatch(r"calendars\.yaml:\d+: general: 6 weekdays", fault)


def test_the_same_version_twice(folder: Path) -> None:
    edit(folder / "procedures/land.yaml", "code: 1.007277", "code: 1.013978")
    assert faults(folder) == ("procedures: 1.013978 is defined twice in one version",)
