"""Saved and restored, on the parts themselves; test_site.py does it to a site that works."""

from __future__ import annotations

import asyncio
import gzip
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from sqlalchemy.engine import make_url
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from command.backup import backup as saving
from command.backup import durable, restore
from command.backup.archive import LAST, Archive, ArchiveError
from gateway.ledger.format.checkpoint import Checkpoint
from gateway.ledger.format.errors import LedgerError
from gateway.ledger.format.note import Note
from gateway.ledger.keep import restoring, tables
from gateway.ledger.keep.own_keys import log_key
from gateway.ledger.keep.storage import FolderStorage
from gateway.ledger.keep.tables import witnessed
from gateway.ledger.keep.witness import AddCheckpoint, Witness
from services.chassis.blobs.port import FolderBlobs
from services.chassis.database.database import Database
from services.chassis.platform.settings import Settings
from services.chassis.privacy.sealing import SubjectErased
from services.chassis.store.sqlite import SqliteStore
from services.dossier.uploads import Owner
from services.identity.accounts.values import AccountKind
from services.identity.kms import KeyNotUnwrapped
from tests.backup.site import PDF, load, load_databases, person_of, save, settings_of, sha256_of, site, size_of
from tests.doubles.kurrentdb import Double
from tests.ledger.test_cosigning import WITNESS, witnessing
from tests.support.bucket import BucketServer
from tests.support.papers import pdf
from tests.support.postgresql import Postgresql, connected

DOSSIERS = 12
LEAVES = 3 * DOSSIERS
UPLOADED = pdf("large", 100_000)


@dataclass(frozen=True)
class Saved:
    """A site that was saved, and went on."""

    site: Path
    backup: Path
    codes: list[str]
    content: dict[str, Any]
    """As it was saved."""
    checkpoint: bytes
    """Published when it was saved."""
    newest: bytes
    """Published later, of events that were saved."""
    beyond: bytes
    """Published at last, of events that came after the backup."""

    def note(self, folder: Path, note: bytes) -> Path:
        path = folder / "published"
        path.write_bytes(note)
        return path

    def copy(self, folder: Path) -> Path:
        return shutil.copytree(self.backup, folder / "copy")


async def _saved(folder: Path) -> Saved:
    settings = settings_of(folder / "site")
    async with site(settings) as at:
        codes = await at.play(DOSSIERS)
        await at.upload("sender", UPLOADED, 60_000)
        await at.upload("owner", PDF, len(PDF))
        database = at.platform.database("ledger", durable=True)
        checkpoint = await at.publish(LEAVES)
        row = {"origin": "vn.motcua.local/ledger", "size": 7, "root": b"r" * 32}
        await database.write(lambda db: db.execute(witnessed.insert().values(row)))
        # The ledger is behind the log, as it is while a site works.
        codes += await at.play(2, start=DOSSIERS)
        content = await at.content()
        done = await save(settings, folder / "backup")
        assert done.proved
        assert (done.proved.leaves, done.proved.dossiers, done.proved.ahead) == (LEAVES, DOSSIERS, 6)
        newest = await at.publish(LEAVES + 6)
        await at.play(1, start=DOSSIERS + 2)
        beyond = await at.publish(LEAVES + 9)
    return Saved(folder / "site", folder / "backup", codes, content, checkpoint, newest, beyond)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Saved:
    return asyncio.run(_saved(tmp_path_factory.mktemp("saved")))


async def restored_whole(saved: Saved, settings: Settings, leaves: int = LEAVES + 6) -> None:
    """What was saved is there, and the site goes on."""
    async with site(settings) as at:
        assert await at.content() == saved.content
        for code in saved.codes:
            assert await at.attachment(code) == pdf(code)
            assert await at.identifiers.find(AccountKind.CITIZEN, f"0561900{code[-5:]}") == person_of(code)
        upload = await at.uploads.create(
            Owner("sender", "sender"), "application/pdf", len(UPLOADED), sha256_of(UPLOADED)
        )
        assert upload.offset == 60_000
        await at.uploads.add(Owner("sender", "sender"), upload.upload_id, 60_000, UPLOADED[60_000:])
        assert await at.uploads.owned(Owner("owner", "owner"), [sha256_of(PDF)])
        await at.play(1, start=90)
        note = await at.publish(leaves + 3)
    assert size_of(note) == leaves + 3


