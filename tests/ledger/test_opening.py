"""A ledger goes on only as the log it was. What one side lost, the other gives back; what disagrees is refused."""

from __future__ import annotations

import asyncio
import gzip
import re
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from gateway.ledger.format import tiles
from gateway.ledger.format.errors import LedgerError
from gateway.ledger.format.note import Note
from gateway.ledger.format.tiles import TileName
from tests.ledger.site import Site, append, assigned, code_of, of_dossiers, play, reread, running, site
from tests.support.keys import MemoryKeys
from tests.support.postgresql import Engine, current

SIZE = 300
ENTRIES = Path("ledger/tile/entries/000")
PARTIAL_ENTRIES = Path("ledger/tile/entries/001.p/44")
TILE = Path("ledger/tile/0/000")
UPPER = Path("ledger/tile/1/000.p/1")
CHECKPOINT = Path("ledger/checkpoint")
TABLES = ("leaves", "tiles", "head_pages")


@pytest.fixture(scope="module")
def made(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, MemoryKeys]:
    """A folder with a ledger of 300 leaves."""
    folder, keys = tmp_path_factory.mktemp("made"), MemoryKeys()

    async def fill() -> None:
        async with site(folder, keys) as at:
            await play(at.store, keys, 100, 3)
            async with running(at.ledger()):
                await at.published(SIZE)

    asyncio.run(fill())
    return folder, keys


@pytest.fixture
def folder(made: tuple[Path, MemoryKeys], tmp_path: Path) -> Path:
    copied = Path(shutil.copytree(made[0], tmp_path / "data"))
    current().copy(made[0], "ledger", copied)
    return copied


@pytest.fixture
def keys(made: tuple[Path, MemoryKeys]) -> MemoryKeys:
    return made[1]


def lose_database(folder: Path) -> None:
    current().lose(folder, "ledger")


def rows(folder: Path) -> dict[str, list[tuple[object, ...]]]:
    return {
        table: sorted(current().sql(folder, "ledger", f"SELECT * FROM {table}")) for table in (*TABLES, "positions")
    }


def files(folder: Path) -> dict[str, bytes]:
    ledger = folder / "ledger"
    return {str(path.relative_to(ledger)): path.read_bytes() for path in ledger.rglob("*") if path.is_file()}


async def goes_on(at: Site) -> None:
    """With one event more."""
    code = code_of(1)
    async with running(at.ledger()):
        await append(at.store, code, assigned(code, f"person-{code}", "one more"))
        await at.published(SIZE + 1)
    assert [leaf.id for leaf in reread(at.folder, at.log)] == await of_dossiers(at.store)


async def refusal(folder: Path, keys: MemoryKeys, **settings: object) -> str:
    before = files(folder)
    async with site(folder, keys, **settings) as at:
        with pytest.raises(LedgerError) as refused:
            await at.ledger().start()
    assert files(folder) == before
    return str(refused.value)


async def test_a_lost_database_is_made_again_from_the_files(folder: Path, keys: MemoryKeys) -> None:
    before = rows(folder)
    lose_database(folder)
    async with site(folder, keys) as at:
        async with running(at.ledger()):
            pass
        assert rows(folder) == before
        await goes_on(at)


async def test_an_erasure_does_not_change_what_is_made_again(folder: Path, keys: MemoryKeys) -> None:
    """The commitments are those that were published, though nobody can compute them any more."""
    before = files(folder)
    lose_database(folder)
    async with site(folder, MemoryKeys()) as at, running(at.ledger()):
        await at.published(SIZE)
    assert files(folder) == before


async def test_recovery_that_was_cut_short_begins_anew(folder: Path, keys: MemoryKeys) -> None:
    before = rows(folder)
    for table in ("ledger", "positions"):
        current().sql(folder, "ledger", f"DELETE FROM {table}")
    async with site(folder, keys) as at, running(at.ledger()):
        await at.published(SIZE)
    assert rows(folder) == before


