"""`motcua migrate`: the tables of all services at once, before a roll-out. Running it again changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from sqlalchemy import Connection
from sqlalchemy.exc import ProgrammingError

from command.console import fail, out
from command.schemas import Schema, schemas_of
from services.chassis.database import positions
from services.chassis.database.database import Database, DatabaseUnavailable
from services.chassis.database.schema import SchemaChanged, drop
from services.chassis.following.views import create
from services.chassis.platform.platform import open_database
from services.chassis.platform.settings import Settings


def migrate(settings: Settings, services: Sequence[str], drop_old: bool) -> int:
    try:
        asyncio.run(_all(settings, services, drop_old))
    except DatabaseUnavailable as unavailable:
        fail(f"The database does not answer: {unavailable}", "Run it again when it does: what was created stays.")
    except SchemaChanged as changed:
        fail(f"{changed}.", "Run the release that made this table, or report this as a fault of the new one.")
    except ProgrammingError as refused:
        why = str(refused.orig).partition("\n")[0]
        fail(f"The database refuses: {why}", "docs/postgresql.md says which rights its user needs.")
    return 0


async def _all(settings: Settings, services: Sequence[str], drop_old: bool) -> None:
    for service in services:
        for schema in schemas_of(service):
            database = open_database(settings, schema.name, durable=schema.durable)
            try:
                made = await _create(database, schema)
                said = [f"created {', '.join(made)}"] if made else []
                if drop_old and schema.views:
                    current = {view.name: [table.name for table in view.tables] for view in schema.views}
                    dropped = await database.write(lambda db, current=current: _drop(db, current))  # type: ignore[misc]
                    said += [f"dropped {', '.join(dropped)}"] if dropped else []
                out.print(f"{schema.name}: {'; '.join(said) or 'nothing to do'}", highlight=False, soft_wrap=True)
            finally:
                await database.close()


async def _create(database: Database, schema: Schema) -> list[str]:
    made = [name for metadata in (*schema.others, *schema.seldom) for name in await database.create(metadata)]
    for view in schema.views:
        made += await create(view, database)
    return sorted(made)


def _drop(db: Connection, current: dict[str, list[str]]) -> list[str]:
    old = positions.old(db, current)
    for view in old:
        positions.forget(db, view)
    names = [name for tables in old.values() for name in tables]
    drop(db, names)
    return names
