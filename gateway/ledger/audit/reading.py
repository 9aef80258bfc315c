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
class SignedCheckpoint:
    """A checkpoint whose signatures hold: the log's, and those of `witnesses`."""

    note: Note
    checkpoint: Checkpoint
    witnesses: tuple[Cosigned, ...]


class CheckpointWrong(Exception):
    """There is no checkpoint to go by, so that nothing more can be said about the log."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(str(fault))
        self.fault = fault


def read_key(source: Source) -> Verifier:
    """The log's key as the log itself gives it: good to find it out once, no protection against who answers in its place."""
    content = source.read("vkey")
    if content is None:
        raise LedgerUnreachable(f"{source.address} does not tell its key: give it with --key")
    return Verifier.parse(content.decode(errors="replace").removesuffix("\n"))


def read_checkpoint(
    source: Source, key: Verifier, witnesses: Sequence[Verifier] = ()
) -> tuple[SignedCheckpoint, list[Fault]]:
    """The log's newest checkpoint, and a fault for each witness that did not sign it.

    Raises CheckpointWrong for whatever else is wrong with it.
    """
    content = source.read(CHECKPOINT)
    if content is None:
        raise CheckpointWrong(Fault(Kind.CHECKPOINT_MISSING, CHECKPOINT, f"{source.address} has no file 'checkpoint'"))
    try:
        note = Note.parse(content)
        note.require(key)
        checkpoint = Checkpoint.parse(note.text)
    except SignatureError as unsigned:
        raise CheckpointWrong(Fault(Kind.SIGNATURE, CHECKPOINT, str(unsigned))) from None
    except LedgerError as unusable:
        raise CheckpointWrong(Fault(Kind.CHECKPOINT_UNUSABLE, CHECKPOINT, str(unusable))) from None
    if checkpoint.origin != key.name:
        what = f"it is of the log {checkpoint.origin}, the key is {key.name}'s"
        raise CheckpointWrong(Fault(Kind.CHECKPOINT_UNUSABLE, CHECKPOINT, what))
    faults, cosigned = [], []
    for witness in witnesses:
        try:
            cosigned.append(note.require_cosigned(witness))
        except SignatureError as missing:
            faults.append(Fault(Kind.WITNESS, CHECKPOINT, str(missing)))
    return SignedCheckpoint(note, checkpoint, tuple(cosigned)), faults


def tile_reader(source: Source) -> ReadTile:
    """Reads tiles of a log. A partial tile may be gone once the full one is there, which begins with the same hashes.

    The reader raises FileMissing where there is neither.
    """

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
    """The first `width` entries of a bundle. Raises LedgerError: FileMissing, or for bytes that are none."""
    path = tiles.entries_path(index, width)
    found = source.read(path)
    if found is not None:
        return tiles.parse_bundle(found, width)
    full = source.read(tiles.entries_path(index, TILE_WIDTH)) if width < TILE_WIDTH else None
    if full is None:
        raise FileMissing(path)
    return tiles.parse_bundle(full, TILE_WIDTH)[:width]


class FileMissing(LedgerError):
    """The log has no file `path`, and its checkpoint says that it must."""

    def __init__(self, path: str) -> None:
        super().__init__(f"the file {path} is missing, the checkpoint needs it")
        self.path = path


def compare_sizes(remembered: Checkpoint, found: Checkpoint) -> Fault | None:
    """ROLLBACK or FORK, as far as two checkpoints show it without the log's tiles. None if one may have grown from the other."""
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
    """The FORK that two checkpoints, which exclude each other, are proof of."""
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
    """What is wrong if the log is not the remembered one with more after it: proved from its tiles.

    Raises LedgerError for tiles that are missing or damaged.
    """
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
