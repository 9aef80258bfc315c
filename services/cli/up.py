"""The whole platform in one process, with Envoy as its child and sandboxes of the national systems."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import structlog
from starlette.applications import Starlette
from starlette.routing import Route

from gateway.edge import certificates
from gateway.edge.envoy import Address, Edge, Jwt, Mutual, Tls
from gateway.edge.health import Health
from gateway.edge.process import EdgeError, EdgeProcess
from gateway.ledger.errors import LedgerError
from gateway.openapi import pages as openapi
from gateway.sandbox.pointing import pointed
from services.chassis import telemetry
from services.chassis.http_server import HostedApp
from services.chassis.platform import Platform
from services.chassis.runner import Services
from services.chassis.settings import Settings
from services.cli.registry import CLASSES, WITHOUT_RPCS, service_classes

DESCRIPTORS = Path(__file__).parents[2] / "build" / "descriptors.binpb"
TLS_ABOVE = 363
LOOPBACK = "127.0.0.1"
# Those with pages for people.
SITES = ("identity", "payment", "status", "ledger")
# It opens when identity has told it the keys.
EDGE_SECONDS = 60.0

log = structlog.get_logger()


class StartFailed(Exception):
    """What is wrong, and what to do about it."""

    def __init__(self, what: str, action: str) -> None:
        super().__init__(what)
        self.action = action


def _lock(folder: Path) -> int:
    """One platform per data folder. Raises StartFailed."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise StartFailed(
            f"{folder} is in use by another running platform.", "Stop that one, or set MOTCUA_DATA to another folder."
        ) from None
    return descriptor


def _require_free(port: int) -> None:
    """Raises StartFailed."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", port))
        except OSError:
            raise StartFailed(f"Port {port} is taken.", "Set MOTCUA_PORT to a free one, for example 8090.") from None


def _ports(names: Iterable[str], stack: AsyncExitStack) -> dict[str, int]:
    """A port for each server that starts later, so that the edge can start beside them: /healthz tells when all serve.

    The sockets are bound and do not listen: Linux lets a server that sets SO_REUSEADDR have the port, and nobody else.
    """
    ports = {}
    for name in names:
        held = socket.socket()
        stack.callback(held.close)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind((LOOPBACK, 0))
        ports[name] = held.getsockname()[1]
        if sys.platform != "linux":
            held.close()
    return ports


def _addresses(ports: dict[str, int]) -> dict[str, Address]:
    return {name: Address(LOOPBACK, port) for name, port in ports.items()}


def configure_logs(settings: Settings) -> Path:
    """Logs go to a file beside the data; the terminal is for people."""
    folder = settings.data / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "motcua.jsonl"
    telemetry.configure(settings.site, level=settings.log_level, sampled=settings.trace_sampled, path=path)
    return path


async def start(settings: Settings, stack: AsyncExitStack) -> Platform:
    """Start everything; `stack` stops it in the right order. Returns when every service serves. Raises StartFailed."""
    descriptor = _lock(settings.data)
    stack.callback(os.close, descriptor)
    for port in (settings.port, settings.port + TLS_ABOVE):
        _require_free(port)
    if settings.sandbox:
        from gateway.sandbox import mount

        settings = pointed(settings)
        sandbox_app = mount.application(settings)
    platform = await Platform.open(settings)
    stack.push_async_callback(platform.close)
    platform.grpc_ports = _ports(CLASSES, stack)
    sites = (*SITES, "sandbox") if settings.sandbox else SITES
    platform.http_ports = _ports((*sites, "admin"), stack)
    edge = _edge(settings, platform)
    stack.push_async_callback(edge.stop, 0)  # if anything below fails
    starting = asyncio.create_task(_start(edge))
    if settings.sandbox:
        sandbox = HostedApp(sandbox_app, LOOPBACK, platform.http_ports["sandbox"], platform.credentials)
        await sandbox.start()
        stack.push_async_callback(sandbox.stop)
    # Importing takes longer than anything else: in a thread, while the edge starts.
    services = Services(platform, await asyncio.to_thread(service_classes))
    stack.push_async_callback(services.stop)
    try:
        await services.start()
    except LedgerError as error:
        raise StartFailed(f"The ledger cannot go on: {error}", "docs/ledger.md says what can be done.") from None
    health = Health(lambda: platform.addresses, platform.channel)
    routes = [Route("/healthz", health.page), *openapi.routes(DESCRIPTORS)]
    admin = HostedApp(Starlette(routes=routes), LOOPBACK, platform.http_ports["admin"], platform.credentials)
    await admin.start()
    stack.push_async_callback(admin.stop)
    await starting
    stack.push_async_callback(edge.stop)  # before what it leads to
    while await health.waiting():  # noqa: ASYNC110 - other servers' state
        await asyncio.sleep(0.02)
    _tell(settings, platform, stack)
    return platform


def _edge(settings: Settings, platform: Platform) -> EdgeProcess:
    grpc_services, pages = _addresses(platform.grpc_ports), _addresses(platform.http_ports)
    pair = certificates.ensure(settings.data / "tls")
    files = settings.tls_files
    edge = Edge(
        port=settings.port,
        tls=Tls(
            port=settings.port + TLS_ABOVE,
            certificate=pair.certificate,
            key=pair.key,
            client_ca=settings.client_authority,
        ),
        mutual=Mutual(site=settings.site, certificate=files.certificate, key=files.key, authority=files.authority)
        if files
        else None,
        descriptors=DESCRIPTORS,
        services={name: at for name, at in grpc_services.items() if name not in WITHOUT_RPCS},
        platform=grpc_services["status"],
        pages=pages | {"docs": pages["admin"]},
        jwt=Jwt(),
        access_log=settings.data / "logs" / "edge.jsonl",
        rate=settings.edge_rate,
        burst=settings.edge_burst,
        trace_percent=100 * settings.trace_sampled if telemetry.exporting() else 0,
    )
    return EdgeProcess(edge, settings.data / "edge")


async def _start(edge: EdgeProcess) -> None:
    """Raises StartFailed."""
    try:
        await edge.start(EDGE_SECONDS)
    except EdgeError as error:
        raise StartFailed(str(error), "The edge's log is in the data folder, under edge/.") from None


def _tell(settings: Settings, platform: Platform, stack: AsyncExitStack) -> None:
    """For the operator's commands on this machine: where each service listens."""
    path = settings.data / "running.json"
    addresses = {"grpc": platform.addresses, "http": platform.http_addresses, "edge": settings.url, "pid": os.getpid()}
    path.write_text(json.dumps(addresses, indent=2))
    stack.callback(path.unlink, missing_ok=True)


Then = Callable[[Platform], Awaitable[None]]


async def until_stopped(settings: Settings, then: Sequence[Then], stopping: Callable[[], None]) -> int:
    """Start, do what comes then, serve until SIGINT or SIGTERM, stop cleanly."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        platform = await start(settings, stack)
        work: asyncio.Task[Any] = asyncio.create_task(_all(then, platform))
        waiting = asyncio.create_task(stop.wait())
        await asyncio.wait({work, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            work.result()
            await waiting
        else:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
        stopping()
        log.info("stopping")
    return 0


async def _all(then: Sequence[Then], platform: Platform) -> None:
    for step in then:
        await step(platform)
