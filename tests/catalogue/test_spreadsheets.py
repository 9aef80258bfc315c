"""What people type, and what docs/catalogue.md promises an editor."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.catalogue import remote
from services.catalogue.communes import Commune
from services.catalogue.loader import AgencyTemplate, CatalogueFaulty, Province, load
from services.law import definitions
from services.law.definitions import Agency, CalendarVersion, FeeOverlay, Procedure, Territory

DOC = (Path(__file__).parents[2] / "docs/catalogue.md").read_text(encoding="utf-8")
EXAMPLE = dict(re.findall(r"^`([\w./-]+)`:\n\n```\w+\n(.*?)```", DOC, re.MULTILINE | re.DOTALL))


def laid_out(folder: Path, files: dict[str, str | bytes]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


def faults(folder: Path, **changed: str | bytes) -> tuple[str, ...]:
    """Of the example with other files of these names, whose full stops are written __."""
    files = EXAMPLE | {name.replace("__", "."): text for name, text in changed.items()}
    with pytest.raises(CatalogueFaulty) as error:
        load(laid_out(folder, files))
    return error.value.faults


def test_the_whole_small_example_is_read(tmp_path: Path) -> None:
    found = remote.entries(laid_out(tmp_path, {**EXAMPLE}), ["56"])
    assert [(entry.kind, entry.name, entry.where) for entry in found] == [
        ("calendar", "general 1", "calendars.yaml:5"),
        ("territory", "56 1", "provinces.yaml:2"),
        ("procedure", "1.004873 1", "civil-status.yaml:2"),
        ("agency", "P56", "agencies.yaml:2"),
        ("agency", "P56.22.366", "agencies.yaml:4"),
        ("agency", "P56.22.390", "agencies.yaml:7"),
        ("agency", "P56.3", "agencies.yaml:11"),
        ("overlay", "56 1.004873 confirmation", "overlays.yaml:2"),
    ]
    assert found[5].definition.name.vi == "Bộ phận Một cửa phường Tây Nha Trang"


# Its tables

LISTS: dict[str, type] = {
    "calendars": CalendarVersion,
    "provinces": Province,
    "communes.csv": Commune,
    "agencies: templates": AgencyTemplate,
    "agencies: your own": Agency,
    "overlays": FeeOverlay,
    "procedures": Procedure,
    "territories": Territory,
}


def table(title: str) -> list[list[str]]:
    section = DOC.split(f"### {title}\n")[1].split("\n#")[0]
    rows = [line.split("|")[1:-1] for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip(" `") for cell in row] for row in rows[2:]]


@pytest.mark.parametrize("title", LISTS)
def test_the_fields_of_a_list_are_those_of_the_code(title: str) -> None:
    fields = dataclasses.fields(LISTS[title])
    # A table's cells are all there, and may be empty.
    optional = ("earlier_code", "earlier_kind")
    assert [row[:2] for row in table(title)] == [
        [each.name, "yes" if each.default is dataclasses.MISSING and each.name not in optional else ""]
        for each in fields
    ]


def parts(kind: type, seen: dict[type, None], enums: dict[type[Enum], set[str]]) -> None:
    hints = get_type_hints(kind)
    for each in dataclasses.fields(kind):
        type_: Any = hints[each.name]
        while isinstance(type_, UnionType) or get_origin(type_) is tuple:
            type_ = next(one for one in get_args(type_) if one is not NoneType)
        if isinstance(type_, type) and issubclass(type_, Enum):
            enums.setdefault(type_, set()).add(each.name)
        elif getattr(type_, "__module__", "") == definitions.__name__ and isinstance(type_, type) and type_ not in seen:
            seen[type_] = None
            parts(type_, seen, enums)


def test_the_parts_and_choices_are_those_of_the_code() -> None:
    seen: dict[type, None] = {}
    enums: dict[type[Enum], set[str]] = {}
    for kind in LISTS.values():
        parts(kind, seen, enums)

    def bold(field: dataclasses.Field[Any]) -> str:
        return f"**{field.name}**" if field.default is dataclasses.MISSING else field.name

    spoken = {re.sub(r"(?<!^)(?=[A-Z])", " ", kind.__name__).lower(): kind for kind in seen}
    assert dict(table("Their parts")) == {
        name: ", ".join(map(bold, dataclasses.fields(kind))) for name, kind in spoken.items()
    }
    choices = [(sorted(re.findall(r"\w+", names)), re.findall(r"[\w-]+", listed)) for names, listed in table("Choices")]
    assert sorted(choices) == sorted(
        (sorted(names), [each.name.lower().replace("_", "-") for each in kind if each.value])
        for kind, names in enums.items()
    )


# What people type

TYPED = [
    "1/7/2026", "01-07-2026", "2026-7-1", "46204", "2026-02-30", "9999-12-31", "0001-01-01", "20260701", "2026-W27-3",
    "10.000", "10,000", "1e4", "010", "10.000 đ", "-8000", "99999999999999", "9" * 30, "1_0", "１０",
    "YES", "no", "Có", "x", "TRUE", "", "~", "null", "“a”", '"a"', "'01'", "a\u200bb", "a\u00a0b", "a\\ud800b", "[/b]", "{unit}",
    "7:30", "25:00", "07:30+07:00", "Lịch", "https://evil.example", "a" * 30_000, "[]", "[a]", "{a: b}", "{? [a] : b}",
    "*x", "&x a", "!!binary a", "- a", "a: b: c", "\t", "\ufeff", "\x07", "|", "3 ngày", "3 working-days", "=", "<<", "%", "@",
    "P56.1", "22366",
]  # fmt: skip
PYTHON = re.compile(r"\b(?:int|str|bool|tuple|dict|NoneType|None|isoformat|object at|Error|codec|AgencyTemplate)\b|\('")


def spots(name: str) -> list[tuple[int, int]]:
    """Where a file's values and names stand."""
    text = EXAMPLE[name]
    if name.endswith(".csv"):
        return [found.span() for found in re.finditer(r"[^,\n]+|(?<=,)(?=,)", text)]
    found: list[tuple[int, int]] = []

    def walk(node: Any) -> None:
        if isinstance(node, yaml.ScalarNode):
            found.append((node.start_mark.index, node.end_mark.index))
        else:
            for child in node.value:
                for each in child if isinstance(child, tuple) else (child,):
                    walk(each)

    walk(yaml.compose(text, Loader=yaml.SafeLoader))
    return sorted(set(found))


