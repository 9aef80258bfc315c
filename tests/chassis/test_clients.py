"""How soon it is noticed that a service, which was away, is back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from gateway.edge.envoy import Address, Edge
from gateway.edge.own_pages import Channels
from services.chassis import clients

# More often than gRPC itself would try within the time.
TRIES = 9
SECONDS = 20


def of_a_service(address: Address) -> grpc.aio.Channel:
    return grpc.aio.insecure_channel(f"{address.host}:{address.port}", options=clients.OPTIONS)


def of_the_edges_pages(address: Address) -> grpc.aio.Channel:
    edge = Edge(port=0, descriptors=Path(), services={"dossier": address}, pages={}, access_log=Path())
    return Channels(edge)("dossier")


@pytest.mark.parametrize("open_channel", [of_a_service, of_the_edges_pages])
async def test_who_is_away_is_tried_again_and_again(open_channel: Callable[[Address], grpc.aio.Channel]) -> None:
    tried = 0
    enough = asyncio.Event()

    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal tried
        tried += 1
        writer.close()
        if tried == TRIES:
            enough.set()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    channel = open_channel(Address(*server.sockets[0].getsockname()))
    health = health_pb2_grpc.HealthStub(channel)
    asking = asyncio.ensure_future(health.Check(health_pb2.HealthCheckRequest(), wait_for_ready=True))
    try:
        async with asyncio.timeout(SECONDS):
            await enough.wait()
    finally:
        asking.cancel()
        await channel.close()
        server.close()
