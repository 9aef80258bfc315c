"""A small ledger of made-up dossiers over the pure modules: keys, leaves, a tree, a map, notes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid5

from gateway.ledger.format import heads, merkle
from gateway.ledger.format.checkpoint import Checkpoint
from gateway.ledger.format.heads import Head
from gateway.ledger.format.leaf import Leaf
from gateway.ledger.format.note import CoSigner, Note, Signer
from gateway.ledger.format.proof import DossierReceipt, TlogProof
from tests.ledger.tree import Tree

ORIGIN = "vn-56.motcua.local/ledger"
LOG = Signer(ORIGIN, sha256(b"log").digest())
WITNESS_SEED = sha256(b"witness").digest()
WITNESS = CoSigner("vn-01.motcua.local/witness", WITNESS_SEED)
OTHER_LOG = Signer(ORIGIN, sha256(b"another log").digest())
START = datetime(2026, 7, 1, 1, 2, 3, 456, UTC)
NAMESPACE = UUID("6ba7b811-9dad-11d1-80b4-00c04fd430c8")


def code(number: int) -> str:
    return f"G09.20-20260701-{number:07}"


class MemoryPages:
    """The map's pages, and how often they were asked for."""

    def __init__(self) -> None:
        self.pages: dict[str, bytes] = {}
        self.gets = 0

    def get(self, names: Collection[str], /) -> Mapping[str, bytes]:
        self.gets += 1
        return {name: self.pages[name] for name in names if name in self.pages}

    def put(self, pages: Mapping[str, bytes], /) -> None:
        self.pages.update(pages)


@dataclass
class SmallLog:
    """One leaf for each dossier's number in `order`, in that order."""

    order: Sequence[int]
    leaves: list[Leaf] = field(default_factory=list)
    tree: Tree = field(default_factory=Tree)
    pages: MemoryPages = field(default_factory=MemoryPages)
    known: dict[str, Head] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for number in self.order:
            self.add(number)

    def add(self, number: int, **changes: Any) -> Leaf:
        name = code(number)
        head = self.known.get(name)
        index = len(self.leaves)
        values: dict[str, Any] = {
            "code": name,
            "revision": head.events if head else 0,
            "id": uuid5(NAMESPACE, f"{name}.{index}"),
            "type": "motcua.dossier.events.v1.StepCompleted",
            "time": START + timedelta(seconds=index),
            "event": {"step": "tham-dinh", "note": f"Đã xong bước {index}", "count": index},
            "previous": head.leaf if head else b"",
            "commitment": sha256(f"commitment {index}".encode()).digest(),
        }
        leaf = Leaf(**values | changes)
        self.leaves.append(leaf)
        self.tree.add([leaf.format()])
        self.known[name] = Head(leaf.revision + 1, leaf.hash())
        heads.update(self.pages, {name: self.known[name]})
        return leaf

    def checkpoint(self) -> Checkpoint:
        size = len(self.leaves)
        return Checkpoint(ORIGIN, size, merkle.root(self.tree.read, size), heads.root(self.pages))

    def note(self, *, signer: Signer = LOG, witnessed: bool = False) -> Note:
        text = self.checkpoint().format()
        cosigned = (WITNESS.sign(text, 1782867800),) if witnessed else ()
        return Note(text, (signer.sign(text), *cosigned))

    def event_receipt(self, index: int, **signing: Any) -> TlogProof:
        hashes = merkle.inclusion_proof(self.tree.read, index, len(self.leaves))
        return TlogProof(index, tuple(hashes), self.note(**signing), self.leaves[index].format())

    def dossier_receipt(self, number: int, **signing: Any) -> DossierReceipt:
        entries = tuple(leaf.format() for leaf in self.leaves if leaf.code == code(number))
        _, proof = heads.prove(self.pages, code(number))
        return DossierReceipt(code(number), entries, proof, self.note(**signing))
