"""Tokens without the identity service: a signing key in the log, and what it signs."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Sequence
from uuid import uuid4

from google.protobuf.timestamp_pb2 import Timestamp
from joserfc import jwt
from joserfc.errors import SecurityWarning
from joserfc.jwk import OKPKey

from motcua.identity.events.v1 import events_pb2 as identity
from services.chassis.access.access import AUDIENCE, ISSUER
from services.chassis.store.port import NO_STREAM, EventStore, NewEvent

warnings.filterwarnings("ignore", message="EdDSA is deprecated", category=SecurityWarning)

# Longer than any run of the tests: some are made when a module is loaded.
LIFETIME_SECONDS = 12 * 3600


async def signing_key(store: EventStore) -> OKPKey:
    """A new key, introduced as identity does."""
    key = OKPKey.generate_key("Ed25519", {"use": "sig", "alg": "EdDSA"}, auto_kid=True)
    now = Timestamp()
    now.GetCurrentTime()
    kid = str(key.kid)
    event = identity.SigningKeyIntroduced(
        kid=kid, at=now, by="service:identity", public_jwk=json.dumps(key.as_dict(private=False)), signs_from=now
    )
    stored = NewEvent(uuid4(), event.DESCRIPTOR.full_name, event.SerializeToString(), b"{}")
    await store.append(f"signing_key-{kid}", [stored], NO_STREAM)
    return key


def mint(
    key: OKPKey,
    *roles: str,
    kind: str = "official",
    account_id: str = "",
    agency: str = "",
    province: str = "",
    purposes: Sequence[str] = (),
    loa: int = 2,
) -> str:
    """Editors and administrators are the nation's where nothing else is said."""
    now = int(time.time())
    agency = agency or ("G22" if {"editor", "administrator"} & set(roles) else "")
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": account_id or str(uuid4()),
        "kind": kind,
        "roles": list(roles),
        "agency": agency,
        "province": province,
        "purposes": list(purposes),
        "loa": loa,
        "iat": now,
        "nbf": now,
        "exp": now + LIFETIME_SECONDS,
        "jti": str(uuid4()),
    }
    return jwt.encode({"alg": "EdDSA", "kid": key.kid}, claims, key, algorithms=["EdDSA"])
