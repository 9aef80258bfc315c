"""`motcua ledger check` and `motcua ledger follow`: the public ledger, judged from outside."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from command.console import err, harmless, out
from gateway.ledger.audit import checking, following, reading
from gateway.ledger.audit.checking import Report
from gateway.ledger.audit.faults import Fault, Kind
from gateway.ledger.audit.reading import CheckpointWrong
from gateway.ledger.audit.remembering import Memory, Remembered
from gateway.ledger.audit.source import FolderSource, HttpSource, LedgerUnreachable, open_source
from gateway.ledger.format.errors import LedgerError
from gateway.ledger.format.note import COSIGNATURE, ED25519, Cosigned, Verifier
from services.chassis.telemetry import output

if TYPE_CHECKING:
    # Only `--events` needs the platform's parts, and with them a second to load.
    from gateway.ledger.keep.comparing import EventComparison, Stored
    from services.chassis.platform.platform import Platform
    from services.chassis.platform.settings import Settings

RIGHT, WRONG, UNKNOWN = 0, 1, 2
"""What the program ends with: all is well, something is wrong, it could not be found out."""
SHOWN = 20


@dataclass(frozen=True, slots=True)
class Asked:
    """What the user said of the log."""

    address: str
    """A URL or a folder."""
    key: str
    """The log's vkey. Empty if it was not given."""
    witnesses: Sequence[str]
    """The vkeys of those whose cosignatures are asked for."""
    memory: Memory
    as_json: bool


def check(asked: Asked, settings: Settings | None) -> int:
    """With settings, the event store of this machine's data folder is compared, too."""
    source, key, witnesses, old = _prepare(asked, settings)
    with closing(source):
        try:
            if settings:
                report, compared = asyncio.run(_check_with_events(asked, source, key, witnesses, old, settings))
            else:
                report, compared = _check(asked, source, key, witnesses, old, None), None
        except (CheckpointWrong, LedgerUnreachable) as failed:
            return _failed(asked, failed)
    return _tell_report(asked, Remembered(source.address, key, report.signed.note), report, compared, old)


def follow(asked: Asked, seconds: float, once: bool) -> int:
    if not once:
        output.secure()  # who watches goes on when nobody reads
    source, key, witnesses, old = _prepare(asked)
    with closing(source):
        if old is None:
            _note(asked, f"From now on {key.name} is watched with the key {key.vkey}.")
        size = old.checkpoint.size if old else -1
        while True:
            try:
                look = following.look(source, key, asked.memory, witnesses)
            except (CheckpointWrong, LedgerUnreachable) as failed:
                code = _failed(asked, failed)
                if once or code == WRONG:
                    return code
            except LedgerError as unusable:
                could_not(str(unusable))
            else:
                if any(fault.kind is not Kind.WITNESS for fault in look.faults) or (look.faults and once):
                    return _tell_look(asked, source.address, look)
                if look.signed.checkpoint.size != size or once:
                    _tell_look(asked, source.address, look)
                size = look.signed.checkpoint.size
                if once:
                    return RIGHT
            time.sleep(seconds)


def log_key_of(vkey: str) -> Verifier:
    return _key_of(vkey, ED25519)


def witness_keys_of(vkeys: Sequence[str]) -> list[Verifier]:
    return [_key_of(vkey, COSIGNATURE) for vkey in vkeys]


def _key_of(vkey: str, type_: int) -> Verifier:
    """Ends the program if the key is none, or of another type."""
    try:
        key = Verifier.parse(vkey.strip())
        key.require_type(type_)
    except LedgerError as unusable:
        could_not(str(unusable), "Copy the whole key, as the site's page /ledger/ shows it.")
    return key


def could_not(what: str, action: str = "") -> NoReturn:
    err.print(f"[bold yellow]?[/] could not check: {harmless(what)}", highlight=False, soft_wrap=True)
    if action:
        err.print(f"  {action}", highlight=False, soft_wrap=True)
    raise SystemExit(UNKNOWN)


