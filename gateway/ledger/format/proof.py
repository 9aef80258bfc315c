"""What a person keeps and checks offline: that one event is in the ledger (https://c2sp.org/tlog-proof), and that these are
all events of a dossier, or that there is no such dossier, as of a checkpoint.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from gateway.ledger.format import heads, merkle
from gateway.ledger.format.checkpoint import Checkpoint, decimal
from gateway.ledger.format.errors import FormatError, LedgerError, ProofError, parsing
from gateway.ledger.format.heads import Head, HeadProof, Placed
from gateway.ledger.format.leaf import Leaf, require_code
from gateway.ledger.format.merkle import HASH_BYTES
from gateway.ledger.format.note import Cosigned, Note, Verifier, decode64, decode_hash, encode64

TLOG_PROOF = "c2sp.org/tlog-proof@v1"
DOSSIER_RECEIPT = "motcua.dossier-receipt/v1"
MAX_RECEIPT = 1 << 26
MAX_HASHES = 63


@dataclass(frozen=True, slots=True)
class TlogProof:
    """The receipt of one event:

        c2sp.org/tlog-proof@v1
        extra eyJjb2RlIjoi…cGxldGVkIn0=
        index 2
        igDJBB63zaq/1JnrBzpHwOk6I2Qb/ScSf3XRgpQX2Y4=

        vn-56.motcua.local/ledger
        3
        …

    Between `index` and the empty line stand the hashes of the inclusion proof, after it the signed checkpoint.
    """

    index: int
    """Of the leaf."""
    hashes: tuple[bytes, ...]
    """From the leaf upwards."""
    checkpoint: Note
    extra: bytes = b""
    """The entry itself, so that a receipt needs nothing beside it."""

    def __post_init__(self) -> None:
        if not 0 <= self.index <= merkle.MAX_SIZE:
            raise LedgerError(f"{self.index} is no index of a leaf")
        if len(self.hashes) > MAX_HASHES or any(len(sibling) != HASH_BYTES for sibling in self.hashes):
            raise LedgerError(f"a proof has at most {MAX_HASHES} hashes of {HASH_BYTES} bytes")

    def format(self) -> bytes:
        lines = [TLOG_PROOF]
        if self.extra:
            lines.append(f"extra {encode64(self.extra)}")
        lines += [f"index {self.index}", *map(encode64, self.hashes), "", ""]
        return "\n".join(lines).encode() + self.checkpoint.format()

    @classmethod
    def parse(cls, proof: bytes) -> TlogProof:
        lines, checkpoint = _lines(proof, TLOG_PROOF)
        extra = (
            decode64(lines.pop(0).removeprefix("extra "), "extra") if lines and lines[0].startswith("extra ") else b""
        )
        if not lines or not lines[0].startswith("index "):
            raise FormatError(f"the proof has no line 'index <number>' where one must be: {' '.join(lines[:1])!r}")
        index = decimal(lines.pop(0).removeprefix("index "), "index")
        hashes = tuple(decode_hash(line, f"hash {number} of the proof") for number, line in enumerate(lines))
        with parsing("the proof"):
            return cls(index, hashes, checkpoint, extra)


@dataclass(frozen=True, slots=True)
class DossierReceipt:
    """The receipt of a whole dossier:

        motcua.dossier-receipt/v1
        code G09.20-20260701-0000001
        event eyJjb2RlIjoi…c2lnbmVkIn0=
        event eyJjb2RlIjoi…cGxldGVkIn0=
        head QmNMShF95CohPgNpT7qy+lhie5+yTUICa3AIxn7MdmM=
        head AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=

        vn-56.motcua.local/ledger
        3
        …

    One `event` for each entry, in order. `head` are the siblings in the map of heads, from the code's place up to the root. Without
    events, if another head stands in the code's place, the line `other <base64>` before them has it (heads.Placed). After the empty
    line stands the signed checkpoint.
    """

    code: str
    entries: tuple[bytes, ...]
    """All entries of the dossier, in order. None at all says that there is no such dossier."""
    proof: HeadProof
    checkpoint: Note

    def __post_init__(self) -> None:
        require_code(self.code)

    def format(self) -> bytes:
        lines = [DOSSIER_RECEIPT, f"code {self.code}", *(f"event {encode64(entry)}" for entry in self.entries)]
        if self.proof.other:
            lines.append(f"other {encode64(self.proof.other.format())}")
        lines += [f"head {encode64(sibling)}" for sibling in self.proof.siblings]
        return "\n".join([*lines, "", ""]).encode() + self.checkpoint.format()

    @classmethod
    def parse(cls, receipt: bytes) -> DossierReceipt:
        lines, checkpoint = _lines(receipt, DOSSIER_RECEIPT)
        if not lines or not lines[0].startswith("code ") or lines[0] == "code ":
            raise FormatError("the receipt has no line 'code <code>' where one must be")
        code = lines.pop(0).removeprefix("code ")
        entries = tuple(decode64(value, f"event {number}") for number, value in enumerate(_take(lines, "event ")))
        others = list(_take(lines, "other "))
        siblings = tuple(decode_hash(value, f"head {number}") for number, value in enumerate(_take(lines, "head ")))
        if lines or len(others) > 1 or (others and entries):
            unexpected = lines[0] if lines else "other"
            raise FormatError(f"the receipt has a line where none may be: {unexpected[:60]!r}")
        with parsing("the receipt"):
            other = Placed.parse(decode64(others[0], "other")) if others else None
            return cls(code, entries, HeadProof(siblings, other), checkpoint)


@dataclass(frozen=True, slots=True)
class VerifiedEvent:
    leaf: Leaf
    index: int
    checkpoint: Checkpoint
    witnesses: tuple[Cosigned, ...]


@dataclass(frozen=True, slots=True)
class VerifiedDossier:
    code: str
    leaves: tuple[Leaf, ...]
    checkpoint: Checkpoint
    witnesses: tuple[Cosigned, ...]


def verify_event(proof: TlogProof, log: Verifier, witnesses: Iterable[Verifier] = ()) -> VerifiedEvent:
    """Against the log's key and these witnesses, all of which must have cosigned. Raises LedgerError saying why not."""
    checkpoint, cosigned = verify_checkpoint(proof.checkpoint, log, witnesses)
    if not proof.extra:
        raise ProofError("the proof does not hold its entry (the line 'extra'), so that nothing says what it proves")
    leaf = Leaf.parse(proof.extra)
    hashed = merkle.leaf_hash(proof.extra)
    merkle.verify_inclusion(hashed, proof.index, checkpoint.size, proof.hashes, checkpoint.root)
    return VerifiedEvent(leaf, proof.index, checkpoint, cosigned)


