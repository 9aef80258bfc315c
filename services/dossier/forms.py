"""Answers held against a procedure's form."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import structlog

from services.chassis.calls.answers import Answers
from services.chassis.calls.statuses import RequestInvalid
from services.chassis.telemetry import telemetry
from services.chassis.work.confined import WorkExhausted
from services.dossier.refusals import Refused
from services.law.definitions import Procedure

log = structlog.get_logger()


class Forms:
    def __init__(self) -> None:
        self._answers = Answers()

    async def check(self, procedure: Procedure, answers: Mapping[str, Any], at: datetime, *, required: bool) -> None:
        """Refuses answers that the procedure's form does not take at that moment.

        Raises RequestInvalid FORM_INVALID with the faults.

        Raises Rejected DEFINITION_FAULTY, FORM_UNCHECKABLE, OVERLOADED.
        """
        if procedure.form is None or (not answers and not required):
            return
        try:
            found = await self._answers.faults(procedure, answers, at)
        except WorkExhausted as error:
            raise Refused("FORM_UNCHECKABLE", procedure_code=procedure.code) from error
        if found is None:
            raise faulty(procedure)
        if found:
            raise RequestInvalid(found, "FORM_INVALID")

    async def close(self) -> None:
        await self._answers.close()


def faulty(procedure: Procedure) -> Refused:
    """The refusal where a definition was published before what is wrong with it was known. Counted, for an alert."""
    telemetry.DEFINITION_FAULTS.inc()
    log.error("a definition in force is faulty", procedure=procedure.code, version=procedure.version, exc_info=True)
    return Refused("DEFINITION_FAULTY", procedure_code=procedure.code, version=str(procedure.version))
