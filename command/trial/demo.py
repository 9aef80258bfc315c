"""`motcua demo`: a short day of a province, through the gateway, with a progress bar."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import grpc
import httpx
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from command.console import err, out
from gateway.sandbox.day.door import Door, LoginFailed, refusal
from gateway.sandbox.day.province import Province, S, Stuck, apply, settle
from services.chassis.platform.settings import Settings

# Dossiers that are worked on at a time.
SIDE_BY_SIDE = 24
SHOWN = 3


@dataclass
class Report:
    submitted: list[str] = field(default_factory=list)
    completed: list[str] = field(default_factory=list)
    resumed: int = 0
    failures: list[str] = field(default_factory=list)
    ends: Counter[str] = field(default_factory=Counter)

    @property
    def failed(self) -> int:
        return len(self.failures)

    def summary(self) -> dict[str, Any]:
        return {
            "submitted": len(self.submitted),
            "completed": len(self.completed),
            "failed": self.failed,
            "failures": self.failures,
            "codes": self.submitted,
        }


async def play(settings: Settings, dossiers: int, province: str, rate: float, *, quiet: bool = False) -> Report:
    """Submit `dossiers`, settle them and whatever an interrupted day left open."""
    report, door, began = Report(), Door(settings.url), time.monotonic()
    columns = (TextColumn("  [bold]{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    try:
        with Progress(*columns, console=err, disable=quiet, transient=False) as progress:
            people = await Province.open(door, province)
            left = await people.unfinished()
            report.resumed = len(left)
            submitted = progress.add_task("submitted", total=dossiers)
            settled = progress.add_task("settled", total=dossiers + len(left))
            places = asyncio.Semaphore(SIDE_BY_SIDE)
            async with asyncio.TaskGroup() as group:
                for code, holder in left:
                    group.create_task(_settle(people, report, places, code, holder, lambda: progress.advance(settled)))
                seed = random.randrange(2**32)
                for number in range(dossiers):
                    await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
                    rng = random.Random(f"{seed}:{number}")
                    group.create_task(_one(people, report, places, rng, progress, submitted, settled))
    except* (httpx.HTTPError, LoginFailed, Stuck) as group_error:
        for error in group_error.exceptions:
            report.failures.append(str(error))
    finally:
        await door.close()
    if not quiet:
        _show(settings, report, time.monotonic() - began)
    return report


async def _one(
    people: Province,
    report: Report,
    places: asyncio.Semaphore,
    rng: random.Random,
    progress: Progress,
    submitted: Any,
    settled: Any,
) -> None:
    async with places:
        try:
            code = await apply(people, rng)
        except (grpc.aio.AioRpcError, Stuck, ValueError, LoginFailed) as error:
            report.failures.append(_said(error))
            progress.advance(settled)
            return
        finally:
            progress.advance(submitted)
    report.submitted.append(code)
    holder = code.partition("-")[0]
    await _settle(people, report, places, code, holder, lambda: progress.advance(settled))


async def _settle(
    people: Province, report: Report, places: asyncio.Semaphore, code: str, holder: str, advance: Any
) -> None:
    async with places:
        try:
            ended = await settle(people, code, holder)
        except (grpc.aio.AioRpcError, Stuck, LoginFailed) as error:
            report.failures.append(f"{code}: {_said(error)}")
        else:
            report.completed.append(code)
            report.ends[S.Name(ended.settlement).removeprefix("SETTLEMENT_").lower().replace("_", " ")] += 1
        finally:
            advance()


def _said(error: Exception) -> str:
    if isinstance(error, grpc.aio.AioRpcError):
        return f"{refusal(error)}: {error.details()}"
    return str(error)


def _show(settings: Settings, report: Report, seconds: float) -> None:
    table = Table(box=None, show_header=False, padding=(0, 2))
    for end, count in report.ends.most_common():
        table.add_row(f"  {count}", end)
    out.print(table)
    resumed = f", {report.resumed} of them left from before" if report.resumed else ""
    out.print(f"  {len(report.completed)} dossiers settled in {seconds:.0f} s{resumed}.")
    for failure in report.failures[:5]:
        out.print(f"  [red]✗[/] {failure}", highlight=False)
    for code in report.completed[:SHOWN]:
        out.print(f"  {settings.url}/dossiers/{code}", highlight=False)
