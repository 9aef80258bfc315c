"""The edge by itself, as in a cluster: `python -m gateway.edge edge.yaml [--print]`. The file holds Edge's fields."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer
from pydantic import TypeAdapter, ValidationError
from yaml import safe_load

from gateway.edge.envoy import Edge
from gateway.edge.process import EdgeError, EdgeProcess


def main(
    settings: Annotated[Path, typer.Argument(help="The settings, in YAML.")],
    show: Annotated[bool, typer.Option("--print", help="Print Envoy's configuration instead of running it.")] = False,
    folder: Annotated[Path, typer.Option(help="Where the configuration and the log are kept.")] = Path("data/edge"),
    concurrency: Annotated[int, typer.Option(help="Worker threads.")] = 2,
    grace_seconds: Annotated[float, typer.Option(help="How long calls under way may take at the end.")] = 20,
) -> None:
    try:
        edge = TypeAdapter(Edge).validate_python(safe_load(settings.read_text()))
        if show:
            print(edge.config())
        else:
            asyncio.run(run(EdgeProcess(edge, folder, concurrency), grace_seconds))
    except (ValidationError, EdgeError) as error:
        sys.exit(f"edge: {error}")


async def run(process: EdgeProcess, grace_seconds: float) -> None:
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    await process.start()
    await ended.wait()
    await process.stop(grace_seconds)


if __name__ == "__main__":
    typer.run(main)
