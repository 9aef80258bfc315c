from __future__ import annotations

import asyncio
import json
from base64 import urlsafe_b64encode
from pathlib import Path

import pytest
from joserfc.jwk import ECKey, OKPKey, RSAKey
from sqlalchemy import select

from services.chassis.database import Database
from services.chassis.decider import Rejected
from services.chassis.store.memory import MemoryStore
from services.identity.domain import AccountKind
from services.identity.identifiers import Identifiers
from services.identity.keys import SubjectKeys
from services.identity.kms import LocalKeys
from services.identity.tokens import TokenInvalid, claimed_client, key_id, parse_public_key
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