async def test_lost_files_are_made_again_from_the_database(folder: Path, keys: MemoryKeys) -> None:
    before = files(folder)
    shutil.rmtree(folder / "ledger")
    async with site(folder, keys) as at:
        async with running(at.ledger()):
            await at.published(SIZE)
        assert files(folder) == before
        await goes_on(at)


@pytest.mark.parametrize("path", [ENTRIES, TILE])
async def test_a_lost_file_is_made_again_when_it_is_asked_for(folder: Path, keys: MemoryKeys, path: Path) -> None:
    content = (folder / path).read_bytes()
    (folder / path).unlink()
    async with site(folder, keys) as at:
        ledger = at.ledger()
        async with running(ledger):
            assert await ledger._publisher.file(TileName.parse(str(path.relative_to("ledger")))) == content
    assert (folder / path).read_bytes() == content


async def test_a_partial_tile_that_was_removed_is_still_served(folder: Path, keys: MemoryKeys) -> None:
    async with site(folder, keys) as at:
        ledger = at.ledger()
        async with running(ledger):
            whole = (folder / TILE).read_bytes()
            assert await ledger._publisher.file(TileName.parse("tile/0/000.p/7")) == whole[: 7 * 32]
            assert await ledger._publisher.file(TileName.parse("tile/0/001.p/45")) is None
    assert not (folder / "ledger/tile/0/000.p").exists()


def _entry(
    change: Callable[[list[bytes]], list[bytes]], path: Path = ENTRIES, width: int = 256
) -> Callable[[Path], None]:
    def run(folder: Path) -> None:
        target = folder / path
        entries = tiles.parse_bundle(gzip.decompress(target.read_bytes()), width)
        target.write_bytes(gzip.compress(tiles.format_bundle(change(entries))))

    return run


