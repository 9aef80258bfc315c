"""How much of what a bare grpc.aio server answers is left when each call is a submission: decided, sealed, on disk; and of that
when it comes through the edge.

Everything is measured in one run, in rounds that take turns, and told as ratios: the machine's mood hits all sides alike.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from loadtests import servers
from loadtests.world import World
from motcua.dossier.v1 import dossier_service_pb2 as pb

CONCURRENCY = 64
READY_SECONDS = 30
SUBMIT = f"/{pb.DESCRIPTOR.services_by_name['DossierService'].full_name}/SubmitDossier"


@dataclass(frozen=True, slots=True)
class Plan:
    rounds: int
    warm_up_seconds: float
    seconds: float


QUICK = Plan(rounds=4, warm_up_seconds=1.5, seconds=2.5)
FULL = Plan(rounds=11, warm_up_seconds=5, seconds=6)


@dataclass(frozen=True, slots=True)
class Round:
    seconds: float
    latencies: Sequence[float]

    @property
    def rate(self) -> float:
        return len(self.latencies) / self.seconds


@dataclass
class Target:
    """Where the same requests go."""

    name: str
    address: str
    method: str
    reply: Any
    rounds: list[Round] = field(default_factory=list)

    def rates(self) -> list[float]:
        return [each.rate for each in self.rounds]

    def summary(self) -> dict[str, float]:
        latencies = sorted(latency for each in self.rounds for latency in each.latencies)
        cuts = statistics.quantiles(latencies, n=100)
        return {
            "calls": len(latencies),
            "rate": round(statistics.median(self.rates()), 1),
            "p50_ms": round(cuts[49] * 1e3, 2),
            "p99_ms": round(cuts[98] * 1e3, 2),
        }


async def measure(target: Target, world: World, seconds: float) -> Round:
    """CONCURRENCY callers, each with its next call as soon as its last is answered. A refusal ends the run."""
    latencies: list[float] = []
    requests = world.requests()
    async with grpc.aio.insecure_channel(target.address) as channel:
        call = channel.unary_unary(target.method, pb.SubmitDossierRequest.SerializeToString, target.reply.FromString)
        began = time.perf_counter()
        until = began + seconds

        async def caller() -> None:
            while (start := time.perf_counter()) < until:
                request, metadata = next(requests)
                await call(request, metadata=metadata)
                latencies.append(time.perf_counter() - start)

        async with asyncio.TaskGroup() as group:
            for _ in range(CONCURRENCY):
                group.create_task(caller())
        return Round(time.perf_counter() - began, latencies)


async def compare(targets: Sequence[Target], world: World, plan: Plan, advance: Callable[[str], None]) -> None:
    for target in targets:
        advance(f"warming up {target.name}")
        await measure(target, world, plan.warm_up_seconds)
    for number in range(plan.rounds):
        for target in targets if number % 2 == 0 else reversed(targets):
            advance(f"round {number + 1} of {plan.rounds}: {target.name}")
            target.rounds.append(await measure(target, world, plan.seconds))


def ratio(part: Target, whole: Target) -> dict[str, Any]:
    rounds = [round(a / b, 4) for a, b in zip(part.rates(), whole.rates(), strict=True)]
    return {"median": round(statistics.median(rounds), 4), "rounds": rounds}


async def serving(address: str) -> None:
    async with grpc.aio.insecure_channel(address) as channel, asyncio.timeout(READY_SECONDS):
        stub = health_pb2_grpc.HealthStub(channel)
        request, ready = health_pb2.HealthCheckRequest(), health_pb2.HealthCheckResponse.SERVING
        while (await stub.Check(request, wait_for_ready=True)).status != ready:  # noqa: ASYNC110 - another process's state
            await asyncio.sleep(0.05)


def bench(plan: Plan, out: Path, console: Console) -> None:
    with ExitStack() as stack:
        with console.status("Starting the servers"):
            echo_address = stack.enter_context(servers.spawned(servers.echo))
            address, world = stack.enter_context(servers.spawned(servers.dossier))
            asyncio.run(serving(address))
            edge_address = stack.enter_context(servers.spawned(servers.edge, address, world.jwk))
        echo = Target("echo", echo_address, "/" + "/".join(servers.ECHO), pb.SubmitDossierRequest)
        direct = Target("submit", address, SUBMIT, pb.SubmitDossierResponse)
        through_edge = Target("edge", edge_address, SUBMIT, pb.SubmitDossierResponse)
        targets = [echo, direct, through_edge]
        with Progress(console=console, transient=True) as progress:
            task = progress.add_task("", total=len(targets) * (plan.rounds + 1))

            def advance(what: str) -> None:
                progress.update(task, advance=1, description=what)

            asyncio.run(compare(targets, world, plan, advance))
    result = {
        "ratios": {"submit_vs_echo": ratio(direct, echo), "edge_vs_direct": ratio(through_edge, direct)},
        "concurrency": CONCURRENCY,
        "targets": {target.name: target.summary() for target in targets},
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(result, indent=2) + "\n")
    console.print(table(result))


def table(result: dict[str, Any]) -> Table:
    shown = Table("", "calls", "calls/s", "p50 ms", "p99 ms", title=f"At {result['concurrency']} calls at a time")
    for column in shown.columns[1:]:
        column.justify = "right"
    for name, row in result["targets"].items():
        shown.add_row(name, f"{row['calls']:,}", f"{row['rate']:,.0f}", f"{row['p50_ms']:.1f}", f"{row['p99_ms']:.1f}")
    shown.caption = "\n".join(
        f"{name}: {each['median']:.1%} (median of rounds)" for name, each in result["ratios"].items()
    )
    return shown
