"""Names and contents of a log's static files: https://c2sp.org/tlog-tiles."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.ledger.format.errors import FormatError, LedgerError, parsing
from gateway.ledger.format.merkle import MAX_SIZE, TILE_HEIGHT, TILE_WIDTH

MAX_ENTRY = 65535
MAX_LEVEL = 63

_PATH = re.compile(r"tile/(entries|0|[1-9]\d?)/((?:x\d{3}/)*)(\d{3})(?:\.p/([1-9]\d{0,2}))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class TileName:
    """A tile, or where `level` is None a bundle of entries.

    >>> TileName(0, 1234067, 112).path
    'tile/0/x001/x234/067.p/112'
    >>> TileName(None, 1234067, 256).path
    'tile/entries/x001/x234/067'
    >>> TileName.parse("tile/1/004.p/17")
    TileName(level=1, index=4, width=17)
    """

    level: int | None
    index: int
    width: int

    def __post_init__(self) -> None:
        if self.level is not None and not 0 <= self.level <= MAX_LEVEL:
            raise LedgerError(f"there is no tile level {self.level}")
        if not 0 <= self.index <= MAX_SIZE // TILE_WIDTH:
            raise LedgerError(f"there is no tile {self.index}")
        if not 1 <= self.width <= TILE_WIDTH:
            raise LedgerError(f"a tile is 1 to {TILE_WIDTH} wide, not {self.width}")

    @property
    def path(self) -> str:
        level = "entries" if self.level is None else str(self.level)
        partial = f".p/{self.width}" if self.width < TILE_WIDTH else ""
        return f"tile/{level}/{_number(self.index)}{partial}"

    @classmethod
    def parse(cls, path: str) -> TileName:
        """`path` is relative to the log's prefix, without a leading slash."""
        matched = _PATH.fullmatch(path)
        if matched:
            level, higher, lowest, width = matched.groups()
            with parsing(f"{path!r} names no tile: it"):
                name = cls(
                    None if level == "entries" else int(level),
                    int(higher.replace("x", "").replace("/", "") + lowest),
                    int(width or TILE_WIDTH),
                )
            if name.path == path:
                return name
        raise FormatError(
            f"{path!r} names no tile: expected tile/<level or entries>/<index>, then .p/<width> if partial"
        )


def tile_path(level: int, index: int, width: int) -> str:
    return TileName(level, index, width).path


def entries_path(index: int, width: int) -> str:
    return TileName(None, index, width).path


def new_tiles(old_size: int, new_size: int) -> list[tuple[int, int, int]]:
    """Level, index and width of each tile that a checkpoint of `new_size` needs and one of `old_size` did not."""
    if not 0 <= old_size <= new_size <= MAX_SIZE:
        raise LedgerError(f"a log of {old_size} leaves does not grow to {new_size}")
    changed = []
    level, old, new = 0, old_size, new_size
    while new > old:
        full = new // TILE_WIDTH
        changed += [(level, index, TILE_WIDTH) for index in range(old // TILE_WIDTH, full)]
        if partial := new % TILE_WIDTH:
            changed.append((level, full, partial))
        level, old, new = level + 1, old >> TILE_HEIGHT, new >> TILE_HEIGHT
    return changed


def format_bundle(entries: Sequence[bytes]) -> bytes:
    """Of each entry its length, two bytes big-endian, and the entry.

    >>> format_bundle([b"first", b"2nd"]).hex(" ")
    '00 05 66 69 72 73 74 00 03 32 6e 64'
    """
    if not 1 <= len(entries) <= TILE_WIDTH:
        raise LedgerError(f"a bundle holds 1 to {TILE_WIDTH} entries, not {len(entries)}")
    parts = []
    for number, entry in enumerate(entries):
        if len(entry) > MAX_ENTRY:
            raise LedgerError(f"entry {number} of the bundle has {len(entry)} bytes, at most {MAX_ENTRY} are possible")
        parts += [len(entry).to_bytes(2, "big"), entry]
    return b"".join(parts)


def parse_bundle(bundle: bytes, width: int) -> list[bytes]:
    """Its entries, which must be `width`: a bundle does not say how many it has.

    >>> parse_bundle(bytes.fromhex("00 05 66 69 72 73 74 00 03 32 6e 64"), 2)
    [b'first', b'2nd']
    """
    entries: list[bytes] = []
    at = 0
    while len(entries) < width:
        start = at + 2
        end = start + int.from_bytes(bundle[at:start], "big")
        if start > len(bundle) or end > len(bundle):
            raise FormatError(f"the bundle ends within entry {len(entries)}, expected {width} entries")
        entries.append(bundle[start:end])
        at = end
    if at != len(bundle):
        raise FormatError(f"the bundle has {len(bundle) - at} bytes after its {width} entries")
    return entries


def _number(index: int) -> str:
    parts = [f"{index % 1000:03}"]
    while index := index // 1000:
        parts.append(f"x{index % 1000:03}")
    return "/".join(reversed(parts))
