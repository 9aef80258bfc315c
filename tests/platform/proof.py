"""People who go on with their business whatever happens to the platform, and what must hold of it afterwards."""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, TypeVar

import grpc
import psycopg
from sqlalchemy.engine import make_url

from command.run.postgresql import PrivatePostgresql
from gateway.sandbox.day.door import Door, Person, refusal
from gateway.sandbox.day.province import Province, Stuck, apply, settle
from motcua.dossier.events.v1 import events_pb2 as d
from motcua.notification.events.v1 import events_pb2 as n
from motcua.payment.events.v1 import events_pb2 as p
from motcua.warehouse.events.v1 import events_pb2 as w
from services.notification.letters import TOLD
from services.registry import SERVICES
from tests.platform.deployment import Deployment
from tests.platform.log import Log, Rows, published, tables
from tests.support.waiting import eventually

T = TypeVar("T")

SIDE_BY_SIDE = 16
# Longer than many crashes in a row: a client that gives up would prove nothing.
PATIENCE_SECONDS = 300.0
SETTLED_SECONDS = 300.0
# Many processes on a busy machine.
AGAIN_SECONDS = 240.0

# Not made from events alone: how far each follower came, how often each database was opened, and numbers that were drawn for what
# was then refused or cut short. Such a number is never given again while the counter lasts, and may be once it is filled from the
# log: nobody got it.
OWN = ("positions", "turns", "site_marks", "code_counters", "codes_given", "receipt_counters", "receipts_given")


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
        self._failures: deque[str] = deque(maxlen=20)

    @property
    def failures(self) -> str:
        """The last ones, a line each."""
        return "\n".join(self._failures)

    async def _patiently(self, once: Callable[[], Awaitable[T]]) -> T:
        async def told() -> T:
            try:
                return await once()
            except Exception as error:
                details = error.details() if isinstance(error, grpc.aio.AioRpcError) else str(error)
                self._failures.append(f"{type(error).__name__} {str(details)[:200]}")
                raise

        return await super()._patiently(told)

    async def call(self, method: Any, request: Any, person: Person | None = None, purpose: str = "") -> Any:
        reply = await super().call(method, request, person, purpose)
        if person and "request_id" in request.DESCRIPTOR.fields_by_name:
            self.journal.append(Acknowledged(method, request, person, reply))
            self.acknowledged.set()
        return reply

    async def another(self) -> None:
        """Wait until one more is acknowledged, for as long as they try."""
        self.acknowledged.clear()
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self.acknowledged.wait()
        except TimeoutError:
            raise AssertionError("nothing is acknowledged") from None


@dataclass
class Day:
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


async def live_through(
    deployment: Deployment,
    rng: random.Random,
    misfortune: Callable[[Witness], Awaitable[None]],
    side_by_side: int = SIDE_BY_SIDE,
) -> tuple[Witness, Day]:
    """What happens under load; then the day comes to its end."""
    witness = Witness(deployment.url)
    day = Day(await Province.open(witness, "56"), rng)
    try:
        async with asyncio.TaskGroup() as people:
            workers = [people.create_task(day.work()) for _ in range(side_by_side)]
            await misfortune(witness)
            day.over = True
            async with asyncio.timeout(PATIENCE_SECONDS):
                await asyncio.gather(*workers)
    except BaseException as error:
        error.add_note(f"The last failures:\n{witness.failures}\nThe platform: {deployment.status}")
        raise
    return witness, day


