"""`motcua catalogue load`."""

from __future__ import annotations

from pathlib import Path

import grpc

from services.catalogue import remote
from services.catalogue.loader import FaultyCatalogueError
from services.chassis.settings import Settings
from services.cli.console import err, fail, out


def load(settings: Settings, file: Path, token: str) -> int:
    try:
        entries = remote.entries(file)
    except FaultyCatalogueError as faulty:
        for fault in faulty.faults:
            err.print(f"[red]✗[/] {fault}", highlight=False)
        fail(f"{file} has {len(faulty.faults)} faults; nothing was published.", "Correct them and load it again.")
    with grpc.insecure_channel(f"localhost:{settings.port}") as channel:
        try:
            report = remote.load(channel, token, entries)
        except grpc.RpcError as error:
            fail(str(error.details()), "`motcua token --as official --role editor` prints an editor's token.")
    counts = (len(report.published), len(report.unchanged), len(report.refused))
    out.print("{} published, {} unchanged, {} refused".format(*counts))
    for entry, why in report.refused:
        err.print(f"[red]✗[/] {entry.where}: {entry.name}: {why}", highlight=False)
    return 1 if report.refused else 0
