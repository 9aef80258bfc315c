from __future__ import annotations

import csv
import json
import re
import shutil
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import jsonschema_rs
import pytest

from motcua.catalogue.events.v1 import events_pb2
from services.catalogue import remote
from services.catalogue.commands import AdoptFeeOverlay, PublishCalendar, PublishProcedure, PublishTerritory
from services.catalogue.domain.calendar import calendars
from services.catalogue.domain.overlay import overlays
from services.catalogue.domain.procedure import procedures
from services.catalogue.domain.territory import territories
from services.catalogue.events import (
    AgencyEvent,
    CalendarPublished,
    FeeOverlayAdopted,
    ProcedureEvent,
    ProcedurePublished,
    TerritoryEvent,
    TerritoryPublished,
)
from services.catalogue.loader import DATA, CatalogueFaulty, enacted, load
from services.chassis.deciding.codec import Codec, Shape
from services.chassis.text.names import folded
from services.law.days import is_day
from services.law.deadlines import Term, Unit
from services.law.definitions import AgencyKind, Level, Procedure, UnitKind, UnpaidConsequence, calendar_of
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


def test_a_shipped_procedure_says_how_long_its_fee_can_be_paid_and_what_happens_then() -> None:
    stated = [(each.code, each.fee.pay_within, each.fee.unpaid) for each in catalogue().procedures if each.fee]
    assert [each for each in stated if each[1]] == [
        ("1.001456", Term(10, Unit.WORKING_DAYS), UnpaidConsequence.STOP),
    ]


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
        assert all(map(is_day, general.closed))


def test_a_site_that_begins_late_gets_every_version() -> None:
    first, second = (each for each in catalogue().calendars if each.calendar_id == "general")
    late = datetime(2027, 7, 1, tzinfo=UTC)
    at = enacted(second.announced_on, late)
    given(calendars, CalendarPublished(calendar=first, at=late, by=BY)).when(
        PublishCalendar(calendar=second, at=at, by=BY)
    ).then(CalendarPublished(calendar=second, at=at, by=BY))


def test_the_deciders_accept_what_is_loaded() -> None:
    for procedure in catalogue().procedures:
        given(procedures).when(PublishProcedure(procedure=procedure, faults=(), at=AT, by=BY)).then(
            ProcedurePublished(procedure=procedure, at=AT, by=BY)
        )
    for overlay in catalogue().overlays:
        given(overlays).when(
            AdoptFeeOverlay(
                overlay=overlay,
                province_known=True,
                procedure_known=True,
                charges=frozenset({overlay.charge_code}),
                at=AT,
                by=BY,
            )
        ).then(FeeOverlayAdopted(overlay=overlay, at=AT, by=BY))
    published: dict[str, list[TerritoryPublished]] = defaultdict(list)
    for territory in catalogue().territories:
        at, history = enacted(territory.valid_from, AT), published[territory.province.code]
        event = TerritoryPublished(territory=territory, at=at, by=BY)
        given(territories, *history).when(PublishTerritory(territory=territory, at=at, by=BY)).then(event)
        history.append(event)


def test_events_and_protos_agree() -> None:
    for events in (
        ProcedureEvent,
        FeeOverlayAdopted,
        AgencyEvent,
        CalendarPublished,
        TerritoryEvent,
    ):
        Codec(events, events_pb2)
    shape = Shape(ProcedurePublished, events_pb2.ProcedurePublished)
    for procedure in catalogue().procedures:
        event = ProcedurePublished(procedure=procedure, at=AT, by=BY)
        assert shape.read(shape.write(event)) == event


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    return Path(shutil.copytree(DATA, tmp_path / "data"))


@pytest.fixture
def folder(whole: Path) -> Path:
    """Less to read: the procedures that have overlays, and some communes of each province."""
    for path in (whole / "procedures").iterdir():
        if path.stem not in ("business", "civil-status", "land"):
            path.unlink()
    seen, kept = Counter[str](), list[str]()
    for line in (whole / "communes.csv").read_text("utf-8").splitlines(keepends=True):
        province = line.partition(",")[0]
        seen[province] += 1
        if seen[province] <= 3 or not province.isdigit():
            kept.append(line)
    (whole / "communes.csv").write_text("".join(kept), "utf-8")
    return whole