# What comes back


async def test_a_site_comes_back_as_it_was_saved_and_its_ledger_goes_on(saved: Saved, tmp_path: Path) -> None:
    settings = settings_of(tmp_path / "site")
    restored = await load(settings, saved.backup, saved.note(tmp_path, saved.newest))
    assert (restored.leaves, restored.committed, restored.attachments) == (LEAVES + 6, LEAVES + 6, 16)
    async with site(settings) as at:
        assert await at.checkpoint() == saved.newest
        assert await at.publish(0) == saved.newest
    await restored_whole(saved, settings)


async def test_from_files_to_postgresql_and_buckets_and_back(
    saved: Saved, tmp_path: Path, postgresql: Any, buckets: BucketServer
) -> None:
    engine, there = Postgresql(postgresql), buckets.create()
    cluster = settings_of(tmp_path / "cluster", blobs=buckets.create(), **engine.settings(tmp_path / "cluster"))
    published = saved.note(tmp_path, saved.newest)
    await load(cluster, saved.backup, published)
    done = await save(_reading_only(engine, cluster), there)
    assert (done.manifest.log.events, done.manifest.attachments.count) == (42, 16)
    await restored_whole(saved, cluster)
    again = await save(cluster, there)
    assert again.copied < 5
    machine = settings_of(tmp_path / "machine")
    async with site(cluster) as at:
        content, note = await at.content(), await at.checkpoint()
    assert note
    await load(machine, there, saved.note(tmp_path, note))
    async with site(machine) as at:
        assert await at.content() == content
        assert await at.checkpoint() == note


def _reading_only(engine: Postgresql, settings: Settings) -> Settings:
    """As a role that may read what is saved, and nothing else."""
    schemas = ", ".join(f'"{name}"' for name in durable.DURABLE)
    with connected(engine.server, engine.database(settings.data)) as db:
        db.execute(b"CREATE ROLE saver")
        db.execute(f"GRANT USAGE ON SCHEMA {schemas} TO saver".encode())
        db.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA {schemas} TO saver".encode())
    url = make_url(settings.database).update_query_dict({"options": "-c role=saver"})
    return settings.model_copy(update={"database": url.render_as_string(hide_password=False)})


async def test_from_sqlite_to_kurrentdb_and_back(saved: Saved, tmp_path: Path) -> None:
    double = Double(1)
    await double.start()
    try:
        cluster = settings_of(tmp_path / "cluster", event_store=double.uri)
        await load(cluster, saved.backup, saved.note(tmp_path, saved.newest))
        await restored_whole(saved, cluster)
        done = await save(cluster, tmp_path / "there")
        assert done.proved
        assert done.proved.leaves == LEAVES + 9
        async with site(cluster) as at:
            content, note = await at.content(), await at.checkpoint()
    finally:
        await double.stop()
    assert note
    machine = settings_of(tmp_path / "machine")
    await load(machine, tmp_path / "there", saved.note(tmp_path, note))
    async with site(machine) as at:
        assert await at.content() == content


async def test_what_a_newer_backup_adds_is_only_what_is_new(saved: Saved, tmp_path: Path) -> None:
    settings = settings_of(saved.site)
    folder = saved.copy(tmp_path)
    before = {path for path in folder.rglob("*") if path.is_file()}
    first = await save(settings, folder)
    assert first.before
    assert (first.manifest.number, first.manifest.log.events, first.copied) == (2, 45, 1)
    assert first.manifest.log.segments[0] == first.before.log.segments[0]
    kept = before & {path for path in folder.rglob("*") if path.is_file()}
    gone = {path.relative_to(folder).parts[0] for path in before - kept}
    assert gone == {"manifests", "tables", "ledger", "attachments"}  # lists, dumps and the checkpoint are made anew
    second = await save(settings, folder)
    assert (second.copied, second.manifest.log, second.manifest.tables) == (
        0,
        first.manifest.log,
        first.manifest.tables,
    )
    assert second.removed == 1
    target = settings_of(tmp_path / "site")
    await load(target, folder, saved.note(tmp_path, saved.beyond))
    async with site(target) as at:
        assert await at.checkpoint() == saved.beyond


