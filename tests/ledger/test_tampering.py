"""The drill: somebody changes, drops, forks, rolls back. Each time `motcua ledger check` or `follow` says what happened, where.

The log is made by the real sequencer over a real event store with identity's real keys, then its files are tampered with.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from command.main import app
from gateway.ledger.format import heads, merkle, tiles
from gateway.ledger.format.checkpoint import Checkpoint
from gateway.ledger.format.heads import Head
from gateway.ledger.format.leaf import Leaf
from gateway.ledger.format.merkle import TILE_WIDTH, leaf_hash
from gateway.ledger.format.note import Note, Signer
from gateway.ledger.keep.own_keys import log_key
from motcua.dossier.events.v1 import events_pb2
from services.chassis.platform.settings import Settings
from services.identity.keys import SubjectKeys
from tests.ledger.samples import WITNESS
from tests.ledger.site import append, assigned, code_of, play, running, site
from tests.ledger.tree import Tree

DOSSIERS, EVENTS = 130, 3
SIZE = DOSSIERS * EVENTS
MORE = 10
ERASED = 7
"""The dossier whose person was erased after it was published."""
ORIGIN = "vn-56.motcua.local/ledger"


@dataclass
class Copy:
    """A data folder to tamper with, and a person who watches its log."""

    folder: Path
    memory: Path
    runner: CliRunner = field(default_factory=CliRunner)

    @property
    def log(self) -> Path:
        return self.folder / "ledger"

    @property
    def signer(self) -> Signer:
        return log_key(Settings(data=self.folder))

    @property
    def checkpoint(self) -> Checkpoint:
        return Checkpoint.parse(Note.parse((self.log / "checkpoint").read_bytes()).text)

    def check(self, *options: str) -> tuple[int, dict[str, Any]]:
        return self._run("check", *options, "--json")

    def follow(self, *options: str) -> tuple[int, dict[str, Any]]:
        return self._run("follow", "--once", *options, "--json")

    def say(self, command: str, *options: str) -> tuple[int, str]:
        """What a person reads, without the breaks of lines."""
        result = self.runner.invoke(app, self._arguments(command, *options), env=self._env)
        return result.exit_code, " ".join(result.output.split())

    def entries(self) -> list[bytes]:
        size = self.checkpoint.size
        found = []
        for index in range(-(-size // TILE_WIDTH)):
            width = min(TILE_WIDTH, size - index * TILE_WIDTH)
            content = gzip.decompress((self.log / tiles.entries_path(index, width)).read_bytes())
            found += tiles.parse_bundle(content, width)
        return found

    def write_entries(self, entries: list[bytes]) -> None:
        for index in range(-(-len(entries) // TILE_WIDTH)):
            part = entries[index * TILE_WIDTH : (index + 1) * TILE_WIDTH]
            path = self.log / tiles.entries_path(index, len(part))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(gzip.compress(tiles.format_bundle(part)))

    def rewrite(self, entries: list[bytes], signer: Signer | None = None, **changes: Any) -> Checkpoint:
        """As an operator who holds the log's key could: entries, tiles, map and a signed checkpoint that fit together."""
        tree = Tree(entries)
        known: dict[str, Head] = {}
        for entry in entries:
            leaf = Leaf.parse(entry)
            known[leaf.code] = Head(leaf.revision + 1, leaf_hash(entry))
        shutil.rmtree(self.log / "tile")
        self.write_entries(entries)
        for (level, index), content in tree.tiles.items():
            path = self.log / tiles.tile_path(level, index, len(content) // 32)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        size = len(entries)
        made = replace(Checkpoint(ORIGIN, size, merkle.root(tree.read, size), heads.root_of(known)), **changes)
        self.sign(made, signer or self.signer)
        return made

    def sign(self, checkpoint: Checkpoint, signer: Signer) -> None:
        text = checkpoint.format()
        (self.log / "checkpoint").write_bytes(Note(text, (signer.sign(text),)).format())

    def sql(self, statement: str, *values: object) -> list[Any]:
        with sqlite3.connect(self.folder / "events.db") as db:
            found = db.execute(statement, values).fetchall()
        db.close()
        return found

    def _run(self, command: str, *options: str) -> tuple[int, dict[str, Any]]:
        result = self.runner.invoke(app, self._arguments(command, *options), env=self._env)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.output
        return result.exit_code, json.loads(result.stdout)

    def _arguments(self, command: str, *options: str) -> list[str]:
        return ["ledger", command, str(self.log), "--key", self.signer.vkey, "--memory", str(self.memory), *options]

    @property
    def _env(self) -> dict[str, str]:
        return {"MOTCUA_DATA": str(self.folder)}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two states of one site: `early`, and `late` with more events."""
    folder = tmp_path_factory.mktemp("drill")

    async def build() -> None:
        async with site(folder / "late") as made:
            keys = SubjectKeys.of(made.platform, "test")
            made.keys = keys  # type: ignore[assignment]
            await play(made.store, keys, DOSSIERS, EVENTS)  # type: ignore[arg-type]
            async with running(made.ledger()):
                await made.published(SIZE)
            await keys.destroy(f"person-{code_of(ERASED)}")
        shutil.copytree(folder / "late", folder / "early")
        async with site(folder / "late") as made:
            made.keys = SubjectKeys.of(made.platform, "test")  # type: ignore[assignment]
            for number in range(MORE):
                await append(
                    made.store, code_of(number), assigned(code_of(number), f"person-{code_of(number)}", "later")
                )
            async with running(made.ledger()):
                await made.published(SIZE + MORE)

    asyncio.run(build())
    return folder


@pytest.fixture
def copy(built: Path, tmp_path: Path) -> Copy:
    """The late state; the person has looked at the early one."""
    memory = tmp_path / "memory"
    shutil.copytree(built / "early", tmp_path / "site")
    watching = Copy(tmp_path / "site", memory)
    assert watching.follow()[0] == 0
    shutil.rmtree(tmp_path / "site")
    shutil.copytree(built / "late", tmp_path / "site")
    return watching


def kinds(found: dict[str, Any]) -> list[str]:
    return [fault["kind"] for fault in found["faults"]]


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def test_a_log_that_nobody_touched(copy: Copy) -> None:
    code, found = copy.check("--events")
    assert (code, found["faults"]) == (0, [])
    assert (found["size"], found["leaves"], found["dossiers"]) == (SIZE + MORE, SIZE + MORE, DOSSIERS)
    erased = EVENTS + 1
    assert found["events"] == {"compared": SIZE + MORE, "committed": SIZE + MORE - erased, "erased": erased, "ahead": 0}
    assert copy.follow() == (0, {"origin": ORIGIN, "size": SIZE + MORE, "faults": [], "evidence": ""})
    code, told = copy.say("check")
    assert code == 0
    assert f"✓ {ORIGIN}: all is as signed. {SIZE + MORE} leaves of {DOSSIERS} dossiers" in told


def test_one_byte_of_a_leaf(copy: Copy) -> None:
    entries = copy.entries()
    entries[300] = entries[300].replace(b"step-2", b"step-3")
    copy.write_entries(entries)
    code, found = copy.check("--events")
    assert (code, kinds(found)) == (1, ["ENTRY_CHANGED", "EVENT_CHANGED"])
    leaf = Leaf.parse(entries[300])
    fault, told_by_the_store = found["faults"]
    assert "event.step_code is 'step-2', the ledger says 'step-3'" in told_by_the_store["what"]
    assert fault["where"] == (
        f"leaf 300 (tile/entries, bundle 1, entry 44), dossier {leaf.code}, revision {leaf.revision}"
    )
    assert fault["what"].startswith(f"the entry hashes to {leaf_hash(entries[300]).hex()}, its tile says ")
    assert fault["what"].endswith(", and that is what is signed")
    assert not found["judged"]
    code, told = copy.say("check")
    assert code == 1
    assert "ENTRY CHANGED • leaf 300" in told
    assert "What it means: What is shown of an event was changed after it was signed." in told


def test_one_byte_of_a_leaf_that_makes_it_unreadable(copy: Copy) -> None:
    entries = copy.entries()
    entries[300] = b"[" + entries[300][1:]
    copy.write_entries(entries)
    code, found = copy.check("--events")
    assert (code, kinds(found)) == (1, ["ENTRY_CHANGED"])
    assert "leaf 300" in found["faults"][0]["where"]
    assert "unreadable now" in found["faults"][0]["where"]


def test_one_byte_of_a_compressed_bundle(copy: Copy) -> None:
    path = copy.log / tiles.entries_path(0, TILE_WIDTH)
    flip(path, len(path.read_bytes()) // 2)
    code, found = copy.check()
    assert (code, kinds(found)) == (1, ["FILE_DAMAGED"])
    assert found["faults"][0]["where"] == "tile/entries/000"


def test_one_byte_of_a_tile(copy: Copy) -> None:
    flip(copy.log / tiles.tile_path(0, 0, TILE_WIDTH), 5 * 32 + 3)
    code, found = copy.check()
    assert (code, kinds(found)) == (1, ["TILE_CHANGED", "TILE_CHANGED"])
    above, below = found["faults"]
    assert below["where"] == "tile/0/000"
    assert below["what"].startswith("hash 5 is ")
    assert below["what"].endswith(f"leaf 5 hashes to {leaf_hash(copy.entries()[5]).hex()}, and that is what is signed")
    assert above["where"] == "tile/1/000.p/1"
    assert copy.follow()[0] == 0  # it reads only what it needs to see that the log grew


def test_one_byte_of_a_higher_tile(copy: Copy) -> None:
    flip(copy.log / tiles.tile_path(1, 0, 1), 0)
    code, found = copy.check()
    assert (code, kinds(found)) == (1, ["TILE_CHANGED"])
    assert found["faults"][0]["where"] == "tile/1/000.p/1"
    assert ", tile/0/000 makes it " in found["faults"][0]["what"]
    code, found = copy.follow()
    assert (code, kinds(found)) == (1, ["ROOT"])
    assert found["faults"][0]["what"].startswith("the tiles do not lead to the root that the checkpoint of ")


@pytest.mark.parametrize("path", [tiles.tile_path(0, 1, SIZE + MORE - TILE_WIDTH), tiles.entries_path(0, TILE_WIDTH)])
def test_a_file_that_is_gone(copy: Copy, path: str) -> None:
    (copy.log / path).unlink()
    code, found = copy.check()
    assert (code, kinds(found)) == (1, ["FILE_MISSING"])
    assert found["faults"][0]["where"] == path
    assert found["faults"][0]["what"] == f"the file {path} is missing, the checkpoint needs it"


def test_a_tile_that_is_too_short(copy: Copy) -> None:
    path = copy.log / tiles.tile_path(0, 0, TILE_WIDTH)
    path.write_bytes(path.read_bytes()[:-32])
    code, found = copy.check()
    assert (code, kinds(found)) == (1, ["FILE_DAMAGED"])
    assert found["faults"][0]["what"] == "it has 8160 bytes, expected 256 hashes of 32 bytes"


@pytest.mark.parametrize(
    ("old", "new", "kind", "what"),
    [
        (
            f"{SIZE + MORE}\n".encode(),
            f"{SIZE + MORE + 1}\n".encode(),
            "SIGNATURE",
            "the text was changed, or another key",
        ),
        (b"heads ", b"headz ", "SIGNATURE", "the text was changed, or another key"),
        (b"\n\n", b"\n", "CHECKPOINT_UNUSABLE", "the note has no empty line with signatures after it"),
        ("— vn-56".encode(), "— vn-57".encode(), "SIGNATURE", f"{ORIGIN} (key "),
        (b"=\n", b"\n", "CHECKPOINT_UNUSABLE", "is not in standard base64"),
    ],
    ids=["size", "extension", "blank line", "name", "base64"],
)
def test_one_byte_of_the_checkpoint(copy: Copy, old: bytes, new: bytes, kind: str, what: str) -> None:
    path = copy.log / "checkpoint"
    content = path.read_bytes()
    at = content.rindex(old) if kind == "CHECKPOINT_UNUSABLE" and old == b"=\n" else content.index(old)
    path.write_bytes(content[:at] + new + content[at + len(old) :])
    for run in (copy.check, copy.follow):
        code, found = run()
        assert (code, kinds(found)) == (1, [kind])
        assert what in found["faults"][0]["what"]
        assert found["faults"][0]["where"] == "checkpoint"


def test_no_checkpoint(copy: Copy) -> None:
    (copy.log / "checkpoint").unlink()
    code, found = copy.follow()
    assert (code, kinds(found)) == (1, ["CHECKPOINT_MISSING"])


def test_the_log_is_rolled_back(copy: Copy) -> None:
    assert copy.check()[0] == 0  # now the late state is remembered
    copy.rewrite(copy.entries()[:SIZE])
    for run in (copy.check, copy.follow):
        code, found = run()
        assert (code, kinds(found)) == (1, ["ROLLBACK"])
        assert found["faults"][0]["what"] == (
            f"the log had {SIZE + MORE} leaves when it was last looked at, now it says {SIZE}"
        )
    code, told = copy.say("follow", "--once")
    assert code == 1
    assert "ROLLBACK" in told
    assert "Events that were promised are gone: an old copy is shown, or history was cut off." in told


def test_the_log_is_forked(copy: Copy) -> None:
    """History is rewritten and signed anew by the log's own key: a change long ago, with more leaves after it."""
    entries = copy.entries()
    entries[5] = entries[5].replace(b"CHANNEL_ONLINE", b"CHANNEL_POST")
    for at in range(6, len(entries)):
        leaf = Leaf.parse(entries[at])
        if leaf.code == code_of(5):  # the chain is made to fit, too
            before = [entry for entry in entries[:at] if Leaf.parse(entry).code == leaf.code][-1]
            entries[at] = replace(leaf, previous=leaf_hash(before)).format()
    forked = copy.rewrite(entries)
    for run in (copy.check, copy.follow):
        code, found = run()
        assert (code, kinds(found)) == (1, ["FORK"])
        assert found["faults"][0]["what"].startswith(
            f"the log of {SIZE + MORE} leaves does not begin with the {SIZE} leaves that it had when it was last looked at"
        )
        text, signature, *rest = Path(found["evidence"]).read_bytes().split(b"\n\n")
        first, second = Note.parse(text + b"\n\n" + signature + b"\n"), Note.parse(b"\n\n".join(rest))
        assert (Checkpoint.parse(first.text).size, Checkpoint.parse(second.text)) == (SIZE, forked)
        first.require(copy.signer.verifier)
        second.require(copy.signer.verifier)
    code, found = copy.check("--events")
    assert kinds(found) == ["FORK", "EVENT_CHANGED"]
    assert found["faults"][1]["where"] == f"dossier {code_of(5)}, revision 0"
    assert "event.channel is 'CHANNEL_ONLINE', the ledger says 'CHANNEL_POST'" in found["faults"][1]["what"]


def test_two_checkpoints_of_one_size(copy: Copy) -> None:
    assert copy.check()[0] == 0
    entries = copy.entries()
    entries[-1] = entries[-1].replace(b'"step_code":"later"', b'"step_code":"never"')
    copy.rewrite(entries)
    code, found = copy.follow()
    assert (code, kinds(found)) == (1, ["FORK"])
    assert found["faults"][0]["what"].startswith(f"two checkpoints of {SIZE + MORE} leaves have the roots ")


def test_another_log_answers_in_its_place(copy: Copy) -> None:
    copy.rewrite(copy.entries(), Signer(ORIGIN, bytes(32)))
    code, found = copy.follow()
    assert (code, kinds(found)) == (1, ["SIGNATURE"])
    code, told = copy.say("follow", "--once", "--key", Signer(ORIGIN, bytes(32)).vkey)
    assert code == 2
    assert "A log never changes its key: either one of them is wrong, or another log answers in its place" in told


def test_a_dossier_is_truncated(copy: Copy) -> None:
    """The last event of a dossier is left out of the log, as if it had never been; who looked before sees a fork."""
    entries = copy.entries()
    last = max(at for at, entry in enumerate(entries) if Leaf.parse(entry).code == code_of(100))
    copy.rewrite(entries[:last] + entries[last + 1 :])
    code, found = copy.check("--events")
    assert (code, kinds(found)) == (1, ["FORK", "EVENT_LEFT_OUT"])
    assert found["faults"][1]["where"] == f"dossier {code_of(100)}, revision 2"


def test_an_event_is_left_out_of_the_middle_of_a_dossier(copy: Copy) -> None:
    shutil.rmtree(copy.memory)
    entries = copy.entries()
    middle = next(at for at, entry in enumerate(entries) if Leaf.parse(entry).code == code_of(100) and at > DOSSIERS)
    copy.rewrite(entries[:middle] + entries[middle + 1 :])
    code, found = copy.check()
    assert (code, kinds(found)) == (1, ["CHAIN"])
    assert found["faults"][0]["where"].endswith(f", dossier {code_of(100)}")
    assert found["faults"][0]["what"] == (
        "it is revision 2, the next one of this dossier is 1: revisions 1 to 1 are missing"
    )


def test_an_event_follows_on_something_else(copy: Copy) -> None:
    shutil.rmtree(copy.memory)
    entries = copy.entries()
    entries[DOSSIERS] = replace(Leaf.parse(entries[DOSSIERS]), previous=bytes(32)).format()
    copy.rewrite(entries)
    code, found = copy.check()
    assert code == 1
    assert kinds(found) == ["CHAIN", "CHAIN"]
    assert found["faults"][0]["what"].startswith(f"it names {'00' * 32} as the event before it, that one is ")


def test_an_event_stands_twice(copy: Copy) -> None:
    shutil.rmtree(copy.memory)
    entries = copy.entries()
    copy.rewrite([*entries, entries[-1]])
    code, found = copy.check()
    assert (code, kinds(found)) == (1, ["CHAIN", "EVENT_TWICE"])


def test_the_map_of_heads_is_another(copy: Copy) -> None:
    shutil.rmtree(copy.memory)
    copy.sign(replace(copy.checkpoint, heads=bytes(32)), copy.signer)
    code, found = copy.check()
    assert (code, kinds(found)) == (1, ["HEADS"])
    assert found["faults"][0]["what"].endswith(f"the checkpoint signs {'00' * 32}")


def test_the_root_is_another(copy: Copy) -> None:
    shutil.rmtree(copy.memory)
    copy.sign(replace(copy.checkpoint, root=bytes(32)), copy.signer)
    code, found = copy.check()
    assert (code, kinds(found)) == (1, ["ROOT"])


def test_a_leaf_that_is_no_event(copy: Copy) -> None:
    shutil.rmtree(copy.memory)
    entries = copy.entries()
    tree = Tree([*entries, b"{}"])
    copy.rewrite(entries, root=merkle.root(tree.read, tree.size), size=tree.size)
    copy.write_entries([*entries, b"{}"])
    for (level, index), content in tree.tiles.items():
        (copy.log / tiles.tile_path(level, index, len(content) // 32)).write_bytes(content)
    code, found = copy.check()
    assert (code, kinds(found)) == (1, ["ENTRY_UNUSABLE"])
    assert found["faults"][0]["where"].startswith(f"leaf {SIZE + MORE} ")


def test_no_witness_has_seen_it(copy: Copy) -> None:
    code, found = copy.follow("--witness", WITNESS.vkey)
    assert (code, kinds(found)) == (1, ["WITNESS"])
    text = copy.checkpoint.format()
    note = Note.parse((copy.log / "checkpoint").read_bytes()).with_signatures([WITNESS.sign(text, 1782867800)])
    (copy.log / "checkpoint").write_bytes(note.format())
    assert copy.follow("--witness", WITNESS.vkey)[0] == 0
    assert "witnessed this checkpoint at 2026-07-01" in copy.say("check", "--witness", WITNESS.vkey)[1]


def _change_public(copy: Copy) -> None:
    _edit(copy, 20, lambda data: data.replace(b"step-1", b"step-9"))


def _change_sealed(copy: Copy) -> None:
    def edit(data: bytes) -> bytes:
        message = events_pb2.DossierSubmitted.FromString(data)
        sealed = bytearray(message.applicant_name)
        sealed[-1] ^= 1
        message.applicant_name = bytes(sealed)
        return message.SerializeToString()

    _edit(copy, 20, edit, revision=0)


def _break(copy: Copy) -> None:
    _edit(copy, 20, lambda data: b"\xff" + data[1:])


def _edit(copy: Copy, number: int, edit: Callable[[bytes], bytes], revision: int = 1) -> None:
    stream = f"dossier-{code_of(number)}"
    ((data,),) = copy.sql("SELECT data FROM events WHERE stream = ? AND revision = ?", stream, revision)
    assert edit(data) != data
    copy.sql("UPDATE events SET data = ? WHERE stream = ? AND revision = ?", edit(data), stream, revision)


def _change_metadata(copy: Copy) -> None:
    copy.sql(
        "UPDATE events SET metadata = ? WHERE stream = ? AND revision = 1",
        b'{"actor":"tesu"}',
        f"dossier-{code_of(20)}",
    )


def _change_time(copy: Copy) -> None:
    copy.sql(
        "UPDATE events SET recorded_at = recorded_at + 1 WHERE stream = ? AND revision = 1", f"dossier-{code_of(20)}"
    )


def _change_type(copy: Copy) -> None:
    copy.sql(
        "UPDATE events SET type = 'motcua.dossier.events.v1.StepCompleted' WHERE stream = ? AND revision = 1",
        f"dossier-{code_of(20)}",
    )


@pytest.mark.parametrize(
    ("tamper", "revision", "what"),
    [
        (_change_public, 1, "event.step_code is 'step-9', the ledger says 'step-1'"),
        (_change_sealed, 0, "what everybody may see is the same, its sealed fields or its metadata were changed"),
        (_change_metadata, 1, "what everybody may see is the same, its sealed fields or its metadata were changed"),
        (_change_time, 1, "time is "),
        (_change_type, 1, "type is motcua.dossier.events.v1.StepCompleted, the ledger says "),
        (_break, 1, "cannot be read: "),
    ],
    ids=["public field", "sealed field", "metadata", "time", "type", "broken"],
)
def test_one_byte_of_the_event_store(copy: Copy, tamper: Callable[[Copy], None], revision: int, what: str) -> None:
    tamper(copy)
    code, found = copy.check("--events")
    assert (code, kinds(found)) == (1, ["EVENT_CHANGED"])
    assert found["faults"][0]["where"] == f"dossier {code_of(20)}, revision {revision}"
    assert what in found["faults"][0]["what"]
    assert copy.check()[0] == 0  # from outside the log is as it was


@pytest.mark.parametrize("revision", [0, 1, 2])
def test_an_event_is_dropped_from_the_event_store(copy: Copy, revision: int) -> None:
    stream = f"dossier-{code_of(20)}"
    copy.sql("DELETE FROM events WHERE stream = ? AND revision = ?", stream, revision)
    code, found = copy.check("--events")
    assert (code, kinds(found)) == (1, ["EVENT_DROPPED"])
    assert found["faults"][0]["where"] == f"dossier {code_of(20)}, revision {revision}"
    assert found["faults"][0]["what"].endswith(
        f" is leaf {20 + revision * DOSSIERS} of the ledger and not in the event store"
    )
    code, told = copy.say("check", "--events")
    assert "An event that the public saw is gone from the event store." in told


def test_the_end_of_the_event_store_is_cut_off(copy: Copy) -> None:
    ((last,),) = copy.sql("SELECT max(position) FROM events")
    copy.sql("DELETE FROM events WHERE position > ?", last - 3)
    code, found = copy.check("--events")
    assert (code, kinds(found)) == (1, ["EVENT_DROPPED"] * 3)


def test_an_event_is_replaced_in_the_event_store(copy: Copy) -> None:
    copy.sql("UPDATE events SET id = randomblob(16) WHERE stream = ? AND revision = 2", f"dossier-{code_of(21)}")
    code, found = copy.check("--events")
    assert (code, kinds(found)) == (1, ["EVENT_DROPPED", "EVENT_LEFT_OUT"])
    assert {fault["where"] for fault in found["faults"]} == {f"dossier {code_of(21)}, revision 2"}
    assert "has no leaf" in found["faults"][1]["what"]


def test_two_events_change_places(copy: Copy) -> None:
    (a,), (b,) = (
        copy.sql("SELECT position FROM events WHERE stream = ? AND revision = 1", f"dossier-{code_of(number)}")[0]
        for number in (20, 60)
    )
    for old, new in ((a, -1), (b, a), (-1, b)):
        copy.sql("UPDATE events SET position = ? WHERE position = ?", new, old)
    code, found = copy.check("--events")
    assert code == 1
    assert set(kinds(found)) == {"EVENT_MOVED"}


def test_events_after_the_checkpoint_are_no_fault(copy: Copy) -> None:
    async def more() -> None:
        async with site(copy.folder) as opened:
            await append(opened.store, code_of(30), assigned(code_of(30), f"person-{code_of(30)}", "newest"))

    asyncio.run(more())
    code, found = copy.check("--events")
    assert (code, found["events"]["ahead"]) == (0, 1)


def test_what_is_remembered_is_not_forgotten_silently(copy: Copy) -> None:
    (memory,) = copy.memory.iterdir()
    memory.write_bytes(memory.read_bytes()[:-10])
    code, told = copy.say("follow", "--once")
    assert code == 2
    assert "cannot be used" in told
    assert "or remove it to begin anew, without protection against what was before" in told


def test_a_log_that_does_not_answer_is_no_fault(copy: Copy) -> None:
    result = copy.runner.invoke(app, ["ledger", "check", str(copy.folder / "nowhere"), "--memory", str(copy.memory)])
    assert result.exit_code == 2
    assert "is neither an address (http://, https://) nor a folder" in " ".join(result.output.split())
