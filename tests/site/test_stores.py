"""The same where the stores are servers, and what the rules say one by one."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import delete, text

from command.schemas import schemas_of
from command.site import belonging
from services.chassis.platform.platform import open_store
from services.chassis.platform.settings import Settings
from services.chassis.privacy.sealing import ERASED, LOST, open_message
from services.chassis.site import judging
from services.chassis.site.identity import Identity, found, identity_of
from services.chassis.site.judging import Log, Part
from services.chassis.site.marks import NOTHING, Mark, Memory
from services.chassis.site.refusal import SiteRefused
from services.chassis.store.port import NO_STREAM, EventStore, NewEvent
from services.identity.keys import SubjectKeys
from services.identity.vault import subject_keys
from services.registry import SERVICES
from tests.backup.site import load, load_databases, save, settings_of, site
from tests.doubles.kurrentdb import Double
from tests.ledger.site import submitted
from tests.site.lived import ALL, Lived, fold_all
from tests.support.postgresql import Postgresql

OURS, THEIRS = Identity("ours", frozenset()), Identity("theirs", frozenset())


def log(head: int, identity: Identity | None = OURS, **events: str) -> Log:
    return Log("the log", head, identity, {int(at[1:]): event for at, event in events.items()})


def part(name: str, position: int, *, site_id: str = "ours", event: str = "", furthest: int = 0, **of: Mark) -> Part:
    marks = {name: Mark(site_id, 1, position, event)} | of
    return Part(name, f"{name}.db", name == "keys", Memory(marks, furthest))


def said(log_: Log, *parts: Part, joined: tuple[str, ...] = ()) -> list[str]:
    return [fault.what for fault in judging.faults(log_, parts, joined)]


def test_what_belongs_together() -> None:
    assert said(log(9, p5="e5"), part("keys", 5, event="e5"), part("dossier", 9)) == []
    assert said(log(0, None), Part("keys", "keys.db", True, NOTHING)) == []


def test_a_follower_stands_beyond_the_log() -> None:
    (fault,) = said(log(4), part("dossier", 3, furthest=7))
    assert fault.startswith("the log ends at position 4, and dossier.db has seen position 7")


def test_two_histories_of_one_site() -> None:
    (fault,) = said(log(9, p5="e6"), part("keys", 5, event="e5"))
    assert fault == "the log has e6 at position 5, where keys.db has seen e5: they are of two histories"


def test_a_foreign_view_is_disposable_only_where_something_vouches_for_the_log() -> None:
    view = part("dossier", 3, site_id="theirs")
    (alone,) = judging.faults(log(9), [view], ())
    assert alone.disposable == ""
    (vouched,) = judging.faults(log(9), [view, part("keys", 3)], ())
    assert vouched.disposable == "dossier"


def test_an_older_copy_is_known_by_its_sibling() -> None:
    (fault,) = said(log(9), part("identity", 9, keys=Mark("ours", 1, 9)), part("keys", 5))
    assert fault.startswith("keys.db is an older copy: it has seen the log up to position 5")
    (fault,) = said(log(9), part("identity", 9, keys=Mark("ours", 2, 5)), part("keys", 5))
    assert fault.startswith("keys.db is an older copy")


def test_every_database_of_a_service_is_asked() -> None:
    for service in SERVICES:
        asked = {(place.name, place.durable) for place in belonging.places(Settings(), (service,))}
        assert asked == {(schema.name, schema.durable) for schema in schemas_of(service)}


# Servers


async def lives(settings: Settings, start: int = 0) -> None:
    await belonging.require(settings, ALL, aside=None)
    async with site(settings) as at:
        watch = await belonging.begin(at.platform, ALL)
        await at.play(2, start=start)
        await at.publish((start + 2) * 3)
        await fold_all(at.platform)
        await watch.finish()


@pytest.fixture
def url(postgresql: Any, tmp_path: Path) -> str:
    return Postgresql(postgresql).url(tmp_path)


async def test_schemas_of_postgresql(url: str, tmp_path: Path) -> None:
    settings = settings_of(tmp_path / "site", database=url)
    await lives(settings)
    assert await belonging.examined(settings, ALL) == []
    async with site(settings) as at:
        await at.platform.database("keys", durable=True).write(lambda db: db.execute(text("DROP SCHEMA keys CASCADE")))
    (fault,) = await belonging.examined(settings, ALL)
    assert fault.startswith("the database schema keys is lost")


async def test_a_log_that_is_lost_beside_postgresql(url: str, tmp_path: Path) -> None:
    settings = settings_of(tmp_path / "site", database=url)
    await lives(settings)
    (tmp_path / "site" / "events.db").unlink()
    found = await belonging.examined(settings, ALL)
    assert "events.db is empty or missing" in found[0]
    assert not (tmp_path / "site" / "events.db").exists()


@pytest.fixture
async def kurrentdb() -> AsyncIterator[Double]:
    double = Double()
    await double.start()
    yield double
    await double.stop()


async def test_kurrentdb(kurrentdb: Double, tmp_path: Path) -> None:
    settings = settings_of(tmp_path / "site", event_store=kurrentdb.uri)
    await lives(settings)
    assert await belonging.examined(settings, ALL) == []
    await lives(settings, start=2)
    sqlite = settings_of(tmp_path / "site")
    assert "events.db is empty or missing" in (await belonging.examined(sqlite, ALL))[0]


async def test_a_node_of_another_site(kurrentdb: Double, tmp_path: Path) -> None:
    await lives(settings_of(tmp_path / "site", event_store=kurrentdb.uri))
    await lives(settings_of(tmp_path / "other"))
    mixed = settings_of(tmp_path / "other", event_store=kurrentdb.uri)
    assert "of the site" in (await belonging.examined(mixed, ALL))[0]


async def test_replicas_that_start_at_once_found_one_site(tmp_path: Path) -> None:
    settings = settings_of(tmp_path / "site")
    async with site(settings) as at:
        first, second = await belonging.begin(at.platform, ("dossier",)), await belonging.begin(at.platform, ALL)
        assert first is not second
        events = await at.platform.store.read("site-vn-56")
    assert [event.type.rpartition(".")[2] for event in events].count("SiteFounded") == 1
    assert [event.type.rpartition(".")[2] for event in events].count("StoreFounded") == 4
    assert await belonging.examined(settings, ALL) == []


async def test_a_site_of_before_is_adopted_if_it_is_consistent(tmp_path: Path) -> None:
    settings = settings_of(tmp_path / "site")
    async with site(settings) as at:
        await at.play(2)
        await at.publish(6)
        await fold_all(at.platform)
    shutil.copytree(tmp_path / "site", tmp_path / "inconsistent")
    await lives(settings, start=2)
    broken = settings_of(tmp_path / "inconsistent")
    (tmp_path / "inconsistent" / "keys.db").unlink()
    (fault,) = await belonging.examined(broken, ALL)
    assert "keys.db lacks the keys of 2 people" in fault
    with pytest.raises(SiteRefused):
        await belonging.require(broken, ALL, aside=None)


# Backups


async def test_a_backup_carries_the_identity_and_a_mixed_site_is_not_saved(lived: Lived, tmp_path: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(lived.stopped, source)
    settings, copies = settings_of(source), tmp_path / "copies"
    await save(settings, copies)
    restored = settings_of(tmp_path / "restored")
    await load(restored, copies, source / "ledger" / "checkpoint")
    assert await belonging.examined(restored, ALL) == []
    async with site(restored) as at:
        identity = await identity_of(at.platform.store, "vn-56")
    async with site(settings) as at:
        assert await identity_of(at.platform.store, "vn-56") == identity
    for suffix in ("", "-wal", "-shm"):
        (source / f"keys.db{suffix}").unlink(missing_ok=True)
    with pytest.raises(Exception, match=r"keys\.db is lost"):
        await save(settings, copies)
    await load_databases(settings, copies)
    assert await belonging.examined(settings, ALL) == []


async def test_a_loss_is_accepted_by_a_fact(lived: Lived, tmp_path: Path) -> None:
    shutil.copytree(lived.stopped, tmp_path / "site")
    settings = settings_of(tmp_path / "site")
    with pytest.raises(SiteRefused, match="is there"):
        await belonging.accept(settings, "keys")
    (tmp_path / "site" / "keys.db").unlink()
    await belonging.accept(settings, "keys")
    assert await belonging.examined(settings, ALL) == []
    async with site(settings) as at:
        await belonging.begin(at.platform, ALL)
        events = await at.platform.store.read("site-vn-56")
    assert events[-1].type == "motcua.site.events.v1.StoreLossAccepted"


# Lost is not erased


async def test_lost_is_not_erased(tmp_path: Path) -> None:
    async with site(settings_of(tmp_path / "site")) as at:
        lost, erased = await at.play(2)
        await at.erase(f"person-{erased}")
        await at.vault.write(
            lambda db: db.execute(delete(subject_keys).where(subject_keys.c.subject == f"person-{lost}"))
        )
        keys = SubjectKeys(at.vault)
        shown = {}
        for code in (lost, erased):
            event = submitted(code, f"person-{code}", b"\x01 sealed")
            shown[code] = await open_message(event, (await at.platform.store.read(f"dossier-{code}"))[0].id, keys)
        assert shown == {lost: {"applicant_name": LOST}, erased: {"applicant_name": ERASED}}
        found = await belonging.lost_subjects(
            at.platform.store, at.platform.settings.site, at.platform.database("keys", durable=True)
        )
    assert found <= {f"person-{lost}"}


async def test_a_site_that_another_process_makes_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All parts of a site begin at once: what was not there a moment ago belongs to what is there now."""
    settings, original = settings_of(tmp_path / "site"), belonging._part
    made: list[belonging.Place] = []

    async def found_first(asked: Settings, place: belonging.Place) -> Part:
        if not made:
            made.append(place)
            async with site(settings) as at:
                watch = await belonging.begin(at.platform, tuple(SERVICES))
                await watch.finish()
        return await original(asked, place)

    monkeypatch.setattr(belonging, "_part", found_first)
    assert await belonging.examined(settings, tuple(SERVICES)) == []
    assert made


async def test_a_site_that_another_process_founds_while_its_log_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, original = settings_of(tmp_path / "site"), identity_of
    store = await open_store(settings)
    await store.close()
    asked: list[str] = []

    async def found_next(store: EventStore, name: str) -> Identity | None:
        before = await original(store, name)
        if not asked:
            asked.append(name)
            await found(store, name, datetime.now(UTC))
        return before

    monkeypatch.setattr("command.site.belonging.identity_of", found_next)
    assert await belonging.examined(settings, tuple(SERVICES)) == []
    assert asked


async def test_what_was_loaded_for_another_site_before_the_first_start(tmp_path: Path) -> None:
    settings = settings_of(tmp_path / "site", site="vn-52")
    store = await open_store(settings)
    await store.append("calendar-x", [NewEvent(uuid4(), "x", b"", b'{"site": "vn-56"}')], NO_STREAM)
    await store.close()
    (fault,) = await belonging.examined(settings, tuple(SERVICES))
    assert fault.startswith("MOTCUA_SITE is vn-52, and ")
    assert fault.endswith(" is the log of the site vn-56")
