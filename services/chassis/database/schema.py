"""Tables are created as the program has them, and never changed: another form is another version under another name."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from functools import cache
from typing import Any

from sqlalchemy import Connection, MetaData, String, Table, inspect, text


class SchemaChanged(Exception):
    """The database has a table in another form than the program. The text says which, for an operator."""


def create(
    db: Connection,
    schema: str | None,
    metadata: MetaData,
    *,
    kept: Collection[Table] = (),
    afresh: Callable[[Connection], None] | None = None,
) -> list[str]:
    """Create what is missing, in `schema` or in the file; returns the tables' names. Raises SchemaChanged.

    `afresh`: the tables but for `kept` are of one make. Where one is missing all are made again, and `afresh` is run with that.
    Where nothing is missing, the database is only read.
    """
    wanted = _form_of(metadata, db.dialect.name)
    if not _missing(db, schema, wanted):
        return []
    if schema:
        # Replicas that start at once would create the same tables at once; and large ones take their time.
        db.exec_driver_sql("SET LOCAL statement_timeout = 0")
        db.exec_driver_sql("SET LOCAL synchronous_commit = on")  # no crash takes tables away from who uses them
        db.execute(text("SELECT pg_advisory_xact_lock(hashtext(:schema))"), {"schema": f"motcua {schema}"})
        if not inspect(db).has_schema(schema):
            db.exec_driver_sql(f'CREATE SCHEMA "{schema}"')
    missing = _missing(db, schema, wanted)
    names = {table.name for table in kept}
    if afresh and any(table.name not in names for table in missing):
        stale = [table for table in wanted.sorted_tables if table.name not in names and table not in missing]
        wanted.drop_all(db, tables=stale, checkfirst=False)
        missing += stale
        afresh(db)
    wanted.create_all(db, tables=missing, checkfirst=False)
    return sorted(table.name for table in missing)


def drop(db: Connection, tables: Iterable[str]) -> None:
    """Those of them that are there."""
    for name in tables:
        Table(name, MetaData()).drop(db, checkfirst=True)


def _missing(db: Connection, schema: str | None, metadata: MetaData) -> list[Table]:
    inspector = inspect(db)
    there = set(inspector.get_table_names(schema))
    known = [table for table in metadata.sorted_tables if table.name in there]
    if known:
        found: Any = inspector.get_multi_columns(schema, filter_names=[table.name for table in known])
        for table in known:
            _require_same(db, table, found[schema, table.name])
    return [table for table in metadata.sorted_tables if table.name not in there]


def _require_same(db: Connection, table: Table, found: Collection[Any]) -> None:
    def form(columns: Iterable[tuple[str, Any, bool]]) -> dict[str, str]:
        return {
            name: f"{type_.compile(db.dialect)}{'' if nullable else ' NOT NULL'}" for name, type_, nullable in columns
        }

    wanted = form((column.name, column.type, bool(column.nullable)) for column in table.columns)
    there = form((column["name"], column["type"], column["nullable"]) for column in found)
    if wanted == there:
        return
    differences = [
        f"{name} is {there.get(name, 'missing')}, and should be {wanted.get(name, 'no column')}"
        for name in sorted(wanted.keys() | there.keys())
        if wanted.get(name) != there.get(name)
    ]
    raise SchemaChanged(
        f"the table {table.name} has another form than this program expects: {'; '.join(differences)}. A table never "
        "changes: another form is a new version, with a new number in the names of the view and of its tables"
    )


@cache
def _form_of(metadata: MetaData, dialect: str) -> MetaData:
    """As the engine gets it. On PostgreSQL text is ordered by its bytes, as SQLite does, whatever the database's locale."""
    if dialect != "postgresql":
        return metadata
    copy = MetaData()
    for table in metadata.sorted_tables:
        copied = table.to_metadata(copy)
        for column in copied.columns:
            if isinstance(column.type, String):
                column.type = String(collation="C")
        for index in copied.indexes:
            where = index.dialect_options["sqlite"]["where"]
            if where is not None:
                index.dialect_options["postgresql"]["where"] = where
    return copy
