"""A tree in memory, grown as the sequencer grows its own."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.ledger.format import merkle


class Tree:
    def __init__(self, entries: Sequence[bytes] = ()) -> None:
        self.size = 0
        self.tiles: dict[tuple[int, int], bytes] = {}
        self.add(entries)

    def add(self, entries: Sequence[bytes]) -> None:
        self.tiles |= merkle.grow(self.read, self.size, [merkle.leaf_hash(entry) for entry in entries])
        self.size += len(entries)

    def read(self, level: int, index: int, width: int) -> bytes:
        """A wider tile holds every narrower one."""
        return self.tiles[level, index][: width * merkle.HASH_BYTES]
