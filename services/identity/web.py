"""Login and tokens over HTTP, before any web framework: the service binds these to its routes.

Between the steps of a login nothing is kept but an encrypted cookie: any replica can finish it, after any restart.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Protocol
from urllib.parse import unquote

import structlog
from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import OctKey, OKPKey

from services.chassis.decider import Rejected
from services.chassis.machine import chance
from services.chassis.text.contact import email_of, phone_of
from services.chassis.text.plain import composed, name_fault, seen
from services.identity import tokens
from services.identity.accounts.domain import Account
from services.identity.accounts.values import AccountKind
from services.identity.faults import Fault, OAuthError
from services.identity.oidc import Provider, ProviderRefused, ProviderUnavailable
from services.identity.signing_keys.domain import SigningKey, SigningKeys
from services.identity.systems.domain import System
from services.identity.tokens import AccessClaims, Person, TokenInvalid
from services.identity.vault import derive_key

log = structlog.get_logger()

LOGIN_LIFETIME = timedelta(minutes=10)
TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ID_TOKEN = "urn:ietf:params:oauth:token-type:id_token"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
# Nobody of ours encodes an address more often.
DECODED = 4
# An official's scope: whom they act for, one appointment at a time.
APPOINTMENT_SCOPE = "appointment:"


# Why somebody does not act for an appointment.
APPOINTMENT = {
    "APPOINTMENT_UNKNOWN": Fault.APPOINTMENT_NOT_YOURS,
    "APPOINTMENT_OVER": Fault.APPOINTMENT_OVER,
    "APPOINTMENT_NOT_STARTED": Fault.APPOINTMENT_NOT_STARTED,
}


class Accounts(Protocol):
    async def sign_in(self, person: Person, appointment_id: str, at: datetime) -> tuple[str, Account]:
        """Registers the account at its first login and records every login. Raises Rejected."""


class Systems(Protocol):
    async def system(self, client_id: str) -> System: ...


class Keys(Protocol):
    async def signing_keys(self) -> SigningKeys: ...

    async def published(self) -> tuple[SigningKey, ...]: ...

    async def private_key(self, kid: str) -> OKPKey: ...


class Assertions(Protocol):
    async def first_use(self, client_id: str, jti: str, expires_at: datetime, now: datetime) -> bool: ...


@dataclass(frozen=True, slots=True)
class Login:
    """What the browser brings back, encrypted."""

    state: str
    nonce: str
    verifier: str
    level: int
    appointment_id: str
    return_to: str
    expires_at: int


@dataclass(frozen=True, slots=True)
class Redirect:
    url: str
    # The value of a Secure, HttpOnly, SameSite=Lax cookie.
    cookie: str


@dataclass(frozen=True, slots=True)
class Token:
    access_token: str
    scope: str
    issued_token_type: str = ACCESS_TOKEN
    token_type: str = "Bearer"
    expires_in: int = int(tokens.LIFETIME.total_seconds())


@dataclass(frozen=True, slots=True)
class LoggedIn:
    token: Token
    return_to: str
    account_id: str
    # For their own affairs, not for an appointment.
    in_person: bool


@dataclass(frozen=True)
class Web:
    provider: Provider
    accounts: Accounts
    systems: Systems
    keys: Keys
    assertions: Assertions
    # The addresses by which clients may name us in an assertion: the token endpoint's.
    token_endpoints: tuple[str, ...]
    # The site's own, for the login cookie.
    cookie_secret: Callable[[], Awaitable[bytes]]
    clock: Callable[[], datetime]

    async def start_login(self, return_to: str = "/", level: int = 1, scope: str = "") -> Redirect:
        if level not in (1, 2) or not _local(return_to):
            raise OAuthError(Fault.REQUEST_MALFORMED)
        login = Login(
            chance.token_urlsafe(32),
            chance.token_urlsafe(32),
            chance.token_urlsafe(48),
            level,
            _appointment(scope),
            return_to,
            int((self.clock() + LOGIN_LIFETIME).timestamp()),
        )
        try:
            url = await self.provider.authorize_url(login.state, login.nonce, login.verifier, level)
        except (ProviderUnavailable, ProviderRefused) as error:
            raise OAuthError(Fault.PROVIDER_UNAVAILABLE, str(error)) from error
        return Redirect(url, await self._seal(login))

    async def finish_login(self, query: Mapping[str, str], cookie: str) -> LoggedIn:
        login = await self._open(cookie)
        if not hmac.compare_digest(login.state.encode(), query.get("state", "").encode()):
            raise OAuthError(Fault.LOGIN_EXPIRED)
        if "error" in query:
            raise OAuthError(Fault.LOGIN_CANCELLED)
        if not query.get("code"):
            raise OAuthError(Fault.REQUEST_MALFORMED, "code")
        try:
            id_token = await self.provider.redeem(query["code"], login.verifier)
        except ProviderUnavailable as error:
            raise OAuthError(Fault.PROVIDER_UNAVAILABLE, str(error)) from error
        except ProviderRefused as error:
            raise OAuthError(Fault.LOGIN_EXPIRED, str(error)) from error
        person = await self._identify(id_token, login.nonce)
        if person.level_of_assurance < login.level:
            raise OAuthError(Fault.ASSURANCE_TOO_LOW)
        token, account_id = await self._token_for(person, login.appointment_id)
        return LoggedIn(token, login.return_to, account_id, not login.appointment_id)

    async def token(self, form: Iterable[tuple[str, str]], certificate: str = "") -> Token:
        """A system's token is bound to the certificate that it shows (RFC 8705, section 3)."""
        fields: dict[str, str] = {}
        for name, value in form:
            if name in fields:
                raise OAuthError(Fault.REQUEST_MALFORMED, name)
            fields[name] = value
        match _field(fields, "grant_type"):
            case "client_credentials":
                return await self._client_credentials(fields, certificate)
            case grant if grant == TOKEN_EXCHANGE:
                return await self._exchange(fields)
            case _:
                raise OAuthError(Fault.GRANT_UNSUPPORTED)

    async def jwks(self) -> dict[str, list[dict[str, Any]]]:
        """Every key that still verifies, and the one that will sign next."""
        return {"keys": [json.loads(key.public_jwk) for key in await self.keys.published()]}

    async def _exchange(self, fields: Mapping[str, str]) -> Token:
        if _field(fields, "subject_token_type") != ID_TOKEN:
            raise OAuthError(Fault.REQUEST_MALFORMED, "subject_token_type")
        if fields.get("requested_token_type", ACCESS_TOKEN) != ACCESS_TOKEN:
            raise OAuthError(Fault.REQUEST_MALFORMED, "requested_token_type")
        appointment_id = _appointment(fields.get("scope", ""))
        person = await self._identify(_field(fields, "subject_token"), nonce=None)
        token, _ = await self._token_for(person, appointment_id)
        return token

    async def _client_credentials(self, fields: Mapping[str, str], certificate: str) -> Token:
        if _field(fields, "client_assertion_type") != JWT_BEARER:
            raise OAuthError(Fault.REQUEST_MALFORMED, "client_assertion_type")
        raw, now = _field(fields, "client_assertion"), self.clock()
        try:
            client_id = tokens.claimed_client(raw)
            if fields.get("client_id", client_id) != client_id:
                raise TokenInvalid("client_id is not the assertion's issuer")
            system = await self.systems.system(client_id)
            assertion = tokens.verify_assertion(raw, client_id, system.accepted_keys(now), self.token_endpoints, now)
        except TokenInvalid as error:
            raise OAuthError(Fault.CLIENT_INVALID, str(error)) from error
        purposes = tuple(dict.fromkeys(fields.get("scope", "").split()))
        if not purposes or not set(purposes) <= set(system.purposes):
            raise OAuthError(Fault.SCOPE_INVALID)
        if system.certificate_required and not certificate:
            raise OAuthError(Fault.CERTIFICATE_MISSING)
        if not await self.assertions.first_use(client_id, assertion.jti, assertion.expires_at, now):
            raise OAuthError(Fault.ASSERTION_REPLAYED)
        claims = AccessClaims(client_id, "system", ("system",), purposes=purposes, certificate=certificate)
        return await self._mint(claims, " ".join(purposes))

    async def _identify(self, id_token: str, nonce: str | None) -> Person:
        try:
            return _named(await self.provider.identify(id_token, nonce))
        except (ProviderUnavailable, ProviderRefused) as error:
            raise OAuthError(Fault.PROVIDER_UNAVAILABLE, str(error)) from error
        except TokenInvalid as error:
            raise OAuthError(Fault.SUBJECT_TOKEN_INVALID, str(error)) from error

    async def _token_for(self, person: Person, appointment_id: str) -> tuple[Token, str]:
        """The token, and the account that it is for."""
        now, level = self.clock(), person.level_of_assurance
        try:
            account_id, account = await self.accounts.sign_in(person, appointment_id, now)
            acting = account.acting(appointment_id, now) if appointment_id else None
        except Rejected as rejected:
            raise OAuthError(APPOINTMENT.get(rejected.reason, Fault.ACCOUNT_REFUSED), rejected.reason) from rejected
        if acting is not None:
            roles = tuple(role.name.lower() for role in acting.roles)
            claims = AccessClaims(
                account_id,
                "official",
                roles,
                acting.agency,
                acting.province,
                level_of_assurance=level,
                appointment_id=appointment_id,
                until=acting.ends_at,
                represents=tuple(sorted(account.represents)),
            )
            return await self._mint(claims, APPOINTMENT_SCOPE + appointment_id), account_id
        kind: tokens.Kind = "citizen" if person.kind is AccountKind.CITIZEN else "organisation"
        return await self._mint(AccessClaims(account_id, kind, (kind,), level_of_assurance=level), ""), account_id

    async def _mint(self, claims: AccessClaims, scope: str) -> Token:
        now = self.clock()
        signing = (await self.keys.signing_keys()).signing(now)
        if signing is None:
            raise RuntimeError("no signing key was introduced")
        minted = tokens.mint(await self.keys.private_key(signing.kid), claims, now, str(chance.new_id()))
        return Token(minted, scope, expires_in=tokens.lifetime(claims, now))

    async def _cookie_key(self) -> OctKey:
        return OctKey.import_key(derive_key(await self.cookie_secret(), "login-cookie/1"))

    async def _seal(self, login: Login) -> str:
        return jwe.encrypt_compact(
            {"alg": "dir", "enc": "A256GCM"}, json.dumps(asdict(login)), await self._cookie_key()
        )

    async def _open(self, cookie: str) -> Login:
        try:
            plaintext = jwe.decrypt_compact(cookie, await self._cookie_key(), algorithms=["dir", "A256GCM"]).plaintext
        except (JoseError, ValueError):
            raise OAuthError(Fault.LOGIN_EXPIRED) from None
        login = Login(**json.loads(plaintext or b"{}"))
        if login.expires_at <= self.clock().timestamp():
            raise OAuthError(Fault.LOGIN_EXPIRED)
        return login