def _bytes(path: Path, change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def run(folder: Path) -> None:
        (folder / path).write_bytes(change((folder / path).read_bytes()))

    return run


def _sql(database: str, statement: str) -> Callable[[Path], None]:
    def run(folder: Path) -> None:
        with closing(sqlite3.connect(folder / database)) as db:
            db.execute(statement)
            db.commit()

    return run


def _flipped(content: bytes) -> bytes:
    return content[:-1] + bytes([content[-1] ^ 1])


OTHER_STEP = _entry(lambda entries: [entry.replace(b"step-1", b"step-2") for entry in entries])
SWAPPED = _entry(lambda entries: [entries[1], entries[0], *entries[2:]])
TAMPERED: dict[str, tuple[Callable[[Path], None], str]] = {
    "another entry": (OTHER_STEP, "names .* as the one before it of"),
    "two entries that changed places": (SWAPPED, "leaf 0 says"),
    "an entry that is no canonical JSON": (
        _entry(lambda entries: [entries[0] + b" ", *entries[1:]]),
        "the entry is not in canonical form",
    ),
    "the newest entry changed": (
        _entry(lambda e: [*e[:-1], e[-1].replace(b"step-2", b"step-3")], PARTIAL_ENTRIES, 44),
        "tile/0/001.p/44 does not follow from the published entries",
    ),
    "a damaged bundle": (_bytes(ENTRIES, lambda content: content[:-9]), "tile/entries/000 is damaged"),
    "a missing bundle": (lambda folder: (folder / ENTRIES).unlink(), "tile/entries/000 is missing"),
    "a changed tile": (_bytes(TILE, _flipped), "tile/0/000 does not follow from the published entries"),
    "a changed tile above": (_bytes(UPPER, _flipped), "tile/1/000.p/1 does not follow from the published entries"),
    "a missing tile": (lambda folder: (folder / TILE).unlink(), "tile/0/000 is missing"),
    "a changed checkpoint": (_bytes(CHECKPOINT, lambda note: note.replace(b"\n300\n", b"\n299\n")), "does not fit"),
    "no checkpoint": (_bytes(CHECKPOINT, lambda _: b"300\n"), "no empty line with signatures"),
    "an event store that lost its end": (
        _sql("events.db", "DELETE FROM events WHERE position > 290"),
        "the event store ends before it",
    ),
    "an event store with another event": (
        _sql("events.db", "UPDATE events SET id = randomblob(16) WHERE position = 7"),
        r"leaf 6 says .* \(event store: .*\): the event store or the published file was changed",
    ),
    "an event store that lost an event": (
        _sql("events.db", "DELETE FROM events WHERE position = 120"),
        "leaf 119 says",
    ),
}


@pytest.mark.parametrize("what", TAMPERED)
async def test_a_database_is_not_made_again_from_what_was_changed(folder: Path, keys: MemoryKeys, what: str) -> None:
    tamper, reason = TAMPERED[what]
    lose_database(folder)
    tamper(folder)
    said = await refusal(folder, keys)
    assert re.search(reason, said), said


async def test_a_database_older_than_what_was_published_is_refused(folder: Path, keys: MemoryKeys) -> None:
    backup = folder.parent / "backup"
    current().copy(folder, "ledger", backup)
    async with site(folder, keys) as at:
        await goes_on(at)
    current().copy(backup, "ledger", folder)
    assert "a checkpoint of 301 leaves is published, the database holds 300" in await refusal(folder, keys)
    # As the refusal says.
    lose_database(folder)
    async with site(folder, keys) as at, running(at.ledger()):
        await at.published(SIZE + 1)


async def test_a_database_that_disagrees_with_the_checkpoint_is_refused(folder: Path, keys: MemoryKeys) -> None:
    swap = "UPDATE tiles SET hashes = (SELECT hashes FROM tiles WHERE level = 0 AND number = 0) WHERE level = 0 AND number = 1"
    current().sql(folder, "ledger", swap)
    assert "the published checkpoint of 300 leaves has the root" in await refusal(folder, keys)


@pytest.mark.parametrize(
    "settings", [{"ledger_origin": "other.vn/ledger"}, {"ledger_key": "11" * 32}, {"site": "vn-57"}]
)
@pytest.mark.parametrize("lost", ["nothing", "files", "database"])
async def test_a_log_keeps_its_name_and_its_key(
    folder: Path, keys: MemoryKeys, settings: dict[str, str], lost: str
) -> None:
    if lost == "files":
        shutil.rmtree(folder / "ledger")
    if lost == "database":
        lose_database(folder)
    said = await refusal(folder, keys, **settings)
    assert "did not sign" in said if lost != "files" else "a log never changes its name or its key" in said


async def test_another_checkpoint_of_the_same_size_is_not_published_over(folder: Path, keys: MemoryKeys) -> None:
    async with site(folder, keys) as at:
        ledger = at.ledger()
        async with running(ledger):
            forked = at.checkpoint()
            text = type(forked)(forked.origin, forked.size, forked.root, b"f" * 32).format()
            note = Note(text, (ledger._signer.sign(text),))
            (at.folder / "checkpoint").write_bytes(note.format())
            with pytest.raises(LedgerError, match="the published checkpoint of size 300 says"):
                await ledger._publisher.publish()
            assert (at.folder / "checkpoint").read_bytes() == note.format()


async def test_a_file_with_other_bytes_is_not_published_over(folder: Path, keys: MemoryKeys) -> None:
    (folder / CHECKPOINT).unlink()
    content = _flipped((folder / TILE).read_bytes())
    (folder / TILE).write_bytes(content)
    async with site(folder, keys) as at:
        ledger = at.ledger()
        await ledger.start()
        try:
            with pytest.raises(LedgerError, match="tile/0/000 is there with other bytes than the database has"):
                await ledger._publisher.publish()
        finally:
            await ledger.stop()
        assert at.size() == -1
    assert (folder / TILE).read_bytes() == content
