from __future__ import annotations

import hmac
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from hashlib import sha256
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.ledger.format import merkle
from gateway.ledger.format.errors import FormatError, LedgerError
from gateway.ledger.format.leaf import Leaf, commitment
from tests.ledger.mutations import mutated

LEAF = Leaf(
    code="G09.20-20260609-0092637",
    revision=3,
    id=UUID("1279de1f-7080-42bb-a1bf-412f0c9a3e7e"),
    type="motcua.dossier.events.v1.StepAssigned",
    time=datetime(2026, 7, 1, 1, 2, 3, 45, UTC),
    event={
        "unit": "Phòng một cửa \U0001f600",
        "due": "2026-07-03T10:00:00Z",
        "lines": [1, True, None, {"z": "", "a": "\u2028"}],
    },
    previous=bytes(range(32)),
    commitment=bytes(range(32, 64)),
)
ENTRY = (
    b'{"code":"G09.20-20260609-0092637",'
    b'"commitment":"202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f",'
    b'"event":{"due":"2026-07-03T10:00:00Z","lines":[1,true,null,{"a":"\xe2\x80\xa8","z":""}],'
    b'"unit":"Ph\xc3\xb2ng m\xe1\xbb\x99t c\xe1\xbb\xada \xf0\x9f\x98\x80"},'
    b'"id":"1279de1f-7080-42bb-a1bf-412f0c9a3e7e",'
    b'"previous":"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",'
    b'"revision":3,"time":"2026-07-01T01:02:03.000045Z","type":"motcua.dossier.events.v1.StepAssigned"}'
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def test_an_entry_is_canonical_json() -> None:
    assert LEAF.format() == ENTRY
    assert Leaf.parse(ENTRY) == LEAF
    assert LEAF.hash() == merkle.leaf_hash(ENTRY)


@settings(max_examples=200)
@given(
    event=st.dictionaries(st.text(max_size=10), VALUES, max_size=5),
    revision=st.integers(0, 2**53 - 1),
    time=st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC)),
    committed=st.binary(min_size=32, max_size=32) | st.just(b""),
)
def test_every_leaf_is_read_back(event: dict[str, Any], revision: int, time: datetime, committed: bytes) -> None:
    previous = bytes(32) if revision else b""
    leaf = replace(LEAF, event=event, revision=revision, time=time, commitment=committed, previous=previous)
    assert Leaf.parse(leaf.format()) == leaf


@settings(max_examples=200)
@given(mutated(ENTRY))
def test_a_mutated_entry_is_refused_or_another(changed: bytes) -> None:
    try:
        leaf = Leaf.parse(changed)
    except FormatError:
        return
    assert leaf.format() == changed
    assert leaf != LEAF


VALUE: dict[str, Any] = json.loads(ENTRY)


def written(**changes: Any) -> bytes:
    return json.dumps(VALUE | changes, separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode()


@pytest.mark.parametrize(
    ("entry", "what"),
    [
        (b"", "the entry is no JSON"),
        (b"[" * 60_000, "the entry is no JSON"),
        (b"\xff", "the entry is no JSON"),
        (b"[]", "has not the fields"),
        (b"{}", "has not the fields"),
        (written(more=1), "has not the fields .*: code, commitment, event, id, more, previous"),
        (written(code=""), "'' is no code of a dossier"),
        (written(code="a b"), "is no code of a dossier"),
        (written(code=1), "code of the entry is no text: 1"),
        (written(revision=True), "revision of the entry is no whole number: True"),
        (written(revision=-1), "-1 is no revision"),
        (written(revision=2**53), "is no revision"),
        (written(revision=0), "revision 0 has 32 bytes of previous hash"),
        (written(previous=""), "revision 3 has 0 bytes of previous hash"),
        (written(previous="00" * 31), "revision 3 has 31 bytes of previous hash"),
        (written(previous=VALUE["previous"].upper()), "is not in canonical form at byte"),
        (written(commitment="00"), "the commitment has 1 bytes"),
        (written(event=[]), "event of the entry is no object"),
        (written(id=VALUE["id"].upper()), "is not in canonical form at byte"),
        (written(id="1279de1f708042bba1bf412f0c9a3e7e"), "is not in canonical form"),
        (written(time="2026-07-01T01:02:03Z"), "does not match format"),
        (written(time="2026-07-01T01:02:03.00004Z"), "is not in canonical form"),
        (written(time="2026-07-01T01:02:03.000045+00:00"), "does not match format"),
        (written(type=""), "'' is no type of event"),
        (ENTRY + b"\n", "is not in canonical form"),
        (ENTRY.replace(b'"event":{', b'"event": {'), "is not in canonical form at byte"),
        (ENTRY.replace(b'"event":{', b'"event":{"due":"2026-07-03T10:00:00Z",'), "is not in canonical form"),
        (ENTRY.replace(b"\xe1\xbb\x99", b"\\u1ed9"), "is not in canonical form"),
        (written(event={"x": "y" * 66_000}), "has 66350 bytes, at most 65535 are possible"),
    ],
)
def test_entries_in_another_form_are_refused(entry: bytes, what: str) -> None:
    with pytest.raises(FormatError, match=what):
        Leaf.parse(entry)


def test_what_cannot_be_a_leaf() -> None:
    with pytest.raises(LedgerError, match=r"needs 66\d\d\d bytes, an entry has at most 65535"):
        replace(LEAF, event={"x": "y" * 66_000}).format()
    with pytest.raises(LedgerError, match="has no canonical form"):
        replace(LEAF, event={"x": 2**60}).format()
    with pytest.raises(LedgerError, match="has no canonical form"):
        replace(LEAF, event={"x": "\ud800"}).format()
    with pytest.raises(LedgerError, match="is not in UTC"):
        replace(LEAF, time=datetime(2026, 7, 1, tzinfo=timezone(timedelta(hours=7))))


def test_a_commitment_binds_everything_that_is_stored() -> None:
    key, event_id = bytes(range(32)), UUID(int=7)
    given = (key, "dossier-G09.20-20260609-0092637", 3, event_id, "motcua.A", b"stored", b"meta")
    salt = hmac.new(key, b"motcua ledger commitment/1" + event_id.bytes, sha256).digest()
    data, metadata = sha256(b"stored").hexdigest(), sha256(b"meta").hexdigest()
    text = (
        f'{{"data":"{data}","id":"00000000-0000-0000-0000-000000000007","metadata":"{metadata}","revision":3,'
        '"stream":"dossier-G09.20-20260609-0092637","type":"motcua.A"}'
    )
    assert commitment(*given) == hmac.new(salt, text.encode(), sha256).digest()
    others = [bytes(32), "dossier-H", 4, UUID(int=8), "motcua.B", b"storeD", b"metA"]
    changed = [commitment(*(*given[:at], other, *given[at + 1 :])) for at, other in enumerate(others)]  # type: ignore[arg-type]
    assert len({commitment(*given), *changed}) == 8