async def test_attachments_that_nobody_erased_stay_in_the_backup(saved: Saved, tmp_path: Path) -> None:
    folder = saved.copy(tmp_path)
    shutil.copytree(saved.site, tmp_path / "site")
    victim = person_of(saved.codes[0])
    shutil.rmtree(tmp_path / "site" / "blobs" / victim)
    done = await save(settings_of(tmp_path / "site"), folder)
    assert (done.kept, done.manifest.attachments.count) == (1, 17)
    await load(settings_of(tmp_path / "new"), folder, saved.note(tmp_path, saved.beyond))
    async with site(settings_of(tmp_path / "new")) as at:
        assert await at.attachment(saved.codes[0]) == pdf(saved.codes[0])


async def test_of_a_site_whose_log_survived_the_databases_come_back(saved: Saved, tmp_path: Path) -> None:
    shutil.copytree(saved.site, tmp_path / "site")
    settings = settings_of(tmp_path / "site")
    async with site(settings) as at:
        await at.erase(person_of(saved.codes[0]))
    for path in [*settings.data.glob("*.db*")]:
        if not path.name.startswith("events.db"):
            path.unlink()
    await load_databases(settings, saved.backup)
    async with site(settings) as at:
        with pytest.raises(SubjectErased):
            await at.attachment(saved.codes[0])
        assert await at.attachment(saved.codes[1]) == pdf(saved.codes[1])
        upload = await at.uploads.create(
            Owner("sender", "sender"), "application/pdf", len(UPLOADED), sha256_of(UPLOADED)
        )
        assert upload.offset == 60_000
        # From the published files.
        assert await at.publish(LEAVES + 9) == saved.beyond
    with pytest.raises(ArchiveError, match="the event store ends before the backup does"):
        await load_databases(settings_of(tmp_path / "new"), saved.backup)


# Erasure


async def test_who_is_erased_goes_from_the_backup_with_its_next_run(saved: Saved, tmp_path: Path) -> None:
    folder, erased = saved.copy(tmp_path), person_of(saved.codes[0])
    shutil.copytree(saved.site, tmp_path / "site")
    settings = settings_of(tmp_path / "site")
    wrapped = {row[0]: row[1] for row in saved.content["keys"]["subject_keys"]}[erased].encode()
    assert _anywhere(folder, wrapped)
    async with site(settings) as at:
        await at.erase(erased)
    await save(settings, folder)
    assert not _anywhere(folder, wrapped)
    assert not _anywhere(folder, saved.content["attachments"][f"{erased}/{sha256_of(pdf(saved.codes[0]))}"])
    await _erased(settings_of(tmp_path / "new"), folder, saved.note(tmp_path, saved.beyond), saved.codes)


async def test_whom_the_log_says_to_be_erased_an_old_key_does_not_bring_back(saved: Saved, tmp_path: Path) -> None:
    """The decision is in the log that was saved, and was not carried out yet."""
    folder = tmp_path / "backup"
    shutil.copytree(saved.site, tmp_path / "site")
    settings = settings_of(tmp_path / "site")
    async with site(settings) as at:
        await at.decide_erasure(person_of(saved.codes[0]))
    await save(settings, folder)
    await _erased(settings_of(tmp_path / "new"), folder, saved.note(tmp_path, saved.beyond), saved.codes)


async def _erased(settings: Settings, folder: Path, published: Path, codes: list[str]) -> None:
    """The first of them is, wherever one looks; the others are not."""
    restored = await load(settings, folder, published)
    assert (restored.leaves, restored.committed) == (LEAVES + 9, LEAVES + 6)
    erased = person_of(codes[0])
    async with site(settings) as at:
        rows = await at.vault.read(partial(durable.save, name="keys"))
        assert {row[0]: row[1:] for row in rows["subject_keys"]}[erased] == ["", True]
        assert erased not in {row[1] for row in rows["identifiers"]}
        assert not (settings.data / "blobs" / erased).exists()
        with pytest.raises(SubjectErased):
            await at.attachment(codes[0])
        assert await at.attachment(codes[1]) == pdf(codes[1])


def _anywhere(folder: Path, content: bytes) -> bool:
    for path in folder.rglob("*"):
        if path.is_file():
            held = path.read_bytes()
            if content in (gzip.decompress(held) if path.suffix == ".gz" else held):
                return True
    return False


