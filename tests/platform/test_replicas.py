"""Two processes of every service, PostgreSQL and a stand-in for KurrentDB: whatever dies, the others go on, and nothing is lost.

First one replica of each service is killed: the other takes over. Then anything dies, in any order, under load.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import re
import shutil
import signal
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import httpx
import psutil
import pytest

from services.catalogue.loader import load
from services.catalogue.publisher import Publisher
from services.catalogue.seed import publish_in_order
from services.chassis.platform.platform import Platform
from services.chassis.platform.settings import Settings
from services.registry import SERVICES
from tests.doubles import running as doubles
from tests.platform.deployment import Deployment
from tests.platform.proof import Site, Witness, live_through, prove, require_rebuilt
from tests.support.waiting import eventually, eventually_here

pytestmark = pytest.mark.long

# Much longer than it takes: on a machine that does much else as well.
TAKE_OVER_SECONDS = 240.0
BACK_SECONDS = 240.0
# After so long a service that seldom has anything to do had nothing that could be taken over.
IDLE_SECONDS = 15.0
# A sample of a metric may be so old, and two of them so far apart.
SAMPLED_SECONDS = 2.0
SIDE_BY_SIDE = 6
MISFORTUNES = 8
SUPERVISOR_DIES_AT = 4
# Of another province: what the catalogue is told while the day goes on.
ELSEWHERE = "79"
# In these something happens all the time.
BUSY = tuple(service for service in SERVICES if service != "payment")
SAMPLE = re.compile(r'^motcua_(follower_working|\w+_lag_seconds)(?:\{\w+="([^"]+)"\})? (\S+)$', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Everything:
    deployment: Deployment
    store: doubles.Running

    @property
    def site(self) -> Site:
        return Site(self.deployment, self.store.double.uri)


@pytest.fixture(scope="module")
def everything() -> Iterator[Everything]:
    # A short path: a socket lies in it.
    folder = Path(tempfile.mkdtemp(prefix="motcua-"))
    with doubles.running() as store:
        settings = {
            "MOTCUA_EVENT_STORE": store.double.uri,
            "MOTCUA_EDGE_RATE": "5000",
            "MOTCUA_EDGE_BURST": "10000",
        }
        arguments = ("--processes", "--replicas", "2", "--database", "postgresql")
        deployment = Deployment(folder / "data", settings=settings, arguments=arguments)
        try:
            deployment.start(BACK_SECONDS)
            yield Everything(deployment, store)
        finally:
            deployment.kill()
            shutil.rmtree(folder, ignore_errors=True)


class Replicas:
    """The processes as they were, and what they say of themselves."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._http = httpx.AsyncClient(timeout=20)
        self.pids = {name: int(process["pid"]) for name, process in deployment.processes.items()}

    def of(self, service: str) -> list[str]:
        return [name for name in self.pids if name.rpartition("-")[0] == service]

    async def followers(self, name: str) -> dict[str, tuple[bool, float]]:
        """Of each that the process runs: whether it does the work, and the age of what waits."""
        address = self._deployment.processes[name]["http"]
        text = (await self._http.get(f"http://{address}/metrics")).text
        found: defaultdict[str, dict[str, float]] = defaultdict(dict)
        for metric, follower, value in SAMPLE.findall(text):
            # The ledger is one.
            found[follower or "ledger"]["working" if metric == "follower_working" else "lag"] = float(value)
        return {
            follower: (bool(values["working"]), values.get("lag", 0.0))
            for follower, values in found.items()
            if "working" in values
        }

    async def busiest(self, service: str) -> str:
        working = {name: sum(works for works, _ in (await self.followers(name)).values()) for name in self.of(service)}
        return max(working, key=lambda name: working[name])

    async def back(self, name: str) -> None:
        """Until the supervisor has started it again, and it serves."""
        await eventually_here(partial(self._serves, name), BACK_SECONDS)

    async def _serves(self, name: str) -> bool:
        process = self._deployment.processes[name]
        if process["pid"] == self.pids[name]:
            return False
        try:
            return (await self._http.get(f"http://{process['http']}/readyz")).status_code == 200
        except httpx.TransportError:
            return False

    async def kill_one_of_each(self) -> Mapping[str, float | None]:
        """How long it took until the other replica did the work; None for one that is not BUSY and had none."""
        dying = {service: await self.busiest(service) for service in SERVICES}
        began = time.monotonic()
        for name in dying.values():
            os.kill(self.pids[name], signal.SIGKILL)

        async def taken_over(service: str) -> float | None:
            (other,) = set(self.of(service)) - {dying[service]}
            came: dict[str, float] = {}
            settled: set[str] = set()
            while True:
                followers = await self.followers(other)
                took = time.monotonic() - began
                for follower, (works, lag) in followers.items():
                    if lag and not works:
                        came.setdefault(follower, took - lag)
                    # By this one; or by the first again, if that was back before.
                    if works or (follower in came and (not lag or took - lag > came[follower] + SAMPLED_SECONDS)):
                        settled.add(follower)
                if settled >= came.keys() and settled:
                    return took
                if not came and took > IDLE_SECONDS and service not in BUSY:
                    return None
                assert took < TAKE_OVER_SECONDS, f"{other}: {followers}, since {came}"
                await asyncio.sleep(0.1)

        found = dict(zip(SERVICES, await asyncio.gather(*map(taken_over, SERVICES)), strict=True))
        await asyncio.gather(*map(self.back, dying.values()))
        return found


