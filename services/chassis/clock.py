"""Time, as decisions see it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime:
        """The present moment, in UTC, to the microsecond."""
        ...


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)


# Tokens live by the machine's time, as everybody who verifies one does; decisions by the platform's, which a trial may shift.
MACHINE = SystemClock()


class ShiftedClock:
    """The system's time plus the seconds written in a file: to try out deadlines without waiting for them."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def now(self) -> datetime:
        seconds = float(self._path.read_text()) if self._path.exists() else 0.0
        return datetime.now(UTC) + timedelta(seconds=seconds)


class FixedClock:
    def __init__(self, at: datetime) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at
