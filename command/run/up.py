"""The whole platform in one process, with Envoy as its child and sandboxes of the national systems."""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack

from starlette.applications import Starlette
from starlette.routing import Route

from command.console import warn
from command.registry import SANDBOX, service_classes
from command.run import machine
from command.run.machine import DESCRIPTORS, LOOPBACK, SITES, TLS_ABOVE
from command.running import forget, tell
from command.site import belonging
from gateway.edge.envoy import Address
from gateway.edge.health import Health
from gateway.edge.process import EdgeProcess
from gateway.openapi import pages as openapi
from gateway.sandbox.pointing import pointed
from services.chassis.frame.http_server import HostedApp
from services.chassis.frame.runner import Services
from services.chassis.platform.platform import Platform
from services.chassis.platform.settings import Settings
from services.chassis.site.watching import Watch
from services.registry import SERVICES


async def start(settings: Settings, stack: AsyncExitStack) -> tuple[Platform, Watch]:
    """Start everything; `stack` stops it in the right order. Returns when every service serves. Raises StartFailed, SiteRefused."""
    descriptor = machine.lock(settings.data)
    stack.callback(os.close, descriptor)
    for port in (settings.port, settings.port + TLS_ABOVE):
        machine.require_free(settings.edge_listens, port)
    await machine.require_event_store(settings)
    settings = await machine.open_database(pointed(settings), stack)
    if settings.sandbox:
        from gateway.sandbox import mount

        sandbox_app = mount.application(settings)
    await belonging.require(settings, tuple(SERVICES), aside=warn)
    platform = await Platform.open(settings)
    stack.push_async_callback(platform.close)
    watch = await belonging.begin(platform, tuple(SERVICES))
    stack.push_async_callback(watch.finish)
    platform.grpc_ports = machine.hold_ports(SERVICES, stack)
    sites = (*SITES, SANDBOX) if settings.sandbox else SITES
    platform.http_ports = machine.hold_ports((*sites, "admin"), stack)
    edge = _edge(settings, platform)
    stack.push_async_callback(edge.stop, 0)  # if anything below fails
    starting = asyncio.create_task(machine.start_edge(edge))
    stack.push_async_callback(machine.ended, starting)
    if settings.sandbox:
        sandbox = HostedApp(sandbox_app, LOOPBACK, platform.http_ports[SANDBOX], platform.credentials)
        await sandbox.start()
        stack.push_async_callback(sandbox.stop)
    # Importing takes longer than anything else: in a thread, while the edge starts.
    services = Services(platform, await asyncio.to_thread(service_classes))
    stack.push_async_callback(services.stop)
    await services.start()
    await belonging.keep_secrets(platform, watch.identity)  # the first start has made them by now
    health = Health(lambda: platform.addresses, platform.channel)
    routes = [Route("/healthz", health.page), *openapi.routes(DESCRIPTORS)]
    admin = HostedApp(Starlette(routes=routes), LOOPBACK, platform.http_ports["admin"], platform.credentials)
    await admin.start()
    stack.push_async_callback(admin.stop)
    await starting
    stack.push_async_callback(edge.stop)  # before what it leads to
    while await health.waiting():
        await watch.look()
        await asyncio.sleep(0.02)
    tell(settings, {"grpc": platform.addresses, "http": platform.http_addresses})
    stack.callback(forget, settings)
    return platform, watch


def _edge(settings: Settings, platform: Platform) -> EdgeProcess:
    grpc = {name: Address(LOOPBACK, port) for name, port in platform.grpc_ports.items()}
    pages = {name: Address(LOOPBACK, port) for name, port in platform.http_ports.items()}
    return EdgeProcess(machine.edge_of(settings, grpc, pages | {"docs": pages["admin"]}), settings.data / "edge")
