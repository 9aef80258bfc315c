"""What becomes of dossiers because time passes: nobody asks for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

import structlog
from sqlalchemy import Connection, Select

from services.chassis.database.database import utc
from services.chassis.decider import Sealed
from services.chassis.deciding.caller import Origin
from services.chassis.deciding.handler import Handler
from services.chassis.following.views import RunningView
from services.chassis.privacy.sealing import SubjectErased
from services.dossier import commands as c
from services.dossier.domain.state import Dossier
from services.dossier.events import Event
from services.dossier.law import Law
from services.dossier.queries import (
    due_query,
    forward_query,
    homed_query,
    reception_due_query,
    recount_query,
    unpaid_query,
)
from services.dossier.values import Actor

log = structlog.get_logger()

CLOCK = Actor("service:dossier")
SUCCESSION = Sealed("Cơ quan đã giải thể; cơ quan kế thừa tiếp tục giải quyết.")
UNPAID = Sealed("Đã hết thời hạn nộp phí, lệ phí mà chưa nộp.")
FORWARDED = Sealed("Chuyển đến cơ quan có thẩm quyền giải quyết trong thời hạn luật định.")


@dataclass(frozen=True, slots=True)
class Timekeeping:
    dossiers: Handler[c.Command, Dossier, Event]
    lists: RunningView
    service: str

    async def note_deadlines(self, now: datetime) -> None:
        for row in await self._rows(due_query(now)):
            due = utc(row.due_at)
            command = partial(c.NoteDeadline, by=CLOCK, at=now, due_at=due)
            await self._execute(row.code, f"{row.code} due {due.isoformat()}", command)
        for row in await self._rows(reception_due_query(now)):
            due = utc(row.reception_due_at)
            occasion = f"{row.code} to be received by {due.isoformat()}"
            noted = partial(c.NoteReceptionDeadline, by=CLOCK, at=now, reception_due_at=due)
            await self._execute(row.code, occasion, noted)

    async def stop_unpaid(self, now: datetime) -> None:
        for row in await self._rows(unpaid_query(now)):
            command = partial(c.LapseFee, by=CLOCK, at=now, fee_id=row.fee_id, explanation=UNPAID)
            occasion = f"{row.fee_id} unpaid by {utc(row.pay_by).isoformat()}"
            await self._execute(row.code, occasion, command, sealed="explanation")

    async def recount_deadlines(self, now: datetime, law: Law) -> None:
        for name, changed, calendar, legal_basis in law.superseded(now):
            command = partial(c.RecountDeadline, by=CLOCK, at=now, calendar=calendar, legal_basis=legal_basis)
            for row in await self._rows(recount_query(name, changed, now)):
                await self._execute(row.code, f"{row.code} by {calendar.name}", command)

    async def forward_dossiers(self, now: datetime, law: Law) -> None:
        for row in await self._rows(forward_query(now)):
            command = partial(_forwarding, law, now, row.competent_agency)
            await self._execute(row.code, f"{row.code} to {row.competent_agency}", command, sealed="reason")

    async def rehome_dossiers(self, now: datetime, law: Law) -> None:
        successions = law.successions(now)
        if not successions:
            return
        for row in await self._rows(homed_query(successions)):
            for closed in sorted({row.reception_agency, row.competent_agency, row.holder} & successions.keys()):
                command = partial(
                    c.RehomeDossier, by=CLOCK, at=now, closed=closed, successor=successions[closed], reason=SUCCESSION
                )
                await self._execute(row.code, f"{row.code} from {closed}", command, sealed="reason")

    async def _rows(self, query: Select[Any]) -> Sequence[Any]:
        def read(db: Connection) -> Sequence[Any]:
            return db.execute(query).all()

        return await self.lists.read(read)

    async def _execute(self, code: str, occasion: str, command: Callable[[], c.Command], sealed: str = "") -> None:
        """Executes what `command` makes; what fails comes up again, and the others go on.

        `command` is called here because making one may fail too: the law of an agency may not be read yet.
        `sealed`: the command's field that is left out where the applicant was erased.
        """
        origin, without = Origin.of_clock(occasion, self.service), dict[str, Any]({sealed: Sealed()})
        try:
            made = command()
            try:
                await self.dossiers.execute(code, made, origin)
            except SubjectErased:
                if not sealed:
                    raise
                await self.dossiers.execute(code, replace(made, **without), origin)
        except Exception:
            log.exception("what the clock asks for could not be done", code=code, occasion=occasion)


def _forwarding(law: Law, at: datetime, to: str) -> c.ForwardDossier:
    return c.ForwardDossier(by=CLOCK, at=at, reason=FORWARDED, calendar=law.calendar_of(to, at))
