"""Receipts stand under what everybody can see: what is not published yet is waited for, and then said."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest

from gateway.ledger.format import proof
from gateway.ledger.format.proof import TlogProof
from gateway.ledger.keep import receipts
from tests.ledger.site import append, assigned, code_of, play, running, site, submitted

pytestmark = pytest.mark.usefixtures("engine")


async def test_what_is_stored_and_not_published_is_to_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receipts, "WAIT_SECONDS", 0.3)
    async with site(tmp_path) as at:
        (code,) = await play(at.store, at.keys, 1, 2)
        ledger = at.ledger()
        async with running(ledger), httpx.AsyncClient(
            transport=httpx.ASGITransport(ledger.application()), base_url="http://ledger"
        ) as client:  # fmt: skip
            await asyncio.wait_for(ledger.caught_up.wait(), 20)
            await ledger._sequencer.stop()
            await append(at.store, code, assigned(code, f"person-{code}", "later"))
            await append(at.store, code_of(5), submitted(code_of(5), "person"))
            for path in (f"{code}/2", code, f"{code_of(5)}/0", code_of(5)):
                answer = await client.get(f"/receipts/{path}")
                assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
                assert answer.headers["cache-control"] == "no-store"
                assert "sắp vào sổ cái" in answer.text
                assert "about to enter the ledger" in answer.text
            assert (await client.get(f"/receipts/{code}/1")).status_code == 200
            assert (await client.get(f"/receipts/{code}/3")).status_code == 404


async def test_a_receipt_does_not_stand_under_a_checkpoint_that_is_not_out(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        ledger = at.ledger()
        publish = ledger._publisher.publish
        held, go = asyncio.Event(), asyncio.Event()

        async def late() -> object:
            if (await at.store.head()) > 2:
                held.set()
                await go.wait()
            return await publish()

        (code,) = await play(at.store, at.keys, 1, 2)
        async with running(ledger):
            await at.published(2)
            ledger._publisher.publish = late  # type: ignore[assignment,method-assign]
            await append(at.store, code, assigned(code, f"person-{code}", "later"))
            await asyncio.wait_for(held.wait(), 20)
            asked = asyncio.create_task(ledger._receipts.event(code, 2))
            await asyncio.sleep(0)
            assert not asked.done()
            go.set()
            receipt = await asked
            assert receipt
            assert proof.verify_event(receipt, at.log).checkpoint == at.checkpoint()


async def test_many_who_ask_at_once_get_their_own(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        codes = await play(at.store, at.keys, 120, 3)
        ledger = at.ledger()
        async with running(ledger):
            await at.published(360)
            asked = [(code, revision) for code in codes for revision in range(4)]
            events = await asyncio.gather(*(ledger._receipts.event(*each) for each in asked))
            dossiers = await asyncio.gather(*(ledger._receipts.dossier(code) for code in [*codes, "unknown"]))
        assert dossiers[-1] is None
        for (code, revision), event in zip(asked, events, strict=True):
            if revision == 3:
                assert event is None
                continue
            assert isinstance(event, TlogProof)
            leaf = proof.verify_event(event, at.log).leaf
            assert (leaf.code, leaf.revision) == (code, revision)
        for code, dossier in zip(codes, dossiers, strict=False):
            assert dossier
            assert len(proof.verify_dossier(dossier, at.log).leaves) == 3
            assert dossier.code == code
