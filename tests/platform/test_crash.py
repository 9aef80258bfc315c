"""The platform loses its power again and again while it is used. Nothing that was acknowledged is lost or done twice."""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest

from loadtests.day import Province, Stuck, apply, settle
from loadtests.door import Door, Person, refusal
from motcua.dossier.events.v1 import events_pb2 as d
from motcua.notification.events.v1 import events_pb2 as n
from motcua.payment.events.v1 import events_pb2 as p
from motcua.warehouse.events.v1 import events_pb2 as w
from services.chassis.settings import SERVICES
from services.notification.letters import TOLD
from tests.platform.deployment import START_SECONDS, Deployment, eventually
from tests.platform.log import Log, Rows, published, tables

CRASHES = 20
SIDE_BY_SIDE = 16
# Longer than many crashes in a row: a client that gives up would prove nothing.
PATIENCE_SECONDS = 300.0
SETTLED_SECONDS = 60.0
# After the first acknowledgement since the start.
SHORTEST_SECONDS, LONGEST_SECONDS = 0.0, 1.5

# Not made from events alone: how far each follower came, and numbers that were drawn for what was then refused or cut short.
# Such a number is never given again while the counter lasts, and may be once it is filled from the log: nobody got it.
OWN = ("positions", "turns", "view_tables", "code_counters", "codes_given", "receipt_counters", "receipts_given")


@dataclass(frozen=True, slots=True)
class Acknowledged:
    method: Any
    request: Any
    person: Person
    reply: Any


class Witness(Door):
    """Writes down every change that was acknowledged."""

    def __init__(self, url: str) -> None:
        super().__init__(url, patience_seconds=PATIENCE_SECONDS)
        self.longest_pause_seconds = 0.2
        self.journal: list[Acknowledged] = []
        self.acknowledged = asyncio.Event()

    async def call(self, method: Any, request: Any, person: Person | None = None) -> Any:
        reply = await super().call(method, request, person)
        if person and "request_id" in request.DESCRIPTOR.fields_by_name:
            self.journal.append(Acknowledged(method, request, person, reply))
            self.acknowledged.set()
        return reply


@dataclass
class Day:
    """People who go on with their business, whatever happens."""

    province: Province
    rng: random.Random
    over: bool = False
    codes: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    async def work(self) -> None:
        while not self.over:
            try:
                code = await apply(self.province, self.rng)
                self.codes.append(code)
                await settle(self.province, code, code.partition("-")[0])
            except grpc.aio.AioRpcError as error:
                self.failures.append(f"{refusal(error)}: {error.details()}")
            except Stuck as stuck:
                self.failures.append(str(stuck))


async def live_through(deployment: Deployment, rng: random.Random) -> tuple[Witness, Day]:
    """Twenty power cuts under load, then the day comes to its end."""
    witness = Witness(deployment.url)
    day = Day(await Province.open(witness, "56"), rng)
    workers = [asyncio.create_task(day.work()) for _ in range(SIDE_BY_SIDE)]
    for _ in range(CRASHES):
        witness.acknowledged.clear()
        try:
            async with asyncio.timeout(START_SECONDS):
                await witness.acknowledged.wait()
        except TimeoutError:
            raise AssertionError(f"nothing is acknowledged after a crash: {deployment.status}") from None
        await asyncio.sleep(rng.uniform(SHORTEST_SECONDS, LONGEST_SECONDS))
        await asyncio.to_thread(deployment.kill)
        await asyncio.to_thread(deployment.launch)
    day.over = True
    async with asyncio.timeout(120):
        await asyncio.gather(*workers)
    return witness, day


async def replies_again(witness: Witness) -> list[str]:
    """Send all again; tells what was answered differently."""
    different: list[str] = []
    places = asyncio.Semaphore(SIDE_BY_SIDE)

    async def repeat(one: Acknowledged) -> None:
        async with places:
            try:
                reply = await Door.call(witness, one.method, one.request, one.person)
            except grpc.aio.AioRpcError as error:
                different.append(f"{one.request} was {one.reply}, is refused: {refusal(error)}")
                return
            if reply != one.reply:
                different.append(f"{one.request} was {one.reply}, is {reply}")

    await asyncio.gather(*map(repeat, list(witness.journal)))
    return different


@pytest.fixture(scope="module")
def seed() -> int:
    return int(os.environ.get("MOTCUA_TEST_SEED", random.randrange(2**32)))


def test_nothing_acknowledged_is_lost_or_done_twice(tmp_path: Path, seed: int) -> None:
    print(f"MOTCUA_TEST_SEED={seed}")
    limits = {"MOTCUA_EDGE_RATE": "5000", "MOTCUA_EDGE_BURST": "10000"}
    deployment = Deployment(tmp_path / "data", settings=limits)
    deployment.start()
    try:
        asyncio.run(_prove(deployment, random.Random(seed)))
    finally:
        deployment.kill()


