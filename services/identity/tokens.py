"""JSON Web Tokens: the platform's own, VNeID's, and the assertions that systems sign."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from joserfc import jws, jwt
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import ECKey, KeySet, OKPKey
from joserfc.util import to_bytes

from services.chassis.decider import Rejected, Words
from services.identity.accounts.values import AccountKind
from services.identity.refusals import Refused
from services.identity.systems.domain import SystemKey
from services.identity.systems.values import CLIENT_ID

# RFC 9864 renames it to Ed25519, a name that Envoy and most verifiers do not know yet.
warnings.filterwarnings("ignore", message="EdDSA is deprecated", category=SecurityWarning)

ISSUER = AUDIENCE = "motcua"
LIFETIME = timedelta(minutes=15)
LEEWAY = timedelta(seconds=30)
# Bounds how long a used assertion must be remembered.
MAX_ASSERTION_LIFETIME = timedelta(minutes=5)
ID_TOKEN_ALGORITHMS = ["RS256", "PS256", "ES256"]
ASSERTION_ALGORITHMS = ["EdDSA", "Ed25519", "ES256"]
KEY_MEMBERS = {("OKP", "Ed25519"): ("crv", "kty", "x"), ("EC", "P-256"): ("crv", "kty", "x", "y")}

Kind = Literal["citizen", "organisation", "official", "system"]


class TokenInvalid(Exception):
    """The reason is for the caller's eyes: it tells nothing that the token's holder does not know."""


@dataclass(frozen=True, slots=True)
class AccessClaims:
    # An account id or a client id.
    subject: str
    kind: Kind
    roles: tuple[str, ...]
    agency: str = ""
    province: str = ""
    purposes: tuple[str, ...] = ()
    level_of_assurance: int = 0
    # The appointment that an official acts for, and its end.
    appointment_id: str = ""
    until: datetime | None = None
    # The organisations that the official represents as a person.
    represents: tuple[str, ...] = ()
    # The SHA-256 of the client certificate that the token is bound to, as x5t#S256 has it.
    certificate: str = ""


@dataclass(frozen=True, slots=True)
class Person:
    """Whom VNeID vouches for."""

    kind: AccountKind
    personal_number: str
    tax_code: str
    full_name: str
    email: str
    phone: str
    level_of_assurance: int


@dataclass(frozen=True, slots=True)
class Assertion:
    client_id: str
    jti: str
    expires_at: datetime


def generate_signing_key() -> OKPKey:
    return OKPKey.generate_key("Ed25519", {"use": "sig", "alg": "EdDSA"}, auto_kid=True)


def public_jwk(key: OKPKey) -> str:
    return json.dumps(key.as_dict(private=False), sort_keys=True, separators=(",", ":"))


def lifetime(claims: AccessClaims, now: datetime) -> int:
    """In whole seconds: a token does not outlive its appointment's term."""
    return int(min(LIFETIME, (claims.until or now + LIFETIME) - now).total_seconds())


def mint(key: OKPKey, claims: AccessClaims, now: datetime, jti: str) -> str:
    issued = int(now.timestamp())
    payload: dict[str, Any] = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": claims.subject,
        "kind": claims.kind,
        "roles": list(claims.roles),
        "agency": claims.agency,
        "province": claims.province,
        "purposes": list(claims.purposes),
        "loa": claims.level_of_assurance,
        "iat": issued,
        "nbf": issued,
        "exp": issued + lifetime(claims, now),
        "jti": jti,
    }
    if claims.appointment_id:
        payload["appointment"] = claims.appointment_id
    if claims.represents:
        payload["represents"] = list(claims.represents)
    if claims.certificate:
        payload["cnf"] = {"x5t#S256": claims.certificate}
    return jwt.encode({"alg": "EdDSA", "kid": key.kid}, payload, key, algorithms=["EdDSA"])


def key_id(token: str) -> str:
    """The key that a token names, read before anything is verified."""
    return str(_unverified(token).headers().get("kid", ""))


def claimed_client(assertion: str) -> str:
    """Who an assertion says it is from, read before anything is verified."""
    try:
        claims = json.loads(_unverified(assertion).payload)
    except (ValueError, RecursionError):
        raise TokenInvalid("the payload is not JSON") from None
    if not isinstance(claims, dict) or not CLIENT_ID.fullmatch(client := _text(claims, "iss")):
        raise TokenInvalid("iss is not a client id")
    return client


