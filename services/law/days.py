"""Days as people and papers state them: whole, or a birth's month or year where no more is known."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

# The law's: what is "today", and how moments are shown.
ZONE = ZoneInfo("Asia/Ho_Chi_Minh")

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
# Of a person older than any, whose papers may know the year alone, or the month.
_BIRTH = re.compile(r"(?:18|19|20)\d{2}(?:-\d{2}(?:-\d{2})?)?", re.ASCII)


def local_date(at: datetime) -> date:
    return at.astimezone(ZONE).date()


def local_day(at: datetime) -> str:
    """As definitions and papers have it: 2026-03-02."""
    return local_date(at).isoformat()


def eve(day: str) -> str:
    return (date.fromisoformat(day) - timedelta(days=1)).isoformat()


def is_day(text: str) -> bool:
    """One that there is: year 0 is none."""
    if not _DAY.fullmatch(text):
        return False
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def is_past(text: str, today: str) -> bool:
    """Without `today` any day."""
    return is_day(text) and (not today or text <= today)


def is_birth(text: str, today: str) -> bool:
    first = f"{text}-01-01"[:10] if len(text) == len("1950") else f"{text}-01"[:10]
    return bool(_BIRTH.fullmatch(text)) and is_day(first) and (not today or text <= today)
