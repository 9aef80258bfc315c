"""One grpc.aio server per service: its API, health, reflection and operations."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from nameko.extensions import SharedExtension

from services.chassis.access.tls import EDGE, OPERATOR, KnownPeers
from services.chassis.frame import operations
from services.chassis.frame.container import container_of, parts_of, wait_for
from services.chassis.frame.operations import Operations
from services.chassis.frame.serving import Method, method_name
from services.chassis.machine import moments
from services.chassis.work.tasks import Owned, troubles
from services.registry import SERVICES

SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
BACKGROUND = "background"
"""The health of what a process does without being called. That of the others tells whether calls are answered."""
EXAMINED_SECONDS = 1.0
DRAIN_SECONDS = 10
LARGEST_REQUEST_BYTES = 4 * 1024 * 1024
# More than the edge lets through, and room for the longest token.
LARGEST_METADATA_BYTES = 32 * 1024
OPTIONS = (
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", LARGEST_REQUEST_BYTES),
    # Both: between a soft and a hard limit gRPC refuses by chance.
    ("grpc.max_metadata_size", LARGEST_METADATA_BYTES),
    ("grpc.absolute_max_metadata_size", LARGEST_METADATA_BYTES),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
)


class GrpcServer(SharedExtension):  # type: ignore[misc]
    def __init__(self) -> None:
        self._handlers: dict[str, dict[str, grpc.RpcMethodHandler[Any, Any]]] = {}
        self._followers: list[asyncio.Event] = []
        self._server: grpc.aio.Server | None = None
        self._stopping = False
        self._watch = Owned("health", self._tell_health)
        self._answering = Owned("gRPC server", self._answer, finite=True)
        self._port = 0
        self._health = health.aio.HealthServicer()

    def register(self, service: str, rpc: str, handler: grpc.RpcMethodHandler[Any, Any]) -> None:
        self._handlers.setdefault(service, {})[rpc] = handler

    def await_follower(self, caught_up: asyncio.Event) -> None:
        """The service does not serve before this view has caught up once."""
        self._followers.append(caught_up)

    def setup(self) -> None:
        container = container_of(self)
        answers = Operations(container.reactions)
        for rpc in operations.SERVICE.methods:
            answer = getattr(answers, method_name(rpc.name))
            method = Method(rpc, operations.ERRORS, container.parts, container.load, answer)
            self.register(operations.SERVICE.full_name, rpc.name, method.handler)

    def start(self) -> None:
        wait_for(self._start())

    def stop(self) -> None:
        wait_for(self._stop())

    async def _start(self) -> None:
        platform, name = parts_of(self).platform, parts_of(self).service
        host = platform.settings.host
        self._port = platform.grpc_ports.get(name, platform.settings.grpc_port)
        await self._open()
        platform.addresses[name] = f"{'127.0.0.1' if host == '0.0.0.0' else host}:{self._port}"
        self._answering.start()
        self._watch.start()

    async def _open(self) -> None:
        platform = parts_of(self).platform
        settings = platform.settings
        credentials = platform.credentials
        known = [KnownPeers(settings.site, (*SERVICES, EDGE, OPERATOR))] if credentials else []
        self._server = server = grpc.aio.server(options=OPTIONS, interceptors=known)
        for service, methods in self._handlers.items():
            server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, methods),))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        names = (*self._handlers, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, server)
        address = f"{settings.host}:{self._port}"
        secure = credentials.for_grpc_server() if credentials else None
        self._port = server.add_secure_port(address, secure) if secure else server.add_insecure_port(address)
        if not container_of(self).ready:
            await self._report(NOT_SERVING)
        await server.start()

    async def _answer(self) -> None:
        """As long as it runs; what ended by itself is opened again, at the same port."""
        if self._server is None:
            await self._open()
        assert self._server
        # Shielded: who is cancelled while waiting for it would take away what the server itself waits for.
        await asyncio.shield(self._server.wait_for_termination())
        if not self._stopping:
            self._server = None
            raise RuntimeError("the gRPC server ended")

    async def _tell_health(self) -> None:
        followers = [*self._followers, parts_of(self).platform.verifier.caught_up]
        await asyncio.gather(*(follower.wait() for follower in followers))
        container_of(self).ready = True
        await self._report(SERVING)
        while True:
            await self._health.set(BACKGROUND, NOT_SERVING if await troubles() else SERVING)
            await moments.sleep(EXAMINED_SECONDS)

    async def _report(self, status: int) -> None:
        for service in ("", *self._handlers):
            await self._health.set(service, status)

    async def _stop(self) -> None:
        self._stopping = True
        await self._watch.stop()
        if self._server is not None:
            await self._health.enter_graceful_shutdown()
            await self._server.stop(DRAIN_SECONDS)
        await self._answering.stop()
