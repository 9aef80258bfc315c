"""Personal data in events: encrypted under its subject's key, so that destroying the key forgets the person.

A sealed value is version (1 byte) + nonce (12 bytes) + AES-256-GCM ciphertext, bound to its event's id and its field's name.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from typing import Protocol
from uuid import UUID

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

from motcua.options.v1 import options_pb2
from services.chassis.machine import chance

ERASED = "erased"
# The key is gone though nobody decided an erasure: a failure of the site's, to be mended from a backup.
LOST = "lost"
UNREADABLE = frozenset((ERASED, LOST))
VERSION = b"\x01"
KEY_BYTES = 32
NONCE_BYTES = 12

Keys = Mapping[str, bytes]
"""Data keys by subject. A subject that was erased has none."""


class FoundKeys(dict[str, bytes]):
    """With those of whom there is no key although it was never destroyed. If something is sealed for one, the key is lost."""

    lost: frozenset[str] = frozenset()

    @classmethod
    def of(cls, keys: Mapping[str, bytes], lost: Collection[str]) -> FoundKeys:
        found = cls(keys)
        found.lost = frozenset(lost)
        return found


class KeyRing(Protocol):
    async def keys(self, subjects: Collection[str], *, create: bool) -> Keys:
        """The subjects' data keys. `create` makes those that never existed; an erased one stays away."""
        ...


def is_lost(subject: str, keys: Keys) -> bool:
    """Whether the key of a subject for whom something is sealed is gone, and nobody destroyed it."""
    return isinstance(keys, FoundKeys) and subject in keys.lost


class Hearer(Protocol):
    """Hears of whose data is opened, and in which dossier, and objects where that is not allowed."""

    def note(self, subject: str, code: str) -> None: ...

    def require(self, subject: str, code: str) -> None: ...

    @property
    def stated(self) -> bool: ...


# While a call is answered.
hearing: ContextVar[Hearer | None] = ContextVar("opening", default=None)


def note_opening(subject: str, code: str) -> None:
    """Data of the subject is about to be shown, in a dossier or (empty) in none. open_message says so itself.

    Raises as require_concerned.
    """
    if hearer := hearing.get():
        hearer.note(subject, code)


def require_concerned(subject: str, code: str = "") -> None:
    """Before anything of the subject is looked for: the call may open the subject's data.

    Raises Rejected NO_CONCERN, OWN_AFFAIR, ACCOUNT_RESTRICTED.
    """
    if hearer := hearing.get():
        hearer.require(subject, code)


class SubjectErased(Exception):
    """New personal data cannot be stored for a person who was erased."""

    def __init__(self, subject: str) -> None:
        super().__init__(f"the subject {subject} was erased")
        self.subject = subject


class KeyLost(Exception):
    """What is sealed for the subject cannot be opened, though the person was not erased."""

    def __init__(self, subject: str) -> None:
        super().__init__(f"the key of the subject {subject} is lost; docs/backup.md says how it comes back")
        self.subject = subject


def may_open() -> bool:
    """Whether the call has said what it opens rows of a list for, if it has to."""
    hearer = hearing.get()
    return hearer is None or hearer.stated


@contextmanager
def unshown() -> Iterator[None]:
    """What is opened in it is compared with what the caller sends, and none of it leaves: nobody's data is used."""
    token = hearing.set(None)
    try:
        yield
    finally:
        hearing.reset(token)


@cache
def sealed_fields(descriptor: Descriptor) -> Mapping[str, str]:
    """The message's sealed fields, each with the field that names its subject."""
    extension = options_pb2.sealed
    found = {}
    for field in descriptor.fields:
        options = field.GetOptions()
        if options.HasExtension(extension):
            found[field.name] = options.Extensions[extension].subject
    return found


def _bound_to(event_id: UUID, field: str) -> bytes:
    return event_id.bytes + field.encode()


def seal(text: bytes, key: bytes, event_id: UUID, field: str) -> bytes:
    nonce = chance.random_bytes(NONCE_BYTES)
    return VERSION + nonce + AESGCM(key).encrypt(nonce, text, _bound_to(event_id, field))


def unseal(value: bytes, key: bytes, event_id: UUID, field: str) -> bytes:
    """Raises cryptography.exceptions.InvalidTag if the value belongs to another event or field, or was changed."""
    if value[:1] != VERSION:
        raise ValueError(f"sealed value of unknown version {value[:1]!r}")
    nonce, ciphertext = value[1 : 1 + NONCE_BYTES], value[1 + NONCE_BYTES :]
    return AESGCM(key).decrypt(nonce, ciphertext, _bound_to(event_id, field))


async def open_message(message: Message, event_id: UUID, keys: KeyRing) -> dict[str, str]:
    """The clear text of each of an event's sealed fields that is not empty; ERASED for an erased person, LOST without key."""
    fields = {name: subject for name, subject in sealed_fields(message.DESCRIPTOR).items() if getattr(message, name)}
    if not fields:
        return {}
    held = await keys.keys({getattr(message, subject) for subject in fields.values()}, create=False)
    texts = {}
    for name, subject_field in fields.items():
        subject = getattr(message, subject_field)
        if key := held.get(subject):
            note_opening(subject, getattr(message, "code", ""))
            texts[name] = unseal(getattr(message, name), key, event_id, name).decode()
        else:
            texts[name] = LOST if is_lost(subject, held) else ERASED
    return texts


@dataclass(frozen=True, slots=True)
class Row:
    """A sealed field of one row of a list, and where it was stored; `code` is that of the row's dossier."""

    subject: str
    code: str
    event_id: UUID
    value: bytes


async def open_rows(rows: Sequence[Row], field: str, keys: KeyRing) -> list[str]:
    """The clear text of each, as open_message has it."""
    wanted = {row.subject for row in rows if row.value}
    held = await keys.keys(wanted, create=False) if wanted else {}
    texts = []
    for row in rows:
        if not row.value:
            texts.append("")
        elif key := held.get(row.subject):
            note_opening(row.subject, row.code)
            texts.append(unseal(row.value, key, row.event_id, field).decode())
        else:
            texts.append(LOST if is_lost(row.subject, held) else ERASED)
    return texts