SPOTS = [(name, *spot) for name in EXAMPLE for spot in spots(name)]


def refused_in_words(folder: Path) -> None:
    said: tuple[str, ...] = ()
    try:
        remote.entries(folder, ["56"])
    except CatalogueFaulty as error:
        said = error.faults or ("nothing",)
    for fault in said:
        assert re.match(r"[\w.-]+:\d+: \S", fault), fault
        assert not PYTHON.search(re.sub(r"'[^']*'|\"[^\"]*\"", "", fault)), fault


@settings(max_examples=100)
@given(st.sampled_from(SPOTS), st.sampled_from(TYPED) | st.text(max_size=8))
@example(("overlays.yaml", *spots("overlays.yaml")[12]), "1/7/2026")
def test_no_value_of_any_list_ends_in_anything_but_a_line_and_a_word(
    tmp_path_factory: pytest.TempPathFactory, spot: tuple[str, int, int], typed: str
) -> None:
    name, start, end = spot
    text = EXAMPLE[name]
    changed = f"{text[:start]}{typed}{text[end:]}".encode(errors="replace")
    refused_in_words(laid_out(tmp_path_factory.mktemp("typed"), {**EXAMPLE, name: changed}))


@settings(max_examples=40)
@given(st.sampled_from(sorted(EXAMPLE)), st.binary(max_size=40), st.integers(0, 2000))
def test_nor_does_any_file(tmp_path_factory: pytest.TempPathFactory, name: str, noise: bytes, at: int) -> None:
    content = EXAMPLE[name].encode()
    noisy = content[:at] + noise + content[at:]
    refused_in_words(laid_out(tmp_path_factory.mktemp("noise"), {**EXAMPLE, name: noisy}))