@dataclass(frozen=True, slots=True)
class Site:
    """A deployment's memory, on whatever engines."""

    deployment: Deployment
    event_store: str = "sqlite:"

    def log(self) -> Log:
        return Log(self.deployment.data, self.event_store)

    def views(self) -> Rows:
        """Of a site that runs, or is stopped on SQLite."""
        found = self._postgresql_tables() if self._postgresql else tables(self.deployment.data / "views")
        return {name: rows for name, rows in found.items() if not name.partition(".")[2].startswith(OWN)}

    def take_views(self) -> Rows:
        """From a site that is stopped: it has none afterwards."""
        if not self._postgresql:
            found = self.views()
            shutil.rmtree(self.deployment.data / "views")
            return found
        server = PrivatePostgresql(self.deployment.data / "postgresql")
        server.start()
        try:
            found = self.views()
            with closing(self._connected()) as db:
                for name in set(SERVICES) - {"ledger"}:
                    db.execute(f'DROP SCHEMA "{name}" CASCADE'.encode())
            return found
        finally:
            server.stop()

    @property
    def _postgresql(self) -> bool:
        return (self.deployment.data / "postgresql").exists()

    def _connected(self) -> psycopg.Connection:
        url = make_url(PrivatePostgresql(self.deployment.data / "postgresql").url)
        arguments = url.translate_connect_args(username="user", database="dbname") | dict(url.query)
        return psycopg.connect(**arguments, autocommit=True)

    def _postgresql_tables(self) -> Rows:
        with closing(self._connected()) as db:
            names = db.execute("SELECT schemaname, tablename FROM pg_tables ORDER BY 1, 2").fetchall()
            return {
                f"{schema}.{table}": sorted(db.execute(f'SELECT * FROM "{schema}"."{table}"'.encode()), key=repr)
                for schema, table in names
                if schema in SERVICES and schema != "ledger"
            }


async def prove(site: Site, witness: Witness, day: Day) -> None:
    """Nothing that was acknowledged is lost or done twice, and every fact had its consequences."""
    deployment = site.deployment
    assert day.failures == [], day.failures
    assert len(day.codes) > 0
    assert await replies_again(witness) == []
    await witness.close()
    await asyncio.to_thread(require_settled, site)
    log = await asyncio.to_thread(site.log)
    assert {one.request.request_id for one in witness.journal} - log.request_ids == set()
    submitted = [fact.event.code for fact in log.of(d.DossierSubmitted)]
    assert _twice(submitted) == []
    assert set(day.codes) <= set(submitted)

    # What a crash cut short before its applicant knew the code goes on as well.
    assert (await asyncio.to_thread(_demo, deployment))["failed"] == 0
    await asyncio.to_thread(eventually, lambda: published(deployment.data) == site.log().of_dossiers, SETTLED_SECONDS)
    parked = await asyncio.to_thread(deployment.run, "parked", "list")
    assert "Nothing is parked." in parked.stdout, parked.stderr
    await asyncio.to_thread(require_settled, site)


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


def _demo(deployment: Deployment) -> dict[str, Any]:
    played = deployment.run("demo", "--dossiers", "2", "--json", seconds=120)
    assert played.returncode == 0, (played.stdout, played.stderr)
    summary: dict[str, Any] = json.loads(played.stdout.splitlines()[-1])
    return summary


def require_settled(site: Site) -> None:
    """Every fact had its consequence once."""
    ends = time.monotonic() + SETTLED_SECONDS
    while unsettled := _unsettled(site.log()):
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


def require_rebuilt(site: Site) -> None:
    """Without the views, everything is as it was, from the log alone; and no fact has its consequence again."""
    deployment = site.deployment
    deployment.stop()
    before, events = site.take_views(), len(site.log().rows)
    assert {name.partition(".")[0] for name, rows in before.items() if rows} == set(SERVICES) - {"ledger"}
    deployment.start(AGAIN_SECONDS)
    differing: list[str] = []

    def same() -> bool:
        after = site.views()
        differing[:] = [name for name in before if after.get(name) != before[name]]
        return not differing

    try:
        eventually(same, SETTLED_SECONDS)
    except AssertionError:
        after = site.views()
        raise AssertionError({name: _unlike(before[name], after.get(name, [])) for name in differing}) from None
    deployment.stop()
    assert len(site.log().rows) == events


def _unlike(before: list[Any], after: list[Any]) -> tuple[list[Any], list[Any]]:
    a, b = Counter(map(repr, before)), Counter(map(repr, after))
    return list((a - b).elements())[:3], list((b - a).elements())[:3]
