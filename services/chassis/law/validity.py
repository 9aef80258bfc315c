"""From when until when something is in force. Days are ISO 8601, "" is no day."""

from __future__ import annotations

from dataclasses import dataclass, replace


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