def _prepare(
    asked: Asked, settings: Settings | None = None
) -> tuple[HttpSource | FolderSource, Verifier, list[Verifier], Remembered | None]:
    """Where the log is read, its key, the witnesses' keys, and what is remembered of it. Ends the program where one is unusable."""
    witnesses = witness_keys_of(asked.witnesses)
    try:
        source = open_source(asked.address)
        old = asked.memory.load(source.address)
        if asked.key:
            key = log_key_of(asked.key)
        elif old:
            key = old.key
        elif settings:
            key = _own_key(settings)
        else:
            key = reading.read_key(source)
            _note(
                asked,
                f"The key is taken from {source.address} itself: compare it with one from elsewhere, or give it with "
                f"--key. {key.vkey}",
            )
        key.require_type(ED25519)
        following.require_same_key(old, key)
    except LedgerError as unusable:
        could_not(str(unusable))
    return source, key, witnesses, old


def _check(
    asked: Asked,
    source: HttpSource | FolderSource,
    key: Verifier,
    witnesses: Sequence[Verifier],
    old: Remembered | None,
    comparison: EventComparison | None,
) -> Report:
    columns = (TextColumn("Reading the ledger"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True, disable=asked.as_json) as bar:
        task = bar.add_task("", total=None)

        def progress(done: int, size: int) -> None:
            bar.update(task, completed=done, total=size)

        return checking.check(source, key, witnesses, old.checkpoint if old else None, progress, comparison)


async def _check_with_events(
    asked: Asked,
    source: HttpSource | FolderSource,
    key: Verifier,
    witnesses: Sequence[Verifier],
    old: Remembered | None,
    settings: Settings,
) -> tuple[Report, EventComparison]:
    from gateway.ledger.keep.comparing import EventComparison, stored_events
    from services.identity.keys import SubjectKeys

    loop = asyncio.get_running_loop()
    async with _opened(settings) as platform:
        events = stored_events(platform.store, SubjectKeys.of(platform, "ledger"))

        async def more() -> Sequence[Stored]:
            try:
                return await anext(events)
            except StopAsyncIteration:
                return ()

        def stored() -> Iterator[Stored]:
            while batch := asyncio.run_coroutine_threadsafe(more(), loop).result():
                yield from batch

        comparison = EventComparison(stored())
        report = await asyncio.to_thread(_check, asked, source, key, witnesses, old, comparison)
        await events.aclose()
        return report, comparison


def _own_key(settings: Settings) -> Verifier:
    """The key with which this very site signs."""
    from gateway.ledger.keep.own_keys import log_key

    if not settings.data.exists():
        could_not(f"There is no data folder {settings.data}.", "Set MOTCUA_DATA to the platform's data folder.")
    return log_key(settings).verifier


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[Platform]:
    from services.chassis.platform.platform import Platform

    platform = await Platform.open(settings)
    try:
        yield platform
    finally:
        await platform.close()


def _tell_report(
    asked: Asked, found: Remembered, report: Report, compared: EventComparison | None, old: Remembered | None
) -> int:
    contradiction = any(fault.kind in (Kind.FORK, Kind.ROLLBACK) for fault in report.faults)
    evidence = asked.memory.keep_evidence(found.address, (old.note, found.note)) if old and contradiction else None
    if all(fault.kind is Kind.WITNESS for fault in report.faults):
        asked.memory.keep(found)
    if asked.as_json:
        print(json.dumps(_summary(report, compared, evidence), ensure_ascii=False))
        return WRONG if report.faults else RIGHT
    if report.faults:
        _tell_faults(report.faults, evidence)
        if not report.judged:
            err.print("  The dossiers' chains and the map of heads were not judged: not all entries are as signed.")
        return WRONG
    size = report.signed.checkpoint.size
    out.print(f"[bold green]✓[/] {found.key.name}: all is as signed.", highlight=False)
    leaves, dossiers = _count(report.leaves, "leaf", "leaves"), _count(report.dossiers, "dossier", "dossiers")
    _line(f"{leaves} of {dossiers}, every tile, the map of heads, the checkpoint of {size}.")
    if old:
        _line(
            f"It is the log of {old.checkpoint.size} leaves that was remembered, with {size - old.checkpoint.size} more."
        )
    _tell_witnesses(report.signed.witnesses)
    if compared:
        _line(
            f"{compared.compared} stored events are as the ledger shows them; {compared.committed} commitments hold, "
            f"{compared.erased} belong to persons who were erased, {compared.ahead} events are newer than the checkpoint."
        )
    return RIGHT


def _tell_look(asked: Asked, address: str, look: following.Look) -> int:
    evidence = asked.memory.keep_evidence(address, look.contradiction) if look.contradiction else None
    checkpoint = look.signed.checkpoint
    if asked.as_json:
        value = {
            "origin": checkpoint.origin,
            "size": checkpoint.size,
            "faults": list(map(_fault, look.faults)),
            "evidence": str(evidence or ""),
        }
        print(json.dumps(value, ensure_ascii=False), flush=True)
    elif look.faults:
        _tell_faults(look.faults, evidence)
    else:
        more = f", {checkpoint.size - look.old.checkpoint.size} more than before" if look.old else ""
        moment = datetime.now().astimezone().strftime("%d/%m/%Y %H:%M:%S")
        out.print(
            f"[green]✓[/] {moment}  {checkpoint.origin}: {_count(checkpoint.size, 'leaf', 'leaves')}{more}",
            highlight=False,
        )
    return WRONG if look.faults else RIGHT


def _failed(asked: Asked, failed: CheckpointWrong | LedgerUnreachable) -> int:
    if asked.as_json:
        faults = [_fault(failed.fault)] if isinstance(failed, CheckpointWrong) else []
        print(json.dumps({"faults": faults, "unknown": "" if faults else str(failed)}, ensure_ascii=False), flush=True)
    elif isinstance(failed, CheckpointWrong):
        _tell_faults([failed.fault], None)
    else:
        err.print(f"[bold yellow]?[/] could not check: {harmless(str(failed))}", highlight=False, soft_wrap=True)
        err.print("  Nothing follows from that about the log. Try again later.", highlight=False)
    return WRONG if isinstance(failed, CheckpointWrong) else UNKNOWN


def _tell_faults(faults: Sequence[Fault], evidence: Path | None) -> None:
    """Prints the faults by kind, and once for each kind what it means and what to do."""
    kinds = dict.fromkeys(fault.kind for fault in faults)
    err.print(
        f"[bold red]✗[/] The ledger is not as it must be: {_count(len(faults), 'fault', 'faults')}.", highlight=False
    )
    for kind in kinds:
        found = [fault for fault in faults if fault.kind is kind]
        err.print(f"\n  [bold]{kind.value.upper()}[/]", highlight=False)
        for fault in found[:SHOWN]:
            err.print(f"  • {harmless(str(fault))}", highlight=False, soft_wrap=True)
        if len(found) > SHOWN:
            err.print(f"  • … and {len(found) - SHOWN} more", highlight=False)
        err.print(f"  What it means: {found[0].means}", highlight=False, soft_wrap=True)
        err.print(f"  What to do: {found[0].do}", highlight=False, soft_wrap=True)
    if evidence:
        err.print(f"\n  Both signed checkpoints are in {evidence}", highlight=False, soft_wrap=True)


def _tell_witnesses(witnesses: Sequence[Cosigned]) -> None:
    for name, seconds in witnesses:
        _line(f"{name} witnessed this checkpoint at {datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC.")


def _line(text: str) -> None:
    out.print(f"  {harmless(text)}", highlight=False, soft_wrap=True)


def _note(asked: Asked, text: str) -> None:
    if not asked.as_json:
        err.print(f"[yellow]![/] {harmless(text)}", highlight=False, soft_wrap=True)


def _fault(fault: Fault) -> dict[str, str]:
    return {
        "kind": fault.kind.name,
        "where": fault.where,
        "what": fault.what,
        "means": fault.means,
        "do": fault.do,
    }


def _summary(report: Report, compared: EventComparison | None, evidence: Path | None) -> dict[str, Any]:
    checkpoint = report.signed.checkpoint
    found: dict[str, Any] = {
        "origin": checkpoint.origin,
        "size": checkpoint.size,
        "leaves": report.leaves,
        "dossiers": report.dossiers,
        "judged": report.judged,
        "witnesses": [name for name, _ in report.signed.witnesses],
        "faults": list(map(_fault, report.faults)),
        "evidence": str(evidence or ""),
    }
    if compared:
        found["events"] = {
            "compared": compared.compared,
            "committed": compared.committed,
            "erased": compared.erased,
            "ahead": compared.ahead,
        }
    return found


def _count(number: int, one: str, more: str) -> str:
    return f"{number} {one if number == 1 else more}"
