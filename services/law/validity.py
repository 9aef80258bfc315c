"""From when until when something is in force, and which of several versions is on a day. Days are ISO 8601, "" is no day."""

from __future__ import annotations

from collections.abc import Reversible, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

from services.law.days import eve


@dataclass(frozen=True, slots=True)
class Validity:
    """From the first to the last day; without a last day while `until` is empty."""

    since: str
    until: str = ""

    def __contains__(self, day: str) -> bool:
        return self.since <= day and (not self.until or day <= self.until)

    def meets(self, other: Validity) -> bool:
        return other.since in self or self.since in other

    def ended(self, until: str) -> Validity:
        return replace(self, until=min(self.until or until, until))


class Dated(Protocol):
    @property
    def validity(self) -> Validity: ...


Version = TypeVar("Version", bound=Dated)


def in_turn(stated: Sequence[Validity]) -> list[Validity]:
    """Of versions, oldest first, the days of each: it ends on the eve of a later one, or on its own last day before."""
    # One that ended before its first day never took another's place.
    begin = [each.since for each in stated if not each.until or each.since <= each.until]
    return [_until_eve(each, [since for since in begin if since > each.since]) for each in stated]


def _until_eve(each: Validity, later: Sequence[str]) -> Validity:
    # What has no first day is in force since it was published, perhaps after what has one.
    if not each.since or not later:
        return each
    return each.ended(eve(min(later)))


def newest(versions: Reversible[Version], day: str) -> Version | None:
    """The newest in force on a day."""
    return next((each for each in reversed(versions) if day in each.validity), None)


def nearest(versions: Sequence[Version], day: str) -> Version:
    """The newest in force on a day; otherwise what was the last before it, or will be the first. There is at least one."""
    if (found := newest(versions, day)) is not None:
        return found
    begun = [each for each in versions if each.validity.since <= day]
    return max(reversed(begun), key=_since) if begun else min(versions, key=_since)


def _since(each: Dated) -> str:
    return each.validity.since
