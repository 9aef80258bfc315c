"""How far behind somebody stands who follows the log."""

from __future__ import annotations

from collections.abc import Sequence

from services.chassis.store.port import EventStore
from services.chassis.telemetry.telemetry import age


async def lag(store: EventStore, position: int, types: Sequence[str]) -> float:
    """Age of the oldest event after a position. It grows while whoever stands there does not move."""
    if position >= await store.head():
        return 0.0
    waiting = await store.read_all(position, types, 1)
    return age(waiting[0].recorded_at) if waiting else 0.0
