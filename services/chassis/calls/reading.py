"""Requests as they arrive: read on the loop that serves everybody, so no larger than their method needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message

from services.chassis.text.sizes import sized

# Maps are read slowest: this much of them takes some 30 ms.
LARGEST_MESSAGE_BYTES = 256 * 1024
# Territory with all communes, calendars, procedures: what editors alone send.
LARGEST_DEFINITION_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Unread:
    """In place of a request: who may not call learns nothing of it, who may is told what is wrong."""

    vi: str
    en: str


def reader(message: type[Message], roles: frozenset[str]) -> Callable[[bytes], Message | Unread]:
    most = _most(message, roles)
    too_large = Unread(f"Yêu cầu quá {sized(most).vi}.", f"The request exceeds {sized(most).en}.")
    unreadable = Unread("Không đọc được yêu cầu.", "The request cannot be read as its message.")

    def read(received: bytes) -> Message | Unread:
        if most and len(received) > most:
            return too_large
        try:
            return message.FromString(received)
        except DecodeError:
            return unreadable

    return read


def _most(message: type[Message], roles: frozenset[str]) -> int:
    """0: as large as gRPC takes, for chunks of files. One string of bytes is read at once."""
    if any(field.type == FieldDescriptor.TYPE_BYTES for field in message.DESCRIPTOR.fields):
        return 0
    return LARGEST_DEFINITION_BYTES if roles == {"editor"} else LARGEST_MESSAGE_BYTES
