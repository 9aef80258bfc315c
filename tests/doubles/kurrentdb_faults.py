"""What can go wrong with a KurrentDB, each switched on by a test and most of them for a number of times."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

CHECKPOINTS = 15


@dataclass
class Faults:
    before_write: int = 0
    """So many appends are answered UNAVAILABLE, and nothing is written."""
    after_write: int = 0
    """So many appends are written and answered UNAVAILABLE."""
    lost_answers: int = 0
    """So many appends are written and never answered."""
    not_ready: int = 0
    """So many appends are answered `Server Is Not Ready`: an error inside the answer, without a type that clients know."""
    timeouts: int = 0
    """So many appends are written, and the server says that its own deadline has passed."""
    before_read: int = 0
    """So many reads are answered UNAVAILABLE."""
    within_read: int = 0
    """So many reads break off after their first event."""
    halts_after: int | None = None
    """The next read pauses after so many events, until `go_on` is set."""
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    after_checkpoints: int = 0
    """So many subscriptions break off after they said CHECKPOINTS times how far they are.

    The client drops what it has received and not handed on yet, ten messages at most.
    """
    denied: bool = False
    no_position: bool = False
    """A repeated append is answered without the position of what was written before."""
    silent: bool = False
    """Subscriptions stay open and say nothing more."""
    open: asyncio.Event = field(default_factory=asyncio.Event)
    """Cleared, everything waits: a server that is slow beyond measure."""

    def __post_init__(self) -> None:
        self.open.set()

    def take(self, name: str) -> bool:
        """Use up one of a counted fault."""
        left: int = getattr(self, name)
        if left:
            setattr(self, name, left - 1)
        return left > 0
