"""Lints what editors send, in a process of its own."""

from __future__ import annotations

from services.catalogue.linter import Fault
from services.chassis.calls.statuses import RequestInvalid, Violation
from services.chassis.work.confined import Confined, WorkExhausted
from services.law.definitions import Procedure, Text

# Editors are few; what they send waits its turn.
PROCESSES = 1


class Linting:
    def __init__(self) -> None:
        self._linted = Confined("services.catalogue.apart:linted", PROCESSES)

    async def __call__(self, procedure: Procedure) -> list[Fault]:
        """Raises RequestInvalid where it takes too long or too much memory, and Rejected OVERLOADED."""
        try:
            return [Fault(code, path, Text(vi, en)) for code, path, vi, en in await self._linted(procedure)]
        except WorkExhausted as error:
            vi, en = "Kiểm tra định nghĩa này tốn quá nhiều thời gian hoặc bộ nhớ.", "It takes too long to check."
            raise RequestInvalid([Violation("procedure", vi, en)]) from error

    async def close(self) -> None:
        await self._linted.close()
