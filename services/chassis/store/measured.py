"""Any event store, with its time and its failures counted."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import aclosing, contextmanager

from prometheus_client import Counter, Histogram

from services.chassis.machine import moments
from services.chassis.store.port import NO_STREAM, START, Appended, Batch, Conflict, EventStore, NewEvent, RecordedEvent

OPERATIONS = ("append", "read", "read_all", "head", "subscribe")
SECONDS = Histogram(
    "motcua_event_store_seconds",
    "Time until the event store answered",
    ["operation"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
FAILURES = Counter(
    "motcua_event_store_failures_total",
    "Operations that the event store did not answer; a conflict is an answer",
    ["operation"],
)

for _operation in OPERATIONS:
    FAILURES.labels(_operation)


class MeasuredStore:
    def __init__(self, store: EventStore) -> None:
        self._store = store

    @property
    def damage(self) -> str:
        """What a store in a file has met in it; empty if nothing, or if it is no file."""
        return str(getattr(self._store, "damage", ""))

    async def append(self, stream: str, events: Sequence[NewEvent], expected: int) -> Appended:
        with _measured("append"):
            return await self._store.append(stream, events, expected)

    async def read(self, stream: str, after: int = NO_STREAM) -> list[RecordedEvent]:
        with _measured("read"):
            return await self._store.read(stream, after)

    async def read_all(self, after: int = START, types: Sequence[str] = (), limit: int = 1000) -> list[RecordedEvent]:
        with _measured("read_all"):
            return await self._store.read_all(after, types, limit)

    async def subscribe(self, after: int = START, types: Sequence[str] = ()) -> AsyncIterator[Batch]:
        try:
            async with aclosing(self._store.subscribe(after, types)) as batches:  # type: ignore[type-var]
                async for batch in batches:
                    yield batch
        except Exception:
            FAILURES.labels("subscribe").inc()
            raise

    async def head(self) -> int:
        with _measured("head"):
            return await self._store.head()

    async def close(self) -> None:
        await self._store.close()


@contextmanager
def _measured(operation: str) -> Iterator[None]:
    began = moments.monotonic()
    try:
        yield
    except (Conflict, ValueError):
        raise
    except Exception:
        FAILURES.labels(operation).inc()
        raise
    finally:
        SECONDS.labels(operation).observe(moments.monotonic() - began)
