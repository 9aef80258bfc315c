"""Calendar days as the API has them, google.type.Date, and as definitions and papers do: 2026-03-02."""

from __future__ import annotations

from datetime import date

from google.type.date_pb2 import Date


def to_day(text: str) -> Date:
    """The day as a message has it. Raises ValueError for what is no whole day."""
    day = date.fromisoformat(text)
    if day.isoformat() != text:
        raise ValueError(text)
    return Date(year=day.year, month=day.month, day=day.day)


def from_day(day: Date) -> str:
    """The day that a message says. Raises ValueError for a day that there is not, and for one without its year, month or day."""
    return date(day.year, day.month, day.day).isoformat()
