"""Every event of a dossier is one leaf, in order, once: whatever breaks, and however many replicas run."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import Connection, select

from gateway.ledger.format import proof
from gateway.ledger.format.errors import LedgerError
from gateway.ledger.format.heads import Head
from gateway.ledger.format.leaf import commitment
from gateway.ledger.keep import sequencing, tables
from gateway.ledger.keep.growth import Chains, Growth
from gateway.ledger.keep.sequencing import Sequencer
from gateway.ledger.keep.storage import FolderStorage, Storage
from gateway.ledger.running import RunningLedger
from motcua.dossier.events.v1 import events_pb2 as d
from services.chassis.decider import Rejected
from services.chassis.following import followers
from services.chassis.privacy.sealing import Keys
from services.chassis.store.port import ANY, NewEvent
from tests.ledger.site import Site, append, assigned, code_of, now, of_dossiers, play, reread, running, site
from tests.support.keys import MemoryKeys
from tests.support.waiting import eventually_here

DRAFT = d.DraftSaved(draft_id="draft-1", applicant_id="person", at=now(), by="person")


@pytest.fixture(autouse=True)
def _tries_again_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (followers, sequencing):
        monkeypatch.setattr(module, "PAUSE_SECONDS", 0.2)


async def require_complete(at: Site) -> None:
    assert [leaf.id for leaf in reread(at.folder, at.log)] == await of_dossiers(at.store)


async def test_every_event_of_a_dossier_is_one_leaf_in_order(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        await play(at.store, at.keys, 40, 4)
        draft = NewEvent(uuid4(), DRAFT.DESCRIPTOR.full_name, DRAFT.SerializeToString(), b"{}")
        await at.store.append("draft-1", [draft], ANY)
        async with running(at.ledger()):
            await at.published(160)
            await play(at.store, at.keys, 60, 2, start=40)
            await at.published(280)
        await require_complete(at)
        leaves = reread(at.folder, at.log)
        events = {event.id: event for event in await at.store.read_all()}
        for leaf in leaves:
            event = events[leaf.id]
            assert (f"dossier-{leaf.code}", leaf.revision, leaf.type) == (event.stream, event.revision, event.type)
            assert leaf.time == event.recorded_at


async def test_an_empty_ledger_has_a_checkpoint(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        ledger = at.ledger()
        async with running(ledger):
            await asyncio.wait_for(ledger.caught_up.wait(), 20)
            assert reread(at.folder, at.log) == []


class Crash(Exception):
    """The machine is gone."""


class Breaking:
    """A storage of a machine that fails at the nth thing it is asked to write, before or after it."""

    def __init__(self, storage: Storage, at: int, after: bool) -> None:
        self._storage = storage
        self._left = at
        self._after = after
        self.broken = False

    async def read(self, path: str) -> bytes | None:
        self._check()
        return await self._storage.read(path)

    async def create(self, path: str, content: bytes) -> bytes | None:
        self._count(not self._after)
        there = await self._storage.create(path, content)
        self._check()
        return there

    async def replace(self, path: str, old: bytes | None, new: bytes) -> bool:
        self._count(not self._after)
        done = await self._storage.replace(path, old, new)
        self._check()
        return done

    async def remove_under(self, folder: str) -> None:
        self._count(not self._after)
        await self._storage.remove_under(folder)
        self._check()

    def _count(self, now: bool) -> None:
        self._left -= 1
        if self._left < 0:
            self.broken = True
        if now:
            self._check()

    def _check(self) -> None:
        if self.broken:
            raise Crash


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("number", range(1, 9))
async def test_a_crash_while_publishing_is_made_good_at_the_next_start(
    tmp_path: Path, number: int, after: bool
) -> None:
    keys = MemoryKeys()
    async with site(tmp_path, keys) as at:
        await play(at.store, keys, 150, 1)
        storage = Breaking(FolderStorage(at.folder), number, after)
        ledger = at.ledger(storage)
        async with running(ledger):
            if number > 1:
                await eventually_here(lambda: storage.broken or at.size() == 150)
            # Full tiles, and partial ones that are removed.
            await play(at.store, keys, 150, 1, start=150)
            await eventually_here(lambda: storage.broken)
    async with site(tmp_path, keys) as at, running(at.ledger()):
        await at.published(300)
        await require_complete(at)
        await play(at.store, keys, 1, 1, start=300)
        await at.published(301)
        await require_complete(at)


@pytest.mark.usefixtures("engine")
async def test_a_transaction_that_is_cut_short_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = Sequencer._commit
    crashes = 3

    def crashing(self: Sequencer, db: Connection, growth: Growth, old: int, new: int) -> None:
        nonlocal crashes
        commit(self, db, growth, old, new)
        if crashes:
            crashes -= 1
            raise Crash

    monkeypatch.setattr(Sequencer, "_commit", crashing)
    async with site(tmp_path) as at, running(at.ledger()):
        await play(at.store, at.keys, 20, 2)
        await at.published(40)
        assert crashes == 0
        await require_complete(at)


@pytest.mark.usefixtures("engine")
async def test_two_replicas_sequence_once(tmp_path: Path) -> None:
    keys = MemoryKeys()
    async with site(tmp_path, keys) as one, site(tmp_path, keys) as two, running(one.ledger(), two.ledger()):
        for start in range(0, 200, 20):
            await play(one.store, keys, 10, 2, start=start)
            await play(two.store, keys, 10, 2, start=start + 10)
        await one.published(400)
        await require_complete(one)
    async with site(tmp_path, keys) as at:
        rows = await at.platform.database("ledger", durable=True).read(
            lambda db: db.execute(select(tables.leaves.c.event_id)).all()
        )
        assert len(rows) == len(set(rows)) == 400


@pytest.mark.usefixtures("engine")
async def test_the_other_replica_goes_on_when_one_stops(tmp_path: Path) -> None:
    keys = MemoryKeys()
    async with site(tmp_path, keys) as one, site(tmp_path, keys) as two:
        first, second = one.ledger(), two.ledger()
        async with running(first, second):
            await play(one.store, keys, 5, 1)
            await one.published(5)
            await first.stop()
            await play(one.store, keys, 5, 1, start=5)
            await one.published(10)
            await require_complete(one)


async def test_a_slow_replica_does_not_take_the_checkpoint_back(tmp_path: Path) -> None:
    keys = MemoryKeys()
    async with site(tmp_path, keys) as one, site(tmp_path, keys) as two:
        await play(one.store, keys, 5, 1)
        slow = one.ledger()
        held: asyncio.Event = asyncio.Event()
        go = asyncio.Event()
        replace = slow._storage.replace

        async def late(path: str, old: bytes | None, new: bytes) -> bool:
            if b"\n5\n" in new:
                held.set()
                await go.wait()
            return await replace(path, old, new)

        slow._storage.replace = late  # type: ignore[method-assign]
        async with running(slow):
            await asyncio.wait_for(held.wait(), 20)
            async with running(two.ledger()):
                await play(one.store, keys, 5, 1, start=5)
                await two.published(10)
                go.set()
                await play(one.store, keys, 1, 1, start=10)
                await two.published(11)
            await require_complete(two)


async def test_what_a_replica_died_before_publishing_the_other_one_publishes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sequencing, "GRACE_SECONDS", 0.3)
    keys = MemoryKeys()
    async with site(tmp_path, keys) as one, site(tmp_path, keys) as two:
        dying = one.ledger()
        reached = asyncio.Event()
        replace = dying._storage.replace

        async def hang(path: str, old: bytes | None, new: bytes) -> bool:
            if b"\n5\n" in new:
                reached.set()
                await asyncio.Event().wait()
            return await replace(path, old, new)

        dying._storage.replace = hang  # type: ignore[method-assign]
        standby = two.ledger()
        standby._sequencer._standby = True
        async with running(dying, standby):
            await play(one.store, keys, 5, 1)
            await asyncio.wait_for(reached.wait(), 20)
            await dying.stop()
            await two.published(5)
            await require_complete(two)


class Away:
    """Identity, which does not answer for a while."""

    def __init__(self, keys: MemoryKeys, failures: int) -> None:
        self._keys = keys
        self.failures = failures

    async def keys(self, subjects: Collection[str], *, create: bool) -> Keys:
        if self.failures:
            self.failures -= 1
            raise Rejected("UNAVAILABLE", system="identity")
        return await self._keys.keys(subjects, create=create)


async def test_without_identity_the_ledger_waits(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        (code,) = await play(at.store, at.keys, 1, 2)
        away = Away(at.keys, 3)
        async with running(RunningLedger(at.platform, away)):
            await at.published(2)
        assert away.failures == 0
        key = (await at.keys.keys([f"person-{code}"], create=False))[f"person-{code}"]
        for leaf, event in zip(reread(at.folder, at.log), await at.store.read(f"dossier-{code}"), strict=True):
            stored = (event.stream, event.revision, event.id, event.type, event.data, event.metadata)
            assert leaf.commitment == commitment(key, *stored)


async def test_after_an_erasure_the_commitment_stays_and_proofs_hold(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        early, late = await play(at.store, at.keys, 2, 2)
        async with running(at.ledger()):
            await at.published(4)
        before = reread(at.folder, at.log)
        at.keys.erase(f"person-{early}")
        await append(at.store, early, assigned(early, f"person-{early}", "after"))
        ledger = at.ledger()
        async with running(ledger):
            await at.published(5)
            after = reread(at.folder, at.log)
            assert after[:4] == before
            assert all(leaf.commitment for leaf in before)
            assert after[4].commitment == b""
            for code, events in ((early, 3), (late, 2)):
                receipt = await ledger._receipts.dossier(code)
                assert receipt
                assert len(proof.verify_dossier(receipt, at.log).leaves) == events


@pytest.mark.parametrize("person", ["", "person"])
async def test_an_event_that_cannot_be_a_leaf_stops_the_ledger_and_is_not_left_out(tmp_path: Path, person: str) -> None:
    async with site(tmp_path) as at:
        await play(at.store, at.keys, 2, 1)
        ledger = at.ledger()
        async with running(ledger):
            await at.published(2)
            step = "s" * (70_000 if person else 1)
            await append(at.store, code_of(7), assigned(code_of(7), person, step))
            failures = "applicant_id" if not person else "at most 65535"
            with pytest.raises(LedgerError, match=failures):
                await ledger._sequencer._sequence(await at.store.read(f"dossier-{code_of(7)}"), 2, 3)
        assert at.size() == 2


def test_a_gap_in_a_dossier_is_refused() -> None:
    chains = Chains({"a": Head(2, b"2" * 32)})
    assert chains.previous("a", 2, "id") == b"2" * 32
    chains.add("a", 2, b"3" * 32)
    assert chains.previous("a", 3, "id") == b"3" * 32
    with pytest.raises(LedgerError, match="event id of a has revision 4, the ledger awaits revision 3"):
        chains.previous("a", 4, "id")
    with pytest.raises(LedgerError, match="event id of b has revision 1, the ledger awaits revision 0"):
        chains.previous("b", 1, "id")


async def test_checkpoints_keep_their_distance(tmp_path: Path) -> None:
    async with site(tmp_path, ledger_checkpoint_seconds=0.3) as at:
        ledger = at.ledger()
        sizes: list[int] = []
        async with running(ledger):
            loop = asyncio.get_running_loop()
            began = loop.time()
            for start in range(60):
                await play(at.store, at.keys, 1, 1, start=start)
                sizes.append(at.size())
            await at.published(60)
            sizes.append(60)
            elapsed = loop.time() - began
        assert len(set(sizes) - {-1, 0}) <= 2 + elapsed / 0.3
