"""`motcua up` and `motcua serve`."""

from __future__ import annotations

import asyncio
import gc
import signal
import time
from collections.abc import Sequence

from services.chassis import telemetry
from services.chassis.platform import Platform
from services.chassis.runner import Services, run
from services.chassis.settings import Settings
from services.cli.console import fail, out
from services.cli.registry import service_classes
from services.cli.up import TLS_ABOVE, StartFailed, Then, configure_logs, until_stopped


def _loaded() -> None:
    """What was loaded until now stays for good: no collection needs to look at it."""
    gc.collect()
    gc.freeze()
    gc.enable()


def up(settings: Settings, dossiers: int, province: str) -> int:
    began = time.monotonic()
    logs = configure_logs(settings)

    async def welcome(platform: Platform) -> None:
        _loaded()
        out.print(f"[bold green]●[/] Motcua serves [bold]{settings.site}[/] ({time.monotonic() - began:.1f} s)")

    async def seed(platform: Platform) -> None:
        from services.cli.trial import prepare

        await prepare(platform, province)

    async def play(platform: Platform) -> None:
        from loadtests.demo import play

        if dossiers:
            await play(settings, dossiers, province, rate=10.0)

    async def tell(platform: Platform) -> None:
        url = settings.url
        out.print()
        out.print(f"  status page   [link={url}]{url}[/link]", highlight=False)
        out.print(f"  API           {url}/docs   (gRPC and JSON on the same port)", highlight=False)
        out.print(
            f"  gRPC          localhost:{settings.port}, TLS localhost:{settings.port + TLS_ABOVE}", highlight=False
        )
        out.print(f"  data, logs    {settings.data}, {logs}", highlight=False)
        out.print("\n  Ctrl-C stops everything; the next start finds all data again.")

    steps: Sequence[Then] = [welcome, *([seed] if settings.sandbox else []), play, tell]
    try:
        return run(until_stopped(settings, steps, lambda: out.print("\nStopping …")))
    except StartFailed as failed:
        fail(str(failed), failed.action)


def serve(settings: Settings, names: Sequence[str]) -> int:
    telemetry.configure(settings.site, level=settings.log_level, sampled=settings.trace_sampled)
    if len(names) > 1 and (settings.grpc_port or settings.http_port):
        fail("Several services cannot share one port.", "Leave MOTCUA_GRPC_PORT and MOTCUA_HTTP_PORT unset.")
    if "identity" not in names and not settings.identity_address:
        fail("The services ask identity for keys.", "Set MOTCUA_IDENTITY_ADDRESS to its host:port.")

    async def main() -> int:
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        platform = await Platform.open(settings)
        services = Services(platform, service_classes(names))
        try:
            await services.start()
            _loaded()
            await stop.wait()
        finally:
            await services.stop()
            await platform.close()
        return 0

    return run(main())
