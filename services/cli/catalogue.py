"""`motcua catalogue load`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import grpc

from services.catalogue import remote
from services.catalogue.loader import FaultyCatalogueError
from services.catalogue.publisher import Publisher
from services.catalogue.seed import publish_in_order
from services.chassis.platform import Platform
from services.chassis.settings import Settings
from services.chassis.store.port import StoreUnavailable
from services.cli.console import err, fail, out


def load(settings: Settings, file: Path, token: str, provinces: Sequence[str], *, replaces: bool = False) -> int:
    found = _read(settings, file, provinces)
    with grpc.insecure_channel(f"localhost:{settings.port}") as channel:
        try:
            report = remote.load(channel, token, found, replaces=replaces)
        except grpc.RpcError as error:
            fail(str(error.details()), "`motcua token --as official --role editor` prints an editor's token.")
    refused = [f"{entry.where}: {entry.name}: {why}" for entry, why in report.refused]
    return _tell(len(report.published), len(report.unchanged), refused)


async def load_into_store(settings: Settings, file: Path, provinces: Sequence[str], *, replaces: bool = False) -> int:
    """Inside the site, through the same rules, without a service and a token."""
    found = _read(settings, file, provinces)
    platform = await Platform.open(settings)
    try:
        definitions = [(entry.kind, entry.definition) for entry in found]
        report = await publish_in_order(Publisher.of(platform), definitions, platform.clock.now(), replaces=replaces)
    except StoreUnavailable as unavailable:
        fail(f"The event store does not answer: {unavailable}", "Load it again: what is published stays so.")
    finally:
        await platform.close()
    return _tell(report.published, report.unchanged, report.refused)


def _read(settings: Settings, file: Path, provinces: Sequence[str]) -> list[remote.Entry]:
    """Of a folder laid out as the sample, with the agencies of the site's own province if none is named."""
    wanted = list(provinces) or [part for part in settings.site.split("-")[1:] if remote.is_whole(file)]
    if provinces and not remote.is_whole(file):
        fail(f"{file} names its agencies itself.", "--province is for a folder with provinces.yaml and agencies.yaml.")
    if not wanted and remote.is_whole(file):
        err.print("[yellow]![/] No agency is opened: name provinces with --province.", highlight=False)
    try:
        return remote.entries(file, wanted)
    except FaultyCatalogueError as faulty:
        for fault in faulty.faults:
            err.print(f"[red]✗[/] {fault}", highlight=False)
        fail(f"{file} has {len(faulty.faults)} faults; nothing was published.", "Correct them and load it again.")


def _tell(published: int, unchanged: int, refused: Sequence[str]) -> int:
    out.print(f"{published} published, {unchanged} unchanged, {len(refused)} refused")
    for each in refused:
        err.print(f"[red]✗[/] {each}", highlight=False)
    return 1 if refused else 0
