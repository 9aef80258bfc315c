"""`motcua catalogue load`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import grpc

from command.console import err, fail, harmless, out, warn
from services.catalogue import remote
from services.catalogue.loader import CatalogueFaulty, is_whole
from services.catalogue.publisher import Publisher
from services.catalogue.seed import publish_in_order
from services.chassis.platform.platform import Platform
from services.chassis.platform.settings import Settings
from services.chassis.store.port import StoreUnavailable


def load(settings: Settings, file: Path, token: str, provinces: Sequence[str], *, replaces: bool = False) -> int:
    found = _read(settings, file, provinces)
    with grpc.insecure_channel(f"localhost:{settings.port}") as channel:
        try:
            report = remote.load(channel, token, found, replaces=replaces)
        except grpc.RpcError as error:
            fail(harmless(str(error.details())), "`motcua token --as official --role editor` prints an editor's token.")
    return _tell(len(report.published), len(report.unchanged), report.refused)


async def load_into_store(settings: Settings, file: Path, provinces: Sequence[str], *, replaces: bool = False) -> int:
    """Inside the site, through the same rules, without a service and a token."""
    found = _read(settings, file, provinces)
    platform = await Platform.open(settings)
    try:
        definitions = [(entry.kind, entry.definition) for entry in found]
        report = await publish_in_order(Publisher.of(platform), definitions, platform.clock.now(), replaces=replaces)
    except StoreUnavailable as unavailable:
        fail(
            f"The event store does not answer: {harmless(str(unavailable))}",
            "Load it again: what is published stays so.",
        )
    finally:
        await platform.close()
    entries = {id(entry.definition): entry for entry in found}
    refused = [(entries[id(definition)], why) for definition, why in report.refused]
    return _tell(report.published, report.unchanged, refused)


def _read(settings: Settings, file: Path, provinces: Sequence[str]) -> list[remote.Entry]:
    """Of a folder laid out as the sample, with the agencies of the site's own province if none is named."""
    try:
        whole = is_whole(file)
        if provinces and not whole:
            fail(
                f"{harmless(str(file))} names its agencies itself.",
                "--province is for a folder with provinces.yaml and agencies.yaml.",
            )
        found = remote.entries(file, list(provinces) or settings.site.split("-")[1:])
    except CatalogueFaulty as faulty:
        for fault in faulty.faults:
            _cross(fault)
        count = len(faulty.faults)
        fail(
            f"{harmless(str(file))} has {count} fault{'s' * (count > 1)}; nothing was published.",
            "Correct them and load it again.",
        )
    if whole and not any(entry.kind == "agency" for entry in found):
        warn("No agency is opened: name provinces with --province.")
    return found


def _tell(published: int, unchanged: int, refused: Sequence[tuple[remote.Entry, str]]) -> int:
    out.print(f"{published} published, {unchanged} unchanged, {len(refused)} refused")
    for entry, why in refused:
        _cross(f"{entry.where}: {entry.name}: {why}")
    return 1 if refused else 0


def _cross(fault: str) -> None:
    """With the lines that follow its first."""
    first, *more = fault.splitlines()
    err.print("\n  ".join([f"[red]✗[/] {harmless(first)}", *map(harmless, more)]), highlight=False, soft_wrap=True)
