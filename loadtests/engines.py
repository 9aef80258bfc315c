"""python -m loadtests.engines: the same platform on other engines and in other processes, as shares of the embedded default.

All of them run side by side with empty data folders and are used in turns, through their edges, by the same applicants: whole
applications with draft, upload, submission. The clients share the machine's cores with what they measure.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import grpc
import httpx
import typer
from rich.console import Console
from rich.table import Table

from gateway.sandbox.day.door import Door
from gateway.sandbox.day.province import Province, apply

PROVINCE = "56"
FIRST_PORT = 18100
START_SECONDS = 180
STOP_SECONDS = 30
AT_ONCE = 32
COMMAND = (sys.executable, "-c", "from command.main import main; main()")
VARIANTS = {
    "one process, SQLite": (),
    "one process, PostgreSQL": ("--database", "postgresql"),
    "processes, SQLite": ("--processes",),
    "processes, PostgreSQL": ("--processes", "--database", "postgresql"),
}


@dataclass
class Variant:
    name: str
    url: str
    rates: list[float] = field(default_factory=list)


@contextmanager
def running(name: str, options: Sequence[str], folder: Path, port: int) -> Iterator[Variant]:
    environment = os.environ | {
        "MOTCUA_DATA": str(folder / "data"),
        "MOTCUA_PORT": str(port),
        "MOTCUA_EDGE_RATE": "5000",
        "MOTCUA_EDGE_BURST": "10000",
    }
    with (folder / "out").open("wb") as output:
        process = subprocess.Popen([*COMMAND, "up", *options], env=environment, stdout=output, stderr=output)
    try:
        _await_start(process, f"http://localhost:{port}", folder / "out")
        yield Variant(name, f"http://localhost:{port}")
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()


def _await_start(process: subprocess.Popen[bytes], url: str, output: Path) -> None:
    """Until it serves and its officials are appointed."""
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        if process.poll() is not None:
            raise RuntimeError(f"it ended with {process.returncode}:\n{output.read_text()}")
        try:
            healthy = httpx.get(f"{url}/healthz", timeout=5).status_code == 200
            if healthy and httpx.get(f"{url}/sandbox/officials", timeout=5).json():
                return
        except (httpx.TransportError, ValueError):
            pass
        time.sleep(0.2)
    raise TimeoutError(f"it does not serve after {START_SECONDS} s:\n{output.read_text()}")


async def _applications(province: Province, seconds: float) -> float:
    """Accepted a second, while AT_ONCE applicants follow each other."""
    accepted, began = 0, time.perf_counter()

    async def applicants() -> None:
        nonlocal accepted
        while True:
            await apply(province, random.Random())
            accepted += 1

    work = [asyncio.create_task(applicants()) for _ in range(AT_ONCE)]
    await asyncio.wait(work, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
    rate = accepted / (time.perf_counter() - began)
    for task in work:
        task.cancel()
    for outcome in await asyncio.gather(*work, return_exceptions=True):
        if isinstance(outcome, grpc.aio.AioRpcError):
            raise outcome
    return rate


async def _compare(variants: Sequence[Variant], rounds: int, seconds: float, console: Console) -> None:
    async with AsyncExitStack() as stack:
        provinces = []
        for variant in variants:
            door = Door(variant.url)
            stack.push_async_callback(door.close)
            provinces.append(await Province.open(door, PROVINCE))
            console.print(f"warming up {variant.name}")
            await _applications(provinces[-1], seconds)
        both = list(zip(variants, provinces, strict=True))
        for number in range(rounds):
            for variant, province in both if number % 2 == 0 else reversed(both):
                variant.rates.append(await _applications(province, seconds))
            console.print(f"round {number + 1} of {rounds}: {', '.join(f'{v.rates[-1]:.1f}/s' for v in variants)}")


def main(
    rounds: Annotated[int, typer.Option(min=1)] = 5,
    seconds: Annotated[float, typer.Option(min=1, help="For each variant in each round.")] = 8.0,
) -> None:
    console = Console()
    with ExitStack() as stack:
        variants = []
        for number, (name, options) in enumerate(VARIANTS.items()):
            with console.status(f"Starting {name}"):
                folder = Path(stack.enter_context(TemporaryDirectory(prefix="motcua-")))
                variants.append(stack.enter_context(running(name, options, folder, FIRST_PORT + number)))
        asyncio.run(_compare(variants, rounds, seconds, console))
    default = variants[0]
    table = Table("", "applications/s", "of the default", title=f"{AT_ONCE} applicants at once, {rounds} rounds")
    for variant in variants:
        ratios = [mine / its for mine, its in zip(variant.rates, default.rates, strict=True)]
        spread = f"{statistics.median(ratios):.0%} ({min(ratios):.0%} to {max(ratios):.0%})"
        table.add_row(variant.name, f"{statistics.median(variant.rates):.1f}", spread)
    console.print(table)


if __name__ == "__main__":
    typer.run(main)
