"""What the edge's own process serves beside Envoy, on the loopback: GET /healthz, the API's description."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

import grpc
from starlette.applications import Starlette
from starlette.routing import Route

from gateway.edge.envoy import Address, Edge, target
from gateway.edge.health import Health
from gateway.openapi import pages as openapi
from services.chassis import channels
from services.chassis.access.certificates import Files
from services.chassis.access.tls import Credentials
from services.chassis.frame.http_server import HostedApp

LOOPBACK = "127.0.0.1"
NAMES = frozenset({"admin", "docs"})


@asynccontextmanager
async def own_pages(edge: Edge) -> AsyncIterator[Edge]:
    """The edge, with these pages, while they are served."""
    async with AsyncExitStack() as stack:
        channels = Channels(edge)
        stack.push_async_callback(channels.close)
        health = Health(lambda: edge.services, channels)
        routes = [Route("/healthz", health.page), *openapi.routes(edge.descriptors)]
        app = HostedApp(Starlette(routes=routes), LOOPBACK, 0)
        port = int((await app.start()).rpartition(":")[2])
        stack.push_async_callback(app.stop)
        own = dict.fromkeys(NAMES, Address(LOOPBACK, port))
        yield replace(edge, pages={**edge.pages, **own}, own_pages=NAMES)


class Channels:
    """To each service; under mutual TLS with the edge's own certificate as it is now."""

    def __init__(self, edge: Edge) -> None:
        self._addresses = {name: target(addresses) for name, addresses in edge.services.items()}
        mutual = edge.mutual
        self._credentials = (
            Credentials(Files(mutual.certificate, mutual.key, mutual.authority), mutual.site) if mutual else None
        )
        self._plain: dict[str, grpc.aio.Channel] = {}

    def __call__(self, service: str) -> grpc.aio.Channel:
        address = self._addresses[service]
        if self._credentials:
            return self._credentials.channel(service, address)
        if address not in self._plain:
            self._plain[address] = grpc.aio.insecure_channel(address, options=channels.OPTIONS)
        return self._plain[address]

    async def close(self) -> None:
        for channel in self._plain.values():
            await channel.close()
        if self._credentials:
            await self._credentials.close()
