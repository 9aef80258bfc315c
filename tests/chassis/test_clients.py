"""Replicas that come and go: how soon one is found again, and who answers what it did not."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from gateway.edge.envoy import Address, Edge
from gateway.edge.own_pages import Channels
from services.chassis import channels
from services.identity.service import IdentityService

# More often than gRPC itself would try within the time.
TRIES = 9
SECONDS = 20
CALLS = tuple(str(number).encode() for number in range(20))


def of_a_service(address: Address) -> grpc.aio.Channel:
    return grpc.aio.insecure_channel(f"{address.host}:{address.port}", options=channels.OPTIONS)


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


async def test_what_a_stopping_replica_did_not_take_is_answered_by_another() -> None:
    """gRPC ends what still waits with CANCELLED, as if the caller had: https://github.com/grpc/grpc/issues/41785."""
    service, method = IdentityService.rpcs.full_name, "GetSubjectKeys"

    async def answer(request: bytes, _context: object) -> bytes:
        return request

    handlers: dict[str, Any] = {method: grpc.unary_unary_rpc_method_handler(answer)}
    servers = [grpc.aio.server() for _ in range(2)]
    ports = [server.add_insecure_port("127.0.0.1:0") for server in servers]
    for server in servers:
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
        await server.start()
    loop, sent = asyncio.get_running_loop(), threading.Event()

    async def stop() -> None:
        sent.wait()  # the servers' loop takes nothing meanwhile
        await servers[0].stop(SECONDS)

    def ask() -> list[bytes]:
        with grpc.insecure_channel(
            f"ipv4:{','.join(f'127.0.0.1:{port}' for port in ports)}", channels.OPTIONS
        ) as channel:
            call: Any = channel.unary_unary(f"/{service}/{method}")
            for each in CALLS:  # both are connected then
                call(each, timeout=SECONDS, wait_for_ready=True)
            stopping = asyncio.run_coroutine_threadsafe(stop(), loop)
            futures = [call.future(each, timeout=SECONDS) for each in CALLS]
            time.sleep(0.2)  # until they are there
            sent.set()
            stopping.result(SECONDS)
            return [future.result() for future in futures]

    assert await asyncio.to_thread(ask) == list(CALLS)
    await servers[1].stop(0)
