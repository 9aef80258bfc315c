"""python -m loadtests.ledger: leaves sequenced a second, receipts served a second, and what a million events weigh.

One process keeps the ledger and serves it, another asks. Subjects' keys come from memory: identity's part is not measured.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import multiprocessing
import random
import tempfile
import time
from collections.abc import Collection, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

import typer
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from rich.console import Console
from starlette.applications import Starlette
from starlette.routing import Mount

from gateway.ledger.format.checkpoint import Checkpoint
from gateway.ledger.format.note import Note
from gateway.ledger.running import RunningLedger
from motcua.dossier.events.v1 import events_pb2 as d
from services.chassis.frame.http_server import HostedApp
from services.chassis.platform.platform import Platform
from services.chassis.platform.settings import Settings
from services.chassis.privacy.sealing import Keys, seal
from services.chassis.store.port import NO_STREAM, EventStore, NewEvent
from services.chassis.store.sqlite import SqliteStore

AGENCY = "P56.22.402.1"
SIDE_BY_SIDE = 32
MILLION = 1_000_000


class OwnKeys:
    """The same key for a subject in every process."""

    async def keys(self, subjects: Collection[str], *, create: bool) -> Keys:
        return {subject: hashlib.sha256(subject.encode()).digest() for subject in subjects}


def code_of(number: int) -> str:
    return f"{AGENCY}-20261122-{number:07}"


def history(code: str, person: str, key: bytes) -> Iterator[Message]:
    """A day of a dossier with a fee and two steps, as the demo plays it."""
    at = Timestamp()
    at.GetCurrentTime()
    who: dict[str, Any] = {"code": code, "applicant_id": person, "at": at, "by": str(uuid4())}
    fee: dict[str, Any] = {"fee_id": str(uuid4()), "amount": 50_000}
    yield d.DossierSubmitted(
        **who,
        procedure_code="1.014063",
        procedure_version=1,
        channel=d.CHANNEL_ONLINE,
        applicant_name=seal("Nguyễn Văn An".encode(), key, uuid4(), "applicant_name"),
        form=seal(b'{"place": "22336"}' * 20, key, uuid4(), "form"),
        components=[d.Component(component_code="dc02", source=d.COMPONENT_SOURCE_ATTACHMENT, sha256="ab" * 32)],
        place_of_submission="online",
        reception_agency=AGENCY,
        competent_agency=AGENCY,
        province="56",
        delivery_method=d.DELIVERY_METHOD_ELECTRONIC,
    )
    item = d.FeeItem(name="Lệ phí cấp đổi thẻ căn cước", amount=50_000)
    yield d.FeeAssessed(**who, **fee, items=[item], condition=d.FEE_CONDITION_RECEPTION, agency=AGENCY)
    yield d.FeePaid(**who, **fee, payment_id=str(uuid4()))
    yield d.DossierReceived(
        **who,
        receipt_number=f"TN-{code}",
        due_at=at,
        term=d.Term(amount=7, unit=d.TERM_UNIT_WORKING_DAYS),
        calendar="police@1",
        procedure_version=1,
        agency=AGENCY,
        next_step_code="receive",
        next_role="receptionist",
    )
    yield d.ProcessingStarted(**who, agency=AGENCY)
    for step, role, after, next_role in (
        ("receive", "receptionist", "collect", "processor"),
        ("collect", "processor", "", ""),
    ):
        yield d.StepAssigned(**who, step_code=step, role=role, agency=AGENCY)
        yield d.StepCompleted(**who, step_code=step, next_step_code=after, next_role=next_role)
    yield d.DossierApproved(**who)
    yield d.ResultIssued(**who, document_kind="identity-card", on_time=True)
    yield d.ResultReturned(**who, delivery_method=d.DELIVERY_METHOD_ELECTRONIC)


async def fill(store: EventStore, dossiers: int) -> int:
    keys = OwnKeys()
    metadata = json.dumps({"actor": "load", "request_id": str(uuid4()), "site": "vn-56"}).encode()
    events = 0
    for start in range(0, dossiers, SIDE_BY_SIDE):
        group = []
        for number in range(start, min(start + SIDE_BY_SIDE, dossiers)):
            code, person = code_of(number), f"person-{number}"
            key = (await keys.keys([person], create=True))[person]
            new = [
                NewEvent(uuid4(), e.DESCRIPTOR.full_name, e.SerializeToString(), metadata)
                for e in history(code, person, key)
            ]
            events += len(new)
            group.append(store.append(f"dossier-{code}", new, NO_STREAM))
        await asyncio.gather(*group)
    return events


def keep(pipe: Connection, folder: Path, events: int) -> None:
    """Sequence all there is, tell how long it took, then serve."""

    async def main() -> None:
        platform = await Platform.open(Settings(data=folder, ledger_checkpoint_seconds=0))
        ledger = RunningLedger(platform, OwnKeys())
        began = time.perf_counter()
        await ledger.start()
        await ledger.caught_up.wait()
        seconds = time.perf_counter() - began
        size = Checkpoint.parse(Note.parse((folder / "ledger" / "checkpoint").read_bytes()).text).size
        if size != events:
            raise RuntimeError(f"{events} events are {size} leaves")
        app = HostedApp(Starlette(routes=[Mount("/ledger", ledger.application())]), "127.0.0.1", 0)
        pipe.send((seconds, await app.start()))
        await asyncio.to_thread(pipe.poll, None)
        await app.stop()
        await ledger.stop()
        await platform.close()

    asyncio.run(main())


async def ask(address: str, paths: list[str], seconds: float) -> tuple[float, float]:
    """Answers a second and the median's milliseconds. Anything but 200 ends the run."""
    host, _, port = address.rpartition(":")
    latencies: list[float] = []
    until = time.perf_counter() + seconds

    async def caller() -> None:
        reader, writer = await asyncio.open_connection(host, int(port))
        while (began := time.perf_counter()) < until:
            writer.write(f"GET {random.choice(paths)} HTTP/1.1\r\nHost: {address}\r\n\r\n".encode())
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            if not head.startswith("http/1.1 200"):
                raise RuntimeError(head)
            length = next(line for line in head.split("\r\n") if line.startswith("content-length:"))
            await reader.readexactly(int(length.partition(":")[2]))
            latencies.append(time.perf_counter() - began)
        writer.close()

    began = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(SIDE_BY_SIDE)))
    elapsed = time.perf_counter() - began
    return len(latencies) / elapsed, sorted(latencies)[len(latencies) // 2] * 1e3


def weight(path: Path) -> int:
    files = [path] if path.is_file() else path.rglob("*")
    return sum(file.stat().st_size for file in files if file.is_file())


def main(
    dossiers: Annotated[int, typer.Option(min=1, help="With twelve events each.")] = 2000,
    seconds: Annotated[float, typer.Option(help="How long receipts are asked for.")] = 8,
) -> None:
    console = Console()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        async def prepare() -> int:
            store = await SqliteStore.open(folder / "events.db")
            events = await fill(store, dossiers)
            await store.close()
            return events

        with console.status("Writing the log"):
            events = asyncio.run(prepare())
        ours, theirs = multiprocessing.get_context("spawn").Pipe()
        process = multiprocessing.get_context("spawn").Process(target=keep, args=(theirs, folder, events), daemon=True)
        with console.status("Sequencing"):
            process.start()
            took, address = ours.recv()
        console.print(
            f"{events:,} leaves of {dossiers:,} dossiers in {took:.1f} s: [bold]{events / took:,.0f}[/] a second"
        )
        codes = [code_of(random.randrange(dossiers)) for _ in range(2000)]
        kinds = {
            "receipts of events": [f"/ledger/receipts/{code}/{random.randrange(11)}" for code in codes],
            "receipts of dossiers": [f"/ledger/receipts/{code}" for code in codes],
            "tiles": [f"/ledger/tile/0/{index:03}" for index in range(min(events // 256, 999))],
            "checkpoint": ["/ledger/checkpoint"],
        }
        for kind, paths in kinds.items():
            with console.status(f"Asking for {kind}"):
                rate, median = asyncio.run(ask(address, paths, seconds))
            console.print(f"{kind}: [bold]{rate:,.0f}[/] a second, median {median:.1f} ms, {SIDE_BY_SIDE} at a time")
        ours.send("stop")
        process.join(30)
        for what, path in (
            ("published files", folder / "ledger"),
            ("ledger.db", folder / "ledger.db"),
            ("events.db", folder / "events.db"),
        ):
            console.print(f"{what}: {weight(path) * MILLION / events / 1e6:,.0f} MB for a million events")


if __name__ == "__main__":
    typer.run(main)
