"""How many bytes, as people say it."""

from __future__ import annotations

from services.chassis.decider import Words

KB = 1024
MB = 1024 * KB


def sized(count: int) -> Words:
    """50 MB; to programs the number of bytes."""
    for unit, name in ((MB, "MB"), (KB, "KB")):
        if count >= unit and count % unit == 0:
            return Words.of(f"{count // unit} {name}", f"{count // unit} {name}", str(count))
    return Words.of(f"{count} byte", f"{count} byte{'' if count == 1 else 's'}", str(count))
