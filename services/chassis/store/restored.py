"""Events that another store recorded, in one that gives every record a moment of its own: theirs stands before the metadata.

Readers, commitments and hashes see the metadata as they were. Ours begin with a brace, so that nothing else can look like the mark.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from services.chassis.store.port import NewEvent

_MARK = re.compile(rb"recorded_at (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6})Z\n")


def written(event: NewEvent) -> bytes:
    if event.recorded_at is None:
        return event.metadata
    moment = event.recorded_at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds")
    return f"recorded_at {moment}Z\n".encode() + event.metadata


def read(metadata: bytes) -> tuple[bytes, datetime | None]:
    """What the writer gave, and when it was recorded before."""
    found = _MARK.match(metadata)
    if not found:
        return metadata, None
    return metadata[found.end() :], datetime.fromisoformat(found[1].decode()).replace(tzinfo=UTC)
