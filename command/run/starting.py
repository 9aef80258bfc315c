"""`motcua up`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial
from ipaddress import ip_address

import structlog

from command.console import err, fail, out
from command.run.lifetime import Step, in_turn, until_stopped
from command.run.machine import TLS_ABOVE, configure_logs
from command.run.refusing import refusing
from command.run.serving import data_folder, loaded
from services.chassis.frame.runner import run
from services.chassis.platform.platform import Platform
from services.chassis.platform.settings import Settings
from services.chassis.site.watching import beside

log = structlog.get_logger()


def up(settings: Settings, dossiers: int, province: str) -> int:
    """All services in this process."""
    from command.run.up import start

    said = Said(settings, dossiers, province)

    async def begin(stack: AsyncExitStack) -> Sequence[Step]:
        platform, watch = await start(settings, stack)
        loaded()
        seeding = [partial(_seed, platform, province)] if settings.sandbox else []
        return [partial(beside, in_turn([said.welcome, *seeding, said.play, said.end]), watch.run)]

    with refusing():
        return run(until_stopped(begin, said.stopping, interruptible=True))


def up_in_processes(settings: Settings, dossiers: int, province: str, replicas: int) -> int:
    """Each replica of each service in a process of its own."""
    from command.run import supervisor

    if settings.event_store == "memory:":
        fail(
            "Processes cannot share a log in memory.", "Leave MOTCUA_EVENT_STORE unset, or give a KurrentDB's address."
        )
    said = Said(settings, dossiers, province)

    async def begin(stack: AsyncExitStack) -> Sequence[Step]:
        running = await supervisor.start(settings, replicas, province, stack)
        loaded()
        return [partial(beside, in_turn([said.welcome, said.play, said.end]), running.refused)]

    with refusing():
        return asyncio.run(until_stopped(begin, said.stopping, interruptible=True))


class Said:
    """What the terminal is told."""

    def __init__(self, settings: Settings, dossiers: int, province: str) -> None:
        self._began = time.monotonic()
        self._settings = settings
        self._dossiers = dossiers
        self._province = province
        data_folder(settings)
        with refusing():
            self._logs = configure_logs(settings)

    async def welcome(self) -> None:
        seconds = time.monotonic() - self._began
        out.print(f"[bold green]●[/] Motcua serves [bold]{self._settings.site}[/] ({seconds:.1f} s)")

    async def play(self) -> None:
        from command.trial.demo import play

        if self._dossiers:
            try:
                await play(self._settings, self._dossiers, self._province, rate=10.0)
            except Exception:  # what is shown fails, and what serves goes on
                log.exception("the day could not be played to its end")
                err.print(
                    f"[yellow]![/] The day could not be played to its end; {self._logs} says why.", highlight=False
                )

    async def end(self) -> None:
        url, port = self._settings.url, self._settings.port
        out.print()
        out.print(f"  status page   [link={url}]{url}[/link]", highlight=False)
        out.print(f"  API           {url}/docs   (gRPC and JSON on the same port)", highlight=False)
        out.print(f"  gRPC          localhost:{port}, TLS localhost:{port + TLS_ABOVE}", highlight=False)
        if self._settings.sandbox:
            reached = (
                "this machine"
                if ip_address(self._settings.edge_listens).is_loopback
                else "[bold red]OTHER MACHINES, TOO[/]"
            )
            out.print(
                f"  sandboxes     whoever reaches this site is an administrator of it: {reached}",
                highlight=False,
                soft_wrap=True,
            )
        else:
            out.print("  first checks  motcua doctor: what is missing before anybody can use it", highlight=False)
        out.print(f"  data, logs    {self._settings.data}, {self._logs}", highlight=False)
        out.print("\n  Ctrl-C stops everything; the next start finds all data again.")

    def stopping(self) -> None:
        out.print("\nStopping …")


async def _seed(platform: Platform, province: str) -> None:
    from command.trial.trial import prepare

    await prepare(platform, province)
