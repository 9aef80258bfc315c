"""What agencies are called, in views that know them by code: names change by version, each from its first day on."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, Table, delete, insert, or_, select

from motcua.catalogue.events.v1.definitions_pb2 import Agency

# A version after the first stands beside it: `H29.1@2026-09-01#2`.
_SINCE = len("2026-09-01")


def put(db: Connection, agencies: Table, agency: Agency) -> None:
    code = f"{agency.code}@{agency.valid_from}#{agency.version}" if agency.version > 1 else agency.code
    db.execute(delete(agencies).where(agencies.c.code == code))
    db.execute(insert(agencies).values(code=code, vi=agency.name.vi, en=agency.name.en))


def drop(db: Connection, agencies: Table, code: str, version: int) -> None:
    named = agencies.c.code.like(f"{code}@%#{version}") if version > 1 else agencies.c.code == code
    db.execute(delete(agencies).where(named))


def called(db: Connection, agencies: Table, code: str, day: str) -> Row[Any] | None:
    """On that day; None where the catalogue does not know it."""
    known = or_(agencies.c.code == code, agencies.c.code.startswith(f"{code}@", autoescape=True))
    rows = db.execute(select(agencies).where(known))
    begun = [row for row in rows if row.code[len(code) + 1 :][:_SINCE] <= day]
    return max(begun, key=lambda row: str(row.code), default=None)
