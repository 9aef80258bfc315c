"""How far an administrator reaches, and what both accounts and systems must state."""

from __future__ import annotations

import re
from dataclasses import dataclass

from services.identity.refusals import Refused

OF_A_PROVINCE = re.compile(r"P([0-9]{2})(?:\.|$)")


@dataclass(frozen=True, slots=True)
class Office:
    """An agency that exists. `province` is empty for one of the nation."""

    code: str
    province: str


@dataclass(frozen=True, slots=True)
class Reach:
    """Of an administrator: the own agency with all below it, in the own territory; `everywhere` is the platform itself."""

    agency: str = ""
    province: str = ""
    everywhere: bool = False

    def has(self, office: Office) -> bool:
        below = bool(self.agency) and f"{office.code}.".startswith(f"{self.agency}.")
        return self.everywhere or (below and self.province in ("", office.province))

    def has_code(self, code: str) -> bool:
        """Whether it is open or closed. A code without a province's number, as H26.1, is judged by what it lies below."""
        home = OF_A_PROVINCE.match(code)
        return self.has(Office(code, home[1] if home else self.province))


EVERYWHERE = Reach(everywhere=True)


def require(**fields: str) -> None:
    for field, value in fields.items():
        if not value.strip():
            raise Refused("FIELD_MISSING", field=field)


def require_reach(reach: Reach, office: Office | None, agency: str) -> None:
    """Raises Rejected AGENCY_UNKNOWN, BEYOND_REACH."""
    if office is None:
        raise Refused("AGENCY_UNKNOWN", agency=agency)
    if not reach.has(office):
        raise Refused("BEYOND_REACH", agency=agency, own=reach.agency)