# What is refused


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


KINDS = {
    "manifest": "manifests/*.json",
    "events": "log/*/*.jsonl.gz",
    "keys": "tables/keys/*/*.jsonl.gz",
    "uploads": "tables/dossier-uploads/*/*.jsonl.gz",
    "witnessed": "tables/ledger/*/*.jsonl.gz",
    "entries": "ledger/*/*.jsonl.gz",
    "checkpoint": "ledger/*/*.checkpoint",
    "inventory": "attachments/*/*.jsonl.gz",
    "attachment": "attachments/*/" + "[0-9a-f]" * 64,
}


@pytest.mark.parametrize(
    ("kind", "how"),
    [*((kind, "changed") for kind in KINDS), ("manifest", "missing"), ("events", "missing"), ("attachment", "missing")],
)
async def test_a_backup_that_was_changed_is_refused_with_the_file(
    saved: Saved, tmp_path: Path, kind: str, how: str
) -> None:
    folder = saved.copy(tmp_path)
    path = sorted(folder.glob(KINDS[kind]))[-1]
    if how == "changed":
        _flip(path)
    else:
        path.unlink()
    settings = settings_of(tmp_path / "site")
    with pytest.raises((ArchiveError, ExceptionGroup)) as refused:
        await load(settings, folder, saved.note(tmp_path, saved.newest))
    named = "no whole backup" if (kind, how) == ("manifest", "missing") else str(path.relative_to(folder))
    assert named in saving.told(refused.value)
    store = await SqliteStore.open(tmp_path / "site" / "events.db")
    assert await store.head() == 0
    await store.close()


async def test_a_changed_log_with_hashes_that_fit_is_found_by_the_ledger(saved: Saved, tmp_path: Path) -> None:
    """Whoever can write to the backup can make its hashes fit."""
    shutil.copytree(saved.site, tmp_path / "site")
    store = await SqliteStore.open(tmp_path / "site" / "events.db")
    await asyncio.to_thread(store._writer.execute, "UPDATE events SET recorded_at = recorded_at + 1 WHERE position = 9")
    await store.close()
    settings = settings_of(tmp_path / "site")
    with pytest.raises(ArchiveError, match=r"stored event changed: .*time is"):
        await save(settings, tmp_path / "backup")
    with pytest.raises(ArchiveError, match="no whole backup"):
        await load(settings_of(tmp_path / "new"), tmp_path / "backup", saved.note(tmp_path, saved.newest))
    await save(settings, tmp_path / "backup", check=False)
    target = settings_of(tmp_path / "new")
    with pytest.raises(LedgerError, match=r"leaf 8 says .*the event store or the published file was changed"):
        await load(target, tmp_path / "backup", saved.note(tmp_path, saved.newest))
    async with site(target) as at:
        assert await at.checkpoint() is None


async def test_what_nobody_has_committed_to_in_clear_is_compared_with_the_keys(saved: Saved, tmp_path: Path) -> None:
    """Metadata: only the commitment binds them, and only who has the person's key can tell."""
    shutil.copytree(saved.site, tmp_path / "site")
    store = await SqliteStore.open(tmp_path / "site" / "events.db")
    change = 'UPDATE events SET metadata = CAST(\'{"actor":"nobody"}\' AS BLOB) WHERE position = 9'
    await asyncio.to_thread(store._writer.execute, change)
    await store.close()
    await save(settings_of(tmp_path / "site"), tmp_path / "backup")
    target = settings_of(tmp_path / "new")
    with pytest.raises(ArchiveError, match="its sealed fields or its metadata were changed"):
        await load(target, tmp_path / "backup", saved.note(tmp_path, saved.beyond))
    async with site(target) as at:
        with pytest.raises(LedgerError, match="run `motcua restore` again"):
            async with at.ledger():
                raise AssertionError("it must not start")


async def test_a_site_that_was_saved_before_its_first_leaf(tmp_path: Path) -> None:
    settings = settings_of(tmp_path / "site")
    async with site(settings) as at:
        await at.erase("somebody")
        done = await save(settings, tmp_path / "backup")
        assert done.manifest.ledger is None
        note = await at.publish(0)
        (tmp_path / "empty").write_bytes(note)
        await at.play(1)
        (tmp_path / "newest").write_bytes(await at.publish(3))
    with pytest.raises(LedgerError, match="3 events that the public saw are lost"):
        await load(settings_of(tmp_path / "lost"), tmp_path / "backup", tmp_path / "newest")
    target = settings_of(tmp_path / "new")
    assert (await load(target, tmp_path / "backup", tmp_path / "empty")).leaves == 0
    async with site(target) as at:
        assert await at.publish(0) == note


