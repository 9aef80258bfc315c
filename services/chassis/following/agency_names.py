"""What agencies are called, in views that know them by code: names change by version, each from its first day on."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, Row, Table, delete, insert, or_, select

from motcua.catalogue.events.v1.definitions_pb2 import Agency
from services.law.validity import Validity, in_turn, nearest

# A version after the first stands beside it: `H29.1@2026-09-01#2`.
_LATER = re.compile(r"@(\d{4}-\d{2}-\d{2})#(\d+)", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Name:
    version: int
    validity: Validity
    row: Row[Any]


def put(db: Connection, agencies: Table, agency: Agency) -> None:
    if agency.version > 1:
        drop(db, agencies, agency.code, agency.version)
    code = f"{agency.code}@{agency.valid_from}#{agency.version}" if agency.version > 1 else agency.code
    db.execute(delete(agencies).where(agencies.c.code == code))
    db.execute(insert(agencies).values(code=code, vi=agency.name.vi, en=agency.name.en))


def drop(db: Connection, agencies: Table, code: str, version: int) -> None:
    named = agencies.c.code.like(f"{code}@%#{version}") if version > 1 else agencies.c.code == code
    db.execute(delete(agencies).where(named))


def called(db: Connection, agencies: Table, code: str, day: str) -> Row[Any] | None:
    """What the agency is called on that day; None where the catalogue does not know it."""
    known = or_(agencies.c.code == code, agencies.c.code.startswith(f"{code}@", autoescape=True))
    names = sorted(
        (_name(row, code) for row in db.execute(select(agencies).where(known))), key=lambda each: each.version
    )
    spans = in_turn([each.validity for each in names])
    dated = [replace(each, validity=validity) for each, validity in zip(names, spans, strict=True)]
    return nearest(dated, day).row if dated else None


def _name(row: Row[Any], code: str) -> _Name:
    later = _LATER.fullmatch(row.code[len(code) :])
    return _Name(int(later[2]), Validity(later[1]), row) if later else _Name(1, Validity(""), row)