def verify_dossier(receipt: DossierReceipt, log: Verifier, witnesses: Iterable[Verifier] = ()) -> VerifiedDossier:
    """That these are all events of the dossier as of the checkpoint. Raises LedgerError saying why not."""
    checkpoint, cosigned = verify_checkpoint(receipt.checkpoint, log, witnesses)
    leaves = chain(receipt.code, receipt.entries)
    head = Head(len(leaves), merkle.leaf_hash(receipt.entries[-1])) if leaves else None
    heads.verify(receipt.code, head, receipt.proof, checkpoint.heads)
    return VerifiedDossier(receipt.code, leaves, checkpoint, cosigned)


def verify_checkpoint(
    note: Note, log: Verifier, witnesses: Iterable[Verifier] = ()
) -> tuple[Checkpoint, tuple[Cosigned, ...]]:
    """The log's checkpoint and its cosignatures. Every one of `witnesses` must have signed, with a key of type COSIGNATURE.

    Raises LedgerError.
    """
    note.require(log)
    checkpoint = Checkpoint.parse(note.text)
    if checkpoint.origin != log.name:
        raise ProofError(f"the checkpoint is of the log {checkpoint.origin}, the key is {log.name}'s")
    return checkpoint, tuple(map(note.require_cosigned, witnesses))


def chain(code: str, entries: Sequence[bytes]) -> tuple[Leaf, ...]:
    """The leaves of one dossier from its first: no gap, none of another dossier, each naming the one before it."""
    leaves = []
    previous = b""
    for number, entry in enumerate(entries):
        leaf = Leaf.parse(entry)
        if leaf.code != code:
            raise ProofError(f"event {number} is of the dossier {leaf.code}, expected {code}")
        if leaf.revision != number:
            raise ProofError(f"event {number} of {code} says it has revision {leaf.revision}")
        if leaf.previous != previous:
            raise ProofError(
                f"event {number} of {code} names {leaf.previous.hex() or 'nothing'} as the event before it, "
                f"that one is {previous.hex() or 'nothing'}"
            )
        previous = merkle.leaf_hash(entry)
        leaves.append(leaf)
    return tuple(leaves)


def _lines(content: bytes, header: str) -> tuple[list[str], Note]:
    """The lines between header and empty line, and the checkpoint after it."""
    if len(content) > MAX_RECEIPT:
        raise FormatError(f"the receipt has {len(content)} bytes, at most {MAX_RECEIPT} are read")
    before, blank, checkpoint = content.partition(b"\n\n")
    if not blank:
        raise FormatError("there is no empty line before the checkpoint")
    try:
        first, *lines = before.decode().split("\n")
    except UnicodeDecodeError as invalid:
        raise FormatError(f"the receipt is no UTF-8 at byte {invalid.start}") from None
    if first != header:
        raise FormatError(f"the first line is {first[:60]!r}, expected {header!r}")
    return lines, Note.parse(checkpoint)


def _take(lines: list[str], word: str) -> Iterator[str]:
    while lines and lines[0].startswith(word):
        yield lines.pop(0).removeprefix(word)
