"""The disk of data, logs and output is full for a while: nothing acknowledged is lost, and all goes on by itself."""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
import httpx
import pytest

from gateway.sandbox.day.door import refusal
from tests.platform.deployment import Deployment
from tests.platform.proof import Acknowledged, Site, Witness, live_through, prove
from tests.support.full_disk import Disk, small_disk
from tests.support.waiting import eventually_here

pytestmark = pytest.mark.long

MEGABYTES = 600
SIDE_BY_SIDE = 4
SECONDS = 20.0
LOST = re.compile(r'^motcua_lines_lost_total\{output="log"\} (\S+)$', re.MULTILINE)
# From the moment at which there is room again.
RECOVERED_SECONDS = 60.0


@pytest.fixture(params=[(), ("--processes",)], ids=["one process", "processes"])
def site(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[tuple[Site, Disk]]:
    with small_disk(tmp_path / "disk", MEGABYTES) as disk:
        limits = {"MOTCUA_EDGE_RATE": "5000", "MOTCUA_EDGE_BURST": "10000"}
        deployment = Deployment(disk.folder / "data", settings=limits, arguments=request.param)
        deployment.start()
        try:
            yield Site(deployment), disk
        finally:
            deployment.kill()


async def test_all_goes_on_when_there_is_room_again(site: tuple[Site, Disk]) -> None:
    here, disk = site
    # A process of one service writes too little to fill its log's last block in time.
    one_log = "--processes" not in here.deployment.arguments

    async def full_for_a_while(witness: Witness) -> None:
        submitted = await eventually_here(lambda: [one for one in witness.journal if is_submission(one)])
        async with Probes(here.deployment) as probes:
            assert await probes.healthz() == 200
            assert set((await probes.ask("/readyz")).values()) == {200}

            async def said() -> bool:
                await asyncio.to_thread(disk.fill)  # also what was freed meanwhile
                ready = (await probes.ask("/readyz")).values()
                return await probes.healthz() == 503 in ready and (not one_log or await probes.lines_lost())

            await eventually_here(said)
            assert set((await probes.ask("/livez")).values()) == set((await probes.ask("/servez")).values()) == {200}
            assert await probes.edge("/") == 200
            # What is small may find room still: whatever is acknowledged meanwhile is proved to be there, below.
            assert await refused(submitted[0]) == "UNAVAILABLE"
            await asyncio.to_thread(disk.free)
            await witness.another()
            await eventually_here(probes.all_well, RECOVERED_SECONDS)

    witness, day = await live_through(here.deployment, random.Random(), full_for_a_while, SIDE_BY_SIDE)
    await prove(here, witness, day)
    told = [line for line in here.deployment.logged("warning") if line["event"] == "lines of the log were lost"]
    assert told or not one_log


def is_submission(one: Acknowledged) -> bool:
    return bool(one.request.DESCRIPTOR.name == "SubmitDossierRequest")


async def refused(like: Acknowledged) -> str:
    """Why another such submission is not taken."""
    request = type(like.request)()
    request.CopyFrom(like.request)
    request.request_id = str(uuid4())
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await like.method(request, metadata=(("authorization", f"Bearer {await like.person.token()}"),))
    assert failed.value.code() is grpc.StatusCode.UNAVAILABLE, failed.value
    return refusal(failed.value)


class Probes:
    """As those ask who watch the site."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._http = httpx.AsyncClient(timeout=SECONDS, trust_env=False)

    async def __aenter__(self) -> Probes:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def edge(self, path: str) -> int:
        return (await self._http.get(f"{self._deployment.url}{path}")).status_code

    async def healthz(self) -> int:
        return await self.edge("/healthz")

    async def ask(self, path: str) -> dict[str, int]:
        found: dict[str, Any] = {}
        for name, address in self._addresses().items():
            found[name] = (await self._http.get(f"http://{address}{path}")).status_code
        return found

    async def lines_lost(self) -> bool:
        """Whether there was no room for a line of a log: at first the last block has some."""
        asked = [f"http://{address}/metrics" for address in self._addresses().values()]
        told = [(await self._http.get(url)).text for url in asked]
        return any(float(lost) for text in told for lost in LOST.findall(text))

    async def all_well(self) -> bool:
        return await self.healthz() == 200 and set((await self.ask("/readyz")).values()) == {200}

    def _addresses(self) -> dict[str, str]:
        running = json.loads((self._deployment.data / "running.json").read_text())
        if "processes" in running:
            return {name: one["http"] for name, one in running["processes"].items()}
        return dict(running["http"])