def faults(folder: Path) -> tuple[str, ...]:
    with pytest.raises(CatalogueFaulty) as error:
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
    commune = edit(folder / "communes.csv", "01,00004,phường,Ba Đình", "01,00004,quận,Ba Đình")
    assert faults(folder) == (
        f"civil-status.yaml:{amount}: fee.charges[0].amount: 2.000635: 8 đồng cannot be right; "
        "perhaps thousands are meant. [AMOUNT_SUSPECT]",
        f"civil-status.yaml:{term}: channels[0].term: 1.000894: The time 1 has no unit "
        "(working days, days, hours, months). [TERM_WITHOUT_UNIT]",
        f"land.yaml:{level}: 'complete' is none of information, partial, full",
        f"overlays.yaml:{overlay}: 'much' is no whole number: write it in digits, as 10000",
        f"communes.csv:{commune}: 'quận' is none of xã, phường, đặc khu",
    )


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("loa: 1", "loa: 1\n    colour: red", "a procedure has no field 'colour'"),
        ("    loa: 1\n", "", "a procedure needs the field 'loa'"),
        ("loa: 1", "loa: 1\n    loa: 2", "'loa' twice"),
        ("loa: 1", "loa: [1]", "expected a single value"),
        ("term: same-day", "term: soon", "'soon' is no time such as '3 working-days' or 'same-day'"),
        ("term: same-day", "term: 3 fortnights", "'3 fortnights' is no time such as '3 working-days' or 'same-day'"),
        ("legal_basis: *law", "legal_basis: law", "expected a list, as [one, another]"),
        ("fee: {charges: []}", "fee: free", "expected a fee: condition, charges, exemptions, pay_within, unpaid"),
        (
            "form_value: true",
            "form_value: 2025-01-01",
            "'2025-01-01' is read as a date: put it in quotes, or write it as JSON has it",
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
    assert re.fullmatch(
        r"calendars\.yaml:\d+: The calendar is not valid: a week has 7 days, Monday first, and not 6\..*", fault
    )


def test_the_same_version_twice(folder: Path) -> None:
    path = folder / "procedures/land.yaml"
    second = edit(path, "code: 1.007277", "code: 1.013978")
    first = path.read_text(encoding="utf-8").split("code: 1.013978")[0].count("\n") + 1
    assert faults(folder) == (f"land.yaml:{max(first, second)}: it stands at land.yaml:{min(first, second)} too",)


def rewrite(path: Path, change: Callable[[str], str | bytes]) -> None:
    changed = change(path.read_text(encoding="utf-8"))
    path.write_bytes(changed if isinstance(changed, bytes) else changed.encode())


SAVED: list[Callable[[str], str | bytes]] = [
    lambda text: text.encode("utf-8-sig"),
    lambda text: text.encode("utf-16"),
    lambda text: unicodedata.normalize("NFD", text),
    lambda text: text.replace("\n", "\r\n"),
]


@pytest.mark.parametrize("saved", SAVED)
def test_a_file_reads_the_same_however_an_editor_saved_it(whole: Path, saved: Callable[[str], str | bytes]) -> None:
    for name in ("communes.csv", "overlays.yaml", "procedures/residence.yaml"):
        rewrite(whole / name, saved)
    (whole / "procedures/justice.yaml").rename(whole / "procedures/justice.YML")
    read = load(whole)
    assert (read.territories, read.overlays) == (catalogue().territories, catalogue().overlays)
    assert sorted(read.procedures, key=lambda each: each.code) == sorted(
        catalogue().procedures, key=lambda each: each.code
    )


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_a_spreadsheet_saves_cells_with_another_sign_between_them(whole: Path, delimiter: str) -> None:
    rewrite(
        whole / "communes.csv",
        lambda text: (
            "\n".join(line if line.startswith("#") else line.replace(",", delimiter) for line in text.splitlines())
            + f"\n{delimiter * 5}\n"
        ),
    )
    assert load(whole).territories == catalogue().territories


@pytest.mark.parametrize(
    ("name", "old", "new", "fault"),
    [
        (
            "communes.csv",
            "01,00008,",
            "1,8,",
            "province '1' has not 2 digits; the zeros before it are lost, write 01",
        ),
        ("communes.csv", "01,00008,", "01,8,", "code '8' has not 5 digits; the zeros before it are lost, write 00008"),
        ("communes.csv", "01,00008,", "02,00008,", "there is no province '02'"),
        ("communes.csv", "01,00008,", "01,00004,", "the code 00004 stands in line 8 too"),
        ("communes.csv", ",Ngọc Hà,", ",Ba  Đình,", "phường Ba Đình of 01 stands in line 8 too"),
        ("communes.csv", ",Ngọc Hà,,", ",,,", "it has no name"),
        (
            "communes.csv",
            ",Ngọc Hà,,",
            ",Ngọc Hà,",
            "expected 6 cells, province,code,kind,name,earlier_code,earlier_kind; found 5",
        ),
        ("communes.csv", "province,code", "code,province", "expected the names province,code,kind,name,"),
        ("overlays.yaml", 'province: "31"', 'province: "99"', "there is no province '99'; codes have two digits"),
        ("overlays.yaml", 'province: "31"', "province: 1", "there is no province '1'; codes have two digits"),
        ("overlays.yaml", "procedure_code: 1.000656", "procedure_code: 1.656", "there is no procedure '1.656'"),
        ("overlays.yaml", "late-registration", "late", "1.000656 has no charge 'late'"),
        ("overlays.yaml", "overlays:", "overlay:", "'overlay' is none of overlays"),
        ("overlays.yaml", "amount: 150_000", "amount: 150_00", "'150_00' is no whole number: write it in digits"),
        ("provinces.yaml", "provinces:", "provinces: []\nprovinces:", "'provinces' twice"),
        (
            "provinces.yaml",
            '{code: "04"',
            '{code: "4"',
            "code: code '4' has not 2 digits; the zeros before it are lost, write 04",
        ),
        ("provinces.yaml", "organisation: P04", "organisation: P04, region: north", "a province has no field 'region'"),
        ("agencies.yaml", 'suffix: "2"', 'suffix: "1"', "it stands at agencies.yaml:"),
        ("calendars.yaml", "version: 1", "version: 01", "'01' is no whole number: write 1"),
        ("procedures/land.yaml", "enum: [", "enum: [no, ", "'no' is read as yes or no: put it in quotes"),
        ("procedures/land.yaml", "enum: [", "enum: [~, ", "'~' is read as nothing: put it in quotes"),
        ("procedures/land.yaml", "enum: [", "enum: [017, ", "'017' is read as a number: put it in quotes"),
        ("procedures/land.yaml", "type: object", "type: object\n        type: object", "'type' twice"),
    ],
)
def test_nothing_is_dropped_and_nothing_guessed(folder: Path, name: str, old: str, new: str, fault: str) -> None:
    edit(folder / name, old, new)
    found = faults(folder)
    assert all(re.match(r"[\w-]+\.(yaml|csv):\d+: ", each) for each in found)
    assert any(fault in each for each in found), found


def test_files_that_nobody_reads_and_files_that_are_missing(folder: Path) -> None:
    (folder / "overlays.yaml").rename(folder / "overlay.yaml")
    (folder / "procedures/land.yaml").rename(folder / "procedures/land.yaml.txt")
    (folder / "communes.csv").write_bytes("province,code\n01,Bờ".encode("cp1258", "replace") + b"\xd2")
    (folder / "calendars.yaml").write_text("")
    assert faults(folder) == (
        "overlay.yaml:1: nothing reads this file; lists are agencies, calendars, overlays, provinces and communes.csv",
        "land.yaml.txt:1: nothing reads this file; lists are agencies, calendars, overlays, provinces and communes.csv",
        "calendars.yaml:1: expected the list calendars, as in `calendars:`",
        "overlays.yaml:1: there is no such file",
        "communes.csv:2: it is not UTF-8: save it as UTF-8 (in a spreadsheet: CSV UTF-8)",
    )


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, ("given:1: there is nothing to read",)),
        (
            {"a.yaml": ""},
            (
                "a.yaml:1: expected the list calendars or territories or procedures or agencies or overlays, as in `calendars:`",
            ),
        ),
        (
            {"a.yaml": "overlays: []\n"},
            ("a.yaml:1: it defines nothing; expected one of calendars, territories, procedures, agencies, overlays",),
        ),
        (
            {"a.yaml": "overlays: []\nprovinces: []\n"},
            ("a.yaml:2: 'provinces' is none of calendars, territories, procedures, agencies, overlays",),
        ),
        (
            {"a.yaml": "overlays: &a [*a]\n"},
            (
                "a.yaml:1: expected a fee overlay: province, procedure_code, charge_code, channels, amount, "
                "valid_from, valid_until, resolution, unverified",
            ),
        ),
        ({"a.yaml": "overlays: [{channels: &a [*a]}]\n"}, ("a.yaml:1: expected a single value",)),
        ({"a.yaml": "- " * 100_000}, ("a.yaml:1: it is no YAML: exceeded maximum nesting depth",)),
        ({"a.csv": "x"}, ("a.csv:1: nothing reads this file",)),
    ],
)
def test_a_folder_of_one_s_own_files(tmp_path: Path, files: dict[str, str], expected: tuple[str, ...]) -> None:
    given = tmp_path / "given"
    given.mkdir()
    for name, text in files.items():
        (given / name).write_text(text)
    with pytest.raises(CatalogueFaulty) as error:
        remote.entries(given)
    assert error.value.faults[: len(expected)] == expected