NOT_THIS_SITE: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "another site": ({"site": "vn-52"}, ArchiveError, "the backup is of vn-56, MOTCUA_SITE says vn-52"),
    "another master key": ({"master_key": "ab" * 32}, KeyNotUnwrapped, "cannot be opened with this master key"),
    "no master key": ({"master_key": ""}, ArchiveError, "the master key is not here"),
    "another ledger's key": ({"ledger_key": "ab" * 32}, ArchiveError, "the settings say vn-56.motcua.local/ledger"),
    "no ledger's key": ({"ledger_key": ""}, ArchiveError, "the ledger's key is not here"),
    "a store that forgets": ({"event_store": "memory:"}, ArchiveError, "forgets"),
}


@pytest.mark.parametrize("what", NOT_THIS_SITE)
async def test_a_backup_needs_its_site_s_settings(saved: Saved, tmp_path: Path, what: str) -> None:
    given, kind, reason = NOT_THIS_SITE[what]
    with pytest.raises(kind, match=reason):
        await load(settings_of(tmp_path / "site", **given), saved.backup, saved.note(tmp_path, saved.newest))
    assert not (tmp_path / "site" / "events.db").exists()


async def _other_event(settings: Settings) -> None:
    async with site(settings) as at:
        await at.decide_erasure("somebody")


async def _other_blob(settings: Settings) -> None:
    async with site(settings) as at:
        await at.blobs.put("somebody", sha256_of(b"."), _pieces(b"."))


async def _other_key(settings: Settings) -> None:
    async with site(settings) as at:
        await at.keys.keys(["somebody"], create=True)


async def _other_ledger(settings: Settings) -> None:
    async with site(settings) as at, at.ledger():
        pass


async def _pieces(content: bytes) -> Any:
    yield content


USED = {
    "the event store holds the event": _other_event,
    "there are attachments already": _other_blob,
    "the database keys holds other rows": _other_key,
    "the database holds a ledger already": _other_ledger,
}


@pytest.mark.parametrize("reason", USED)
async def test_a_site_that_is_in_use_is_left_alone(saved: Saved, tmp_path: Path, reason: str) -> None:
    settings = settings_of(tmp_path / "site")
    await USED[reason](settings)
    with pytest.raises((ArchiveError, LedgerError), match=reason):
        await load(settings, saved.backup, saved.note(tmp_path, saved.newest))
    if USED[reason] is _other_event:
        assert not (tmp_path / "site" / "blobs").exists()
        async with site(settings) as at, at.ledger():
            pass


async def test_nothing_is_no_site(tmp_path: Path) -> None:
    """A wrong setting must not look like a backup."""
    with pytest.raises(ArchiveError, match=r"there is no event store in .*: set MOTCUA_DATA"):
        await save(settings_of(tmp_path / "site"), tmp_path / "backup")
    async with site(settings_of(tmp_path / "site")):
        pass
    with pytest.raises(ArchiveError, match="the event store is empty"):
        await save(settings_of(tmp_path / "site"), tmp_path / "backup")
    with pytest.raises(ArchiveError, match="keeps nothing"):
        await save(settings_of(tmp_path / "site", event_store="memory:"), tmp_path / "backup")
    with pytest.raises(ArchiveError, match="no whole backup"):
        await load(settings_of(tmp_path / "new", ledger_origin="x/y"), tmp_path / "backup")


async def test_the_place_of_the_site_and_another_site_s_backup_are_no_places_for_a_backup(
    saved: Saved, tmp_path: Path
) -> None:
    with pytest.raises(ArchiveError, match="is where the site itself lies"):
        await save(settings_of(saved.site), saved.site)
    with pytest.raises(ArchiveError, match="holds backups of vn-56, this is vn-52"):
        await save(settings_of(saved.site, site="vn-52"), saved.backup)
    async with site(settings_of(tmp_path / "site")) as at:
        await at.play(DOSSIERS + 4)
    with pytest.raises(ArchiveError, match="does not go on from the one that was backed up here"):
        await save(settings_of(tmp_path / "site"), saved.backup)


