"""Every kind of caller: whom the declared policy must tell apart."""

from __future__ import annotations

import json
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import grpc
from joserfc import jwt
from joserfc.jwk import OctKey, OKPKey

from motcua.options.v1 import options_pb2
from services.chassis.access.access import INTERNAL_AUDIENCE, service_token
from tests.support.rpcs import Rpc

OFFICIALS = ("receptionist", "processor", "approver", "cashier", "editor", "administrator")
PURPOSES = ("submit", "settle", "synchronise", "look-up", "reconcile", "statistics")

Refusal = tuple[grpc.StatusCode, str]
MISSING: Refusal = (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_MISSING")
INVALID: Refusal = (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_INVALID")
NO_ROLE: Refusal = (grpc.StatusCode.PERMISSION_DENIED, "ROLE_MISSING")
NO_PURPOSE: Refusal = (grpc.StatusCode.PERMISSION_DENIED, "PURPOSE_MISSING")
REFUSALS = {MISSING, INVALID, NO_ROLE, NO_PURPOSE}


@dataclass(frozen=True, slots=True)
class Caller:
    name: str
    authorization: str | None
    roles: frozenset[str] = frozenset()
    purposes: frozenset[str] = frozenset()
    # Their token verifies, or they have none.
    known: bool = True

    def refusal(self, rpc: Rpc) -> Refusal | None:
        """What the method's (access) says of this caller, read independently of the chassis."""
        allowed = {options_pb2.Role.Name(role).removeprefix("ROLE_").lower() for role in rpc.access.roles}
        if not self.known:
            return INVALID
        if "public" in allowed:
            return None
        if self.authorization is None:
            return MISSING
        held = allowed & self.roles
        if not held:
            return NO_ROLE
        purposeless = held == {"system"} and rpc.access.purpose not in ("", *self.purposes)
        return NO_PURPOSE if purposeless else None


def callers(key: OKPKey, service: str) -> Iterator[Caller]:
    def bearer(name: str, roles: tuple[str, ...] = (), purposes: tuple[str, ...] = (), **changes: Any) -> Caller:
        token = mint(key, kind=name.split()[0], roles=list(roles), purposes=list(purposes), **changes)
        return Caller(name, f"Bearer {token}", frozenset(roles), frozenset(purposes))

    yield Caller("nobody", None)
    yield bearer("citizen", ("citizen",))
    yield bearer("organisation", ("organisation",))
    for role in OFFICIALS:
        yield bearer(f"official {role}", (role,), agency="P56.22.336", province="56")
    yield bearer("official of no office")
    yield bearer("system for nothing", ("system",))
    for purpose in PURPOSES:
        yield bearer(f"system to {purpose}", ("system",), (purpose,))
    yield bearer("citizen and system", ("citizen", "system"))
    yield Caller("service", f"Bearer {service}", frozenset({"service"}))
    # Being a service is proved by the site's secret; no claim makes one.
    yield Caller("who claims to be a service", bearer("system", ("service",)).authorization)
    yield from impostors(key)


def impostors(key: OKPKey) -> Iterator[Caller]:
    """Whose tokens must not verify, though they claim every role."""
    every = [*OFFICIALS, "citizen", "organisation", "system", "service"]
    other = OKPKey.generate_key("Ed25519", {"use": "sig", "alg": "EdDSA"}, auto_kid=True)
    good = mint(key, roles=every)
    head, body, signature = good.split(".")
    changed = _part(json.loads(_decoded(body)) | {"sub": "somebody else"})
    # The public key as if it were a shared secret.
    public = OctKey.import_key(json.dumps(key.as_dict(private=False)))
    tokens = {
        "expired": mint(key, roles=every, exp=int(time.time()) - 1),
        "never expiring": mint(key, roles=every, exp=None),
        "not yet valid": mint(key, roles=every, nbf=int(time.time()) + 3600),
        "of nobody": mint(key, roles=every, sub=""),
        "of another issuer": mint(key, roles=every, iss="https://elsewhere.example"),
        "for another audience": mint(key, roles=every, aud="elsewhere"),
        "for the inside": mint(key, roles=every, aud=INTERNAL_AUDIENCE),
        "of a stranger's key": mint(other, roles=every),
        "of a stranger's key under a known name": mint(other, key.kid, roles=every),
        "HS256 with the public key": jwt.encode({"alg": "HS256", "kid": key.kid}, claims(roles=every), public),
        "of another site's service": service_token("dossier", "f" * 64),
        "unsigned": f"{_part({'alg': 'none', 'kid': key.kid})}.{body}.",
        "changed": f"{head}.{changed}.{signature}",
        "cut": good[:-4],
        "garbage": "garbage",
        "deep": _part({"alg": "EdDSA"}) + "." + "[" * 4000 + "." + signature,
        "long": "x" * 7000,
    }
    for name, token in tokens.items():
        yield Caller(name, f"Bearer {token}", known=False)
    yield Caller("Basic", "Basic bWU6bWU=", known=False)
    yield Caller("no scheme", good, known=False)


def claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    given = {
        "iss": "motcua",
        "aud": "motcua",
        "sub": str(uuid4()),
        "kind": "official",
        "roles": [],
        "purposes": [],
        "loa": 2,
        "iat": now,
        "exp": now + 900,
    }
    return {name: value for name, value in (given | changes).items() if value is not None}


def mint(key: OKPKey, kid: str | None = None, **changes: Any) -> str:
    return jwt.encode({"alg": "EdDSA", "kid": kid or key.kid}, claims(**changes), key, algorithms=["EdDSA"])


def _part(content: dict[str, Any]) -> str:
    return urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


def _decoded(part: str) -> bytes:
    return urlsafe_b64decode(part + "=" * (-len(part) % 4))
