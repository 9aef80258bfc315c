"""The answers that a fee depends on, held against the form's own rules: no price leaves out what would be refused."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, time
from typing import Any

from services.catalogue.refusals import Refused
from services.chassis.calls.answers import Answers
from services.chassis.calls.statuses import RequestInvalid
from services.chassis.work.confined import WorkExhausted
from services.law.cases import priced_by
from services.law.days import ZONE
from services.law.definitions import Procedure

PROCESSES = 1


class Forms:
    def __init__(self) -> None:
        self._answers = Answers(PROCESSES)

    async def check(self, procedure: Procedure, answers: Mapping[str, Any], day: str) -> None:
        """Of a form that may be half filled in.

        Raises RequestInvalid FORM_INVALID, Rejected FORM_UNCHECKABLE, PROCEDURE_FAULTY, OVERLOADED.
        """
        among = priced_by(procedure) & answers.keys()
        if not among:
            return
        at = datetime.combine(datetime.fromisoformat(day), time.min, ZONE)
        try:
            found = await self._answers.faults(procedure, answers, at, among)
        except WorkExhausted as error:
            raise Refused("FORM_UNCHECKABLE", code=procedure.code) from error
        if found is None:
            raise Refused("PROCEDURE_FAULTY", code=procedure.code, count="1", faults="form.schema")
        if found:
            raise RequestInvalid(found, "FORM_INVALID")

    async def close(self) -> None:
        await self._answers.close()
