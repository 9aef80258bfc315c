"""https://c2sp.org/tlog-witness: every answer, and two requests at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.ledger.format import merkle
from gateway.ledger.format.checkpoint import TreeHead
from gateway.ledger.format.errors import FormatError
from gateway.ledger.format.note import CoSigner, Note, Signer, parse_signatures
from gateway.ledger.keep import tables
from gateway.ledger.keep.witness import AddCheckpoint, Answer, Witness
from services.chassis.database.database import Database
from tests.ledger.tree import Tree
from tests.support.postgresql import Engine

NOW = 1_800_000_000
LOG = Signer("vn-01.motcua.local/ledger", b"1" * 32)
OTHER = Signer("vn-01.motcua.local/ledger", b"2" * 32)
STRANGER = Signer("vn-02.motcua.local/ledger", b"3" * 32)
WITNESS = CoSigner("vn-56.motcua.local/witness", b"4" * 32)
ENTRIES = [f"entry {number}".encode() for number in range(600)]
TREE = Tree(ENTRIES)
FORK = Tree([b"forged", *ENTRIES[1:]])


def head(size: int, tree: Tree = TREE, origin: str = LOG.verifier.name) -> TreeHead:
    return TreeHead(origin, size, merkle.root(tree.read, size) if size else merkle.EMPTY_ROOT, ("heads of dossiers",))


def request(old: int, size: int, tree: Tree = TREE, signer: Signer = LOG) -> AddCheckpoint:
    text = head(size, tree, signer.verifier.name).format()
    proof = merkle.consistency_proof(tree.read, old, size) if old <= size else []
    return AddCheckpoint(old, tuple(proof), Note(text, (signer.sign(text),)))


@dataclass
class At:
    database: Database
    witness: Witness

    async def add(self, asked: AddCheckpoint) -> Answer:
        return await self.witness.add_checkpoint(asked.format())


@pytest.fixture
async def at(engine: Engine, tmp_path: Path) -> AsyncIterator[At]:
    database = Database(engine.url(tmp_path), "ledger", durable=True)
    await database.create(tables.metadata)
    yield At(database, Witness(database, WITNESS, [LOG.verifier], lambda: NOW + 0.9))
    await database.close()


async def test_a_checkpoint_that_follows_is_cosigned(at: At) -> None:
    for old, size in ((0, 0), (0, 1), (1, 1), (1, 2), (2, 255), (255, 256), (256, 600), (600, 600)):
        asked = request(old, size)
        answer = await at.add(asked)
        assert answer.status == 200, (old, size, answer)
        (signature,) = parse_signatures(answer.body)
        assert WITNESS.verifier.is_named_in(signature)
        assert WITNESS.verifier.verify(asked.note.text, signature) == NOW


async def test_what_it_knows_outlives_it(at: At) -> None:
    assert (await at.add(request(0, 300))).status == 200
    again = Witness(at.database, WITNESS, [LOG.verifier])
    assert await again.add_checkpoint(request(0, 600).format()) == Answer(409, "300\n", "text/x.tlog.size")


@pytest.mark.parametrize(("old", "known"), [(0, 300), (299, 300), (301, 300), (600, 300)])
async def test_another_old_size_is_a_conflict_that_tells_the_known_one(at: At, old: int, known: int) -> None:
    await at.add(request(0, known))
    assert await at.add(request(old, 600)) == Answer(409, f"{known}\n", "text/x.tlog.size")


async def test_at_first_the_known_size_is_zero(at: At) -> None:
    assert await at.add(request(5, 600)) == Answer(409, "0\n", "text/x.tlog.size")


async def test_another_root_of_the_same_size_is_a_conflict(at: At) -> None:
    await at.add(request(0, 300))
    assert await at.add(request(300, 300, FORK)) == Answer(409, "300\n", "text/x.tlog.size")
    assert (await at.add(request(300, 300))).status == 200


async def test_a_fork_is_not_cosigned(at: At) -> None:
    await at.add(request(0, 300))
    assert (await at.add(request(300, 600, FORK))).status == 422
    assert (await at.add(request(300, 600))).status == 200


@pytest.mark.parametrize("change", ["nothing", "shorter", "longer", "other"])
async def test_a_wrong_proof_is_not_cosigned(at: At, change: str) -> None:
    await at.add(request(0, 300))
    asked = request(300, 600)
    proof = {
        "nothing": (),
        "shorter": asked.proof[:-1],
        "longer": (*asked.proof, b"x" * 32),
        "other": (*asked.proof[:-1], b"x" * 32),
    }[change]
    answer = await at.add(AddCheckpoint(300, proof, asked.note))
    assert answer.status == 422
    assert "proof" in answer.body or "root" in answer.body
    assert (await at.add(asked)).status == 200


async def test_from_nothing_the_proof_is_empty(at: At) -> None:
    asked = request(0, 300)
    assert (await at.add(AddCheckpoint(0, (b"x" * 32,), asked.note))).status == 422
    assert (await at.add(asked)).status == 200


async def test_an_old_size_above_the_checkpoints_is_a_bad_request(at: At) -> None:
    await at.add(request(0, 600))
    answer = await at.add(request(600, 300))
    assert answer.status == 400
    assert "the old size 600 is above the checkpoint's size 300" in answer.body


async def test_an_unknown_log_is_not_found(at: At) -> None:
    assert (await at.add(request(0, 300, signer=STRANGER))).status == 404


async def test_a_checkpoint_that_no_known_key_signed_is_forbidden(at: At) -> None:
    assert (await at.add(request(0, 300, signer=OTHER))).status == 403
    asked = request(0, 300)
    changed = Note(head(299).format(), asked.note.signatures)
    assert (await at.add(AddCheckpoint(0, (), changed))).status == 403
    assert await at.add(request(1, 2)) == Answer(409, "0\n", "text/x.tlog.size")  # none of them was written down


async def test_other_signatures_are_ignored(at: At) -> None:
    asked = request(0, 300)
    note = asked.note.with_signatures([STRANGER.sign(asked.note.text), WITNESS.sign(asked.note.text, 1)])
    answer = await at.add(AddCheckpoint(0, (), note))
    assert answer.status == 200
    assert len(parse_signatures(answer.body)) == 1


GOOD = request(5, 300).format()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\n\n",
        GOOD.replace(b"old 5\n", b"old 05\n"),
        GOOD.replace(b"old 5\n", b"old -5\n"),
        GOOD.replace(b"old 5\n", b"old  5\n"),
        GOOD.replace(b"old 5\n", b"old 5\r\n"),
        GOOD.replace(b"old 5\n", b"new 5\n"),
        GOOD.replace(b"old 5\n", b""),
        GOOD.replace(b"old 5\n", b"old 5\nAAAA\n"),
        GOOD.replace(b"old 5\n", b"old 5\n\n"),
        GOOD.replace(b"old 5\n", b"old 5\n" + b"A" * 43 + b"=\n" * 64),
        GOOD.replace(b"old 5\n", b"old 5\n" + (b"A" * 43 + b"=\n") * 60),
        GOOD.replace(b"\n300\n", b"\n0300\n"),
        GOOD.replace(b"old 5\n", b"old \xff\n"),
        GOOD[:-1],
        GOOD + b"\n",
        GOOD.partition(b"\n\n")[0],
    ],
)
async def test_what_has_another_form_is_a_bad_request(at: At, body: bytes) -> None:
    assert (await at.witness.add_checkpoint(body)).status == 400


def test_a_request_has_one_form() -> None:
    assert AddCheckpoint.parse(GOOD).format() == GOOD
    with pytest.raises(FormatError, match="at most 63 are read"):
        AddCheckpoint.parse(AddCheckpoint(5, (b"x" * 32,) * 64, request(5, 300).note).format())


async def test_of_two_checkpoints_at_once_one_is_cosigned(at: At, engine: Engine, tmp_path: Path) -> None:
    """Two processes of one witness, and requests that all are right by themselves."""
    await at.add(request(0, 100))
    database = Database(engine.url(tmp_path), "ledger", durable=True)
    second = Witness(database, WITNESS, [LOG.verifier])
    for old in (100, 200, 300):
        known = [request(old, old + more) for more in range(1, 101)][-10:]
        answers = await asyncio.gather(
            *(
                (at.witness if number % 2 else second).add_checkpoint(asked.format())
                for number, asked in enumerate(known)
            )
        )
        (won,) = [asked for asked, answer in zip(known, answers, strict=True) if answer.status == 200]
        size = TreeHead.parse(won.note.text).size
        assert {a for a in answers if a.status != 200} == {Answer(409, f"{size}\n", "text/x.tlog.size")}
        assert (await at.add(request(size, old + 100))).status == 200
    await database.close()
