from __future__ import annotations

import asyncio
import json
from base64 import urlsafe_b64encode
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import ECKey, OKPKey, RSAKey
from sqlalchemy import select

from services.chassis.database.database import Database
from services.chassis.decider import Rejected
from services.chassis.store.memory import MemoryStore
from services.identity.accounts.values import AccountKind
from services.identity.identifiers import Identifiers
from services.identity.keys import SubjectKeys
from services.identity.kms import LocalKeys
from services.identity.systems.domain import SystemKey
from services.identity.tokens import TokenInvalid, _verified, claimed_client, key_id, parse_public_key, verify_assertion
from services.identity.vault import Vault, identifiers
from tests.support.postgresql import Engine


@pytest.mark.parametrize("key", [OKPKey.generate_key("Ed25519"), ECKey.generate_key("P-256")])
def test_a_public_key_is_kept_as_its_numbers_alone(key: OKPKey | ECKey) -> None:
    kid, public = parse_public_key(json.dumps({**key.as_dict(private=False), "kid": "mine", "alg": "?", "x5u": "http"}))
    assert kid == key.thumbprint()
    assert set(json.loads(public)) == set(key.as_dict(private=False)) & {"kty", "crv", "x", "y"}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "not JSON"),
        ("[]", "not an Ed25519 or P-256 key"),
        (json.dumps(RSAKey.generate_key(2048).as_dict(private=False)), "not an Ed25519 or P-256 key"),
        (json.dumps(OKPKey.generate_key("X25519").as_dict(private=False)), "not an Ed25519 or P-256 key"),
        (
            json.dumps(OKPKey.generate_key("Ed25519").as_dict(private=True)),
            "it contains the private key, which is now known to others",
        ),
        ('{"kty":"OKP","crv":"Ed25519","x":"AA"}', "its numbers are not a key"),
        ('{"kty":"OKP","crv":"Ed25519"}', "its numbers are not a key"),
        ('{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}', "its numbers are not a key"),
    ],
    ids=range(8),
)
def test_another_key_is_refused(text: str, why: str) -> None:
    with pytest.raises(Rejected) as caught:
        parse_public_key(text)
    assert (caught.value.reason, caught.value.facts) == ("KEY_NOT_ACCEPTED", {"why": why})


async def test_a_number_is_claimed_once_by_many_found_and_forgotten(engine: Engine, tmp_path: Path) -> None:
    database = Database(engine.url(tmp_path), "keys", durable=True)
    vault = Vault(database, LocalKeys(lambda: [bytes(32)]), MemoryStore())
    table = Identifiers(vault)
    claims = [table.claim(AccountKind.CITIZEN, "056303271828", f"account-{n}") for n in range(8)]
    [winner] = set(await asyncio.gather(*claims))
    assert await table.find(AccountKind.CITIZEN, "056303271828") == winner
    assert await table.find(AccountKind.ORGANISATION, "056303271828") is None
    rows = await database.read(lambda db: db.execute(select(identifiers)).all())
    assert "056303271828" not in repr(rows)
    await SubjectKeys(vault).destroy(winner)
    assert await table.find(AccountKind.CITIZEN, "056303271828") is None
    await database.close()


@pytest.mark.parametrize("part", ["header", "payload"])
def test_what_is_nested_without_end_is_refused(part: str) -> None:
    deep, shallow = b"[" * 40_000, b'{"alg":"EdDSA"}'
    parts = (deep, shallow) if part == "header" else (shallow, deep)
    token = ".".join(urlsafe_b64encode(each).decode().rstrip("=") for each in (*parts, b"signature"))
    with pytest.raises(TokenInvalid):
        claimed_client(token)
    if part == "header":
        with pytest.raises(TokenInvalid):
            key_id(token)
    with pytest.raises(Rejected):
        parse_public_key(deep.decode())


KEY = OKPKey.generate_key("Ed25519")
ODD = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5), st.lists, max_leaves=4
)


@given(name=st.sampled_from(["crit", "b64", "kid", "typ", "alg", "zip", "jwk", "x5c"]), value=ODD)
@example(name="crit", value=5)
def test_a_header_of_any_kind_is_refused_as_a_token(name: str, value: Any) -> None:
    header = json.dumps({"alg": "EdDSA"} | {name: value}).encode()
    token = ".".join(urlsafe_b64encode(each).decode().rstrip("=") for each in (header, b'{"iss":"x"}', b"signature"))
    with pytest.raises(TokenInvalid):
        _verified(token, KEY, ["EdDSA"])


@given(name=st.sampled_from(["exp", "nbf", "iat", "iss", "aud", "sub", "jti"]), value=ODD | st.floats(1e10, 1e308))
@example(name="exp", value=1e308)
@example(name="exp", value=2**63)
@example(name="exp", value=253402300800.0)
def test_claims_of_any_kind_are_accepted_or_refused(name: str, value: Any) -> None:
    now = datetime(2026, 3, 2, tzinfo=UTC)
    claims = {"exp": now.timestamp() + 60, "iss": "x", "sub": "x", "aud": "x", "jti": "1"} | {name: value}
    assertion = jwt.encode({"alg": "EdDSA"}, claims, KEY, algorithms=["EdDSA"])
    held = SystemKey(str(KEY.thumbprint()), json.dumps(KEY.as_dict(private=False)))
    with suppress(TokenInvalid):
        assert verify_assertion(assertion, "x", [held], ["x"], now).expires_at.year == 2026
