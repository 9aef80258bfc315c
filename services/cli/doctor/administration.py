"""Whether anybody can appoint anybody."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from functools import partial

from sqlalchemy import Connection, inspect

from services.chassis.database import DatabaseUnavailable
from services.chassis.platform import database_exists, open_database
from services.chassis.settings import Settings
from services.cli.doctor.finding import SECONDS, Finding, Patient, bad, good
from services.identity.appointing import administrators
from services.identity.views import appointments


async def examine(patient: Patient) -> AsyncIterator[Finding]:
    if "identity" not in patient.services or not database_exists(patient.settings, "identity", durable=False):
        return
    found = await _administrators(patient.settings)
    if found is None:
        return  # what does not answer, and which tables are missing, is said of the database
    if found:
        yield good("administrators", f"{len(found)} in office")
        return
    yield bad(
        "administrators",
        "the site has none",
        "Nobody can appoint officials or register systems.",
        "motcua appoint <personal number> --decision <its number>, once; with --none-is-left where there were some. "
        'docs/operations.md, "The first administrator".',
    )


async def _administrators(settings: Settings) -> list[str] | None:
    database = open_database(settings, "identity", durable=False)
    look = partial(_look, schema=database.schema, site=settings.site)
    try:
        async with asyncio.timeout(SECONDS):
            return await database.read(look)
    except (DatabaseUnavailable, TimeoutError):
        return None
    finally:
        await asyncio.shield(database.close())


def _look(db: Connection, schema: str | None, site: str) -> list[str] | None:
    there = appointments.name in inspect(db).get_table_names(schema)
    return administrators(db, site, datetime.now(UTC)) if there else None
