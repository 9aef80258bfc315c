"""The edge by itself, as in a cluster: `python -m gateway.edge edge.yaml [--print]`. The file holds Edge's fields.

The process serves /healthz and the API's description itself. Access logs go where the file says; /dev/stdout is the process's own,
and what Envoy has to say goes to its error output.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import warnings
from pathlib import Path
from typing import Annotated

import typer
from pydantic import TypeAdapter, ValidationError
from yaml import YAMLError, safe_load

from gateway.edge.envoy import Edge
from gateway.edge.process import EdgeError, EdgeProcess
from services.chassis.files.private import OTHERS
from services.chassis.telemetry import telemetry


def main(
    settings: Annotated[Path, typer.Argument(help="The settings, in YAML.")],
    show: Annotated[bool, typer.Option("--print", help="Print Envoy's configuration instead of running it.")] = False,
    folder: Annotated[Path, typer.Option(help="Where the configuration and the log are kept.")] = Path("data/edge"),
    concurrency: Annotated[int, typer.Option(help="Worker threads.")] = 2,
    start_seconds: Annotated[float, typer.Option(help="How long identity may take to tell the keys of tokens.")] = 300,
    grace_seconds: Annotated[float, typer.Option(help="How long calls under way may take at the end.")] = 20,
) -> None:
    os.umask(OTHERS)
    try:
        edge = TypeAdapter(Edge).validate_python(safe_load(settings.read_text()))
        if show:
            print(edge.config())
            return
        telemetry.configure(edge.mutual.site if edge.mutual else "", level="INFO", sampled=0)
        asyncio.run(run(edge, folder, concurrency, start_seconds, grace_seconds))
    except (OSError, YAMLError, ValidationError, EdgeError) as error:
        sys.exit(f"edge: {error}")


async def run(edge: Edge, folder: Path, concurrency: int, start_seconds: float, grace_seconds: float) -> None:
    warnings.filterwarnings("ignore", message="\nEventlet is deprecated")  # as in services/chassis/frame/runner.py
    from gateway.edge.own_pages import own_pages

    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    async with own_pages(edge) as whole:
        process = EdgeProcess(whole, folder, concurrency, attached=True)
        starting = asyncio.create_task(process.start(start_seconds))
        waiting = asyncio.create_task(ended.wait())
        await asyncio.wait({starting, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            starting.result()
            await waiting
        else:
            starting.cancel()
        await process.stop(grace_seconds if starting.done() else 0)


if __name__ == "__main__":
    typer.run(main)
