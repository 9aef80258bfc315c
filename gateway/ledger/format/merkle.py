"""Merkle trees as RFC 6962 section 2.1 and RFC 9162 section 2.1 define them, read from tiles of 256 hashes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from hashlib import sha256

from gateway.ledger.format.errors import LedgerError, ProofError

HASH_BYTES = 32
TILE_HEIGHT = 8
TILE_WIDTH = 1 << TILE_HEIGHT
MAX_SIZE = 2**63 - 1
EMPTY_ROOT = sha256(b"").digest()

ReadTile = Callable[[int, int, int], bytes]
"""Level, index and width of a tile to its bytes, 32 for each hash."""


def leaf_hash(entry: bytes) -> bytes:
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


def root(read: ReadTile, size: int) -> bytes:
    _require_size(size)
    return _range(read, size, 0, size) if size else EMPTY_ROOT


def inclusion_proof(read: ReadTile, index: int, size: int) -> list[bytes]:
    """The siblings of the leaf's path, from the leaf upwards."""
    _require_size(size)
    if not 0 <= index < size:
        raise ProofError(f"there is no leaf {index} in a tree of {size} leaves")
    proof = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            proof.append(_range(read, size, middle, end))
            end = middle
        else:
            proof.append(_range(read, size, start, middle))
            start = middle
    proof.reverse()
    return proof


def consistency_proof(read: ReadTile, old: int, new: int) -> list[bytes]:
    """That the tree of `old` leaves is the beginning of the tree of `new` leaves. Empty for 0 and for equal sizes."""
    _require_size(new)
    if not 0 <= old <= new:
        raise ProofError(f"a tree of {new} leaves cannot hold one of {old} leaves")
    if old in (0, new):
        return []
    proof = []
    start, end = 0, new
    whole = True  # start..old is all of the old tree: the verifier has its root
    while old != end:
        middle = start + _split(end - start)
        if old <= middle:
            proof.append(_range(read, new, middle, end))
            end = middle
        else:
            proof.append(_range(read, new, start, middle))
            start = middle
            whole = False
    if (
        not whole
    ):  # an old tree of 2**n leaves is one node of the new one: its hash is its root, the proof leaves it out
        proof.append(_range(read, new, start, end))
    proof.reverse()
    return proof


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], expected_root: bytes) -> None:
    """`leaf` is the leaf's hash. RFC 9162 section 2.1.3.2. Raises ProofError."""
    _require_hashes(proof)
    if not 0 <= index < size <= MAX_SIZE:
        raise ProofError(f"there is no leaf {index} in a tree of {size} leaves")
    # position: the node's number on its level, last: the number of the level's last node.
    position, last, node = index, size - 1, leaf
    for number, sibling in enumerate(proof):
        if last == 0:
            raise ProofError(f"the inclusion proof has {len(proof)} hashes, leaf {index} of {size} needs {number}")
        if position & 1 or position == last:
            node = node_hash(sibling, node)
            while not position & 1 and position:  # a last node with an even number has no sibling: it goes up as it is
                position >>= 1
                last >>= 1
        else:
            node = node_hash(node, sibling)
        position >>= 1
        last >>= 1
    if last:
        raise ProofError(f"the inclusion proof of leaf {index} of {size} is too short: it has {len(proof)} hashes")
    if node != expected_root:
        raise ProofError(
            f"the inclusion proof of leaf {index} of {size} leads to root {node.hex()}, expected {expected_root.hex()}"
        )


def verify_consistency(old_size: int, new_size: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes) -> None:
    """RFC 9162 section 2.1.4.2; from the empty tree the proof is empty. Raises ProofError."""
    _require_hashes(proof)
    if not 0 <= old_size <= new_size <= MAX_SIZE:
        raise ProofError(f"a tree of {new_size} leaves cannot hold one of {old_size} leaves")
    if old_size in (0, new_size):
        if proof:
            raise ProofError(
                f"the consistency proof of {old_size} in {new_size} must be empty, it has {len(proof)} hashes"
            )
        if old_size == 0 and old_root != EMPTY_ROOT:
            raise ProofError(f"the root of the empty tree is {EMPTY_ROOT.hex()}, not {old_root.hex()}")
        if old_size == new_size and old_root != new_root:
            raise ProofError(f"two trees of {old_size} leaves have the roots {old_root.hex()} and {new_root.hex()}")
        return
    if not proof:
        raise ProofError(f"the consistency proof of {old_size} in {new_size} is empty")
    path = list(proof)
    if old_size & (old_size - 1) == 0:  # the old tree is one node of the new one, whose hash the proof leaves out
        path.insert(0, old_root)
    # position: the node's number on its level, last: the number of the level's last node in the new tree.
    position, last = old_size - 1, new_size - 1
    while position & 1:  # up to the largest complete subtree at the old tree's right edge
        position >>= 1
        last >>= 1
    old_node = new_node = path[0]
    for sibling in path[1:]:
        if last == 0:
            raise ProofError(
                f"the consistency proof of {old_size} in {new_size} is too long: it has {len(proof)} hashes"
            )
        if position & 1 or position == last:
            old_node = node_hash(sibling, old_node)
            new_node = node_hash(sibling, new_node)
            while not position & 1 and position:  # as in verify_inclusion
                position >>= 1
                last >>= 1
        else:
            new_node = node_hash(new_node, sibling)
        position >>= 1
        last >>= 1
    if last:
        raise ProofError(f"the consistency proof of {old_size} in {new_size} is too short: it has {len(proof)} hashes")
    if old_node != old_root:
        raise ProofError(f"the tree of {old_size} leaves has the root {old_node.hex()}, expected {old_root.hex()}")
    if new_node != new_root:
        raise ProofError(f"the tree of {new_size} leaves has the root {new_node.hex()}, expected {new_root.hex()}")


