"""The map of heads: for every dossier how many events it has and the hash of its newest leaf, under one root.

A sparse Merkle tree over SHA-256(code), the first bit deciding at the root (0 left, 1 right):
  no code        32 zero bytes
  one code       SHA-256(0x02, SHA-256(code), number of events as 8 bytes big-endian, hash of the newest leaf)
  more than one  SHA-256(0x03, left half, right half)
The map follows from the log: who re-reads the log makes it anew and compares the root with the checkpoint's.

It is stored in pages. One page is four levels: its 16 slots are the nodes below it. Page "" is the root's, page "a3" holds the
slots below the hexadecimal digits a, 3 of SHA-256(code). A slot is empty, or holds a head that is alone below it (no page follows),
or the hash of the page below. Nodes between are computed.

A page's bytes, for each slot that is taken, by digit: the digit (00 to 0f) and the 72 bytes of a head (key 32, number of events 8,
leaf 32), or 10 + the digit, in hexadecimal (10 to 1f), and a hash of 32 bytes.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Protocol

from gateway.ledger.format.errors import LedgerError, ProofError
from gateway.ledger.format.merkle import HASH_BYTES, MAX_SIZE

EMPTY = bytes(HASH_BYTES)
ROOT_PAGE = ""
SLOTS = 16


@dataclass(frozen=True, slots=True)
class Head:
    events: int
    leaf: bytes
    """Hash of the newest leaf."""

    def __post_init__(self) -> None:
        if not 1 <= self.events <= MAX_SIZE or len(self.leaf) != HASH_BYTES:
            raise LedgerError(f"a head has at least one event and a hash of {HASH_BYTES} bytes")


@dataclass(frozen=True, slots=True)
class Placed:
    """A head in the map: where it stands, without the code itself."""

    key: bytes
    """SHA-256(code)."""
    head: Head

    def hash(self) -> bytes:
        return sha256(b"\x02" + self.format()).digest()

    def format(self) -> bytes:
        return self.key + self.head.events.to_bytes(8, "big") + self.head.leaf

    @classmethod
    def parse(cls, value: bytes) -> Placed:
        if len(value) != 2 * HASH_BYTES + 8:
            raise LedgerError(f"a placed head has {2 * HASH_BYTES + 8} bytes, not {len(value)}")
        return cls(value[:32], Head(int.from_bytes(value[32:40], "big"), value[40:]))


@dataclass(frozen=True, slots=True)
class HeadProof:
    """What the map says of a code: a head (`other` is None), or no head because the place is empty (`other` is None), or no head
    because somebody else stands there (`other`).
    """

    siblings: tuple[bytes, ...]
    """From the code's place up to the root."""
    other: Placed | None = None
    """The head that stands alone where the code's would be."""


class Pages(Protocol):
    """Where the map is kept. A page that was never put is not returned."""

    def get(self, names: Collection[str], /) -> Mapping[str, bytes]: ...

    def put(self, pages: Mapping[str, bytes], /) -> None: ...


_Slot = Placed | bytes | None
"""What is below a page's digit: one head, the hash of more than one, or nothing."""


def key_of(code: str) -> bytes:
    return sha256(code.encode()).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x03" + left + right).digest()


def root(pages: Pages) -> bytes:
    return _fold(_parse_page(pages.get([ROOT_PAGE]), ROOT_PAGE))


def update(pages: Pages, changes: Mapping[str, Head]) -> bytes:
    """Sets the heads of these codes, and returns the new root."""
    if not changes:
        return root(pages)
    work = {ROOT_PAGE: [Placed(key_of(code), head) for code, head in changes.items()]}
    changed: dict[str, list[_Slot]] = {}
    while work:  # one level of pages after the other, each read with one get
        stored = pages.get(work)
        below: dict[str, list[Placed]] = {}
        for name, arrivals in work.items():
            changed[name] = slots = _parse_page(stored, name)
            for placed in arrivals:
                _arrive(name, slots, placed, below)
        work = below
    for name in sorted(changed, key=len, reverse=True):
        if name:
            changed[name[:-1]][int(name[-1], 16)] = _fold(changed[name])
    pages.put({name: _format_page(slots) for name, slots in changed.items()})
    return _fold(changed[ROOT_PAGE])


def prove(pages: Pages, code: str) -> tuple[Head | None, HeadProof]:
    """The dossier's head, None if the map has none, with the proof of that."""
    key = key_of(code)
    digits = key.hex()
    path: list[bytes] = []  # from the root down
    for depth in range(len(digits)):
        page = _parse_page(pages.get([digits[:depth]]), digits[:depth])
        siblings, slot = _descend(page, int(digits[depth], 16))
        path += siblings
        match slot:
            case None:
                return None, HeadProof(tuple(reversed(path)))
            case Placed(key=there) if there == key:
                return slot.head, HeadProof(tuple(reversed(path)))
            case Placed():
                return None, HeadProof(tuple(reversed(path)), slot)
            case bytes():
                pass  # the hash of the page below
    raise LedgerError(f"the map of heads has no end at {digits}")


