"""The whole platform on one machine, every replica of every service a process of its own, behind one Envoy."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack

import grpc
import httpx
import structlog
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from command.console import err, warn
from command.registry import SANDBOX
from command.run import children, machine
from command.run.children import REFUSED, Child, Part
from command.run.machine import LOOPBACK, SITES, TLS_ABOVE, StartFailed
from command.running import forget, tell
from command.site import belonging
from gateway.edge.envoy import Address, Edge, target
from gateway.edge.health import Health
from gateway.edge.own_pages import NAMES, own_pages
from gateway.edge.process import EdgeProcess
from gateway.sandbox.pointing import pointed
from services.chassis import channels
from services.chassis.access.tls import Credentials
from services.chassis.platform.settings import Settings
from services.registry import SERVICES

# So often a service may die before all of them serve.
MOST_DEATHS = 3
EDGE_THREADS = 2
READY_SECONDS = 2.0
AGAIN_SECONDS = 0.1

log = structlog.get_logger()


async def start(settings: Settings, replicas: int, province: str, stack: AsyncExitStack) -> Running:
    """Start everything; `stack` stops it in the right order. Returns when every process serves. Raises StartFailed, SiteRefused."""
    descriptor = machine.lock(settings.data)
    stack.callback(os.close, descriptor)
    for port in (settings.port, settings.port + TLS_ABOVE):
        machine.require_free(settings.edge_listens, port)
    settings = pointed(settings.model_copy(update={"data": settings.data.absolute()}))
    await machine.require_event_store(settings)
    settings = await machine.open_database(settings, stack)
    await belonging.require(settings, tuple(SERVICES), aside=warn)
    parts = _parts(settings, replicas, province, stack)
    running = Running(settings, parts)
    stack.push_async_callback(running.stop)
    starting = asyncio.create_task(running.start())
    stack.push_async_callback(machine.ended, starting)
    edge = await stack.enter_async_context(own_pages(_edge(settings, parts)))
    process = EdgeProcess(edge, settings.data / "edge", EDGE_THREADS)
    stack.push_async_callback(process.stop, 0)  # if anything below fails
    opening = asyncio.create_task(machine.start_edge(process))
    stack.push_async_callback(machine.ended, opening)
    await starting
    await running.serve()
    await opening
    stack.push_async_callback(process.stop)  # before what it leads to
    running.tell()
    stack.callback(forget, settings)
    return running


class Running:
    """The processes of the platform, and what the terminal and the operator's commands are told of them."""

    def __init__(self, settings: Settings, parts: Sequence[Part]) -> None:
        self._settings = settings
        self._parts = parts
        self._children = [Child(part, self._changed) for part in parts]
        self._told = False
        self._refused: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def refused(self) -> None:
        """Returns never. Raises StartFailed when a service found that the site's stores must not be used any more."""
        await asyncio.shield(self._refused)

    async def start(self) -> None:
        children.preload(list(_engines(self._settings)))
        for child in self._children:
            await child.start()

    async def serve(self) -> None:
        """Wait until all do. Raises StartFailed."""
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:.0f}/{task.total:.0f}"))
        async with _Readiness(self._settings) as readiness:
            with Progress(*columns, TimeElapsedColumn(), console=err, transient=True) as progress:
                task = progress.add_task("starting", total=len(self._parts))
                while waiting := await readiness.waiting(self._parts):
                    if self._refused.done():
                        self._refused.result()
                    for child in self._children:
                        if child.deaths >= MOST_DEATHS:
                            raise StartFailed(
                                f"{child.part.name} does not start.\n{child.said()}", f"Its log is {child.part.log}."
                            )
                    progress.update(task, completed=len(self._parts) - len(waiting), description=waiting[0].name)
                    await asyncio.sleep(AGAIN_SECONDS)

    async def stop(self) -> None:
        """What others need while they stop goes last."""
        last = ("identity", SANDBOX)
        await asyncio.gather(*(child.stop() for child in self._children if child.part.service not in last))
        for service in last:
            await asyncio.gather(*(child.stop() for child in self._children if child.part.service == service))

    def tell(self) -> None:
        self._told = True
        grpc_addresses, pages = _addresses(self._parts, "grpc_port"), _addresses(self._parts, "http_port")
        tell(
            self._settings,
            {
                "grpc": {name: target(grpc_addresses[name]) for name in SERVICES},
                "http": {name: target(addresses[:1]) for name, addresses in pages.items()},
                "processes": {
                    child.part.name: {
                        "pid": child.pid,
                        "grpc": f"{LOOPBACK}:{child.part.settings.grpc_port}",
                        "http": f"{LOOPBACK}:{child.part.settings.http_port}",
                    }
                    for child in self._children
                },
            },
        )

    def _changed(self, child: Child, what: str) -> None:
        if child.exitcode == REFUSED and not self._refused.done():
            self._refused.set_exception(
                StartFailed(f"{child.part.name}: {child.said()}", f"Its log is {child.part.log}.")
            )
        log.warning("a service's process changed", process=child.part.name, what=what)
        err.print(f"[yellow]![/] {escape(child.part.name)} {escape(what)}", highlight=False)
        if self._told:
            try:
                self.tell()
            except OSError as error:  # of use to the operator's commands, and to nobody's service
                log.warning("where the services listen could not be written down", error=repr(error))


