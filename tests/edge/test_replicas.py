"""Several replicas of a service behind the edge: who is dead or not ready is not asked."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
import pytest

from gateway.edge.envoy import Address, Edge, each, target
from gateway.edge.process import EdgeProcess
from tests.edge.trial import Trial, any_service, grpc_server
from tests.support.waiting import eventually_here

LOOPBACK = "127.0.0.1"


@asynccontextmanager
async def edge_before(trial: Trial, folder: Path, *ports: int) -> AsyncIterator[Any]:
    settings = Edge(
        port=0,
        host=LOOPBACK,
        descriptors=trial.descriptors,
        services={"trial": [Address(LOOPBACK, port) for port in ports]},
        pages={},
        rate=100_000,
        burst=100_000,
        access_log=folder / "access.log",
    )
    process = EdgeProcess(settings, folder / "envoy")
    await process.start()
    try:
        async with grpc.aio.insecure_channel(f"{LOOPBACK}:{process.port}") as channel:
            yield trial.rpc.TrialServiceStub(channel)
    finally:
        await process.stop(0)


async def change(trial: Trial, stub: Any, amount: int) -> int:
    request = trial.pb.CountAmountRequest(request_id=str(uuid4()), amount=amount)
    return int((await stub.CountAmount(request, timeout=20)).amount)


async def test_changes_go_to_the_replica_that_lives(trial: Trial, tmp_path: Path) -> None:
    with socket.socket() as dead:
        dead.bind((LOOPBACK, 0))
        async with (
            grpc_server(trial) as alive,
            edge_before(trial, tmp_path, alive, dead.getsockname()[1]) as stub,
        ):
            assert [await change(trial, stub, number) for number in range(200)] == list(range(200))


async def test_a_replica_dies_between_calls(trial: Trial, tmp_path: Path) -> None:
    async with (
        grpc_server(trial) as stays,
        grpc_server(trial) as dies,
        edge_before(trial, tmp_path, stays, dies) as stub,
    ):
        for number in range(50):
            assert await change(trial, stub, number) == number
        dying = asyncio.create_task(trial.servers[dies].stop(0))
        for number in range(200):
            reply = await stub.GetTrial(trial.pb.GetTrialRequest(trial_code=str(number)), timeout=20)
            assert reply.trial_code == str(number)
        await dying
        for number in range(50):
            assert await change(trial, stub, number) == number


async def test_who_does_not_say_that_it_serves_is_not_asked(trial: Trial, tmp_path: Path) -> None:
    asked: list[str] = []
    async with (
        grpc_server(trial) as ready,
        any_service(asked) as starting,  # it answers, and says nothing of its health
        edge_before(trial, tmp_path, ready, starting) as stub,
    ):
        await eventually_here(lambda: "/grpc.health.v1.Health/Check" in asked)
        for number in range(100):
            assert await change(trial, stub, number) == number
    assert set(asked) == {"/grpc.health.v1.Health/Check"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (Address("motcua-identity", 50051), "motcua-identity:50051"),
        ([Address("127.0.0.1", 1)], "127.0.0.1:1"),
        ([Address("127.0.0.1", 1), Address("127.0.0.1", 2)], "ipv4:127.0.0.1:1,127.0.0.1:2"),
    ],
)
def test_what_a_client_of_all_replicas_calls_them(given: Any, expected: str) -> None:
    assert target(given) == expected
    assert all(isinstance(address, Address) for address in each(given))
