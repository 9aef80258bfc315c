"""We as the witness of other sites' logs: https://c2sp.org/tlog-witness, add-checkpoint."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from sqlalchemy import Connection, select, update

from gateway.ledger.format.checkpoint import TreeHead, decimal
from gateway.ledger.format.errors import FormatError, ProofError, SignatureError
from gateway.ledger.format.merkle import EMPTY_ROOT, verify_consistency
from gateway.ledger.format.note import CoSigner, Note, Verifier, decode_hash, encode64
from gateway.ledger.keep.tables import witnessed
from services.chassis.database.database import Database, insert_new
from services.chassis.machine import moments

MOST_HASHES = 63
TEXT = "text/plain; charset=utf-8"
SIZE = "text/x.tlog.size"


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: str
    type: str = TEXT


@dataclass(frozen=True, slots=True)
class AddCheckpoint:
    """The request's body:

        old 2
        1+7oWyMeGedst0UXnaUTtWwHQ9o4b6rIJS2ebz0/4bI=

        vn-56.motcua.local/ledger
        3
        …

    The hashes of the consistency proof, an empty line, and the log's checkpoint with its own signature.
    """

    old: int
    """Leaves of the log that the witness has cosigned, 0 if none."""
    proof: tuple[bytes, ...]
    note: Note

    def format(self) -> bytes:
        lines = [f"old {self.old}", *map(encode64, self.proof), "", ""]
        return "\n".join(lines).encode() + self.note.format()

    @classmethod
    def parse(cls, body: bytes) -> AddCheckpoint:
        before, blank, note = body.partition(b"\n\n")
        try:
            first, *lines = before.decode().split("\n")
        except UnicodeDecodeError as invalid:
            raise FormatError(f"the request is no UTF-8 at byte {invalid.start}") from None
        if not blank or not first.startswith("old "):
            raise FormatError(
                "the request has not the form: 'old <size>', the proof's hashes, an empty line, a checkpoint"
            )
        if len(lines) > MOST_HASHES:
            raise FormatError(f"the proof has {len(lines)} hashes, at most {MOST_HASHES} are read")
        proof = tuple(decode_hash(line, f"hash {number} of the proof") for number, line in enumerate(lines))
        return cls(decimal(first.removeprefix("old "), "the old size"), proof, Note.parse(note))


class Witness:
    def __init__(
        self,
        database: Database,
        cosigner: CoSigner,
        logs: Sequence[Verifier],
        now: Callable[[], float] = moments.unix,
    ) -> None:
        self._database = database
        self._cosigner = cosigner
        self._now = now
        self._logs: dict[str, list[Verifier]] = defaultdict(list)
        for log in logs:
            self._logs[log.name].append(log)

    async def add_checkpoint(self, body: bytes) -> Answer:
        try:
            asked = AddCheckpoint.parse(body)
            head = TreeHead.parse(asked.note.text)
        except FormatError as unreadable:
            return Answer(400, f"{unreadable}\n")
        if head.origin not in self._logs:
            return Answer(404, f"the log {head.origin} is not witnessed here\n")
        try:
            signed = asked.note.signed_by(self._logs[head.origin])
        except SignatureError as unsigned:
            return Answer(403, f"{unsigned}\n")
        if not signed:
            return Answer(403, f"no known key of {head.origin} signed the checkpoint\n")
        if asked.old > head.size:
            return Answer(400, f"the old size {asked.old} is above the checkpoint's size {head.size}\n")
        # Reading, comparing and writing are one transaction: of two requests at once, the second sees what the first wrote.
        refused = await self._database.write(partial(_witness, asked=asked, head=head))
        if refused:
            return refused
        return Answer(200, self._cosigner.sign(asked.note.text, int(self._now())).format())


def _witness(db: Connection, asked: AddCheckpoint, head: TreeHead) -> Answer | None:
    insert_new(db, witnessed, {"origin": head.origin, "size": 0, "root": EMPTY_ROOT})
    known = db.execute(select(witnessed).where(witnessed.c.origin == head.origin).with_for_update()).one()
    if asked.old != known.size or (asked.old == head.size and head.root != known.root):
        return Answer(409, f"{known.size}\n", SIZE)
    try:
        verify_consistency(asked.old, head.size, asked.proof, known.root, head.root)
    except ProofError as unproved:
        return Answer(422, f"{unproved}\n")
    db.execute(update(witnessed).where(witnessed.c.origin == head.origin).values(size=head.size, root=head.root))
    return None