class _Readiness:
    """Asks every process itself, not one replica for all."""

    def __init__(self, settings: Settings) -> None:
        self._credentials = Credentials(settings.tls_files, settings.site) if settings.tls_files else None
        self._plain: dict[str, grpc.aio.Channel] = {}
        self._http = httpx.AsyncClient(trust_env=False, verify=False, timeout=READY_SECONDS)

    async def __aenter__(self) -> _Readiness:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()
        for channel in self._plain.values():
            await channel.close()
        if self._credentials:
            await self._credentials.close()

    async def waiting(self, parts: Sequence[Part]) -> list[Part]:
        services = {part.name: part for part in parts if part.service != SANDBOX}
        health = Health(lambda: services, lambda name: self._channel(services[name]))
        found = [services[name] for name in await health.waiting()]
        return found + [part for part in parts if part.service == SANDBOX and not await self._prepared(part)]

    def _channel(self, part: Part) -> grpc.aio.Channel:
        address = f"{LOOPBACK}:{part.settings.grpc_port}"
        if self._credentials:
            return self._credentials.channel(part.service, address)
        if address not in self._plain:
            self._plain[address] = grpc.aio.insecure_channel(address, options=channels.OPTIONS)
        return self._plain[address]

    async def _prepared(self, part: Part) -> bool:
        scheme = "https" if self._credentials else "http"
        try:
            answer = await self._http.get(f"{scheme}://{LOOPBACK}:{part.settings.http_port}/servez")
        except httpx.HTTPError:
            return False
        return answer.status_code == 200


def _parts(settings: Settings, replicas: int, province: str, stack: AsyncExitStack) -> list[Part]:
    names = [(service, number) for service in SERVICES for number in range(1, replicas + 1)]
    names += [(SANDBOX, 1)] if settings.sandbox else []
    # Held for as long as we run: whoever dies comes back where the others know it.
    grpc_ports = machine.hold_ports([f"{service}-{number}" for service, number in names], stack)
    http_ports = machine.hold_ports(grpc_ports, stack)
    identity = target([Address(LOOPBACK, grpc_ports[f"identity-{number}"]) for number in range(1, replicas + 1)])
    parts = []
    for service, number in names:
        name = f"{service}-{number}"
        ports = {"grpc_port": grpc_ports[name], "http_port": http_ports[name]}
        own = settings.model_copy(update={**ports, "identity_address": identity, "host": LOOPBACK})
        parts.append(Part(service, number, own, province if service == SANDBOX else ""))
    return parts


def _edge(settings: Settings, parts: Sequence[Part]) -> Edge:
    pages = _addresses(parts, "http_port")
    led = {name: addresses for name, addresses in pages.items() if name in (*SITES, SANDBOX)}
    grpc_addresses = _addresses([part for part in parts if part.service != SANDBOX], "grpc_port")
    return machine.edge_of(settings, grpc_addresses, led, own=NAMES)


def _addresses(parts: Sequence[Part], port: str) -> dict[str, list[Address]]:
    found: dict[str, list[Address]] = {}
    for part in parts:
        found.setdefault(part.service, []).append(Address(LOOPBACK, getattr(part.settings, port)))
    return found


def _engines(settings: Settings) -> Iterator[str]:
    """What is loaded beside the services."""
    if settings.database:
        yield from ("psycopg", "sqlalchemy.dialects.postgresql.psycopg")
    if settings.distributed:
        yield "services.chassis.store.kurrentdb"
    if settings.sandbox:
        yield from ("gateway.sandbox.mount", "command.trial.trial")
