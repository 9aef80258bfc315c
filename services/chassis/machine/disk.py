"""What must be on the disk before anybody says so."""

from __future__ import annotations

import os


def sync(file: int) -> None:
    """Returns when what was written to the descriptor, or which names the folder holds, survives a loss of power."""
    os.fsync(file)
