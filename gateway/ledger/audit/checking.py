"""Re-reads a whole log from outside: every entry, every tile, the checkpoint, each dossier's chain, the map of heads.

Everything is made anew from the entries and compared with what the log shows; where both differ, the signed root decides which
of them was changed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID

from gateway.ledger.audit.faults import Fault, Kind
from gateway.ledger.audit.reading import (
    FileMissing,
    SignedCheckpoint,
    compare_sizes,
    fork,
    read_bundle,
    read_checkpoint,
    tile_reader,
)
from gateway.ledger.audit.source import LedgerUnreachable, Source
from gateway.ledger.format import heads, merkle, tiles
from gateway.ledger.format.checkpoint import Checkpoint
from gateway.ledger.format.errors import LedgerError
from gateway.ledger.format.heads import Head
from gateway.ledger.format.leaf import Leaf
from gateway.ledger.format.merkle import EMPTY_ROOT, HASH_BYTES, TILE_HEIGHT, TILE_WIDTH, leaf_hash
from gateway.ledger.format.note import Verifier

AT_ONCE = 8


class Comparison(Protocol):
    """What each leaf is compared with beside the log itself: the site's own event store (keep/comparing.py)."""

    def leaf(self, index: int, leaf: Leaf, /) -> Iterator[Fault]:
        """Is given the leaves in the log's order."""
        ...

    def unreadable(self) -> None:
        """There is a leaf, but nobody can say of which event."""
        ...

    def finish(self) -> Iterator[Fault]:
        """After the last leaf: what is stored and has no leaf, and what has a leaf and is not stored."""
        ...


@dataclass
class Report:
    """What was found out of a log. Without `faults` all is as signed."""

    signed: SignedCheckpoint
    leaves: int = 0
    """How many entries were read."""
    dossiers: int = 0
    faults: list[Fault] = field(default_factory=list)
    judged: bool = True
    """Whether the chains of the dossiers and the map of heads could be judged: they are made from the entries."""


@dataclass
class _Content:
    """What a bundle and its tile say. None is what could not be read."""

    index: int
    entries: list[bytes] | None
    hashes: bytes | None
    faults: list[Fault]


class Compact:
    """A tree of which only the right edge is kept: enough for its root."""

    def __init__(self) -> None:
        self.size = 0
        self._edge: list[bytes] = []

    def add(self, hashed: bytes) -> None:
        self.size += 1
        self._edge.append(hashed)
        complete = self.size
        while complete % 2 == 0:
            right = self._edge.pop()
            self._edge[-1] = merkle.node_hash(self._edge[-1], right)
            complete //= 2

    def root(self) -> bytes:
        if not self._edge:
            return EMPTY_ROOT
        *left, found = self._edge
        for hashed in reversed(left):
            found = merkle.node_hash(hashed, found)
        return found


def check(
    source: Source,
    key: Verifier,
    witnesses: Sequence[Verifier] = (),
    remembered: Checkpoint | None = None,
    progress: Callable[[int, int], None] = lambda done, size: None,
    comparison: Comparison | None = None,
) -> Report:
    """Raises CheckpointWrong where there is no checkpoint to check against, LedgerUnreachable where the log does not answer."""
    signed, faults = read_checkpoint(source, key, witnesses)
    report = Report(signed, faults=faults)
    size = signed.checkpoint.size
    if remembered and (fault := compare_sizes(remembered, signed.checkpoint)):
        faults.append(fault)
    work = _Work(report, signed.checkpoint, remembered, comparison)
    progress(0, size)
    for content in _contents(source, size):
        work.bundle(content)
        progress(min(size, (content.index + 1) * TILE_WIDTH), size)
    work.higher_tiles(source)
    work.judge()
    return report


