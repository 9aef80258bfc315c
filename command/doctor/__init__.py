"""`motcua doctor`: what is wrong with this site or this pod, why it matters, and what to do."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator

import structlog
from rich.markup import escape

from command.console import harmless, out
from command.doctor import administration, certificates, configuration, measures, neighbours, stores
from command.doctor.finding import Examination, Finding, Patient, State, bad, said
from services.chassis.platform.settings import Settings

EXAMINATIONS: tuple[Examination, ...] = (
    configuration.examine,
    certificates.examine,
    stores.examine,
    neighbours.examine,
    measures.examine,
    administration.examine,
)
MARKS = {State.GOOD: "[green]✓[/]", State.DOUBTFUL: "[yellow]![/]", State.BAD: "[bold red]✗[/]"}


def doctor(settings: Settings, backup: str, as_json: bool) -> int:
    """Ends with 1 if anything is bad."""
    # What is wrong is said here, once; what the parts log would come between.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    return asyncio.run(_examine(Patient(settings, _running(settings), backup), as_json))


async def findings(patient: Patient) -> AsyncIterator[Finding]:
    for examination in EXAMINATIONS:
        try:
            async for finding in examination(patient):
                yield finding
        except Exception as error:
            name = examination.__module__.rpartition(".")[2]
            yield bad(
                name, f"could not be examined: {error!r}"[:300], "What is wrong there stays unknown.", "Report it."
            )


async def _examine(patient: Patient, as_json: bool) -> int:
    found = []
    async for finding in findings(patient):
        found.append(finding)
        if not as_json:
            _say(finding)
    counted = {state: sum(finding.state is state for finding in found) for state in State}
    if as_json:
        listed = [{"state": f.state.value, "about": f.about, "what": f.what, "why": f.why, "do": f.do} for f in found]
        print(json.dumps({"findings": listed}, ensure_ascii=False))
    else:
        good, doubtful, bad_ = (counted[state] for state in State)
        out.print(f"\n{good} good, {doubtful} doubtful, {bad_} bad", highlight=False)
    return 1 if counted[State.BAD] else 0


def _say(finding: Finding) -> None:
    out.print(
        f"{MARKS[finding.state]} [bold]{escape(finding.about)}[/] {harmless(finding.what)}",
        highlight=False,
        soft_wrap=True,
    )
    for line in filter(None, (finding.why, finding.do and f"→ {finding.do}")):
        out.print(f"    {harmless(line)}", highlight=False, soft_wrap=True)


def _running(settings: Settings) -> dict[str, object]:
    try:
        found: dict[str, object] = json.loads((settings.data / "running.json").read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as damaged:
        out.print(f"[yellow]![/] running.json: {harmless(said(damaged))}", highlight=False)
        return {}
    return found
