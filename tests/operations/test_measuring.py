"""What is measured is true at the moment of the scrape, and what cannot be read is not shown."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from uuid import uuid4

import pytest
from prometheus_client import REGISTRY

from services.chassis.store.lag import lag
from services.chassis.store.measured import MeasuredStore
from services.chassis.store.memory import MemoryStore
from services.chassis.store.port import NO_STREAM, START, Batch, Conflict, NewEvent, RecordedEvent, StoreUnavailable
from services.chassis.telemetry import gauges
from services.chassis.telemetry.gauges import Observed, Sample

GAUGE = Observed("motcua_test_value", "For this test", ["of"])


def value(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, labels)


def event(type_: str = "motcua.test.Happened") -> NewEvent:
    return NewEvent(uuid4(), type_, b"", b"{}")


class Unreachable(MemoryStore):
    """Answers nothing."""

    async def read(self, stream: str, after: int = NO_STREAM) -> list[RecordedEvent]:
        raise StoreUnavailable("nobody answers")

    async def subscribe(self, after: int = START, types: Sequence[str] = ()) -> AsyncIterator[Batch]:
        raise StoreUnavailable("nobody answers")
        yield


@pytest.fixture(autouse=True)
def _every_reading_is_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gauges, "KEPT_SECONDS", 0.0)


async def test_a_value_is_that_of_the_scrape_and_goes_with_its_source() -> None:
    counted = 0

    async def read() -> list[Sample]:
        nonlocal counted
        counted += 1
        return [GAUGE.at(counted, "one")]

    forget = gauges.observe("test", read)
    try:
        await gauges.refresh()
        await gauges.refresh()
        assert value("motcua_test_value", of="one") == 2
    finally:
        forget()
    await gauges.refresh()
    assert value("motcua_test_value", of="one") is None


async def test_what_cannot_be_read_is_left_out_and_counted() -> None:
    async def one() -> list[Sample]:
        return [GAUGE.at(1, "one")]

    async def other() -> list[Sample]:
        raise OSError("the database does not answer")

    failed = value("motcua_observation_failures_total", observation="other") or 0
    ends = [gauges.observe("one", one), gauges.observe("other", other)]
    try:
        await gauges.refresh()
        assert value("motcua_test_value", of="one") == 1
        assert value("motcua_observation_failures_total", observation="other") == failed + 1
    finally:
        for end in ends:
            end()


async def test_replicas_in_one_process_show_the_greatest() -> None:
    async def small() -> list[Sample]:
        return [GAUGE.at(3, "one")]

    async def great() -> list[Sample]:
        return [GAUGE.at(7, "one")]

    ends = [gauges.observe("a", small), gauges.observe("b", great), gauges.observe("c", small)]
    try:
        await gauges.refresh()
        assert value("motcua_test_value", of="one") == 7
    finally:
        for end in ends:
            end()


async def test_lag_is_the_age_of_what_waits_and_grows_while_nothing_moves() -> None:
    store = MemoryStore()
    await store.append("a-1", [event(), event("motcua.other.Happened")], NO_STREAM)
    first = await lag(store, START, ["motcua.test."])
    assert 0 < first <= await lag(store, START, ["motcua.test."])
    assert await lag(store, await store.head(), ["motcua.test."]) == 0
    # Behind the head, but nothing that concerns it waits.
    (one, _) = await store.read_all()
    assert await lag(store, one.position, ["motcua.test."]) == 0


async def test_a_store_that_does_not_answer_is_counted_and_a_conflict_is_an_answer() -> None:
    def failures(operation: str) -> float:
        return value("motcua_event_store_failures_total", operation=operation) or 0

    store = MeasuredStore(Unreachable())
    before = {operation: failures(operation) for operation in ("append", "read", "subscribe")}
    await store.append("a-1", [event()], NO_STREAM)
    with pytest.raises(Conflict):
        await store.append("a-1", [event()], NO_STREAM)
    with pytest.raises(StoreUnavailable):
        await store.read("a-1")
    async with aclosing(store.subscribe()) as batches:  # type: ignore[type-var]
        with pytest.raises(StoreUnavailable):
            await anext(batches)
    after = {operation: failures(operation) - before[operation] for operation in before}
    assert after == {"append": 0, "read": 1, "subscribe": 1}
