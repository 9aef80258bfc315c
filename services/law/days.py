"""Days as people and papers state them: whole, or a birth's month or year where no more is known."""

from __future__ import annotations

import re
from datetime import date

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
# Of a person older than any, whose papers may know the year alone, or the month.
_BIRTH = re.compile(r"(?:18|19|20)\d{2}(?:-\d{2}(?:-\d{2})?)?", re.ASCII)


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
