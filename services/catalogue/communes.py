"""communes.csv, however a spreadsheet saved it."""

from __future__ import annotations

import csv
import io
import re
from collections import defaultdict
from collections.abc import Container, Iterator
from dataclasses import dataclass
from pathlib import Path

from services.catalogue import typed
from services.catalogue.reader import FileUnreadable, name_of, text_of
from services.chassis.text.names import folded
from services.chassis.text.plain import name_fault

KINDS = ("xã", "phường", "đặc khu")
# Excel's own first line.
_SEPARATOR = re.compile(r'"?sep=([,;\t|])', re.IGNORECASE)
_LOST = "has lost letters: save it as CSV UTF-8 where they are still right"
# Names that need no closer look.
_WORDS = re.compile("[A-Za-z\u00c0-\u024f\u1e00-\u1eff]+(?:(?: | - |['’-])[A-Za-z\u00c0-\u024f\u1e00-\u1eff]+)*")


@dataclass(frozen=True, slots=True)
class Commune:
    """A row of communes.csv. `earlier_kind` is what it was in the province's versions before the newest."""

    province: str
    code: str
    kind: str
    name: str
    earlier_code: str
    earlier_kind: str

    def known_by(self) -> dict[tuple[str, ...], str]:
        """No two rows have one of these in common; and how it is spoken of."""
        known: dict[tuple[str, ...], str] = {
            ("code", self.code): f"the code {self.code}",
            ("commune", self.province, self.kind, folded(self.name)): f"{self.kind} {self.name} of {self.province}",
        }
        return known | (
            {("earlier_code", self.earlier_code): f"the earlier code {self.earlier_code}"} if self.earlier_code else {}
        )


COLUMNS = tuple(Commune.__slots__)
HEADER = ",".join(COLUMNS)


def read_communes(path: Path, provinces: Container[str] | None, faults: list[str]) -> dict[str, list[Commune]]:
    """By province; with commas, semicolons or tabs; # begins a remark. `provinces` is None if nobody knows them."""
    found: dict[str, list[Commune]] = defaultdict(list)
    lines: list[tuple[int, list[str]]] = []
    try:
        lines += ((line, row) for line, row in _rows(text_of(path)) if any(map(str.strip, row)))
    except FileUnreadable as error:
        faults.append(f"{name_of(path)}:{error}")
        return found
    if not lines:
        faults.append(f"{name_of(path)}:1: it is empty; expected the names {HEADER}")
        return found
    line, names = lines[0]
    if [_settled(name).casefold() for name in names] != list(COLUMNS):
        faults.append(f"{name_of(path)}:{line}: expected the names {HEADER}; found {','.join(names)[:100]!r}")
        return found
    seen: dict[tuple[str, ...], int] = {}
    for line, row in lines[1:]:
        commune, fault = _commune(row, provinces)
        if commune and not fault:
            known = commune.known_by()
            fault = next((f"{known[key]} stands in line {seen[key]} too" for key in known if key in seen), "")
        if fault or not commune:
            faults.append(f"{name_of(path)}:{line}: {fault}")
        else:
            seen |= dict.fromkeys(commune.known_by(), line)
            found[commune.province].append(commune)
    return found


def _rows(text: str) -> Iterator[tuple[int, list[str]]]:
    """Each row with its line. Raises FileUnreadable."""
    named = next((line for line in text.splitlines() if line.strip(" ,;\t") and not line.startswith("#")), "")
    told = _SEPARATOR.match(named)
    delimiter = told[1] if told else max(",;\t", key=named.count)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    line = 1
    while True:
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            raise FileUnreadable(
                f"{line}: a quote that opens here does not close before the end of its cell"
            ) from error
        first = row[0].strip() if row else ""
        if not (first.startswith("#") or (told and first.casefold().startswith("sep="))):
            yield line, row
        line = rows.line_num + 1


def _settled(cell: str) -> str:
    return " ".join(typed.settled(cell).split())


def _commune(row: list[str], provinces: Container[str] | None) -> tuple[Commune | None, str]:
    if fault := next(filter(None, map(typed.letters_fault, row)), ""):
        return None, fault
    if len(row) != len(COLUMNS):
        return None, f"expected {len(COLUMNS)} cells, {HEADER}; found {len(row)}"
    province, code, kind, name, earlier_code, earlier_kind = map(_settled, row)
    commune = Commune(province, code, kind.casefold(), name, earlier_code, earlier_kind.casefold())
    return commune, _fault(commune, provinces)


def _fault(commune: Commune, provinces: Container[str] | None) -> str:
    for field, code, digits in (
        ("province", commune.province, 2),
        ("code", commune.code, 5),
        ("earlier_code", commune.earlier_code or "00000", 5),
    ):
        if fault := typed.digits_fault(field, code, digits):
            return fault
    if provinces is not None and commune.province not in provinces:
        return f"there is no province {commune.province!r} in provinces.yaml"
    for kind in (commune.kind, commune.earlier_kind or commune.kind):
        if "?" in kind:
            return f"{kind!r} {_LOST}"
        if kind not in KINDS:
            return typed.listed_fault(kind, KINDS)
    return unit_name_fault(commune.name)


def unit_name_fault(name: str) -> str:
    """Of a province or a commune, without its kind."""
    if _WORDS.fullmatch(name):
        return ""
    if not name:
        return "it has no name"
    if "?" in name:
        return f"{name!r} {_LOST}"
    if name[0] == name[-1] and name[0] in "\"'":
        return f"{name} stands in quotes that would become part of it: write {name[1:-1]}"
    fault = name_fault(name)
    return f"{name!r}: {fault[1]}" if fault else ""
