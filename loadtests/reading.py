"""python -m loadtests.reading: what it costs that every reading of a dossier by an official is recorded before it is answered.

Two dossier services in one run, in rounds that take turns, one of which records nothing; told as ratios.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import cycle

import grpc
from rich.console import Console

from loadtests import servers
from loadtests.bench import serving
from loadtests.world import World
from motcua.dossier.v1 import dossier_service_pb2 as pb
from motcua.dossier.v1.dossier_service_pb2_grpc import DossierServiceStub
from services.chassis.calls.stated import PURPOSE

DOSSIERS = 200
ROUNDS = 7
SECONDS = 3.0
AT_ONCE = (1, 64)


@dataclass
class Side:
    address: str
    world: World
    codes: list[str] = field(default_factory=list)
    # Calls a second, by how many are asked at once, a round each.
    rates: dict[int, list[float]] = field(default_factory=lambda: {count: [] for count in AT_ONCE})

    async def submit(self) -> None:
        requests = self.world.requests()
        async with grpc.aio.insecure_channel(self.address) as channel:
            stub = DossierServiceStub(channel)
            for _ in range(DOSSIERS):
                request, metadata = next(requests)
                self.codes.append((await stub.SubmitDossier(request, metadata=metadata)).code)

    async def read(self, at_once: int, seconds: float) -> float:
        codes, answered = cycle(self.codes), 0
        metadata = (("authorization", f"Bearer {self.world.official}"), (PURPOSE, "settle"))
        async with grpc.aio.insecure_channel(self.address) as channel:
            stub = DossierServiceStub(channel)
            began = time.perf_counter()

            async def reader() -> None:
                nonlocal answered
                while time.perf_counter() < began + seconds:
                    await stub.GetDossier(pb.GetDossierRequest(code=next(codes)), metadata=metadata)
                    answered += 1

            async with asyncio.TaskGroup() as group:
                for _ in range(at_once):
                    group.create_task(reader())
            return answered / (time.perf_counter() - began)


async def compare(recording: Side, forgetful: Side) -> None:
    for side in (recording, forgetful):
        await serving(side.address)
        await side.submit()
        await side.read(max(AT_ONCE), SECONDS)
    for number in range(ROUNDS):
        for side in (recording, forgetful) if number % 2 == 0 else (forgetful, recording):
            for at_once in AT_ONCE:
                side.rates[at_once].append(await side.read(at_once, SECONDS))


def main() -> None:
    console = Console()
    with ExitStack() as stack:
        recording = Side(*stack.enter_context(servers.spawned(servers.dossier)))
        forgetful = Side(*stack.enter_context(servers.spawned(servers.forgetful)))
        asyncio.run(compare(recording, forgetful))
    for at_once in AT_ONCE:
        on, off = recording.rates[at_once], forgetful.rates[at_once]
        share = statistics.median(a / b for a, b in zip(on, off, strict=True))
        more = statistics.median(1 / a - 1 / b for a, b in zip(on, off, strict=True)) * 1000
        console.print(
            f"{at_once:>3} at once: {statistics.median(on):,.0f} readings/s recorded, {statistics.median(off):,.0f} not:"
            f" {share:.1%}, {more:+.3f} ms of the machine a call (medians of {ROUNDS} rounds)"
        )


if __name__ == "__main__":
    main()
