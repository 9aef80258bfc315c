"""One entry of the ledger: what everybody may see of one event of one dossier, in canonical JSON (RFC 8785)."""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

import rfc8785

from gateway.ledger.format.errors import FormatError, LedgerError, parsing
from gateway.ledger.format.merkle import HASH_BYTES, leaf_hash
from gateway.ledger.format.tiles import MAX_ENTRY

FIELDS = ("code", "commitment", "event", "id", "previous", "revision", "time", "type")
MAX_REVISION = 2**53 - 1
_TIME = "%Y-%m-%dT%H:%M:%S.%fZ"


@dataclass(frozen=True, slots=True)
class Leaf:
    """An entry is one line of JSON, broken here:

        {"code":"G09.20-20260701-0000001",
          "commitment":"8e2371be01bdad7f29d8558a280b1f444bdda77d9fb6e3e4e5f1030c76ece6e7",
          "event":{"agency":"G09.20","at":"2026-07-01T01:02:05.000456Z","code":"G09.20-20260701-0000001",
          "next_step_code":"approval","step_code":"review"},
          "id":"f4305650-b81f-58c8-a196-8d3d7abe5d14",
          "previous":"286fd06e1fc59e062634951605fe63cca315c3e64c8fcc39570e913f7635509f",
          "revision":1,"time":"2026-07-01T01:02:05.000456Z","type":"motcua.dossier.events.v1.StepCompleted"}

    It ends without a line feed.
    """

    code: str
    revision: int
    id: UUID
    type: str
    time: datetime
    event: Mapping[str, Any]
    """The event's public view as protobuf JSON, with the proto's field names."""
    previous: bytes
    """Leaf hash of the dossier's previous event; empty for revision 0."""
    commitment: bytes
    """To the stored event (see `commitment`); empty if the person was erased before the event was sequenced."""

    def __post_init__(self) -> None:
        require_code(self.code)
        _require(0 <= self.revision <= MAX_REVISION, f"{self.revision} is no revision")
        _require(bool(self.type) and self.type.isprintable(), f"{self.type!r} is no type of event")
        _require(self.time.utcoffset() == timedelta(0), f"{self.time.isoformat()} is not in UTC")
        _require(self.time.year >= 1000, f"{self.time.isoformat()} is not written with four digits of the year")
        expected = HASH_BYTES if self.revision else 0
        _require(
            len(self.previous) == expected, f"revision {self.revision} has {len(self.previous)} bytes of previous hash"
        )
        _require(len(self.commitment) in (0, HASH_BYTES), f"the commitment has {len(self.commitment)} bytes")

    def format(self) -> bytes:
        """The entry."""
        try:
            entry = rfc8785.dumps(
                {
                    "code": self.code,
                    "commitment": self.commitment.hex(),
                    "event": dict(self.event),
                    "id": str(self.id),
                    "previous": self.previous.hex(),
                    "revision": self.revision,
                    "time": self.time.astimezone(UTC).strftime(_TIME),
                    "type": self.type,
                }
            )
        except (rfc8785.CanonicalizationError, UnicodeEncodeError) as unusable:
            raise LedgerError(f"event {self.id} of {self.code} has no canonical form: {unusable}") from unusable
        if len(entry) > MAX_ENTRY:
            raise LedgerError(
                f"event {self.id} ({self.type}) of {self.code} needs {len(entry)} bytes, an entry has at most {MAX_ENTRY}"
            )
        return entry

    def hash(self) -> bytes:
        return leaf_hash(self.format())

    @classmethod
    def parse(cls, entry: bytes) -> Leaf:
        if len(entry) > MAX_ENTRY:
            raise FormatError(f"the entry has {len(entry)} bytes, at most {MAX_ENTRY} are possible")
        try:
            values = json.loads(entry.decode())
        except (ValueError, RecursionError) as unreadable:
            raise FormatError(f"the entry is no JSON: {unreadable}") from None
        if not isinstance(values, dict) or tuple(values) != FIELDS:
            instead = ", ".join(values) if isinstance(values, dict) else type(values).__name__
            raise FormatError(f"the entry has not the fields {', '.join(FIELDS)}: {instead[:200]}")
        with parsing("the entry", ValueError, RecursionError):
            leaf = cls(
                code=_text(values, "code"),
                revision=_whole(values, "revision"),
                id=UUID(_text(values, "id")),
                type=_text(values, "type"),
                time=datetime.strptime(_text(values, "time"), _TIME).replace(tzinfo=UTC),
                event=_object(values, "event"),
                previous=bytes.fromhex(_text(values, "previous")),
                commitment=bytes.fromhex(_text(values, "commitment")),
            )
            again = leaf.format()
        if again != entry:
            at = next(
                (at for at, (a, b) in enumerate(zip(again, entry, strict=False)) if a != b), min(len(again), len(entry))
            )
            raise FormatError(f"the entry is not in canonical form at byte {at}: {entry[at : at + 40]!r}")
        return leaf


def commitment(
    key: bytes, stream: str, revision: int, event_id: UUID, event_type: str, data: bytes, metadata: bytes
) -> bytes:
    """Binds a leaf to the event as it is stored, sealed fields and metadata included, without showing anything of it.

    `key` is the subject's data key. When it is destroyed the commitment stays and can no longer be recomputed.
    """
    salt = hmac.digest(key, b"motcua ledger commitment/1" + event_id.bytes, "sha256")
    stored: dict[str, str | int] = {
        "data": sha256(data).hexdigest(),
        "id": str(event_id),
        "metadata": sha256(metadata).hexdigest(),
        "revision": revision,
        "stream": stream,
        "type": event_type,
    }
    return hmac.digest(salt, rfc8785.dumps(stored), "sha256")


def require_code(code: str) -> None:
    _require(bool(code) and code.isprintable() and " " not in code, f"{code!r} is no code of a dossier")


def _text(values: Mapping[str, Any], field: str) -> str:
    if not isinstance(values[field], str):
        raise FormatError(f"{field} of the entry is no text: {values[field]!r}")
    return str(values[field])


def _whole(values: Mapping[str, Any], field: str) -> int:
    if type(values[field]) is not int:
        raise FormatError(f"{field} of the entry is no whole number: {values[field]!r}")
    return int(values[field])


def _object(values: Mapping[str, Any], field: str) -> Mapping[str, Any]:
    if not isinstance(values[field], dict):
        raise FormatError(f"{field} of the entry is no object: {values[field]!r}")
    return values[field]  # type: ignore[no-any-return]


def _require(condition: bool, otherwise: str) -> None:
    if not condition:
        raise LedgerError(otherwise)