OVERLAYS = EXAMPLE["overlays.yaml"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        *(
            ("2025-07-01", day, f"{day.strip(chr(34))!r} is no day: write 2026-07-01")
            for day in ("1/7/2026", '"01/07/2026"', "01-07-2026", "2026-7-1", "46204", "1.7.2026", "2026-07-01 00:00:00")
        ),
        ("2025-07-01", "13/13/2026", "'13/13/2026' is no day: write it as 2026-07-01 (year-month-day)"),
        ("2025-07-01", "2026-02-30", "'2026-02-30' is no day: write it as 2026-07-01 (year-month-day)"),
        ("2025-07-01", '""', "a day is missing: write it as 2026-07-01"),
        ('valid_until: ""', "valid_until: 9999-12-31",
         "'9999-12-31' is too far away; where there is no last day, write nothing"),
        *(
            ("15_000", amount, f"{amount.strip(chr(34))!r} is no whole number: write 10000")
            for amount in ("10.000", '"10,000"', "1e4", "010000", "10.000 đ", "10 000", "10000.0", "+10000")
        ),
        ("15_000", "8000.5", "'8000.5' is no whole number: write it in digits, as 10000"),
        ("15_000", "", "a number is missing: write it in digits, as 10000"),
        ("15_000", "-8000", "-8000 đồng cannot be right; perhaps thousands are meant. State 0, or at least 1000 đồng."),
        ("15_000", "15_000, unverified: YES", "'YES' is neither true nor false: write true"),
        ("15_000", "15_000, unverified: Không", "'Không' is neither true nor false: write false"),
        ("15_000", "15_000, unverified: maybe", "'maybe' is neither true nor false: write true or false"),
        ("channels: []", "channels: [conter]", "'conter' is none of counter, online, post; perhaps 'counter' is meant"),
        ('"56"', "“56”", "“56” stands in curly quotes, which would become part of it: write 56"),
        ("1.004873", "1.004\u200b873", "'1.004\\u200b873' holds U+200B, which nobody sees: write it anew"),
        ("resolution: ", "resolutions: ",
         "a fee overlay has no field 'resolutions'; perhaps 'resolution' is meant"),
    ],
)  # fmt: skip
def test_what_to_write_instead(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in OVERLAYS
    found = faults(tmp_path, overlays__yaml=OVERLAYS.replace(old, new))
    assert re.fullmatch(rf"overlays\.yaml:[23]: {re.escape(said)}", found[0]), found


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("Tây Nha Trang", "“Tây Nha Trang”",
         "“Tây Nha Trang” stands in curly quotes, which would become part of it: write Tây Nha Trang"),
        ("Tây Nha Trang", '"""Tây Nha Trang"""',
         '"Tây Nha Trang" stands in quotes that would become part of it: write Tây Nha Trang'),
        ("Tây Nha", "Tây\u200b Nha", "'Tây\\u200b Nha Trang' holds U+200B, which nobody sees: write it anew"),
        ("Tây", "TÃ¢y", "'TÃ¢y Nha Trang' was 'Tây Nha Trang' before it was opened in another encoding: "
         "open it as UTF-8 and save it as UTF-8"),
        ("phường,Tây", "ph??ng,Tây", "'ph??ng' has lost letters: save it as CSV UTF-8 where they are still right"),
        ("Tây", "T?y", "'T?y Nha Trang' has lost letters: save it as CSV UTF-8 where they are still right"),
        ("Tây Nha Trang", '"Tây', "a quote that opens here does not close before the end of its cell"),
        ("Tây Nha Trang", "https://evil.example",
         "'https://evil.example': A name holds no web or e-mail address and no telephone number; "
         "write a blank after a full stop."),
        ("22390", "'22390", 'code "\'22390" has not 5 digits, write 22390'),
        ("22390", "22366", "the code 22366 stands in line 2 too"),
    ],
)  # fmt: skip
def test_what_to_write_instead_in_a_table(tmp_path: Path, old: str, new: str, said: str) -> None:
    found = faults(tmp_path, communes__csv=EXAMPLE["communes.csv"].replace(old, new))
    assert found == (f"communes.csv:3: {said}",)


@pytest.mark.parametrize("encoding", ["cp1258", "cp1252"])
def test_another_encoding_is_said(tmp_path: Path, encoding: str) -> None:
    table = EXAMPLE["communes.csv"].encode(encoding, "replace")
    line = 3 if encoding == "cp1252" else 2
    assert faults(tmp_path, communes__csv=table)[0].startswith(
        f"communes.csv:{line}: it is not UTF-8: save it as UTF-8 (in a spreadsheet: CSV UTF-8)"
    )


SPREADSHEETS: list[Callable[[str], str]] = [
    lambda text: "sep=;\r\n" + text.replace(",", ";").replace("\n", "\r\n"),
    lambda text: "sep=,\n" + text,
    lambda text: text.replace("phường", "Phường", 1).replace("phường", "PHƯỜNG"),
    lambda text: text.replace("Nha Trang", "Nha\u00a0Trang ").replace("22390", "\u00a022390\u00a0"),
    lambda text: text.replace("province,code", "Province,CODE"),
    lambda text: text.replace("Nha Trang", '"Nha Trang"', 1),
]


@pytest.mark.parametrize("saved", SPREADSHEETS)
def test_a_table_is_read_as_it_was_meant(tmp_path: Path, saved: Callable[[str], str]) -> None:
    meant = load(laid_out(tmp_path / "meant", {**EXAMPLE}))
    table = saved(EXAMPLE["communes.csv"])
    read = load(laid_out(tmp_path / "read", {**EXAMPLE, "communes.csv": table}))
    assert read.territories == meant.territories