def _contents(source: Source, size: int) -> Iterator[_Content]:
    """In order, some of them asked for in advance."""
    waiting: deque[Future[_Content]] = deque()
    with ThreadPoolExecutor(AT_ONCE, "ledger-read") as pool:
        try:
            for index in range(-(-size // TILE_WIDTH)):
                waiting.append(pool.submit(_content, source, size, index))
                if len(waiting) >= 2 * AT_ONCE:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _content(source: Source, size: int, index: int) -> _Content:
    width = min(TILE_WIDTH, size - index * TILE_WIDTH)
    found = _Content(index, None, None, [])
    try:
        found.entries = read_bundle(source, index, width)
    except LedgerError as unusable:
        found.faults.append(_file_fault(tiles.entries_path(index, width), unusable))
    hashes, fault = _tile(source, 0, index, width)
    found.hashes = hashes
    found.faults += [fault] if fault else []
    return found


def _tile(source: Source, level: int, index: int, width: int) -> tuple[bytes | None, Fault | None]:
    path = tiles.tile_path(level, index, width)
    try:
        hashes = tile_reader(source)(level, index, width)
    except LedgerError as unusable:
        return None, _file_fault(path, unusable)
    if len(hashes) != width * HASH_BYTES:
        what = f"it has {len(hashes)} bytes, expected {width} hashes of {HASH_BYTES} bytes"
        return None, Fault(Kind.FILE_DAMAGED, path, what)
    return hashes, None


def _file_fault(path: str, unusable: LedgerError) -> Fault:
    if isinstance(unusable, LedgerUnreachable):
        raise unusable
    return Fault(Kind.FILE_MISSING if isinstance(unusable, FileMissing) else Kind.FILE_DAMAGED, path, str(unusable))


@dataclass(frozen=True, slots=True)
class _Difference:
    """An entry that does not hash to what its tile says."""

    index: int
    entry: bytes
    said: bytes
    """The tile's hash."""


class _Work:
    """One check of a log: `bundle` for each bundle in order, then `higher_tiles`, then `judge`.

    What is found on the way is kept, and told by `judge`, which knows whether the entries or the tiles are what was signed.
    """

    def __init__(
        self, report: Report, checkpoint: Checkpoint, remembered: Checkpoint | None, comparison: Comparison | None
    ) -> None:
        self.report = report
        self.checkpoint = checkpoint
        self.remembered = remembered if remembered and remembered.size < checkpoint.size else None
        self.comparison = comparison
        self.by_entries: Compact | None = Compact()
        """The tree made of the entries; None once one could not be read. `by_tiles`: of the tiles of level 0."""
        self.by_tiles: Compact | None = Compact()
        self.past_by_entries: bytes | None = None
        """The root at the remembered size, of the same trees."""
        self.past_by_tiles: bytes | None = None
        self.differences: list[_Difference] = []
        self.chains: dict[str, Head] = {}
        """The newest leaf of each dossier so far."""
        self.chain_faults: list[Fault] = []
        self.event_faults: list[Fault] = []
        self.ids: set[UUID] = set()
        self.full: bytearray | None = bytearray()
        """What level 1 must hold: the hashes of the full tiles below. None once a tile could not be read."""
        self._note_past()

    def bundle(self, content: _Content) -> None:
        first = content.index * TILE_WIDTH
        self.report.faults += content.faults
        hashes, entries = content.hashes, content.entries
        if hashes is None:
            self.by_tiles = self.full = None
        elif self.full is not None and len(hashes) == TILE_WIDTH * HASH_BYTES:
            self.full += merkle.tile_root(hashes)
        if entries is None:
            self.by_entries = None
        for offset in range(min(TILE_WIDTH, self.checkpoint.size - first)):
            said = hashes[offset * HASH_BYTES : (offset + 1) * HASH_BYTES] if hashes is not None else None
            if self.by_tiles and said is not None:
                self.by_tiles.add(said)
            if entries is not None:
                self._entry(first + offset, entries[offset], said)
            elif self.comparison:
                self.comparison.unreadable()
            self._note_past()

    def _entry(self, index: int, entry: bytes, said: bytes | None) -> None:
        hashed = leaf_hash(entry)
        self.report.leaves += 1
        if self.by_entries:
            self.by_entries.add(hashed)
        if said is not None and said != hashed:
            self.differences.append(_Difference(index, entry, said))
        try:
            leaf = Leaf.parse(entry)
        except LedgerError as unusable:
            if said in (None, hashed):
                self.report.faults.append(Fault(Kind.ENTRY_UNUSABLE, _at(index), str(unusable)))
            if self.comparison:
                self.comparison.unreadable()
            return
        self._chain(index, leaf, hashed)
        if self.comparison:
            self.event_faults += self.comparison.leaf(index, leaf)

    def _chain(self, index: int, leaf: Leaf, hashed: bytes) -> None:
        head = self.chains.get(leaf.code)
        expected, previous = (head.events, head.leaf) if head else (0, b"")
        where = f"{_at(index)}, dossier {leaf.code}"
        if leaf.revision != expected:
            missing = (
                f"revisions {expected} to {leaf.revision - 1} are missing"
                if leaf.revision > expected
                else "it is there"
            )
            what = f"it is revision {leaf.revision}, the next one of this dossier is {expected}: {missing}"
            self.chain_faults.append(Fault(Kind.CHAIN, where, what))
        elif leaf.previous != previous:
            what = (
                f"it names {leaf.previous.hex() or 'nothing'} as the event before it, "
                f"that one is {previous.hex() or 'nothing'}"
            )
            self.chain_faults.append(Fault(Kind.CHAIN, where, what))
        if leaf.id in self.ids:
            self.chain_faults.append(
                Fault(Kind.EVENT_TWICE, where, f"the event {leaf.id} stands in an earlier leaf, too")
            )
        self.ids.add(leaf.id)
        self.chains[leaf.code] = Head(leaf.revision + 1, hashed)

    def _note_past(self) -> None:
        if self.remembered:
            if self.by_entries and self.by_entries.size == self.remembered.size:
                self.past_by_entries = self.by_entries.root()
            if self.by_tiles and self.by_tiles.size == self.remembered.size:
                self.past_by_tiles = self.by_tiles.root()

    def higher_tiles(self, source: Source) -> None:
        """Compares each level above the first with the full tiles below it."""
        size, level = self.checkpoint.size >> TILE_HEIGHT, 1
        expected = self.full
        while size:
            above: bytearray | None = bytearray()
            for index in range(-(-size // TILE_WIDTH)):
                width = min(TILE_WIDTH, size - index * TILE_WIDTH)
                found, fault = _tile(source, level, index, width)
                if fault:
                    self.report.faults.append(fault)
                if expected is not None:
                    made = bytes(expected[index * TILE_WIDTH * HASH_BYTES :][: width * HASH_BYTES])
                    if found is not None and found != made:
                        self._wrong_tile(level, index, width, found, made)
                    found = made
                if found is None:
                    above = None
                elif above is not None and width == TILE_WIDTH:
                    above += merkle.tile_root(found)
            size, level, expected = size >> TILE_HEIGHT, level + 1, above

    def _wrong_tile(self, level: int, index: int, width: int, found: bytes, made: bytes) -> None:
        at = next(
            at for at in range(width) if found[at * HASH_BYTES :][:HASH_BYTES] != made[at * HASH_BYTES :][:HASH_BYTES]
        )
        span = slice(at * HASH_BYTES, (at + 1) * HASH_BYTES)
        below = tiles.tile_path(level - 1, index * TILE_WIDTH + at, TILE_WIDTH)
        what = f"hash {at} is {found[span].hex()}, {below} makes it {made[span].hex()}"
        self.report.faults.append(Fault(Kind.TILE_CHANGED, tiles.tile_path(level, index, width), what))

    def judge(self) -> None:
        report, signed = self.report, self.checkpoint.root
        report.dossiers = len(self.chains)
        entries_hold = self.by_entries is not None and self.by_entries.root() == signed
        tiles_hold = self.by_tiles is not None and self.by_tiles.root() == signed
        for difference in self.differences:
            report.faults.append(self._told(difference, entries_hold, tiles_hold))
        if not (entries_hold or tiles_hold or self.differences) and self.by_entries:
            what = (
                f"the {self.checkpoint.size} entries lead to the root {self.by_entries.root().hex()}, "
                f"the checkpoint signs {signed.hex()}"
            )
            report.faults.append(Fault(Kind.ROOT, "checkpoint", what))
        self._judge_past(entries_hold, tiles_hold)
        report.judged = entries_hold
        if entries_hold:
            report.faults += self.chain_faults
            self._judge_heads()
        if self.comparison:
            report.faults += [*self.event_faults, *self.comparison.finish()]

    def _told(self, difference: _Difference, entries_hold: bool, tiles_hold: bool) -> Fault:
        index = difference.index
        bundle, within = divmod(index, TILE_WIDTH)
        width = min(TILE_WIDTH, self.checkpoint.size - bundle * TILE_WIDTH)
        made = leaf_hash(difference.entry).hex()
        if entries_hold:
            where = tiles.tile_path(0, bundle, width)
            what = (
                f"hash {within} is {difference.said.hex()}, leaf {index} hashes to {made}, and that is what is signed"
            )
            return Fault(Kind.TILE_CHANGED, where, what)
        which = "that is what is signed" if tiles_hold else "the signed root fits neither"
        what = f"the entry hashes to {made}, its tile says {difference.said.hex()}, and {which}"
        return Fault(Kind.ENTRY_CHANGED, f"{_at(index)}{_whose(difference.entry)}", what)

    def _judge_past(self, entries_hold: bool, tiles_hold: bool) -> None:
        past = self.past_by_entries if entries_hold else self.past_by_tiles if tiles_hold else None
        if self.remembered and past is not None and past != self.remembered.root:
            self.report.faults.append(fork(self.remembered, self.checkpoint))

    def _judge_heads(self) -> None:
        made = heads.root_of(self.chains)
        if made != self.checkpoint.heads:
            what = f"the events make the map of heads {made.hex()}, the checkpoint signs {self.checkpoint.heads.hex()}"
            self.report.faults.append(Fault(Kind.HEADS, "checkpoint", what))


def _at(index: int) -> str:
    return f"leaf {index} (tile/entries, bundle {index // TILE_WIDTH}, entry {index % TILE_WIDTH})"


def _whose(entry: bytes) -> str:
    try:
        leaf = Leaf.parse(entry)
    except LedgerError as unusable:
        return f", unreadable now ({unusable})"
    return f", dossier {leaf.code}, revision {leaf.revision}"
