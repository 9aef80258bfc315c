"""We as the log: every published checkpoint is sent to the witnesses, and published again with what they sign."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import structlog
from sqlalchemy import Connection

from gateway.ledger.format import merkle
from gateway.ledger.format.checkpoint import Checkpoint, decimal
from gateway.ledger.format.errors import FormatError, LedgerError, SignatureError
from gateway.ledger.format.note import Note, Signature, Verifier, parse_signatures
from gateway.ledger.keep import metrics, tables
from gateway.ledger.keep.witness import AddCheckpoint
from services.chassis.database.database import Database
from services.chassis.work.tasks import Owned

if TYPE_CHECKING:
    import httpx

TIMEOUT_SECONDS = 2.0
# A checkpoint that nothing follows is offered again while a witness is missing.
AGAIN_SECONDS = 30.0
MOST_BYTES = 16 * 1024

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Remote:
    """A witness and the address under which it takes add-checkpoint."""

    verifier: Verifier
    url: str


class Cosigning:
    """Asks witnesses for their signatures under each published checkpoint, and has them published with `publish`."""

    def __init__(
        self,
        database: Database,
        verifier: Verifier,
        witnesses: Sequence[Remote],
        publish: Callable[[], Awaitable[object]],
    ) -> None:
        self._database = database
        self._verifier = verifier
        self._witnesses = witnesses
        self._publish = publish
        self._newest: Note | None = None
        self._changed = asyncio.Event()
        self._known = {witness.url: 0 for witness in witnesses}
        """Leaves of our log that each witness has seen, as far as we know."""
        self._owned = Owned("ledger: witnesses", self._run, proving=True)
        self._client: httpx.AsyncClient | None = None

    def start(self) -> None:
        if self._witnesses:
            self._owned.start()

    async def stop(self) -> None:
        await self._owned.stop()
        if self._client:
            await self._client.aclose()

    def offer(self, note: Note) -> None:
        """A checkpoint was published: the witnesses are asked for their signatures, the newest one first."""
        if self._newest is None or self._newest.text != note.text:
            self._newest = note
            self._changed.set()

    def complete(self, note: Note) -> bool:
        """Whether every witness cosigned it."""
        return len(cosigned(note, self._witnesses)) == len(self._witnesses)

    async def _run(self) -> None:
        if self._newest and not self.complete(self._newest):
            self._changed.set()  # it ended while it was at it
        while True:
            await self._changed.wait()
            self._changed.clear()
            note = self._newest
            assert note is not None
            try:
                note = await self._collect(note)
                self._owned.worked()
            except Exception as error:
                self._owned.failing(error)
                log.exception("the witnesses' signatures are not published, trying again")
            if not self.complete(note):
                try:
                    async with asyncio.timeout(AGAIN_SECONDS):
                        await self._changed.wait()
                except TimeoutError:
                    self._changed.set()

    async def _collect(self, note: Note) -> Note:
        """The note with the signatures that came: stored, and published if it is still the newest."""
        done = cosigned(note, self._witnesses)
        missing = [witness for witness in self._witnesses if witness.verifier.vkey not in done]
        answers = await asyncio.gather(*(self._ask(witness, note) for witness in missing))
        found = [signature for signature in answers if signature]
        if not found:
            return note
        note = note.with_signatures(found)
        size = Checkpoint.parse(note.text).size
        if await self._database.write(partial(tables.keep_cosigned, size=size, note=note)):
            await self._publish()
        if self._newest and self._newest.text == note.text:
            self._newest = note
        return note

    async def _ask(self, witness: Remote, note: Note) -> Signature | None:
        """None if no usable answer came in time: logged and counted, and asked again later."""
        import httpx  # only a log with witnesses needs it

        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                return await self._cosignature(witness, note)
        except (TimeoutError, httpx.HTTPError, ValueError, LedgerError) as error:
            metrics.WITNESS_FAILURES.labels(witness.verifier.name).inc()
            log.warning(
                "no cosignature", witness=witness.verifier.name, url=witness.url, error=str(error) or repr(error)
            )
            return None

    async def _cosignature(self, witness: Remote, note: Note) -> Signature:
        """Raises LedgerError for an answer that is of no use."""
        import httpx

        from services.chassis.network.outbound import ask

        if self._client is None:
            self._client = httpx.AsyncClient(timeout=TIMEOUT_SECONDS)
        size = Checkpoint.parse(note.text).size
        own = Note(note.text, tuple(filter(self._verifier.is_named_in, note.signatures)))
        for _ in range(2):
            old = self._known[witness.url]
            proof = await self._database.read(partial(_consistency, old=old, new=size))
            asked = AddCheckpoint(old, tuple(proof), own)
            answer = await ask(self._client, "POST", f"{witness.url}/add-checkpoint", content=asked.format())
            if len(answer.content) > MOST_BYTES:
                raise FormatError(f"the answer has {len(answer.content)} bytes, at most {MOST_BYTES} are read")
            match answer.status:
                case 200:
                    signature = _signature(witness.verifier, note, answer.text)
                    self._known[witness.url] = size
                    return signature
                case 409:
                    newest = await self._database.read(tables.standing)
                    self._known[witness.url] = _known_size(answer.text, old, newest.size if newest else size)
                    if self._known[witness.url] > size:
                        raise LedgerError(f"it cosigned a newer checkpoint than this one of {size} leaves already")
                case status:
                    raise LedgerError(f"it answered {status}: {answer.text[:200]!r}")
        raise LedgerError("its record of this log changed while it was asked")


def _signature(verifier: Verifier, note: Note, lines: str) -> Signature:
    for signature in filter(verifier.is_named_in, parse_signatures(lines)):
        verifier.verify(note.text, signature)
        return signature
    raise SignatureError(f"the answer has no signature of {verifier.vkey}")


def _known_size(body: str, old: int, newest: int) -> int:
    """The size that a witness has seen, from its 409. Raises LedgerError if it is none that our log had after `old` leaves."""
    known = decimal(body.removesuffix("\n"), "the witness's size")
    if known > newest:
        raise LedgerError(f"it cosigned {known} leaves of this log, which has {newest}: this log was rolled back")
    if known == old:
        raise LedgerError(f"it cosigned another log of {known} leaves under this name: this log was forked")
    return known


def cosigned(note: Note, witnesses: Sequence[Remote]) -> set[str]:
    """The vkeys of the witnesses that the note names. Their signatures were verified when they came."""
    return {w.verifier.vkey for w in witnesses if any(map(w.verifier.is_named_in, note.signatures))}


def _consistency(db: Connection, old: int, new: int) -> list[bytes]:
    return merkle.consistency_proof(tables.tile_reader(db), old, new)
