"""What holds on a day, where the law changed: the values of dated.toml. Days are those of Vietnam."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from services.law.days import local_date
from services.law.deadlines import Calendar, Term, Unit, closing, next_opening

_UNITS = {"working-days": Unit.WORKING_DAYS, "hours": Unit.HOURS}
_SITE_UNITS = {"d": Unit.WORKING_DAYS, "h": Unit.HOURS}
_SITE_TERM = re.compile(r"(\d{4}-\d{2}-\d{2}):([1-9]\d?)([dh])", re.ASCII)


# Read at once: processes that are confined open no files.
_DATED: dict[str, list[dict[str, Any]]] = tomllib.loads((Path(__file__).parent / "dated.toml").read_text())


def _at(rule: str, at: datetime) -> Mapping[str, Any] | None:
    day = local_date(at)
    return next((entry for entry in reversed(_DATED[rule]) if entry["since"] <= day), None)


def first_day(rule: str) -> str:
    return str(_DATED[rule][0]["since"].isoformat())


def owner(rule: str, at: datetime) -> str:
    """Who keeps the forms, the code rule or the index on that day; "" before there was one."""
    entry = _at(rule, at)
    return str(entry["owner"]) if entry else ""


def holds(rule: str, at: datetime) -> bool:
    return _at(rule, at) is not None


@cache
def site_terms(text: str) -> tuple[tuple[date, Term], ...]:
    """What a province decided: `2026-01-01:8h,2027-01-01:1d`, working hours or working days. Raises ValueError."""
    found = []
    for part in filter(None, text.split(",")):
        match = _SITE_TERM.fullmatch(part.strip())
        if match is None:
            raise ValueError("it must be of the form 2026-01-01:8h,2027-01-01:1d")
        found.append((date.fromisoformat(match[1]), Term(int(match[2]), _SITE_UNITS[match[3]])))
    return tuple(sorted(found, key=lambda each: each[0]))


def reply_term(at: datetime, decided: tuple[tuple[date, Term], ...] = ()) -> Term | None:
    """In what time an online dossier of this moment is to be received: the province's, or the nation's."""
    day = local_date(at)
    own = [term for since, term in decided if since <= day]
    if own:
        return own[-1]
    entry = _at("reply", at)
    return Term(entry["amount"], _UNITS[entry["unit"]]) if entry else None


def forward_by(calendar: Calendar, received_at: datetime, at_counter: bool) -> datetime | None:
    """When at the latest what was received passes to the competent agency; None before the rule's first day."""
    entry = _at("forwarding", received_at)
    if entry is None:
        return None
    close, local = closing(calendar, received_at), received_at.astimezone(ZoneInfo(calendar.zone))
    late = at_counter and local.time() > entry["until"]
    return close if close and local <= close and not late else next_opening(calendar, received_at)


def counts_from(calendar: Calendar, received_at: datetime, at_counter: bool) -> datetime:
    """When the competent agency is expected to get what was received across boundaries: at once, or when it opens again."""
    latest = forward_by(calendar, received_at, at_counter)
    same_day = latest and local_date(latest) == local_date(received_at)
    return latest if latest and not same_day else received_at