async def _prove(deployment: Deployment, rng: random.Random) -> None:
    witness, day = await live_through(deployment, rng)
    print(f"{len(witness.journal)} changes acknowledged, {len(day.codes)} dossiers, {CRASHES} crashes")
    assert day.failures == []
    assert len(day.codes) > SIDE_BY_SIDE

    assert await replies_again(witness) == []
    await witness.close()
    await asyncio.to_thread(_require_settled, deployment.data)
    log = Log(deployment.data)
    assert {one.request.request_id for one in witness.journal} - log.request_ids == set()
    submitted = [fact.event.code for fact in log.of(d.DossierSubmitted)]
    assert _twice(submitted) == []
    assert set(day.codes) <= set(submitted)

    # What a crash cut short before its applicant knew the code goes on as well.
    assert _demo(deployment)["failed"] == 0
    await asyncio.to_thread(
        eventually, lambda: published(deployment.data) == Log(deployment.data).of_dossiers, SETTLED_SECONDS
    )
    assert "Nothing is parked." in deployment.run("parked", "list").stdout
    await asyncio.to_thread(_require_settled, deployment.data)
    _require_rebuilt(deployment)


def _demo(deployment: Deployment) -> dict[str, Any]:
    played = deployment.run("demo", "--dossiers", "2", "--json", seconds=120)
    assert played.returncode == 0, (played.stdout, played.stderr)
    summary: dict[str, Any] = json.loads(played.stdout.splitlines()[-1])
    return summary


def _require_settled(data: Path) -> None:
    """Every fact had its consequence once."""
    ends = time.monotonic() + SETTLED_SECONDS
    while unsettled := _unsettled(Log(data)):
        assert time.monotonic() < ends, unsettled
        time.sleep(0.5)


def _unsettled(log: Log) -> dict[str, list[Any]]:
    told = [(str(fact.event_id), fact.event.applicant_id) for fact in log.of(*TOLD)]
    expected = {
        "payments requested": [fact.event.fee_id for fact in log.of(d.FeeAssessed)],
        "messages": told,
        "results kept": [fact.event.code for fact in log.of(d.ResultIssued) if fact.event.document_kind],
        "fees noted as paid": [fact.event.payment_id for fact in log.of(p.PaymentConfirmed)],
    }
    found = {
        "payments requested": [fact.event.fee_id for fact in log.of(p.PaymentRequested)],
        "messages": [(fact.event.fact_id, fact.event.account_id) for fact in log.of(n.MessageComposed)],
        "results kept": [
            fact.event.code
            for fact in log.of(w.DocumentKept)
            if fact.event.source == w.DocumentSource.DOCUMENT_SOURCE_RESULT
        ],
        "fees noted as paid": [fact.event.payment_id for fact in log.of(d.FeePaid)],
    }
    kept = [fact.event.document_id for fact in log.of(w.DocumentKept)]
    ends = [fact.event.code for fact in log.of(d.ResultIssued, d.DossierRefused, d.ProcessingStopped)]
    twice = {"documents kept": _twice(kept), "ends": _twice(ends)}
    wrong = {name: _difference(expected[name], found[name]) for name in expected} | twice
    return {name: values for name, values in wrong.items() if values}


def _twice(values: list[Any]) -> list[Any]:
    return [value for value, times in Counter(values).items() if times > 1]


def _difference(expected: list[Any], found: list[Any]) -> list[Any]:
    a, b = Counter(expected), Counter(found)
    return [*(a - b).elements(), *(b - a).elements()]


def _require_rebuilt(deployment: Deployment) -> None:
    """Without the views, everything is as it was, from the log alone; and no fact has its consequence again."""
    deployment.stop()
    views = deployment.data / "views"
    before, events = _views(views), len(Log(deployment.data).rows)
    assert {name.partition(".")[0] for name, rows in before.items() if rows} == set(SERVICES) - {"ledger"}
    shutil.rmtree(views)
    deployment.start()
    differing: list[str] = []

    def same() -> bool:
        after = _views(views)
        differing[:] = [name for name in before if after.get(name) != before[name]]
        return not differing

    try:
        eventually(same, SETTLED_SECONDS)
    except AssertionError:
        after = _views(views)
        raise AssertionError({name: _unlike(before[name], after.get(name, [])) for name in differing}) from None
    deployment.stop()
    assert len(Log(deployment.data).rows) == events


def _views(folder: Path) -> Rows:
    return {name: rows for name, rows in tables(folder).items() if not name.partition(".")[2].startswith(OWN)}


def _unlike(before: list[Any], after: list[Any]) -> tuple[list[Any], list[Any]]:
    a, b = Counter(before), Counter(after)
    return list((a - b).elements())[:3], list((b - a).elements())[:3]
