"""Two sites whose ledgers witness each other, over real HTTP; and witnesses that fail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from gateway.ledger.format import proof
from gateway.ledger.format.errors import LedgerError
from gateway.ledger.format.note import CoSigner, Note, Signer
from gateway.ledger.format.proof import DossierReceipt, TlogProof
from gateway.ledger.keep import cosigning
from gateway.ledger.service import LedgerService
from services.chassis.frame.http_server import HostedApp
from services.chassis.platform.settings import Settings
from tests.ledger.site import code_of, play, reread, running, site
from tests.support.hosted import Host, hosted
from tests.support.keys import MemoryKeys
from tests.support.waiting import eventually_here, free_port

WITNESS = CoSigner("witness.test", b"w" * 32)
Answer = Callable[[Request], Awaitable[Response]]


def test_two_sites_witness_each_other(tmp_path: Path) -> None:
    sites = ("vn", "vn-56")
    ports = {name: free_port() for name in sites}
    logs = {name: Signer(f"{name}.motcua.local/ledger", name.encode().ljust(32)) for name in sites}
    witnesses = {name: CoSigner(f"{name}.motcua.local/witness", name.encode().rjust(32)) for name in sites}
    keys = {name: MemoryKeys() for name in sites}

    def settings(own: str, other: str) -> dict[str, object]:
        return {
            "site": own,
            "http_port": ports[own],
            "ledger_key": own.encode().ljust(32).hex(),
            "witness_key": own.encode().rjust(32).hex(),
            "ledger_witnesses": f"{witnesses[other].vkey} http://127.0.0.1:{ports[other]}/ledger/witness/",
            "ledger_witnessed": logs[other].vkey,
            "ledger_checkpoint_seconds": 0.05,
        }

    def service(name: str) -> type:
        return type("Hosted", (LedgerService,), {"key_ring": staticmethod(lambda *_: keys[name])})

    def cosigned(own: str, other: str, size: int) -> Note | None:
        note = Note.parse(httpx.get(f"http://127.0.0.1:{ports[own]}/ledger/checkpoint").content)
        signed = note.signed_by([logs[own].verifier, witnesses[other].verifier])
        return note if f"\n{size}\n" in note.text and witnesses[other].vkey in signed else None

    with (
        hosted(tmp_path / "vn", [service("vn")], **settings("vn", "vn-56")) as nation,
        hosted(tmp_path / "vn-56", [service("vn-56")], **settings("vn-56", "vn")) as province,
    ):
        hosts: dict[str, Host] = {"vn": nation, "vn-56": province}
        for turn in range(3):
            for own, other in (sites, sites[::-1]):
                host = hosts[own]
                host.run(play(host.platform.store, keys[own], 20, 3, start=100 * turn))
                wanted = 60 * (turn + 1)
                asyncio.run(eventually_here(lambda own=own, other=other, wanted=wanted: cosigned(own, other, wanted)))  # type: ignore[misc]
        for own, other in (sites, sites[::-1]):
            with httpx.Client(base_url=f"http://127.0.0.1:{ports[own]}/ledger", timeout=20) as client:
                event = TlogProof.parse(client.get(f"/receipts/{code_of(203)}/1").content)
                dossier = DossierReceipt.parse(client.get(f"/receipts/{code_of(203)}").content)
                page = client.get("/", params={"lang": "en"}).text
            log, witness = logs[own].verifier, witnesses[other].verifier
            assert [name for name, _ in proof.verify_event(event, log, [witness]).witnesses] == [witness.name]
            assert [name for name, _ in proof.verify_dossier(dossier, log, [witness]).witnesses] == [witness.name]
            assert f"{other}.motcua.local/witness" in page
            assert len(reread(tmp_path / own / "ledger", log)) == 180


@asynccontextmanager
async def witnessing(answer: Answer) -> AsyncIterator[str]:
    app = HostedApp(Starlette(routes=[Route("/add-checkpoint", answer, methods=["POST"])]), "127.0.0.1", 0)
    address = await app.start()
    try:
        yield f"{WITNESS.vkey} http://{address}"
    finally:
        await app.stop()


@pytest.mark.parametrize("fault", ["500", "garbage", "another key", "another text", "endless", "other size"])
async def test_a_witness_that_fails_does_not_hold_the_ledger_up(tmp_path: Path, fault: str) -> None:
    asked = asyncio.Event()
    stranger = CoSigner("witness.test", b"s" * 32)

    async def answer(request: Request) -> Response:
        note = Note.parse((await request.body()).partition(b"\n\n")[2])
        asked.set()
        match fault:
            case "500":
                return PlainTextResponse("no", 500)
            case "garbage":
                return PlainTextResponse("— witness.test AAAA\n")
            case "another key":
                return PlainTextResponse(stranger.sign(note.text, 1).format())
            case "another text":
                return PlainTextResponse(WITNESS.sign(note.text + "more\n", 1).format())
            case "endless":
                return PlainTextResponse("x" * 100_000)
            case _:
                return PlainTextResponse("99999\n", 409, media_type="text/x.tlog.size")

    async with witnessing(answer) as witness, site(tmp_path, ledger_witnesses=witness) as at:
        async with running(at.ledger()):
            await play(at.store, at.keys, 5, 2)
            await at.published(10)
            await asyncio.wait_for(asked.wait(), 20)
            await play(at.store, at.keys, 5, 2, start=5)
            await at.published(20)
        assert [signature.name for signature in at.note().signatures] == [at.log.name]
        reread(at.folder, at.log)


async def test_a_witness_that_was_away_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cosigning, "AGAIN_SECONDS", 0.2)
    failures = 2

    async def answer(request: Request) -> Response:
        nonlocal failures
        note = Note.parse((await request.body()).partition(b"\n\n")[2])
        if failures:
            failures -= 1
            return PlainTextResponse("not now", 503)
        return PlainTextResponse(WITNESS.sign(note.text, 1_800_000_000).format())

    async with witnessing(answer) as witness, site(tmp_path, ledger_witnesses=witness) as at, running(at.ledger()):
        await play(at.store, at.keys, 5, 2)
        await at.published(10)
        await eventually_here(lambda: len(at.note().signatures) == 2)
        assert at.note().require(WITNESS.verifier) == 1_800_000_000
    async with site(tmp_path) as at, running(at.ledger()):
        # The signature is kept, also by a ledger that does not ask that witness.
        assert at.note().require(WITNESS.verifier) == 1_800_000_000


async def test_until_the_witnesses_answer_a_receipt_stands_under_the_checkpoint_before(tmp_path: Path) -> None:
    silent = False

    async def answer(request: Request) -> Response:
        note = Note.parse((await request.body()).partition(b"\n\n")[2])
        return PlainTextResponse("", 503) if silent else PlainTextResponse(WITNESS.sign(note.text, 1).format())

    async with witnessing(answer) as witness, site(tmp_path, ledger_witnesses=witness) as at:
        ledger = at.ledger()
        async with running(ledger):
            early, late = (await play(at.store, at.keys, 1, 2))[0], code_of(1)
            await at.published(2)
            await eventually_here(lambda: len(at.note().signatures) == 2)
            silent = True
            await play(at.store, at.keys, 1, 2, start=1)
            await at.published(4)
            for code, size, witnesses in ((early, 2, [WITNESS.verifier]), (late, 4, [])):
                receipt = await ledger._receipts.event(code, 1)
                assert receipt
                assert proof.verify_event(receipt, at.log, witnesses).checkpoint.size == size


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("ledger_witnesses", "witness.test http://w.test", "each must be `<vkey> <url>`"),
        ("ledger_witnesses", WITNESS.vkey, "each must be `<vkey> <url>`"),
        ("ledger_witnesses", f"{WITNESS.vkey} ftp://w.test", "each must be `<vkey> <url>`"),
        ("ledger_witnessed", "log.test", "each must be a vkey"),
        ("ledger_key", "aa", "64 digits"),
        ("ledger_origin", "two words", "without blanks"),
        ("ledger_checkpoint_seconds", "-1", "greater than or equal to 0"),
    ],
)
def test_settings_that_are_of_no_use_are_refused(name: str, value: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Settings(**{name: value})  # type: ignore[arg-type]


def test_a_witness_does_not_sign_with_the_ledgers_key() -> None:
    with pytest.raises(ValueError, match="MOTCUA_WITNESS_KEY must not be MOTCUA_LEDGER_KEY"):
        Settings(ledger_key="aa" * 32, witness_key="aa" * 32)


async def test_keys_of_the_wrong_kind_are_refused(tmp_path: Path) -> None:
    log = Signer("log.test", b"l" * 32)
    wrong = (
        Settings(data=tmp_path, ledger_witnesses=f"{log.vkey} http://w.test"),
        Settings(data=tmp_path, ledger_witnessed=WITNESS.vkey),
    )
    for settings in wrong:
        async with site(tmp_path) as at:
            at.platform.settings = settings
            with pytest.raises(LedgerError, match="is of type"):
                at.ledger()
