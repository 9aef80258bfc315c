"""`motcua up`."""

from __future__ import annotations

import time
from collections.abc import Sequence

from services.chassis.platform import Platform
from services.chassis.runner import run
from services.chassis.settings import Settings
from services.cli.console import fail, out
from services.cli.serving import loaded
from services.cli.up import TLS_ABOVE, StartFailed, Then, configure_logs, until_stopped


def up(settings: Settings, dossiers: int, province: str) -> int:
    began = time.monotonic()
    logs = configure_logs(settings)

    async def welcome(platform: Platform) -> None:
        loaded()
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
