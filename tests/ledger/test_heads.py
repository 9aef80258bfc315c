from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.ledger.format import heads
from gateway.ledger.format.errors import LedgerError, ProofError
from gateway.ledger.format.heads import Head, HeadProof, Placed
from tests.ledger.samples import MemoryPages, code


def head(number: int, events: int = 1) -> Head:
    return Head(events, sha256(f"{number}.{events}".encode()).digest())


def slow_root(placed: list[Placed], depth: int = 0) -> bytes:
    """The definition in heads.py, word for word."""
    if not placed:
        return bytes(32)
    if len(placed) == 1:
        (only,) = placed
        text = only.key + only.head.events.to_bytes(8, "big") + only.head.leaf
        return sha256(b"\x02" + text).digest()
    left = [one for one in placed if not one.key[depth // 8] >> (7 - depth % 8) & 1]
    right = [one for one in placed if one.key[depth // 8] >> (7 - depth % 8) & 1]
    return sha256(b"\x03" + slow_root(left, depth + 1) + slow_root(right, depth + 1)).digest()


def test_one_two_and_none() -> None:
    pages = MemoryPages()
    assert heads.root(pages) == bytes(32)
    assert heads.update(pages, {code(1): head(1)}) == Placed(heads.key_of(code(1)), head(1)).hash()
    two = heads.update(pages, {code(2): head(2)})
    assert two == slow_root([Placed(heads.key_of(code(n)), head(n)) for n in (1, 2)]) == heads.root(pages)
    assert heads.root_of({}) == bytes(32)


@settings(max_examples=60)
@given(batches=st.lists(st.dictionaries(st.integers(0, 400), st.integers(1, 9), max_size=60), max_size=8))
def test_the_map_is_what_the_definition_says_however_it_grew(batches: list[dict[int, int]]) -> None:
    pages, all_of = MemoryPages(), dict[str, Head]()
    for batch in batches:
        changes = {code(number): head(number, events) for number, events in batch.items()}
        all_of |= changes
        expected = slow_root([Placed(heads.key_of(name), one) for name, one in all_of.items()])
        assert heads.update(pages, changes) == expected == heads.root(pages) == heads.root_of(all_of)
    at_once = MemoryPages()
    heads.update(at_once, all_of)
    assert at_once.pages == pages.pages or not all_of


@settings(max_examples=60)
@given(present=st.sets(st.integers(0, 300), max_size=80), asked=st.integers(0, 300))
def test_every_head_and_every_absence_is_proved(present: set[int], asked: int) -> None:
    pages = MemoryPages()
    known = {code(number): head(number) for number in present}
    top = heads.update(pages, known)
    found, proof = heads.prove(pages, code(asked))
    assert found == known.get(code(asked))
    heads.verify(code(asked), found, proof, top)
    if found:
        with pytest.raises(ProofError):
            heads.verify(code(asked), Head(found.events + 1, found.leaf), proof, top)
        with pytest.raises(ProofError):
            heads.verify(code(asked), Head(found.events, bytes(32)), proof, top)
        with pytest.raises(ProofError):
            heads.verify(code(asked), None, proof, top)
        with pytest.raises(ProofError):
            heads.verify(code(asked), None, HeadProof(proof.siblings, Placed(heads.key_of(code(asked)), found)), top)
    else:
        with pytest.raises(ProofError):
            heads.verify(code(asked), head(asked), HeadProof(proof.siblings), top)


@settings(max_examples=150)
@given(data=st.data(), count=st.integers(2, 120))
def test_changed_proofs_are_refused(data: st.DataObject, count: int) -> None:
    pages = MemoryPages()
    top = heads.update(pages, {code(number): head(number) for number in range(count)})
    asked = code(data.draw(st.integers(0, 2 * count)))
    found, proof = heads.prove(pages, asked)
    siblings = list(proof.siblings)
    match data.draw(st.sampled_from(["byte", "drop", "add", *(["other"] if found else [])])):
        case "byte":
            at, bit = data.draw(st.integers(0, len(siblings) - 1)), 1 << data.draw(st.integers(0, 7))
            siblings[at] = bytes([siblings[at][0] ^ bit]) + siblings[at][1:]
        case "drop":
            del siblings[data.draw(st.integers(0, len(siblings) - 1))]
        case "add":
            siblings.insert(data.draw(st.integers(0, len(siblings))), bytes(32))
        case _:
            asked += "0"
    with pytest.raises(ProofError):
        heads.verify(asked, found, HeadProof(tuple(siblings), proof.other), top)


def test_codes_whose_keys_begin_alike() -> None:
    """Two keys that share 20 bits: the map goes as deep as it must."""
    seen: dict[str, int] = {}
    number = 0
    while (start := heads.key_of(code(number)).hex()[:5]) not in seen:
        seen[start] = number
        number += 1
    pages = MemoryPages()
    pair = {code(number): head(number), code(seen[start]): head(seen[start])}
    top = heads.update(pages, pair)
    assert top == heads.root_of(pair)
    assert {"", start[:1], start} <= set(pages.pages)
    for name, expected in pair.items():
        found, proof = heads.prove(pages, name)
        assert found == expected
        assert len(proof.siblings) > 20
        heads.verify(name, found, proof, top)


def test_a_batch_reads_each_level_once() -> None:
    pages = MemoryPages()
    heads.update(pages, {code(number): head(number) for number in range(3000)})
    pages.gets = 0
    heads.update(pages, {code(number): head(number, 2) for number in range(500)})
    assert pages.gets <= 6


def test_a_damaged_page_is_noticed() -> None:
    pages = MemoryPages()
    heads.update(pages, {code(number): head(number) for number in range(40)})
    pages.pages[""] = pages.pages[""][:-1]
    with pytest.raises(LedgerError, match="page '' of the map of heads is damaged"):
        heads.root(pages)