def verify_id_token(
    token: str, keys: KeySet, issuer: str, audiences: Sequence[str], nonce: str | None, now: datetime
) -> Person:
    """OpenID Connect Core 3.1.3.7. Without a nonce only where no browser brought the token."""
    claims = _verified(token, keys, ID_TOKEN_ALGORITHMS)
    _validate(claims, now, iss=[issuer], aud=list(audiences))
    audience = claims["aud"]
    if isinstance(audience, list) and len(audience) > 1 and claims.get("azp") not in audiences:
        raise TokenInvalid("azp names another client")
    if nonce is not None and claims.get("nonce") != nonce:
        raise TokenInvalid("the nonce is not the one of this login")
    level = _text(claims, "acr").removeprefix("LoA")
    if level not in ("1", "2"):
        raise TokenInvalid("acr is not LoA1 or LoA2")
    return Person(
        AccountKind.CITIZEN if _text(claims, "LoaiTaiKhoan") == "1" else AccountKind.ORGANISATION,
        _text(claims, "SoDinhDanh"),
        _text(claims, "MaSoThue").replace("-", ""),
        _text(claims, "HoVaTen"),
        _text(claims, "email"),
        _text(claims, "phone_number"),
        int(level),
    )


def verify_assertion(
    assertion: str, client_id: str, keys: Sequence[SystemKey], audiences: Sequence[str], now: datetime
) -> Assertion:
    """RFC 7523, section 3."""
    kid = key_id(assertion)
    candidates = [key for key in keys if kid in ("", key.kid)]
    for key in candidates:
        try:
            claims = _verified(assertion, _import(json.loads(key.public_jwk)), ASSERTION_ALGORITHMS)
            break
        except TokenInvalid:
            continue
    else:
        raise TokenInvalid("no accepted key of the client verifies the signature")
    _validate(claims, now, iss=[client_id], sub=[client_id], aud=list(audiences))
    jti = _text(claims, "jti")
    if not 1 <= len(jti) <= 256 or not jti.isprintable():
        raise TokenInvalid("jti must have 1 to 256 printable characters")
    # Before it is made a moment of: there are no years beyond 9999.
    if claims["exp"] - now.timestamp() > (MAX_ASSERTION_LIFETIME + LEEWAY).total_seconds():
        raise TokenInvalid(f"exp is more than {MAX_ASSERTION_LIFETIME.seconds} seconds away")
    expires_at = datetime.fromtimestamp(claims["exp"], UTC)
    return Assertion(client_id, jti, expires_at + LEEWAY)


def parse_public_key(text: str) -> tuple[str, str]:
    """A system's key as its RFC 7638 thumbprint and the canonical JWK: nothing but the public numbers."""
    try:
        jwk = json.loads(text)
    except (ValueError, RecursionError):
        raise _no_key("không phải JSON", "not JSON") from None
    if not isinstance(jwk, dict) or (jwk.get("kty"), jwk.get("crv")) not in KEY_MEMBERS:
        raise _no_key("không phải khóa Ed25519 hay P-256", "not an Ed25519 or P-256 key")
    if "d" in jwk:
        raise _no_key(
            "có cả phần bí mật, nay đã lộ: phải bỏ khóa này",
            "it contains the private key, which is now known to others",
        )
    try:
        public = {member: jwk[member] for member in KEY_MEMBERS[jwk["kty"], jwk["crv"]]}
        key = _import(public)
        key.public_key  # noqa: B018 - checks that the numbers are a point of the curve
    except (KeyError, ValueError, TypeError, JoseError):
        raise _no_key("các số của nó không tạo thành khóa", "its numbers are not a key") from None
    return key.thumbprint(), json.dumps(public, sort_keys=True, separators=(",", ":"))


def _no_key(vi: str, en: str) -> Rejected:
    return Refused("KEY_NOT_ACCEPTED", why=Words.of(vi, en))


def _import(jwk: dict[str, Any]) -> OKPKey | ECKey:
    return OKPKey.import_key(jwk) if jwk["kty"] == "OKP" else ECKey.import_key(jwk)


def _unverified(token: str) -> jws.CompactSignature:
    try:
        return jws.extract_compact(to_bytes(token))
    except (JoseError, ValueError, RecursionError):
        raise TokenInvalid("it is not a signed token") from None


def _verified(token: str, keys: KeySet | OKPKey | ECKey, algorithms: list[str]) -> dict[str, Any]:
    try:
        return jwt.decode(token, keys, algorithms=algorithms).claims
    except Exception as error:  # joserfc raises whatever a header of the wrong type leads to
        raise TokenInvalid(f"the signature does not verify: {error}") from None


def _validate(claims: Mapping[str, Any], now: datetime, **values: list[str]) -> None:
    registry = jwt.JWTClaimsRegistry(
        now=int(now.timestamp()),
        leeway=int(LEEWAY.total_seconds()),
        exp=jwt.ClaimsOption(essential=True),
        **{name: jwt.ClaimsOption(essential=True, values=list(allowed)) for name, allowed in values.items()},
    )
    try:
        registry.validate(dict(claims))
    except (JoseError, TypeError, ValueError, OverflowError) as error:
        raise TokenInvalid(str(error)) from None


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name)
    return "" if value is None else str(value)
