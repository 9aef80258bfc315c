"""Whether anybody can appoint anybody, and whether the national portal may submit from the cut-over on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial

from sqlalchemy import Connection, inspect, select

from command.doctor.finding import SECONDS, Finding, Patient, bad, doubtful, good
from services.chassis.database.database import DatabaseUnavailable
from services.chassis.deciding.caller import NATIONAL
from services.chassis.platform.platform import database_exists, open_database
from services.chassis.platform.settings import Settings
from services.identity.appointing import administrators
from services.identity.views import appointments, systems
from services.law.days import local_date


async def examine(patient: Patient) -> AsyncIterator[Finding]:
    if "identity" not in patient.services or not database_exists(patient.settings, "identity", durable=False):
        return
    found = await _known(patient.settings)
    if found is None:
        return  # what does not answer, and which tables are missing, is said of the database
    if found.administrators:
        yield good("administrators", f"{len(found.administrators)} in office")
    else:
        yield bad(
            "administrators",
            "the site has none",
            "Nobody can appoint officials or register systems.",
            "motcua appoint <personal number> --decision <its number>, once; with --none-is-left where there were some. "
            'docs/operations.md, "The first administrator".',
        )
    if patient.settings.submission_cutover:
        yield _portal(patient.settings, patient.settings.submission_cutover, found.portals)


def _portal(settings: Settings, cutover: date, portals: list[str]) -> Finding:
    if portals:
        return good("national portal", f"may submit from {cutover} on: {', '.join(sorted(portals))}")
    today = local_date(settings.clock.now())
    ahead = today < cutover
    return (doubtful if ahead else bad)(
        "national portal",
        f"no system is registered to submit for it, {'needed' if ahead else 'and has been needed'} from {cutover} on",
        "From that day on online dossiers come by the national portal alone, and it is refused.",
        f"RegisterSystem, or UpdateSystem, with the purpose {NATIONAL} for the site's agencies and procedures. "
        'docs/operations.md, "The first administrator".',
    )


@dataclass(frozen=True, slots=True)
class _Known:
    administrators: list[str]
    # What systems are called that may submit for the national portal.
    portals: list[str]


async def _known(settings: Settings) -> _Known | None:
    database = open_database(settings, "identity", durable=False)
    look = partial(_look, schema=database.schema, site=settings.site, at=settings.clock.now())
    try:
        async with asyncio.timeout(SECONDS):
            return await database.read(look)
    except (DatabaseUnavailable, TimeoutError):
        return None
    finally:
        await asyncio.shield(database.close())


def _look(db: Connection, schema: str | None, site: str, at: datetime) -> _Known | None:
    if not {appointments.name, systems.name} <= {*inspect(db).get_table_names(schema)}:
        return None
    registered = db.execute(select(systems.c.name, systems.c.purposes).where(~systems.c.suspended))
    portals = [row.name for row in registered if NATIONAL in row.purposes.split()]
    return _Known(administrators(db, site, at), portals)
