from __future__ import annotations

import random
from itertools import accumulate, pairwise

import proofbundle.merkle
import pymerkle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.ledger.format import merkle
from gateway.ledger.format.errors import LedgerError, ProofError
from tests.ledger import naive
from tests.ledger.tree import Tree

# RFC 6962 section 2.1.3 draws these trees; entries and values are those of Certificate Transparency's reference tests.
VECTOR = [
    b"",
    b"\x00",
    b"\x10",
    b"\x20\x21",
    b"\x30\x31",
    b"\x40\x41\x42\x43",
    bytes(range(0x50, 0x58)),
    bytes(range(0x60, 0x70)),
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
INCLUSION = {
    (0, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (5, 8): [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 3): ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
    (1, 5): [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}
CONSISTENCY = {
    (1, 1): [],
    (1, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (6, 8): [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 5): [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}


def hexed(proof: list[bytes]) -> list[str]:
    return [found.hex() for found in proof]


def entries(count: int) -> list[bytes]:
    return [number.to_bytes(4, "big") for number in range(count)]


@pytest.mark.parametrize("size", range(9))
def test_roots_of_the_worked_example(size: int) -> None:
    assert merkle.root(Tree(VECTOR[:size]).read, size).hex() == ROOTS[size]
    assert naive.tree_hash(VECTOR[:size]).hex() == ROOTS[size]


@pytest.mark.parametrize(("index", "size"), INCLUSION)
def test_inclusion_in_the_worked_example(index: int, size: int) -> None:
    proof = merkle.inclusion_proof(Tree(VECTOR).read, index, size)
    assert hexed(proof) == INCLUSION[index, size]
    merkle.verify_inclusion(merkle.leaf_hash(VECTOR[index]), index, size, proof, bytes.fromhex(ROOTS[size]))


@pytest.mark.parametrize(("old", "new"), CONSISTENCY)
def test_consistency_in_the_worked_example(old: int, new: int) -> None:
    proof = merkle.consistency_proof(Tree(VECTOR).read, old, new)
    assert hexed(proof) == CONSISTENCY[old, new]
    merkle.verify_consistency(old, new, proof, bytes.fromhex(ROOTS[old]), bytes.fromhex(ROOTS[new]))


def test_roots_of_thousands_of_sizes_are_those_of_the_naive_tree() -> None:
    """Every size to 700, then 2,000 random ones to 5,000: the naive roots of growing prefixes, by complete subtrees."""
    known = entries(5000)
    tree = Tree(known)
    sizes = [*range(700), *random.Random(20260701).sample(range(700, 5001), 2000)]
    assert len(sizes) == 2700
    for size in sizes:
        assert merkle.root(tree.read, size) == _naive_root(known, size)


_complete: dict[tuple[int, int], bytes] = {}


def _naive_root(known: list[bytes], size: int, start: int = 0) -> bytes:
    """naive.tree_hash with the hashes of complete subtrees remembered."""
    count = size - start
    if count <= 1:
        return naive.tree_hash(known[start:size])
    if count & (count - 1) == 0 and (start, size) in _complete:
        return _complete[start, size]
    middle = start + naive.split(count)
    found = merkle.node_hash(_naive_root(known, middle, start), _naive_root(known, size, middle))
    if count & (count - 1) == 0:
        _complete[start, size] = found
    return found


@settings(max_examples=150)
@given(data=st.data(), size=st.integers(1, 700))
def test_proofs_are_those_of_the_naive_tree(data: st.DataObject, size: int) -> None:
    known = entries(size)
    tree = Tree(known)
    head = naive.tree_hash(known)
    index = data.draw(st.integers(0, size - 1))
    proof = merkle.inclusion_proof(tree.read, index, size)
    assert proof == naive.path(index, known)
    merkle.verify_inclusion(merkle.leaf_hash(known[index]), index, size, proof, head)
    old = data.draw(st.integers(1, size))
    proof = merkle.consistency_proof(tree.read, old, size)
    assert proof == naive.proof(old, known)
    merkle.verify_consistency(old, size, proof, naive.tree_hash(known[:old]), head)


@settings(max_examples=100)
@given(steps=st.lists(st.integers(0, 900), max_size=6))
def test_a_tree_is_the_same_however_it_grew(steps: list[int]) -> None:
    known = entries(sum(steps))
    grown = Tree()
    for start, end in pairwise(accumulate(steps, initial=0)):
        grown.add(known[start:end])
    assert grown.tiles == Tree(known).tiles


@pytest.mark.parametrize("size", [255, 256, 257, 65_535, 65_536, 65_537, 70_000])
def test_edges_of_tiles(size: int) -> None:
    tree = Tree(entries(size))
    head = merkle.root(tree.read, size)
    for index in {0, 254, 255, 256, size // 2, size - 2, size - 1} & set(range(size)):
        leaf = merkle.leaf_hash(index.to_bytes(4, "big"))
        merkle.verify_inclusion(leaf, index, size, merkle.inclusion_proof(tree.read, index, size), head)
    for old in {1, 255, 256, 257, 65_535, 65_536, size - 1, size} & set(range(1, size + 1)):
        proof = merkle.consistency_proof(tree.read, old, size)
        merkle.verify_consistency(old, size, proof, merkle.root(tree.read, old), head)


@settings(max_examples=60)
@given(data=st.data(), size=st.integers(2, 600))
def test_independent_verifiers_agree(data: st.DataObject, size: int) -> None:
    known = entries(size)
    tree = Tree(known)
    head = merkle.root(tree.read, size)
    index, old = data.draw(st.integers(0, size - 1)), data.draw(st.integers(1, size))
    old_head = merkle.root(tree.read, old)

    inclusion = merkle.inclusion_proof(tree.read, index, size)
    assert proofbundle.merkle.verify_inclusion(known[index], index, size, inclusion, head)
    consistency = merkle.consistency_proof(tree.read, old, size)
    assert proofbundle.merkle.verify_consistency(old, size, consistency, old_head, head)

    other = pymerkle.InmemoryTree(algorithm="sha256")
    for entry in known:
        other.append_entry(entry)
    assert other.get_root() == head
    assert other.get_root(old) == old_head
    theirs = other.prove_inclusion(index + 1, size)
    pymerkle.verify_inclusion(merkle.leaf_hash(known[index]), head, theirs)
    assert theirs.path[1:] == inclusion
    pymerkle.verify_consistency(old_head, head, other.prove_consistency(old, size))


@settings(max_examples=200)
@given(data=st.data(), size=st.integers(2, 300))
def test_changed_proofs_are_refused(data: st.DataObject, size: int) -> None:
    tree = Tree(entries(size))
    head = merkle.root(tree.read, size)
    index, old = data.draw(st.integers(0, size - 1)), data.draw(st.integers(1, size - 1))
    leaf = merkle.leaf_hash(index.to_bytes(4, "big"))
    old_head = merkle.root(tree.read, old)

    changed = _change(data, merkle.inclusion_proof(tree.read, index, size))
    with pytest.raises(ProofError):
        merkle.verify_inclusion(leaf, index, size, changed, head)
    changed = _change(data, merkle.consistency_proof(tree.read, old, size))
    with pytest.raises(ProofError):
        merkle.verify_consistency(old, size, changed, old_head, head)


def _change(data: st.DataObject, proof: list[bytes]) -> list[bytes]:
    match data.draw(st.sampled_from(["byte", "drop", "add", "swap", "cut"])):
        case "byte":
            at = data.draw(st.integers(0, len(proof) * 32 - 1))
            flat = bytearray(b"".join(proof))
            flat[at] ^= data.draw(st.integers(1, 255))
            return [bytes(flat[start : start + 32]) for start in range(0, len(flat), 32)]
        case "drop":
            at = data.draw(st.integers(0, len(proof) - 1))
            return proof[:at] + proof[at + 1 :]
        case "cut":
            return [*proof[:-1], proof[-1][:-1]]
        case "swap" if len(proof) > 1:
            return [*proof[1:], proof[0]]
        case _:
            return [*proof, data.draw(st.sampled_from([proof[-1], bytes(32)]))]


def test_proofs_for_another_place_are_refused() -> None:
    tree = Tree(entries(300))
    head = merkle.root(tree.read, 300)
    leaf = merkle.leaf_hash((7).to_bytes(4, "big"))
    proof = merkle.inclusion_proof(tree.read, 7, 300)
    for index in set(range(300)) - {7}:
        with pytest.raises(ProofError):
            merkle.verify_inclusion(leaf, index, 300, proof, head)


def test_what_cannot_be_is_said() -> None:
    tree = Tree(entries(5))
    with pytest.raises(ProofError, match="there is no leaf 5 in a tree of 5 leaves"):
        merkle.inclusion_proof(tree.read, 5, 5)
    with pytest.raises(ProofError, match="a tree of 4 leaves cannot hold one of 5 leaves"):
        merkle.consistency_proof(tree.read, 5, 4)
    with pytest.raises(LedgerError, match="tile 0 of level 0 has 64 bytes, expected 5 hashes of 32 bytes"):
        merkle.root(lambda level, index, width: tree.read(level, index, 2), 5)
    with pytest.raises(ProofError, match=rf"leads to root {'11' * 32}, expected {'22' * 32}"):
        merkle.verify_inclusion(b"\x11" * 32, 0, 1, [], b"\x22" * 32)
