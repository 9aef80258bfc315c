"""The ledger's database: leaves, tiles and map of heads as they are published, and where the log stands."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Index,
    Insert,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Uuid,
    bindparam,
    delete,
    func,
    select,
    update,
)

from gateway.ledger.format.heads import Head
from gateway.ledger.format.merkle import HASH_BYTES, TILE_WIDTH, ReadTile
from gateway.ledger.format.note import Note
from services.chassis.database.database import insert_new, insertion_of

metadata = MetaData()
# One row: a ledger is one log under one key.
ledger = Table(
    "ledger",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("vkey", String, nullable=False),
    Column("size", BigInteger, nullable=False),
    # The current checkpoint with all signatures it has so far.
    Column("note", LargeBinary, nullable=False),
    Column("published", Boolean, nullable=False),
    # The newest checkpoint that witnesses cosigned, empty at first.
    Column("cosigned", LargeBinary, nullable=False),
)
leaves = Table(
    "leaves",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("event_id", Uuid, nullable=False, unique=True),
    Column("code", String, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("entry", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Index("leaves_by_dossier", "code", "revision", unique=True),
)
tiles = Table(
    "tiles",
    metadata,
    Column("level", Integer, primary_key=True, autoincrement=False),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    # As wide as it is now: a narrower tile is its beginning.
    Column("hashes", LargeBinary, nullable=False),
)
pages = Table(
    "head_pages",
    metadata,
    Column("name", String, primary_key=True),
    Column("page", LargeBinary, nullable=False),
)
witnessed = Table(
    "witnessed",
    metadata,
    Column("origin", String, primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("root", LargeBinary, nullable=False),
)

ONLY = 1
ASKED_AT_ONCE = 500

_TILE = select(tiles.c.hashes).where(tiles.c.level == bindparam("of_level"), tiles.c.number == bindparam("of_number"))


@dataclass(frozen=True, slots=True)
class Standing:
    """Where the log stands."""

    vkey: str
    size: int
    note: bytes
    published: bool
    cosigned: bytes


def standing(db: Connection) -> Standing | None:
    row = db.execute(select(ledger)).first()
    return Standing(row.vkey, row.size, row.note, row.published, row.cosigned) if row else None


def begin(db: Connection, vkey: str, size: int, note: Note) -> None:
    """A replica that comes second finds the row of the first."""
    insert_new(
        db, ledger, {"id": ONLY, "vkey": vkey, "size": size, "note": note.format(), "published": False, "cosigned": b""}
    )


def advance(db: Connection, size: int, note: Note) -> None:
    db.execute(update(ledger).values(size=size, note=note.format(), published=False))


def mark_published(db: Connection, size: int) -> None:
    db.execute(update(ledger).where(ledger.c.size == size).values(published=True))


def keep_cosigned(db: Connection, size: int, note: Note) -> bool:
    """Whether the checkpoint is still the current one: it then has these signatures beside those it had."""
    current = db.execute(select(ledger.c.size, ledger.c.note).with_for_update()).one()
    values = {"cosigned": note.format()}
    if current.size == size:
        values["note"] = Note.parse(current.note).with_signatures(note.signatures).format()
    db.execute(update(ledger).values(values))
    return bool(current.size == size)


def empty(db: Connection) -> None:
    for table in (leaves, tiles, pages, ledger):
        db.execute(delete(table))


def tile_reader(db: Connection, fresh: Mapping[tuple[int, int], bytes] | None = None) -> ReadTile:
    """Tiles of the database, or of `fresh`, as wide as asked for."""
    known = dict(fresh or {})

    def read(level: int, index: int, width: int) -> bytes:
        if (level, index) not in known:
            known[level, index] = db.execute(_TILE, {"of_level": level, "of_number": index}).scalar() or b""
        return known[level, index][: width * HASH_BYTES]

    return read


def put_tiles(db: Connection, changed: Mapping[tuple[int, int], bytes]) -> None:
    rows = [{"level": level, "number": index, "hashes": hashes} for (level, index), hashes in changed.items()]
    _upsert(db, tiles, rows)


class StoredPages:
    """The map of heads as one transaction sees it. What is put is collected, to be written in another one."""

    def __init__(self, db: Connection) -> None:
        self._db = db
        self._known: dict[str, bytes | None] = {}
        self.changed: dict[str, bytes] = {}

    def get(self, names: Collection[str], /) -> Mapping[str, bytes]:
        for some in _parts([name for name in names if name not in self._known]):
            self._known |= dict.fromkeys(some)
            query = select(pages.c.name, pages.c.page).where(pages.c.name.in_(some))
            self._known |= {row.name: row.page for row in self._db.execute(query)}
        return {name: page for name in names if (page := self._known[name]) is not None}

    def put(self, changed: Mapping[str, bytes], /) -> None:
        self._known |= changed
        self.changed |= changed


def put_pages(db: Connection, changed: Mapping[str, bytes]) -> None:
    _upsert(db, pages, [{"name": name, "page": page} for name, page in changed.items()])


def heads_of(db: Connection, codes: Collection[str]) -> dict[str, Head]:
    """How many leaves each dossier has, and the newest one's hash."""
    found: dict[str, Head] = {}
    for some in _parts(list(codes)):
        newest = (
            select(leaves.c.code, func.max(leaves.c.revision).label("revision"))
            .where(leaves.c.code.in_(some))
            .group_by(leaves.c.code)
            .subquery()
        )
        query = select(leaves.c.code, leaves.c.revision, leaves.c.hash).join(
            newest, (leaves.c.code == newest.c.code) & (leaves.c.revision == newest.c.revision)
        )
        found |= {row.code: Head(row.revision + 1, row.hash) for row in db.execute(query)}
    return found


def entries(db: Connection, start: int, count: int) -> list[bytes]:
    query = select(leaves.c.entry).where(leaves.c.number >= start, leaves.c.number < start + count)
    return [row.entry for row in db.execute(query.order_by(leaves.c.number))]


def entries_of_tile(db: Connection, index: int, width: int) -> list[bytes]:
    return entries(db, index * TILE_WIDTH, width)


def _parts(names: Sequence[str]) -> Iterable[Sequence[str]]:
    for start in range(0, len(names), ASKED_AT_ONCE):
        yield names[start : start + ASKED_AT_ONCE]


def _upsert(db: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    if rows:
        db.execute(_replacing(table, db.dialect.name), rows)


@cache
def _replacing(table: Table, dialect: str) -> Insert:
    insertion = insertion_of(dialect)(table)
    keys = [column.name for column in table.primary_key]
    changed = [column.name for column in table.columns if column.name not in keys]
    replacing: Insert = insertion.on_conflict_do_update(
        index_elements=keys, set_={name: insertion.excluded[name] for name in changed}
    )
    return replacing
