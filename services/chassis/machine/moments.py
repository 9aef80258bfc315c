"""Time and waiting."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime


def now() -> datetime:
    """The machine's time, in UTC, to the microsecond."""
    return datetime.now(UTC)


def unix() -> float:
    """The same in seconds since 1970."""
    return time.time()


def monotonic() -> float:
    """Seconds from some moment on; it never goes back."""
    return time.monotonic()


async def sleep(seconds: float) -> None:
    await asyncio.sleep(seconds)
