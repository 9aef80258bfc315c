"""Who was erased, learnt from the log by every process: what it still holds of them in memory is not used any more."""

from __future__ import annotations

from collections.abc import Sequence

from motcua.identity.events.v1 import events_pb2 as identity
from services.chassis.deciding.facts import fact_of
from services.chassis.following.followers import Follower
from services.chassis.store.port import START, Batch, EventStore, RecordedEvent

DECIDED = (identity.ErasureDecided.DESCRIPTOR.full_name,)
PAGE = 1000


def shreds(event: identity.ErasureDecided) -> bool:
    """Whether it erases the person; it may as well be refused, or end in a restriction."""
    return event.outcome == identity.ERASURE_OUTCOME_SHREDDED


class Erasures:
    def __init__(self, store: EventStore) -> None:
        self._accounts: set[str] = set()
        self._follower = Follower("erasures", store, START, DECIDED, self._learn)

    def start(self) -> None:
        self._follower.start()

    async def stop(self) -> None:
        await self._follower.stop()

    def __contains__(self, subject: str) -> bool:
        return subject in self._accounts

    async def _learn(self, batch: Batch) -> None:
        self._accounts |= erased_by(batch.events)


async def erased_accounts(store: EventStore, after: int = START) -> set[str]:
    """Those whom the log says to be erased by now, decided after a position."""
    found: set[str] = set()
    position = after
    while events := await store.read_all(position, DECIDED, PAGE):
        found |= erased_by(events)
        position = events[-1].position
    return found


def erased_by(events: Sequence[RecordedEvent]) -> set[str]:
    decisions = (fact_of(event).event for event in events)
    return {decision.account_id for decision in decisions if shreds(decision)}