# The public ledger


async def test_with_what_was_published_when_it_was_saved_the_ledger_goes_on_there(saved: Saved, tmp_path: Path) -> None:
    settings = settings_of(tmp_path / "site")
    restored = await load(settings, saved.backup, saved.note(tmp_path, saved.checkpoint))
    assert restored.leaves == LEAVES
    async with site(settings) as at:
        # Of the same events the same log comes out, signature included.
        assert await at.publish(LEAVES + 6) == saved.newest


async def test_where_published_events_are_lost_the_ledger_never_goes_on(saved: Saved, tmp_path: Path) -> None:
    settings = settings_of(tmp_path / "site")
    with pytest.raises(LedgerError, match="3 events that the public saw are lost"):
        await load(settings, saved.backup, saved.note(tmp_path, saved.beyond))
    async with site(settings) as at:
        with pytest.raises(LedgerError, match="run `motcua restore` again"):
            async with at.ledger():
                raise AssertionError("it must not start")
        assert await at.checkpoint() is None
    begins_anew = settings_of(tmp_path / "site", ledger_origin="vn-56.motcua.local/ledger-2", ledger_key="55" * 32)
    restored = await load(begins_anew, saved.backup)
    assert (restored.leaves, restored.ledger_begins_anew) == (0, True)
    async with site(begins_anew) as at:
        assert size_of(await at.publish(LEAVES + 6)) == LEAVES + 6


async def test_another_history_than_the_published_one_is_never_signed(saved: Saved, tmp_path: Path) -> None:
    """Somebody holds a checkpoint of ours that the restored events do not lead to."""
    signer = log_key(settings_of(saved.site))
    for size in (7, LEAVES, LEAVES + 3):
        text = replace(Checkpoint.parse(Note.parse(saved.checkpoint).text), size=size, root=b"f" * 32).format()
        settings = settings_of(tmp_path / f"site-{size}")
        note = saved.note(tmp_path, Note(text, (signer.sign(text),)).format())
        with pytest.raises(LedgerError, match="are not the history that was published"):
            await load(settings, saved.backup, note)
        async with site(settings) as at:
            assert await at.checkpoint() is None


async def test_a_new_ledger_has_a_new_name_and_an_old_one_lies_elsewhere(saved: Saved, tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="a new ledger needs a new name"):
        await load(settings_of(tmp_path / "site"), saved.backup)
    shutil.copytree(saved.site / "ledger", tmp_path / "site" / "ledger")
    anew = settings_of(tmp_path / "site", ledger_origin="vn-56.motcua.local/ledger-2", ledger_key="55" * 32)
    with pytest.raises(ArchiveError, match="move them away first, and keep them"):
        await load(anew, saved.backup)
    # Where the site's files survived, they say themselves what was published.
    with pytest.raises(ArchiveError, match="there is one of 45: give that one"):
        await load(settings_of(tmp_path / "site"), saved.backup, saved.note(tmp_path, saved.newest))


async def test_a_witness_that_has_seen_more_is_believed(saved: Saved, tmp_path: Path) -> None:
    """Whoever restores may know of an older checkpoint only."""
    database = Database(f"sqlite:///{tmp_path}", "witness", durable=True)
    await database.create(tables.metadata)
    witness = Witness(database, WITNESS, [log_key(settings_of(saved.site)).verifier])

    async def answer(request: Request) -> Response:
        said = await witness.add_checkpoint(await request.body())
        return PlainTextResponse(said.body, said.status)

    note = saved.note(tmp_path, saved.newest)
    async with witnessing(answer) as address:
        with_witness = settings_of(tmp_path / "site", ledger_witnesses=address)
        cosigned = await witness.add_checkpoint(AddCheckpoint(0, (), Note.parse(saved.beyond)).format())
        assert cosigned.status == 200
        with pytest.raises(LedgerError, match="cosigned 45 leaves of this log, --published is of 42"):
            await load(with_witness, saved.backup, note)
        assert not (tmp_path / "site" / "events.db").exists()
    restored = await load(with_witness, saved.backup, note)
    assert restored.silent == ["witness.test"]
    await database.close()


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"vn-56.motcua.local/ledger\n7\n"])
async def test_what_is_no_checkpoint_of_this_ledger_vouches_for_nothing(
    saved: Saved, tmp_path: Path, content: bytes
) -> None:
    with pytest.raises(ArchiveError, match="is no checkpoint of this ledger"):
        await load(settings_of(tmp_path / "site"), saved.backup, saved.note(tmp_path, content))


