"""What new leaves change: rows, tiles, the map of heads. Planned from what was read, then written in one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, insert

from gateway.ledger.format import heads, merkle
from gateway.ledger.format.errors import LedgerError
from gateway.ledger.format.heads import Head
from gateway.ledger.format.leaf import Leaf
from gateway.ledger.format.merkle import leaf_hash
from gateway.ledger.keep import tables


@dataclass(frozen=True, slots=True)
class Growth:
    """What new leaves change, and the log's values after them."""

    size: int
    rows: list[dict[str, Any]]
    """Of the table `leaves`."""
    tiles: Mapping[tuple[int, int], bytes]
    """By level and index, as merkle.grow gives them."""
    pages: Mapping[str, bytes]
    """Of the map of heads, by name."""
    root: bytes
    heads: bytes
    """The root of the map of heads."""

    def store(self, db: Connection) -> None:
        if self.rows:
            db.execute(insert(tables.leaves), self.rows)
        tables.put_tiles(db, self.tiles)
        tables.put_pages(db, self.pages)


def grow(db: Connection, size: int, leaves: Iterable[tuple[Leaf, bytes]]) -> Growth:
    """Plans to add leaves, each with its entry, to a log of `size` leaves. Nothing is written."""
    rows: list[dict[str, Any]] = []
    changed: dict[str, Head] = {}
    for index, (leaf, entry) in enumerate(leaves, start=size):
        hashed = leaf_hash(entry)
        changed[leaf.code] = Head(leaf.revision + 1, hashed)
        rows.append(
            {
                "number": index,
                "event_id": leaf.id,
                "code": leaf.code,
                "revision": leaf.revision,
                "entry": entry,
                "hash": hashed,
            }
        )
    fresh = merkle.grow(tables.tile_reader(db), size, [row["hash"] for row in rows])
    pages = tables.StoredPages(db)
    new_heads = heads.update(pages, changed)
    new_size = size + len(rows)
    root = merkle.root(tables.tile_reader(db, fresh), new_size)
    return Growth(new_size, rows, fresh, pages.changed, root, new_heads)


class Chains:
    """The newest leaf of each dossier, while leaves are added."""

    def __init__(self, known: Mapping[str, Head]) -> None:
        self._heads = dict(known)

    def previous(self, code: str, revision: int, event: str) -> bytes:
        """The hash that a leaf of this revision must name. Raises LedgerError where one is left out or comes twice."""
        head = self._heads.get(code)
        expected = head.events if head else 0
        if revision != expected:
            raise LedgerError(f"event {event} of {code} has revision {revision}, the ledger awaits revision {expected}")
        return head.leaf if head else b""

    def add(self, code: str, revision: int, hashed: bytes) -> None:
        self._heads[code] = Head(revision + 1, hashed)
