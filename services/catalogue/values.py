"""What the catalogue's facts, commands and rules speak of. Dates are days in Vietnam."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from services.law.validity import Validity, in_turn

D = TypeVar("D")
ORGANISATION = re.compile(r"\d{3}(\.\d{2}){2}\.[A-Z]\d{2}|[A-Z]\d{2}(\.\d{1,3}){0,4}", re.ASCII)
LEAST_AMOUNT = 1_000
# Of one charge, in đồng.
LARGEST_AMOUNT = 1_000_000_000_000


@dataclass(frozen=True, slots=True)
class Version(Generic[D]):
    """As it was published, or as it was ended later."""

    number: int
    validity: Validity
    definition: D

    def ended(self, until: str) -> Version[D]:
        return replace(self, validity=self.validity.ended(until))


@dataclass(frozen=True, slots=True)
class TerritoryState:
    last_version: int = 0
    # With the codes of its communes.
    versions: tuple[Version[frozenset[str]], ...] = ()
    merged_until: str = ""
    merged_into: str = ""

    def has(self, day: str) -> bool:
        """Whether there is the province on that day or later."""
        return self.last_version > 0 and (not self.merged_until or day <= self.merged_until)

    def communes_since(self, day: str) -> frozenset[str]:
        """Those that there are on that day or later."""
        versions = zip(self.versions, in_force(self.versions), strict=True)
        return frozenset().union(
            *(each.definition for each, validity in versions if not validity.until or day <= validity.until)
        )


def in_force(versions: Sequence[Version[D]]) -> list[Validity]:
    """When each is in force: until the eve of a later one, or its own last day before."""
    return in_turn([each.validity for each in versions])
