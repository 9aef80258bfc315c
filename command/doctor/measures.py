"""What the processes here say of themselves: lag, parked facts, periodic work, the ledger."""

from __future__ import annotations

import ssl
import time
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import httpx
from prometheus_client.parser import text_string_to_metric_families

from command.doctor.finding import SECONDS, Finding, Patient, bad, doubtful, good, lasting, said
from gateway.ledger.format.errors import LedgerError
from gateway.ledger.keep.own_keys import log_key
from services.chassis.access.certificates import peer_name

Values = dict[str, dict[tuple[tuple[str, str], ...], float]]
SLOW, STALLED = 10.0, 60.0
DAYS_KNOWN = 90
LAGS = {
    "motcua_view_lag_seconds": ("view", "Lists and pages show an older state than the log has."),
    "motcua_reaction_lag_seconds": ("reaction", "What follows from events does not happen."),
    "motcua_memory_lag_seconds": ("copy in memory", "Suspensions, erasures and key changes do not take effect."),
}


async def examine(patient: Patient) -> AsyncIterator[Finding]:
    if not patient.processes:
        yield doubtful(
            "running",
            f"nothing that {patient.settings.data}/running.json knows of",
            "Lag, parked facts and the ledger are only known where a service runs.",
            "Start it, or run this where it runs: kubectl exec deploy/motcua-<service> -- motcua doctor",
        )
        return
    values: Values = {}
    for name, address in patient.processes.items():
        try:
            _merge(values, await _scrape(patient, name, address))
        except (httpx.HTTPError, OSError, ValueError) as silent:
            do = f"Does it run? Its log says why not: kubectl logs deploy/motcua-{name}, or logs/ in the data folder"
            yield bad(name, f"http://{address}/metrics: {said(silent)}", "Nobody knows how it is.", do)
    for finding in (
        *_background(values),
        *_lag(values),
        *_parked(values),
        *_periodic(values),
        *_calendars(values),
        *_unread(values),
    ):
        yield finding
    if "ledger" in patient.services:
        async for finding in _ledger(patient, values):
            yield finding


async def _scrape(patient: Patient, name: str, address: str) -> str:
    settings = patient.settings
    service = name.rpartition("-")[0] or name
    if settings.tls_files is None:
        async with httpx.AsyncClient(timeout=SECONDS) as client:
            answer = await client.get(f"http://{address}/metrics")
    else:
        context = ssl.create_default_context(cafile=str(settings.tls_files.authority))
        async with httpx.AsyncClient(timeout=SECONDS, verify=context) as client:
            known_as = {"sni_hostname": peer_name(service, settings.site)}
            answer = await client.get(f"https://{address}/metrics", extensions=known_as)
    answer.raise_for_status()
    return answer.text


def _merge(values: Values, text: str) -> None:
    """Replicas tell the same: the greatest counts, of what was done last too."""
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            of = values.setdefault(sample.name, {})
            labels = tuple(sorted(sample.labels.items()))
            of[labels] = max(of.get(labels, sample.value), sample.value)


def _background(values: Values) -> list[Finding]:
    of = {labels[0][1]: down for labels, down in values.get("motcua_background_down", {}).items()}
    if not any(of.values()):
        return [good("background", f"{len(of)} kinds of work go on")] if of else []
    return [
        bad(
            "background",
            f"{work} is not at work",
            "Calls are answered, and what follows from them does not happen: lists, the ledger, messages stand still.",
            "It is begun again by itself; the log says why it ended: grep -e 'background work' <its log>; is the disk full? "
            "docs/runbooks/MotcuaBackgroundDown.md",
        )
        for work in sorted(of)
        if of[work]
    ]


def _lag(values: Values) -> list[Finding]:
    found = []
    for metric, (kind, why) in LAGS.items():
        of = values.get(metric, {})
        behind = {" ".join(value for _, value in labels): lag for labels, lag in of.items() if lag > SLOW}
        for name, lag in sorted(behind.items()):
            what = f"{name} is {lasting(lag)} behind"
            do = f"The log says why: grep -e 'background work' -e 'reaction failed' <its log>; docs/runbooks/{_runbook(metric)}.md"
            found.append((bad if lag > STALLED else doubtful)(kind, what, why, do))
        if of and not behind:
            found.append(good(kind, f"{len(of)} of them, none more than {max(of.values()):.1f} s behind"))
    return found


def _runbook(metric: str) -> str:
    return {"view": "MotcuaViewLags", "reaction": "MotcuaReactionLags", "memory": "MotcuaMemoryLags"}[
        metric.split("_")[1]
    ]


def _parked(values: Values) -> list[Finding]:
    of = {labels[0][1]: int(count) for labels, count in values.get("motcua_parked_facts", {}).items() if count}
    if not of:
        return [good("parked facts", "none")] if values.get("motcua_parked_facts") else []
    return [
        bad(
            "parked facts",
            f"{count} of {reaction}",
            "One consequence of one event did not happen, for somebody.",
            "motcua parked list says why; when that is mended: motcua parked retry all",
        )
        for reaction, count in sorted(of.items())
    ]


