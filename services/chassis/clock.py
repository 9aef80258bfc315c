"""Time, as decisions see it."""

from __future__ import annotations

from datetime import datetime, timedelta
from math import nan
from pathlib import Path
from typing import Protocol

import structlog

from services.chassis.machine import moments

# A hundred years.
MOST_SECONDS = 3_155_760_000
LONGEST_SHIFT = 64
log = structlog.get_logger()


class Clock(Protocol):
    def now(self) -> datetime:
        """The present moment, in UTC, to the microsecond."""
        ...


class SystemClock:
    def now(self) -> datetime:
        return moments.now()


# Tokens live by the machine's time, as everybody who verifies one does; decisions by the platform's, which a trial may shift.
MACHINE = SystemClock()


class ShiftedClock:
    """The system's time plus the seconds written in a file: to try out deadlines without waiting for them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._shift = timedelta()
        self._refused = ""

    def now(self) -> datetime:
        """By the last shift that could be read: decisions do not jump because somebody writes the file at this moment."""
        try:
            self._shift, self._refused = self.read(), ""
        except ValueError as error:
            if self._refused != str(error):
                log.error("clock not shifted", why=str(error), seconds=self._shift.total_seconds())
                self._refused = str(error)
        return moments.now() + self._shift

    def read(self) -> timedelta:
        """Zero where there is no file. Raises ValueError."""
        try:
            with self._path.open("rb") as file:
                written = file.read(LONGEST_SHIFT)
            seconds = float(written.decode("ascii"))
        except FileNotFoundError:
            return timedelta()
        except OSError as error:
            raise ValueError(f"{self._path} cannot be read: {error.strerror}") from None
        except ValueError:
            seconds = nan
        if not abs(seconds) <= MOST_SECONDS:
            raise ValueError(f"{self._path} must hold one number of seconds within ±{MOST_SECONDS}, such as 86400")
        return timedelta(seconds=seconds)


class FixedClock:
    def __init__(self, at: datetime) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at