# Cut off


class CutOff(Exception):
    pass


@contextmanager
def cut_off(holder: Any, name: str, after: int) -> Iterator[None]:
    """What works so many times, and then no more."""
    work, left = getattr(holder, name), iter(range(after))

    async def counted(*args: Any, **given: Any) -> Any:
        if next(left, None) is None:
            raise CutOff(name)
        return await work(*args, **given)

    with mock.patch.object(holder, name, counted), pytest.raises((CutOff, ExceptionGroup)):
        yield


@pytest.mark.parametrize("files", [0, 2, 20])
async def test_a_first_backup_that_was_cut_off_is_none(saved: Saved, tmp_path: Path, files: int) -> None:
    settings, folder = settings_of(saved.site), tmp_path / "backup"
    with cut_off(Archive, "add", files):
        await save(settings, folder)
    with pytest.raises(ArchiveError, match="no whole backup"):
        await load(settings_of(tmp_path / "site"), folder, saved.note(tmp_path, saved.newest))
    done = await save(settings, folder)
    assert await named_by(done, folder) == {
        str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()
    }


@pytest.mark.parametrize(("where", "after"), [("add", 1), ("add", 4), ("commit", 0), ("prune", 0)])
async def test_a_backup_that_was_cut_off_leaves_a_whole_one(
    saved: Saved, tmp_path: Path, where: str, after: int
) -> None:
    folder = saved.copy(tmp_path)
    with cut_off(Archive, where, after):
        await save(settings_of(saved.site), folder)
    published = saved.beyond if where == "prune" else saved.newest
    restored = await load(settings_of(tmp_path / "site"), folder, saved.note(tmp_path, published))
    assert restored.manifest.number == (2 if where == "prune" else 1)
    done = await save(settings_of(saved.site), folder)
    assert await named_by(done, folder) == {
        str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()
    }


async def named_by(done: saving.Done, folder: Path) -> set[str]:
    inventory = await saving.inventory_of(Archive.open(str(folder), create=False), done.manifest.attachments)
    files = [*done.manifest.files(), *(file for _, file in inventory.values())]
    return {file.path for file in files} | {LAST, f"manifests/{done.manifest.number:08}.json"}


async def test_of_two_backups_at_once_into_one_place_one_is_made(saved: Saved, tmp_path: Path) -> None:
    folder = saved.copy(tmp_path)
    both = await asyncio.gather(*(save(settings_of(saved.site), folder) for _ in range(2)), return_exceptions=True)
    assert sorted(type(one).__name__ for one in both) == ["ArchiveError", "Done"]
    await load(settings_of(tmp_path / "site"), folder, saved.note(tmp_path, saved.beyond))


CUTS = {
    "among the attachments": (FolderBlobs, "put", 7),
    "before the log": (SqliteStore, "append", 0),
    "in the log": (SqliteStore, "append", 20),
    "before the ledger": (restoring, "restore_log", 0),
    "while it is published": (FolderStorage, "create", 1),
    "before it is checked": (restore, "_check", 0),
}


@pytest.mark.parametrize("where", CUTS)
async def test_a_restore_that_was_cut_off_goes_on_and_no_ledger_starts_before(
    saved: Saved, tmp_path: Path, where: str
) -> None:
    settings, published = settings_of(tmp_path / "site"), saved.note(tmp_path, saved.newest)
    with mock.patch.object(restore, "SQLITE_IN_FLIGHT", 1), cut_off(*CUTS[where]):
        await load(settings, saved.backup, published)
    async with site(settings) as at:
        with pytest.raises(LedgerError, match="run `motcua restore` again"):
            async with at.ledger():
                raise AssertionError("it must not start")
        if where == "in the log":
            assert await at.platform.store.head() == 20
    await load(settings, saved.backup, published)
    await restored_whole(saved, settings)
