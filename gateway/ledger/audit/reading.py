"""What checking and following share: the signed checkpoint of a log, its tiles, and whether it grew out of what is remembered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.ledger.audit.faults import Fault, Kind
from gateway.ledger.audit.source import LedgerUnreachable, Source
from gateway.ledger.format import merkle, tiles
from gateway.ledger.format.checkpoint import Checkpoint
from gateway.ledger.format.errors import LedgerError, ProofError, SignatureError
from gateway.ledger.format.merkle import HASH_BYTES, TILE_WIDTH, ReadTile
from gateway.ledger.format.note import Cosigned, Note, Verifier

CHECKPOINT = "checkpoint"


@dataclass(frozen=True, slots=True)
class Head:
    """A checkpoint whose signatures hold."""

    note: Note
    checkpoint: Checkpoint
    witnesses: tuple[Cosigned, ...]


class Wrong(Exception):
    """Nothing more can be said about the log."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(str(fault))
        self.fault = fault


def read_key(source: Source) -> Verifier:
    """As the log itself gives it: good to find it out once, no protection against who answers in its place."""
    content = source.read("vkey")
    if content is None:
        raise LedgerUnreachable(f"{source.address} does not tell its key: give it with --key")
    return Verifier.parse(content.decode(errors="replace").removesuffix("\n"))


def read_head(source: Source, key: Verifier, witnesses: Sequence[Verifier] = ()) -> tuple[Head, list[Fault]]:
    """Raises Wrong. Only missing witnesses leave something to go on with."""
    content = source.read(CHECKPOINT)
    if content is None:
        raise Wrong(Fault(Kind.CHECKPOINT_MISSING, CHECKPOINT, f"{source.address} has no file 'checkpoint'"))
    try:
        note = Note.parse(content)
        note.require(key)
        checkpoint = Checkpoint.parse(note.text)
    except SignatureError as unsigned:
        raise Wrong(Fault(Kind.SIGNATURE, CHECKPOINT, str(unsigned))) from None
    except LedgerError as unusable:
        raise Wrong(Fault(Kind.CHECKPOINT_UNUSABLE, CHECKPOINT, str(unusable))) from None
    if checkpoint.origin != key.name:
        what = f"it is of the log {checkpoint.origin}, the key is {key.name}'s"
        raise Wrong(Fault(Kind.CHECKPOINT_UNUSABLE, CHECKPOINT, what))
    faults, cosigned = [], []
    for witness in witnesses:
        try:
            cosigned.append(note.require_cosigned(witness))
        except SignatureError as missing:
            faults.append(Fault(Kind.WITNESS, CHECKPOINT, str(missing)))
    return Head(note, checkpoint, tuple(cosigned)), faults


def tile_reader(source: Source, size: int) -> ReadTile:
    """A partial tile may be gone once the full one is there: its beginning is the same."""

    def read(level: int, index: int, width: int) -> bytes:
        found = source.read(tiles.tile_path(level, index, width))
        if found is None and width < TILE_WIDTH:
            full = source.read(tiles.tile_path(level, index, TILE_WIDTH))
            found = full and full[: width * HASH_BYTES]
        if found is None:
            raise FileMissing(tiles.tile_path(level, index, width))
        return found

    return read


def read_bundle(source: Source, index: int, width: int) -> list[bytes]:
    """Raises LedgerError."""
    path = tiles.entries_path(index, width)
    found = source.read(path)
    if found is not None:
        return tiles.parse_bundle(found, width)
    full = source.read(tiles.entries_path(index, TILE_WIDTH)) if width < TILE_WIDTH else None
    if full is None:
        raise FileMissing(path)
    return tiles.parse_bundle(full, TILE_WIDTH)[:width]


class FileMissing(LedgerError):
    def __init__(self, path: str) -> None:
        super().__init__(f"the file {path} is missing, the checkpoint needs it")
        self.path = path


def compare_sizes(remembered: Checkpoint, found: Checkpoint) -> Fault | None:
    """What two checkpoints say about each other without looking at the log."""
    if found.origin != remembered.origin:
        what = f"the log was {remembered.origin}, it is {found.origin} now"
        return Fault(Kind.FORK, CHECKPOINT, what)
    if found.size < remembered.size:
        what = f"the log had {remembered.size} leaves when it was last looked at, now it says {found.size}"
        return Fault(Kind.ROLLBACK, CHECKPOINT, what)
    if found.size == remembered.size and found != remembered:
        return fork(remembered, found)
    return None


def fork(remembered: Checkpoint, found: Checkpoint) -> Fault:
    if found.size == remembered.size and found.root == remembered.root:
        what = (
            f"two checkpoints of {found.size} leaves have the maps of heads {remembered.heads.hex()} (remembered) "
            f"and {found.heads.hex()} (now)"
        )
    elif found.size == remembered.size:
        what = (
            f"two checkpoints of {found.size} leaves have the roots {remembered.root.hex()} (remembered) "
            f"and {found.root.hex()} (now)"
        )
    else:
        what = (
            f"the log of {found.size} leaves does not begin with the {remembered.size} leaves that it had when it was "
            f"last looked at (root {remembered.root.hex()})"
        )
    return Fault(Kind.FORK, CHECKPOINT, what)


def grew_from(read: ReadTile, remembered: Checkpoint, found: Checkpoint) -> Fault | None:
    """Whether the log is the remembered one, with more after it: proved from its tiles. Raises LedgerError for those."""
    if fault := compare_sizes(remembered, found):
        return fault
    proof = merkle.consistency_proof(read, remembered.size, found.size)
    try:
        merkle.verify_consistency(remembered.size, found.size, proof, remembered.root, found.root)
    except ProofError:
        # Tiles that do not lead to the checkpoint say nothing about the past.
        if merkle.root(read, found.size) != found.root:
            what = f"the tiles do not lead to the root that the checkpoint of {found.size} leaves signs"
            return Fault(Kind.ROOT, CHECKPOINT, what)
        return fork(remembered, found)
    return None