def test_the_same_in_two_files_of_a_folder(tmp_path: Path) -> None:
    overlay = (DATA / "overlays.yaml").read_text(encoding="utf-8").split("  - ", 2)[1]
    for name in ("a.yaml", "b.yml"):
        (tmp_path / name).write_text(f"overlays:\n  - {overlay}", encoding="utf-8-sig")
    with pytest.raises(CatalogueFaulty) as error:
        remote.entries(tmp_path)
    assert error.value.faults == ("b.yml:2: it stands at a.yaml:2 too",)
    (tmp_path / "b.yml").unlink()
    assert [(entry.kind, entry.where) for entry in remote.entries(tmp_path)] == [("overlay", "a.yaml:2")]


# Communes


def reference() -> dict[str, tuple[str, str, str]]:
    text = (Path(__file__).parent / "communes-of-decision-19.csv").read_text(encoding="utf-8")
    return {code: (province, kind, name) for province, code, kind, name in csv.reader(text.splitlines()[1:])}


# That list gives another commune's name to these; so they stand in the decision, whose numbers the data's head names.
OWN_NAMES = {
    "05665": "Văn Lăng", "10903": "Cẩm Giàng", "21292": "Sơn Hạ", "21523": "Ba Tô", "25294": "Lộc Thành", "27676": "Thạnh An",
    "27826": "Tân Thạnh", "30157": "Tân Thạnh",
}  # fmt: skip