def test_a_file_s_name_is_read_in_any_case(tmp_path: Path) -> None:
    shouted = {name.upper(): text for name, text in EXAMPLE.items()}
    found = remote.entries(laid_out(tmp_path, {**shouted, "Thumbs.db": "", "desktop.ini": ""}), ["56"])
    assert (len(found), found[0].where) == (8, "CALENDARS.YAML:5")


def test_what_is_shared_is_told_once(tmp_path: Path) -> None:
    hours = EXAMPLE["calendars.yaml"].replace('start: "07:30"', "start: 7h30")
    assert faults(tmp_path, calendars__yaml=hours) == ("calendars.yaml:2: '7h30' is no time of day: write 07:30",)


def test_a_tab_is_told(tmp_path: Path) -> None:
    assert faults(tmp_path, overlays__yaml=OVERLAYS.replace("  - {", "\t- {")) == (
        "overlays.yaml:2: it is no YAML: found character that cannot start any token; there is a tab: write blanks",
    )


def test_files_that_a_spreadsheet_leaves(tmp_path: Path) -> None:
    table = {"communes.csv": "", "communes.xlsx": "PK", "~$communes.xlsx": ""}
    assert faults(tmp_path, **{name.replace(".", "__"): text for name, text in table.items()}) == (
        "communes.xlsx:1: a spreadsheet is not read: save it as CSV UTF-8, as communes.csv",
        "~$communes.xlsx:1: a program has the file open that this one stands for: save it there, and close it",
        "communes.csv:1: it is empty; expected the names province,code,kind,name,earlier_code,earlier_kind",
    )


# Agencies of one's own

OWN = """agencies:
  - {code: P56.1, level: province, province: "56", kind: tax, calendar_id: general, parent: P56, valid_from: 2025-07-01,
     name: {vi: Thuế, en: Tax}}
  - {code: P56, level: province, province: "56", kind: peoples-committee, calendar_id: general, valid_from: 2025-07-01,
     name: {vi: Trung tâm, en: Centre}}
"""


def test_agencies_of_one_s_own_instead_of_templates(tmp_path: Path) -> None:
    """Wherever they lie; a parent comes first."""
    folder = laid_out(tmp_path, {**EXAMPLE, "agencies.yaml": OWN})
    for provinces in (["56"], []):
        found = [entry for entry in remote.entries(folder, provinces) if entry.kind == "agency"]
        assert [(entry.name, entry.where) for entry in found] == [
            ("P56", "agencies.yaml:4"),
            ("P56.1", "agencies.yaml:2"),
        ]
    alone = remote.entries(folder / "agencies.yaml")
    assert [(entry.name, entry.where) for entry in alone] == [("P56", "agencies.yaml:4"), ("P56.1", "agencies.yaml:2")]


def own_faults() -> Iterator[tuple[str, str, str]]:
    yield "calendar_id: general, parent", "calendar_id: lunar, parent", "2: there is no calendar 'lunar'"
    yield "parent: P56,", "parent: P56.9,", "2: there is no agency 'P56.9', its parent"
    yield "parent: P56,", "parent: P56.1,", "2: it is its own parent, perhaps by others"
    yield "{vi: Thuế,", '{vi: "",', "3: name.vi: it has no name"
    yield "{vi: Thuế,", "{vi: Th\u00a0uế\u00ad,", "3: 'Th\\xa0uế\\xad' holds U+00AD, which nobody sees: write it anew"
    yield "P56.1, level: province,", "P56.1, level: commune,", "2: An agency of the level commune names its province"
    yield "code: P56.1,", "code: P57.1,", "2: "
    yield "code: P56.1,", "code: P561,", "2: P561 is no agency code."
    yield "code: P56.1,", "", "2: one of them says what it is: 'code' (an agency), or 'suffix' (an agency template)"


@pytest.mark.parametrize(("old", "new", "said"), list(own_faults()))
def test_an_agency_that_could_not_be_opened_is_told_before(tmp_path: Path, old: str, new: str, said: str) -> None:
    found = faults(tmp_path, agencies__yaml=OWN.replace(old, new))
    assert found[0].startswith(f"agencies.yaml:{said}"), found


def test_a_template_alone_is_told_where_it_belongs(tmp_path: Path) -> None:
    path = laid_out(tmp_path, {"agencies.yaml": EXAMPLE["agencies.yaml"]}) / "agencies.yaml"
    with pytest.raises(CatalogueFaulty) as error:
        remote.entries(path)
    assert error.value.faults == tuple(f"agencies.yaml:{line}: suffix: {remote.TEMPLATE_ALONE}" for line in (2, 4))