def _named(person: Person) -> Person:
    """Raises TokenInvalid. A company may be called as its web address is; whoever writes to it makes no link of it."""
    name = composed(person.full_name).strip(" ")
    hidden = seen(name) != name or not any(map(str.isalpha, name))
    if name_fault(name, person=True) if person.kind is AccountKind.CITIZEN else hidden:
        raise TokenInvalid("HoVaTen is no name on one line")
    return replace(person, full_name=name, email=_usable(email_of, person.email), phone=_usable(phone_of, person.phone))


def _usable(rule: Callable[[str], str], contact: str) -> str:
    """Nobody is kept from logging in by an address that nobody can write to: it is left out."""
    try:
        return rule(contact) if contact else ""
    except ValueError:
        log.warning("a login without contact data", rule=rule.__name__)
        return ""


def _field(fields: Mapping[str, str], name: str) -> str:
    if not fields.get(name):
        raise OAuthError(Fault.REQUEST_MALFORMED, name)
    return fields[name]


def _appointment(scope: str) -> str:
    if scope and not (scope.startswith(APPOINTMENT_SCOPE) and len(scope) > len(APPOINTMENT_SCOPE)):
        raise OAuthError(Fault.APPOINTMENT_MALFORMED)
    return scope.removeprefix(APPOINTMENT_SCOPE)


def _local(path: str) -> bool:
    """A path of this site, however often it is decoded: "//" and "/\\" are another host's, control characters are dropped."""
    if not path.isascii():
        return False
    for _ in range(DECODED):
        if not path.startswith("/") or path.startswith("//") or "\\" in path or not path.isprintable():
            return False
        if (decoded := unquote(path)) == path:
            return True
        path = decoded
    return False
