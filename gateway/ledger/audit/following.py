"""Watches a log from outside: each new checkpoint must be signed, and be the remembered log with more after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.ledger.audit.faults import Fault, Kind
from gateway.ledger.audit.reading import FileMissing, SignedCheckpoint, grew_from, read_checkpoint, tile_reader
from gateway.ledger.audit.remembering import Memory, Remembered
from gateway.ledger.audit.source import LedgerUnreachable, Source
from gateway.ledger.format.errors import LedgerError
from gateway.ledger.format.note import Note, Verifier


@dataclass(frozen=True, slots=True)
class Look:
    """One look at a log: what was found, and in what that differs from what was remembered."""

    signed: SignedCheckpoint
    old: Remembered | None
    """What was remembered. None the first time."""
    faults: tuple[Fault, ...]

    @property
    def contradiction(self) -> tuple[Note, Note] | None:
        """The two signed checkpoints that exclude each other."""
        if self.old and any(fault.kind in (Kind.FORK, Kind.ROLLBACK) for fault in self.faults):
            return self.old.note, self.signed.note
        return None


def look(source: Source, key: Verifier, memory: Memory, witnesses: Sequence[Verifier] = ()) -> Look:
    """Reads the newest checkpoint, compares it with the remembered one, and remembers it if nothing is wrong.

    Raises CheckpointWrong, LedgerUnreachable, and LedgerError for an unusable memory.
    """
    old = memory.load(source.address)
    require_same_key(old, key)
    signed, faults = read_checkpoint(source, key, witnesses)
    if old:
        try:
            fault = grew_from(tile_reader(source), old.checkpoint, signed.checkpoint)
        except LedgerUnreachable:
            raise
        except LedgerError as unusable:
            kind = Kind.FILE_MISSING if isinstance(unusable, FileMissing) else Kind.FILE_DAMAGED
            fault = Fault(kind, "tiles", str(unusable))
        faults += [fault] if fault else []
    if all(fault.kind is Kind.WITNESS for fault in faults):
        memory.keep(Remembered(source.address, key, signed.note))
    return Look(signed, old, tuple(faults))


def require_same_key(old: Remembered | None, key: Verifier) -> None:
    """Raises LedgerError if the log was remembered with another key."""
    if old and old.key != key:
        raise LedgerError(
            f"{old.address} was remembered with the key {old.key.vkey}, now it is {key.vkey}. A log never changes its key: "
            "either one of them is wrong, or another log answers in its place"
        )
