"""What is kept in no log: the rows of durable databases, saved and restored whatever the engine.

Every table of such a database is named here, to be saved or with the reason why it is not: another one stops the backup.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, DateTime, LargeBinary, MetaData, Table, Uuid, insert, inspect, select

from command.backup.archive import ArchiveError
from gateway.ledger.keep import tables as ledger
from services.chassis.database import positions
from services.chassis.database.database import utc
from services.chassis.site import marks
from services.dossier import uploads
from services.identity import assertions, sessions, vault
from services.identity.vault import bury

Rows = Mapping[str, list[list[Any]]]
"""By the table's name."""


@dataclass(frozen=True, slots=True)
class Durable:
    metadata: MetaData
    saved: tuple[Table, ...]
    left_out: tuple[Table, ...] = ()


# In the order in which they are saved.
DURABLE = {
    "dossier-uploads": Durable(uploads.metadata, (uploads.uploads, uploads.kept)),
    "keys": Durable(
        vault.metadata,
        (
            vault.wrapping_keys,
            vault.subject_keys,
            vault.signing_keys,
            vault.site_secrets,
            vault.identifiers,
            assertions.used_assertions,
            sessions.ended_sessions,
        ),
        # A position of another store means nothing: all erasures are carried out again.
        (vault.tombstones,),
    ),
    "ledger": Durable(
        ledger.metadata,
        # As a witness, what we vouched for in others' logs.
        (ledger.witnessed,),
        # Made again from the entries, which are saved for themselves.
        (ledger.ledger, ledger.leaves, ledger.tiles, ledger.pages, positions.positions),
    ),
}


def save(db: Connection, name: str) -> Rows:
    """In one moment. Raises ArchiveError for a table that this program does not know."""
    durable = DURABLE[name]
    _take_time(db)
    there = tables_of(db, name)
    known = {table.name for table in (*durable.saved, *durable.left_out)}
    if unknown := there - known - set(positions.metadata.tables) - set(marks.metadata.tables):
        raise ArchiveError(
            f"the database {name} has the table {', '.join(sorted(unknown))}, which this version does not know: take the "
            "backup with the version that runs the site"
        )
    return {table.name: _rows(db, table) for table in durable.saved if table.name in there}


def load(db: Connection, name: str, rows: Rows, erased: Sequence[str]) -> int:
    """Into tables that are empty, or hold exactly this already; how many rows. Raises ArchiveError."""
    durable = DURABLE[name]
    _take_time(db)
    if unknown := rows.keys() - {table.name for table in durable.saved}:
        raise ArchiveError(f"the backup of {name} has the table {', '.join(sorted(unknown))}, unknown to this version")
    there = {table.name: found for table in durable.saved if (found := _rows(db, table))}
    if not there:
        for table in durable.saved:
            if values := rows.get(table.name):
                db.execute(insert(table), [_values(table, row) for row in values])
        if name == "keys":
            for account in erased:
                bury(db, account)
    elif name != "keys" and there != {table: found for table, found in rows.items() if found}:
        raise ArchiveError(
            f"the database {name} holds other rows already ({', '.join(sorted(there))}): a backup is restored into an empty "
            "site only"
        )
    elif name == "keys":
        _require_same_keys(there, rows, set(erased))
    return sum(map(len, rows.values()))


def _require_same_keys(there: Rows, rows: Rows, erased: set[str]) -> None:
    """An earlier run restored them: but for those who were erased, they are the same."""
    for table in (vault.wrapping_keys, vault.subject_keys, vault.signing_keys, vault.site_secrets):
        mine = {row[0]: row for row in there.get(table.name, []) if row[0] not in erased}
        if mine != {row[0]: row for row in rows.get(table.name, []) if row[0] not in erased}:
            raise ArchiveError(
                f"the database keys holds other rows already ({table.name}): a backup is restored into an empty site only"
            )


def tables_of(db: Connection, name: str) -> set[str]:
    """Of the database `name`, without making any: who saves needs to be allowed to read only."""
    return set(inspect(db).get_table_names(name if db.dialect.name == "postgresql" else None))


def _take_time(db: Connection) -> None:
    """PostgreSQL's statements have a limit."""
    if db.dialect.name == "postgresql":
        db.exec_driver_sql("SET LOCAL statement_timeout = 0")


def _rows(db: Connection, table: Table) -> list[list[Any]]:
    query = select(table).order_by(*table.primary_key.columns)
    return [[_plain(value) for value in row] for row in db.execute(query)]


def _plain(value: Any) -> Any:
    match value:
        case bytes():
            return base64.b64encode(value).decode()
        case datetime():
            return utc(value).isoformat()
        case UUID():
            return str(value)
        case _:
            return value


def _values(table: Table, row: Sequence[Any]) -> dict[str, Any]:
    return {column.name: _of(column.type)(value) for column, value in zip(table.columns, row, strict=True)}


def _of(type_: Any) -> Callable[[Any], Any]:
    match type_:
        case LargeBinary():
            return binary
        case DateTime():
            return datetime.fromisoformat
        case Uuid():
            return UUID
        case _:
            return lambda value: value


def binary(value: str) -> bytes:
    return base64.b64decode(value, validate=True)
