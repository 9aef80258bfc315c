"""What differs between two versions of anything that JSON holds, as the answers to a form. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any


class Absent(Enum):
    """What stands where there is nothing; null is something."""

    ABSENT = 0


ABSENT = Absent.ABSENT


@dataclass(frozen=True, slots=True)
class Change:
    """One difference. `path`: names and places with dots between, as violations name them; empty for all of it."""

    path: str
    before: Any
    after: Any


def changes(before: Any, after: Any) -> list[Change]:
    """What differs, in the order of the paths' names and places. What was added or removed as a whole is one change."""
    return list(_changes(before, after, ""))


def _changes(before: Any, after: Any, path: str) -> Iterator[Change]:
    match before, after:
        case Mapping(), Mapping():
            for name in sorted(before.keys() | after.keys()):
                yield from _changes(before.get(name, ABSENT), after.get(name, ABSENT), _below(path, name))
        case list(), list():
            for place in range(max(len(before), len(after))):
                yield from _changes(_at(before, place), _at(after, place), _below(path, str(place)))
        case _ if _differ(before, after):
            yield Change(path, before, after)


def _at(items: list[Any], place: int) -> Any:
    return items[place] if place < len(items) else ABSENT


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _differ(before: Any, after: Any) -> bool:
    """Whether two values differ in JSON: true is not 1, to Python it is; 1 and 1.0 are one number."""
    return isinstance(before, bool) is not isinstance(after, bool) or before != after