def tile_root(tile: bytes) -> bytes:
    """The hash that stands for a full tile at the level above."""
    if len(tile) != TILE_WIDTH * HASH_BYTES:
        raise LedgerError(f"a full tile has {TILE_WIDTH * HASH_BYTES} bytes, this one {len(tile)}")
    return _heights(tile)[TILE_HEIGHT]


def grow(read: ReadTile, size: int, leaves: Sequence[bytes]) -> Mapping[tuple[int, int], bytes]:
    """All tiles, by level and index, that `leaves` (their hashes) change or add to a tree of `size` leaves.

    Each with its new content: full, or as wide as it is now. `read` is asked for the tiles at the old right edge.
    """
    _require_size(size + len(leaves))
    tiles: dict[tuple[int, int], bytes] = {}
    level, count, fresh = 0, size, b"".join(leaves)
    while fresh:
        index, width = divmod(count, TILE_WIDTH)
        content = (_read(read, level, index, width) if width else b"") + fresh
        above = bytearray()
        for offset in range(0, len(content), TILE_WIDTH * HASH_BYTES):
            tile = content[offset : offset + TILE_WIDTH * HASH_BYTES]
            tiles[level, index] = tile
            index += 1
            if len(tile) == TILE_WIDTH * HASH_BYTES:
                above += tile_root(tile)
        level, count, fresh = level + 1, count // TILE_WIDTH, bytes(above)
    return tiles


def _split(count: int) -> int:
    """The largest power of two smaller than `count`."""
    return 1 << (count - 1).bit_length() - 1


def _range(read: ReadTile, size: int, start: int, end: int) -> bytes:
    """The hash of the leaves start..end-1 of the tree of `size` leaves.

    `start` must be where a split of the tree falls: the leaves are then complete subtrees, largest first.
    """
    complete = []
    while end > start:
        height = (end - start).bit_length() - 1
        complete.append(_complete(read, size, height, start >> height))
        start += 1 << height
    node = complete.pop()
    while complete:
        node = node_hash(complete.pop(), node)
    return node


def _complete(read: ReadTile, size: int, height: int, number: int) -> bytes:
    """The hash of the `number`-th complete subtree of 2**height leaves."""
    level, within = divmod(height, TILE_HEIGHT)
    index, offset = divmod(number << within, TILE_WIDTH)
    width = min(TILE_WIDTH, (size >> TILE_HEIGHT * level) - index * TILE_WIDTH)
    hashes = _heights(_read(read, level, index, width))[within]
    place = (offset >> within) * HASH_BYTES
    return hashes[place : place + HASH_BYTES]


def _read(read: ReadTile, level: int, index: int, width: int) -> bytes:
    tile = read(level, index, width)
    if len(tile) != width * HASH_BYTES:
        raise LedgerError(
            f"tile {index} of level {level} has {len(tile)} bytes, expected {width} hashes of {HASH_BYTES} bytes"
        )
    return tile


@lru_cache(maxsize=2048)
def _heights(tile: bytes) -> tuple[bytes, ...]:
    """The hashes of all complete subtrees within a tile, by height, each height in one string."""
    heights = [tile]
    below = tile
    while len(below) >= 2 * HASH_BYTES:
        pairs = range(0, len(below) - HASH_BYTES, 2 * HASH_BYTES)
        below = b"".join(sha256(b"\x01" + below[at : at + 2 * HASH_BYTES]).digest() for at in pairs)
        heights.append(below)
    return tuple(heights)


def _require_size(size: int) -> None:
    if not 0 <= size <= MAX_SIZE:
        raise LedgerError(f"a tree cannot have {size} leaves")


def _require_hashes(proof: Sequence[bytes]) -> None:
    for number, sibling in enumerate(proof):
        if len(sibling) != HASH_BYTES:
            raise ProofError(f"hash {number} of the proof has {len(sibling)} bytes, not {HASH_BYTES}")