def test_the_communes_are_those_of_decision_19_and_of_30_april_2026() -> None:
    newest = {each.province.code: each for each in catalogue().territories}
    ours = {
        unit.code: (province, unit.kind, folded(unit.name.vi))
        for province, territory in newest.items()
        for unit in territory.communes
    }
    kinds = {"xã": UnitKind.COMMUNE, "phường": UnitKind.WARD, "đặc khu": UnitKind.SPECIAL_ZONE}
    assert ours == {
        code: (province, kinds[kind], folded(f"{kind} {OWN_NAMES.get(code, name)}"))
        for code, (province, kind, name) in reference().items()
    }


def test_earlier_codes_stay_known() -> None:
    units = {unit.code: unit for each in catalogue().territories for unit in each.communes}
    assert sum(bool(unit.earlier_codes) for unit in units.values()) == 124
    assert {code: units[code].earlier_codes for code in ("00226", "00229", "00331", "01537")} == {
        "00226": ("00196",),
        "00229": ("00226",),
        "00331": ("00319",),
        "01537": ("01558",),
    }


def test_ten_communes_of_dong_nai_are_wards_from_30_april() -> None:
    before, after = [
        {unit.code: unit.kind for unit in each.communes}
        for each in catalogue().territories
        if each.province.code == "75"
    ]
    changed = {code for code in before if before[code] is not after[code]}
    assert changed == {"25270", "25357", "25363", "26116", "26170", "26248", "26326", "26368", "26425", "26485"}
    assert {before[code] for code in changed} == {UnitKind.COMMUNE}


def test_a_tone_s_place_makes_no_other_name() -> None:
    assert folded("Xã Hoà Bình") == folded("xã  Hòa Bình") == folded("Xã Hoà Bình".replace("à", "a\u0300"))
    assert folded("Ea H’Leo") == folded("Ea H'leo")
    assert len({folded(name) for name in ("Văn Lang", "Văn Lăng", "Cẩm Giàng", "Cẩm Giang", "Lý Sơn", "Lí Sơn")}) == 6