def verify(code: str, head: Head | None, proof: HeadProof, expected_root: bytes) -> None:
    """That the map under this root has this head for the code, or with None that it has none. Raises ProofError."""
    key = key_of(code)
    depth = len(proof.siblings)
    if depth > 8 * HASH_BYTES or any(len(sibling) != HASH_BYTES for sibling in proof.siblings):
        raise ProofError(f"a proof of a head has at most {8 * HASH_BYTES} siblings of {HASH_BYTES} bytes")
    if head and proof.other:
        raise ProofError(f"the proof puts another dossier in the place of {code}")
    if proof.other and (proof.other.key == key or _bits(proof.other.key, depth) != _bits(key, depth)):
        raise ProofError(f"the head in the proof does not stand in the place of {code}")
    # A head whose sibling is empty stands one level higher: such a proof says less than its length.
    if depth and proof.siblings[0] == EMPTY and (head or proof.other):
        raise ProofError(f"the proof for {code} is longer than it may be")
    placed = Placed(key, head) if head else proof.other
    node = placed.hash() if placed else EMPTY
    for number, sibling in enumerate(proof.siblings):
        right = _bits(key, depth - number) & 1
        node = node_hash(sibling, node) if right else node_hash(node, sibling)
    if node != expected_root:
        raise ProofError(
            f"the map with this head of {code} has the root {node.hex()}, the checkpoint says {expected_root.hex()}"
        )


def root_of(heads: Mapping[str, Head]) -> bytes:
    """The root of the whole map at once, as who re-reads a log makes it."""
    placed = sorted((Placed(key_of(code), head) for code, head in heads.items()), key=lambda each: each.key)
    return _root_of(placed, [each.key for each in placed], 0, len(placed), 0)


def _root_of(placed: Sequence[Placed], keys: Sequence[bytes], start: int, end: int, depth: int) -> bytes:
    if start == end:
        return EMPTY
    if end - start == 1:
        return placed[start].hash()
    # The smallest key of the right half: the bits that all these keys share, a 1, and zeroes.
    boundary = ((_bits(keys[start], depth) << 1 | 1) << 8 * HASH_BYTES - depth - 1).to_bytes(HASH_BYTES, "big")
    middle = bisect_left(keys, boundary, start, end)
    return node_hash(_root_of(placed, keys, start, middle, depth + 1), _root_of(placed, keys, middle, end, depth + 1))


def _arrive(name: str, slots: list[_Slot], placed: Placed, below: dict[str, list[Placed]]) -> None:
    """Puts a head into its slot of the page `name`. What goes to the page below is added to `below`, by that page's name."""
    digits = placed.key.hex()
    place = int(digits[len(name)], 16)
    deeper = digits[: len(name) + 1]
    match slots[place]:
        case None:
            slots[place] = placed
        case Placed(key=key) if key == placed.key:
            slots[place] = placed
        case Placed() as standing:
            below.setdefault(deeper, []).extend([standing, placed])
            slots[place] = b""  # more than one: its hash is set when the page below is done
        case _:
            below.setdefault(deeper, []).append(placed)


def _descend(page: Sequence[_Slot], place: int) -> tuple[list[bytes], _Slot]:
    """Halves the page's 16 slots four times toward `place`, or until at most one head is below.

    Returns the siblings, the highest first, and what is there.
    """
    siblings: list[bytes] = []
    low, high = 0, SLOTS
    while True:
        single, count = _single(page[low:high])
        if count == 0 or single:
            return siblings, single
        if high - low == 1:
            return siblings, page[low]
        middle = (low + high) // 2
        if place < middle:
            siblings.append(_fold(page[middle:high]))
            high = middle
        else:
            siblings.append(_fold(page[low:middle]))
            low = middle


def _single(slots: Sequence[_Slot]) -> tuple[Placed | None, int]:
    """The only head below these slots, and how many slots are taken."""
    taken = [slot for slot in slots if slot is not None]
    only = taken[0] if len(taken) == 1 else None
    return (only if isinstance(only, Placed) else None), len(taken)


def _fold(slots: Sequence[_Slot]) -> bytes:
    """The hash of the node above these slots."""
    single, count = _single(slots)
    if count == 0:
        return EMPTY
    if single:
        return single.hash()
    if len(slots) == 1:
        only = slots[0]
        assert isinstance(only, bytes)
        return only
    middle = len(slots) // 2
    return node_hash(_fold(slots[:middle]), _fold(slots[middle:]))


def _format_page(slots: Sequence[_Slot]) -> bytes:
    parts = []
    for digit, slot in enumerate(slots):
        if isinstance(slot, Placed):
            parts += [bytes([digit]), slot.format()]
        elif slot is not None:
            parts += [bytes([SLOTS + digit]), slot]
    return b"".join(parts)


def _parse_page(stored: Mapping[str, bytes], name: str) -> list[_Slot]:
    slots: list[_Slot] = [None] * SLOTS
    page = stored.get(name, b"")
    at = 0
    while at < len(page):
        kind, digit = divmod(page[at], SLOTS)
        width = HASH_BYTES if kind else 2 * HASH_BYTES + 8
        content = page[at + 1 : at + 1 + width]
        if len(content) < width:
            break
        slots[digit] = content if kind else Placed.parse(content)
        at += 1 + width
    if at != len(page) or _format_page(slots) != page:
        raise LedgerError(f"page {name!r} of the map of heads is damaged: re-read the ledger to make the map anew")
    return slots


def _bits(key: bytes, count: int) -> int:
    """The first `count` bits."""
    return int.from_bytes(key, "big") >> 8 * HASH_BYTES - count