async def keep_publishing(settings: Settings, over: asyncio.Event) -> None:
    """Agencies are opened elsewhere: the catalogue has something to fold."""
    platform = await Platform.open(settings)
    try:
        publisher = Publisher.of(platform)
        for agency in (await asyncio.to_thread(load)).agencies(ELSEWHERE):
            if over.is_set():
                break
            await publish_in_order(publisher, [("agency", agency)], platform.clock.now())
            await asyncio.sleep(0.3)
    finally:
        await platform.close()


async def keep_logging_in(witness: Witness, over: asyncio.Event) -> None:
    """People who were never here: identity has something to fold."""
    index = 5000
    while not over.is_set():
        index += 10
        await witness.log_in(index)
        await asyncio.sleep(0.3)


class Fate:
    """What happens to everything."""

    def __init__(self, everything: Everything, rng: random.Random) -> None:
        self._deployment = everything.deployment
        self._store = everything.store
        self._rng = rng
        self.done: Counter[str] = Counter()

    async def strike(self) -> None:
        kinds: list[Callable[[], Awaitable[None]]] = [
            self.a_service, self.a_service, self.the_edge, self.postgresql, self.the_stores_answers,
            self.the_stores_subscriptions, self.the_store,
        ]  # fmt: skip
        kind = self._rng.choice(kinds)
        self._note(kind.__name__)
        await kind()

    def _note(self, kind: str) -> None:
        self.done[kind] += 1
        print(f"{datetime.now(UTC):%H:%M:%S} {kind}")

    async def supervisor(self) -> None:
        """With all that it started."""
        self._note("supervisor")
        await asyncio.to_thread(self._deployment.kill)
        await asyncio.to_thread(self._deployment.launch)
        await asyncio.to_thread(eventually, self._deployment.serves, BACK_SECONDS)

    async def a_service(self) -> None:
        processes = self._deployment.processes
        _kill(processes[self._rng.choice(sorted(processes))]["pid"])

    async def the_edge(self) -> None:
        children = psutil.Process(self._deployment.pid).children(recursive=True)
        (envoy,) = [child for child in children if child.name() == "envoy"]
        _kill(envoy.pid)

    async def postgresql(self) -> None:
        pid = self._deployment.data / "postgresql" / "cluster" / "postmaster.pid"
        _kill(int(pid.read_text().splitlines()[0]))

    async def the_stores_answers(self) -> None:
        """Written and not answered, refused, not there."""
        faults = self._store.double.faults

        def spoil(_: object) -> None:
            faults.after_write, faults.before_write, faults.before_read, faults.within_read = 3, 3, 3, 3

        self._store.do(spoil)

    async def the_stores_subscriptions(self) -> None:
        self._store.do(lambda double: double.drop_subscriptions())

    async def the_store(self) -> None:
        await asyncio.to_thread(self._store.run, self._store.double.stop())
        await asyncio.sleep(self._rng.uniform(0.1, 1.0))
        await asyncio.to_thread(self._store.run, self._store.double.start())


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):  # it died of what happened before
        os.kill(pid, signal.SIGKILL)


def test_whatever_dies_nothing_is_lost_and_the_others_take_over(everything: Everything) -> None:
    seed = int(os.environ.get("MOTCUA_TEST_SEED", random.randrange(2**32)))
    print(f"MOTCUA_TEST_SEED={seed}")
    asyncio.run(_prove(everything, random.Random(seed)))
    require_rebuilt(everything.site)


async def _prove(everything: Everything, rng: random.Random) -> None:
    deployment, fate = everything.deployment, Fate(everything, rng)

    async def misfortunes(witness: Witness) -> None:
        await witness.another()
        over = asyncio.Event()
        settings = Settings(data=deployment.data, event_store=everything.site.event_store)
        beside = [
            asyncio.create_task(keep_publishing(settings, over)),
            asyncio.create_task(keep_logging_in(witness, over)),
        ]
        try:
            taken_over = await Replicas(deployment).kill_one_of_each()
        finally:
            over.set()
            await asyncio.gather(*beside)
        print({service: seconds and f"{seconds:.1f} s" for service, seconds in taken_over.items()})
        for number in range(MISFORTUNES):
            await witness.another()
            await asyncio.sleep(rng.uniform(0.0, 1.0))
            await (fate.supervisor() if number == SUPERVISOR_DIES_AT else fate.strike())

    witness, day = await live_through(deployment, rng, misfortunes, SIDE_BY_SIDE)
    print(f"{len(witness.journal)} changes acknowledged, {len(day.codes)} dossiers, {dict(fate.done)}")
    await prove(everything.site, witness, day)
