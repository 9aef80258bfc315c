"""Gauges that are read when somebody asks for the metrics: a value that nobody renews is never shown.

What cannot be read is left out and counted. Several replicas that read the same table show the same value: take the greatest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass

import structlog
from prometheus_client import REGISTRY, Counter
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from services.chassis.machine import moments

TIMEOUT_SECONDS = 5.0
# Scrapes that come together share a reading.
KEPT_SECONDS = 1.0

FAILURES = Counter("motcua_observation_failures_total", "Gauges that could not be read", ["observation"])

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Labelled:
    """A family's gauge for some labels."""

    family: Observed
    labels: tuple[str, ...]

    def at(self, value: float) -> Sample:
        return Sample(self.family, self.labels, value)


@dataclass(frozen=True, slots=True)
class Sample:
    family: Observed
    labels: tuple[str, ...]
    value: float


Read = Callable[[], Awaitable[Sequence[Sample]]]


class Observed(Collector):
    """A gauge whose values are those of the last reading."""

    def __init__(self, name: str, documentation: str, labels: Sequence[str] = ()) -> None:
        self.name = name
        self.documentation = documentation
        self.labels = tuple(labels)
        self.values: dict[tuple[str, ...], float] = {}
        REGISTRY.register(self)

    def of(self, *labels: str) -> Labelled:
        return Labelled(self, labels)

    def at(self, value: float, *labels: str) -> Sample:
        return Sample(self, labels, value)

    def describe(self) -> Iterator[GaugeMetricFamily]:
        yield GaugeMetricFamily(self.name, self.documentation, labels=self.labels)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        family = GaugeMetricFamily(self.name, self.documentation, labels=self.labels)
        for labels, value in list(self.values.items()):
            family.add_metric(labels, value)
        yield family


_readers: dict[object, tuple[str, Read]] = {}
_families: set[Observed] = set()
_read_at = float("-inf")


def observe(name: str, read: Read) -> Callable[[], None]:
    """Ask `read` at each scrape; returns what ends it."""
    key = object()
    _readers[key] = (name, read)
    FAILURES.labels(name)

    def forget() -> None:
        _readers.pop(key, None)

    return forget


async def refresh() -> None:
    """Read everything again."""
    global _read_at
    if moments.monotonic() - _read_at < KEPT_SECONDS:
        return
    _read_at = moments.monotonic()
    readings = await asyncio.gather(*(_read(name, read) for name, read in list(_readers.values())))
    found: dict[Observed, dict[tuple[str, ...], float]] = {family: {} for family in _families}
    for sample in (sample for reading in readings for sample in reading):
        values = found.setdefault(sample.family, {})
        values[sample.labels] = max(sample.value, values.get(sample.labels, sample.value))
    for family, values in found.items():
        _families.add(family)
        family.values = values


async def _read(name: str, read: Read) -> Sequence[Sample]:
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            return await read()
    except Exception as error:
        FAILURES.labels(name).inc()
        log.warning("a gauge could not be read", observation=name, error=repr(error))
        return ()


VIEW_LAG = Observed(
    "motcua_view_lag_seconds", "Age of the oldest event that a view has not folded, 0 when there is none", ["view"]
)
REACTION_LAG = Observed(
    "motcua_reaction_lag_seconds",
    "Age of the oldest fact that a reaction has not settled, 0 when there is none",
    ["reaction"],
)
MEMORY_LAG = Observed(
    "motcua_memory_lag_seconds",
    "Age of the oldest event that a copy in memory lacks, 0 when there is none",
    ["follower"],
)
WORKING = Observed(
    "motcua_follower_working",
    "1 where this replica does a follower's work, 0 where it leaves it to another",
    ["follower"],
)
CERTIFICATE = Observed(
    "motcua_certificate_not_after_timestamp_seconds", "When a certificate of the site's ends", ["certificate"]
)
CERTIFICATE_BEGAN = Observed(
    "motcua_certificate_not_before_timestamp_seconds", "When a certificate of the site's began", ["certificate"]
)
PARKED = Observed("motcua_parked_facts", "Facts that wait for an operator", ["reaction"])