def _periodic(values: Values) -> list[Finding]:
    found = []
    rests = values.get("motcua_periodic_interval_seconds", {})
    done = values.get("motcua_periodic_last_success_timestamp_seconds", {})
    for labels, at in sorted(done.items()):
        since = time.time() - at
        if since > 300 + 3 * rests.get(labels, 0):
            work = labels[0][1]
            what = f"{work} has not succeeded for {lasting(since)}"
            do = "The log says why: grep 'background work' <its log>; docs/runbooks/MotcuaPeriodicWorkStalled.md"
            found.append(bad("periodic work", what, "Due dates, e-mails or payments wait for it.", do))
    return found or ([good("periodic work", f"{len(done)} of them, all done")] if done else [])


def _calendars(values: Values) -> list[Finding]:
    of = {labels[0][1]: int(days) for labels, days in values.get("motcua_calendar_known_days", {}).items()}
    short = {calendar: days for calendar, days in of.items() if days < DAYS_KNOWN}
    if of and not short:
        return [good("calendars", f"{len(of)}, with holidays announced for {min(of.values())} days and more")]
    return [
        (bad if days < 0 else doubtful)(
            "calendars",
            f"{calendar}: holidays are announced for {max(days, 0)} days from now on, fewer than {DAYS_KNOWN}",
            "Due dates beyond are provisional, and each is moved by an event and a letter when the holidays are known.",
            "Publish the calendar's next version as soon as the year's days off are announced; "
            "docs/runbooks/MotcuaCalendarEnds.md",
        )
        for calendar, days in sorted(short.items())
    ]


def _unread(values: Values) -> list[Finding]:
    failed = {
        labels[0][1]: count for labels, count in values.get("motcua_observation_failures_total", {}).items() if count
    }
    do = "grep 'a gauge could not be read' <its log>; docs/runbooks/MotcuaBlind.md"
    return [
        doubtful(
            "metrics",
            f"{name} could not be read, {count:.0f} times since the start",
            "Alerts about it cannot fire.",
            do,
        )
        for name, count in sorted(failed.items())
    ]


def _one(values: Values, name: str) -> float | None:
    return max(of.values()) if (of := values.get(name)) else None


async def _ledger(patient: Patient, values: Values) -> AsyncIterator[Finding]:
    settings = patient.settings
    why = "New steps have no receipt that proves them."
    lag = _one(values, "motcua_ledger_lag_seconds")
    if lag is not None and lag > SLOW:
        do = "grep ledger <its log>; docs/runbooks/MotcuaLedgerStalled.md"
        yield (bad if lag > STALLED else doubtful)("ledger", f"{lasting(lag)} behind the log", why, do)
    signed, size = _one(values, "motcua_ledger_sequenced_size"), _one(values, "motcua_ledger_size")
    if signed is not None and size is not None:
        if signed > size and (lag or 0) > SLOW:
            do = "docs/runbooks/MotcuaLedgerUnpublished.md"
            yield bad("ledger", f"{size:.0f} leaves are published, {signed:.0f} are signed", why, do)
        else:
            age = min(values.get("motcua_ledger_checkpoint_age_seconds", {(): 0.0}).values())
            yield good("ledger", f"{size:.0f} leaves, the newest checkpoint is {lasting(age)} old")
    witnesses, cosigned = _one(values, "motcua_ledger_witnesses"), _one(values, "motcua_ledger_cosignatures")
    if witnesses and (cosigned or 0) < witnesses:
        what = f"{cosigned or 0:.0f} of {witnesses:.0f} cosigned the published checkpoint"
        do = "If it stays so: docs/runbooks/MotcuaLedgerUncosigned.md"
        yield doubtful("witnesses", what, "Receipts do not prove that everybody sees the same ledger.", do)
    if patient.sees_the_edge:
        async for finding in _published_key(patient):
            yield finding
    if not witnesses and not settings.sandbox:
        what = "the ledger has none"
        do = "Agree with another site, and set MOTCUA_LEDGER_WITNESSES on both sides (docs/ledger.md)."
        yield doubtful("witnesses", what, "The site alone could show different ledgers to different people.", do)


async def _published_key(patient: Patient) -> AsyncIterator[Finding]:
    settings = patient.settings
    if not settings.ledger_key and not (settings.data / "secrets" / "ledger").exists():
        return
    why = "Another ledger answers in its place, or this one was given another key: receipts are refused."
    do = f"MOTCUA_LEDGER_KEY and MOTCUA_LEDGER_ORIGIN must be those of the first day; curl {settings.url}/ledger/vkey"
    try:
        ours = log_key(settings).verifier.vkey
        async with httpx.AsyncClient(timeout=SECONDS) as client:
            answer = await client.get(f"{settings.url}/ledger/vkey")
    except LedgerError as unusable:
        yield bad("ledger's key", said(unusable), why, do)
        return
    except httpx.HTTPError:
        return  # that the edge does not answer is said above
    if answer.status_code == 200 and answer.text.strip() != ours:
        yield bad(
            "ledger's key",
            f"{urlsplit(settings.url).netloc} shows {answer.text.strip()[:120]}, ours is {ours}",
            why,
            do,
        )
    elif answer.status_code == 200:
        yield good("ledger's key", "the edge shows ours")
