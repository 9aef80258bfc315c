"""Who may call what: the (access) option of each method, obeyed. Nothing is allowed by default."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC
from math import inf
from typing import Any

from google.protobuf.descriptor import MethodDescriptor
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey, OKPKey

from motcua.identity.events.v1 import events_pb2 as identity
from motcua.options.v1 import options_pb2
from services.chassis.access.tls import Connection
from services.chassis.decider import Rejected, Words
from services.chassis.deciding.caller import ANYBODY, NATIONAL, SUBMIT, Caller, Scope, require_of_site
from services.chassis.deciding.facts import fact_of
from services.chassis.following.followers import Follower
from services.chassis.following.standing import EVENTS, Standing
from services.chassis.machine import moments
from services.chassis.store.port import START, Batch, EventStore

ISSUER = "motcua"
AUDIENCE = "motcua"
INTERNAL_AUDIENCE = "motcua-internal"
INTERNAL_SECONDS = 300
CACHED_TOKENS = 20_000
LONGEST_TOKEN = 8192
CLOCK_SKEW_SECONDS = 60
KEY_WAIT_SECONDS = 2.0
MOST_WAITING = 16
UNKNOWN_KEYS = 1000

_LEARNT = tuple(
    event.DESCRIPTOR.full_name
    for event in (
        identity.SigningKeyIntroduced,
        identity.SigningKeyRetired,
        identity.SystemRegistered,
        identity.SystemChanged,
        identity.SystemSuspended,
        identity.SystemReinstated,
        identity.AppointmentEnded,
        *EVENTS,
    )
)
UNKNOWN = Connection()
LOG_IN = Words.of("Đăng nhập lại để lấy mã mới.", "Log in again for a new token.")
SUSPENDED_NEXT = Words.of(
    "Đề nghị quản trị viên khôi phục hệ thống (ReinstateSystem), rồi xin mã mới.",
    "Ask an administrator to reinstate it (ReinstateSystem), and then for a new token.",
)
ENDED_NEXT = Words.of(
    "Đăng nhập với nhiệm vụ khác đang hiệu lực, hoặc đề nghị quản trị viên giao nhiệm vụ mới (AppointOfficial).",
    "Log in for another appointment in force, or ask an administrator for a new one (AppointOfficial).",
)
ERASED_NEXT = Words.of(
    "Đăng nhập lại qua VNeID để có tài khoản mới.",
    "Log in with VNeID again for a new account.",
)
# joserfc's names of what is wrong with a token.
_JOSE = {"bad_signature": "chữ ký sai", "decode_error": "không giải mã được", "invalid_key_type": "loại khóa sai"}


class Verifier:
    """Verifies tokens by the site's service secret, or by what identity's events tell: its keys, and the systems' rights."""

    def __init__(self, store: EventStore, service_secret: str) -> None:
        self.caught_up = asyncio.Event()
        self._secret = service_secret
        self._service_key = OctKey.import_key(service_secret)
        # With the moment until which each verifies.
        self._keys: dict[str, tuple[OKPKey, float]] = {}
        self._known: dict[str, Caller] = {}
        # Keys that were waited for in vain, with the moment until which nobody waits for them again.
        self._unknown: dict[str, float] = {}
        self._waiting = 0
        self._learnt = asyncio.Condition()
        # Of systems, by client id: what they are registered for, and who is suspended.
        self._purposes: dict[str, frozenset[str]] = {}
        self._scopes: dict[str, tuple[Scope, ...]] = {}
        self._suspended: set[str] = set()
        # Appointments that ended before their term.
        self._ended: set[str] = set()
        self.standing = Standing()
        name = "signing keys, systems and appointments"
        self._follower = Follower(name, store, START, _LEARNT, self._learn)

    def start(self) -> None:
        self._follower.start()

    async def stop(self) -> None:
        await self._follower.stop()

    async def _learn(self, batch: Batch) -> None:
        for recorded in batch.events:
            match event := fact_of(recorded).event:
                case identity.SigningKeyIntroduced():
                    self._keys[event.kid] = (OKPKey.import_key(json.loads(event.public_jwk)), inf)
                case identity.SigningKeyRetired() if event.kid in self._keys:
                    # Retirement is announced ahead: live tokens stay good until the key's last one expires.
                    key, _ = self._keys[event.kid]
                    self._keys[event.kid] = (key, event.verifies_until.ToDatetime(UTC).timestamp())
                    self._known.clear()
                case identity.SystemRegistered() | identity.SystemChanged():
                    self._purposes[event.client_id] = frozenset(event.purposes)
                    self._scopes[event.client_id] = _scopes(event.scopes)
                case identity.SystemSuspended():
                    self._suspended.add(event.client_id)
                case identity.SystemReinstated():
                    self._suspended.discard(event.client_id)
                case identity.AppointmentEnded():
                    self._ended.add(event.appointment_id)
                case _:
                    self.standing.learn(event)
        async with self._learnt:
            self._learnt.notify_all()
        if batch.caught_up:
            self.caught_up.set()

    def service_token(self, service: str) -> str:
        return service_token(service, self._secret)

    async def caller(self, authorization: str | None, connection: Connection = UNKNOWN) -> Caller:
        """Who bears the token of an authorization header. Raises Rejected TOKEN_INVALID, CERTIFICATE_MISMATCH, NOT_READY."""
        if not authorization:
            return ANYBODY
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not 0 < len(token) <= LONGEST_TOKEN:
            raise token_invalid("không phải mã Bearer", "not a bearer token")
        known = self._known.get(token)
        if known is None:
            known = await self._verify(token)
            if len(self._known) >= CACHED_TOKENS:
                self._known.clear()
            self._known[token] = known
        try:
            self.require_live(known)
        except Rejected:
            self._known.pop(token, None)
            raise
        if known.certificate and known.certificate != connection.certificate:
            another = Words.of("kết nối dùng chứng thư khác", "another one was shown")
            none = Words.of("kết nối không có chứng thư", "none was shown")
            raise Rejected("CERTIFICATE_MISMATCH", why=another if connection.certificate else none)
        if known.kind == "service" and connection.parts is not None and known.account_id not in connection.parts:
            raise token_invalid(
                "chứng thư của kết nối không phải của dịch vụ đó", "the connection's certificate is not that service's"
            )
        if known.kind == "system":
            return self._as_registered(known)
        return replace(known, scopes=self.scopes_of(known.act)) if known.act else known

    def require_live(self, caller: Caller) -> None:
        """A token outlives neither its time, nor its system's suspension, nor its appointment, nor its person's data.

        Raises Rejected TOKEN_INVALID.
        """
        if caller.expires_at and caller.expires_at <= moments.unix():
            raise token_invalid("đã hết hạn", "expired")
        if (caller.act or (caller.account_id if caller.kind == "system" else "")) in self._suspended:
            raise token_invalid("hệ thống đang bị đình chỉ", "the system is suspended", SUSPENDED_NEXT)
        if caller.appointment in self._ended:
            raise token_invalid("nhiệm vụ đã kết thúc", "the appointment has ended", ENDED_NEXT)
        if caller.kind not in ("system", "service") and caller.account_id in self.standing.erased:
            raise token_invalid("tài khoản đã bị xóa", "the account was erased", ERASED_NEXT)

    def require_same_rights(self, caller: Caller) -> None:
        """For a call that lasts: its caller has the rights with which it began. Raises as require_live."""
        self.require_live(caller)
        if (caller.kind == "system" or caller.act) and caller.scopes != self.scopes_of(caller.act or caller.account_id):
            raise token_invalid("đăng ký của hệ thống đã thay đổi", "the system's registration was changed")

    def _as_registered(self, system: Caller) -> Caller:
        """With what the system may still do: a token does not outlive a purpose taken away, and says nothing of scopes."""
        purposes = system.purposes & self._purposes.get(system.account_id, system.purposes)
        if NATIONAL in purposes:
            purposes |= {SUBMIT}
        return replace(system, purposes=purposes, scopes=self.scopes_of(system.account_id))

    def scopes_of(self, client_id: str) -> tuple[Scope, ...]:
        """As the system is registered now; none for one that is not known yet."""
        return self._scopes.get(client_id, ())

    async def _verify(self, token: str) -> Caller:
        try:
            header = json.loads(_segment(token, 0))
            algorithm, kid = header.get("alg"), header.get("kid", "")
        except (ValueError, AttributeError, RecursionError):
            raise token_invalid("sai dạng", "malformed") from None
        try:
            if algorithm == "HS256":
                claims = jwt.decode(token, self._service_key, algorithms=["HS256"]).claims
                _require(claims, INTERNAL_AUDIENCE)
                roles = frozenset({"public", "service"})
                return Caller(str(claims["sub"]), "service", roles, expires_at=float(claims["exp"]))
            await self._await_whole_log()
            if kid not in self._keys:
                await self._await_key(kid)
            key, until = self._keys[kid]
            claims = jwt.decode(token, key, algorithms=["EdDSA", "Ed25519"]).claims
            _require(claims, AUDIENCE)
        except KeyError:
            raise token_invalid("ký bằng khóa không rõ", "signed with an unknown key") from None
        except JoseError as error:
            raise token_invalid(_JOSE.get(error.error, "mã không đọc được"), error.error.replace("_", " ")) from None
        except (ValueError, TypeError, RecursionError):
            raise token_invalid("sai dạng", "malformed") from None
        return Caller(
            account_id=str(claims["sub"]),
            kind=str(claims.get("kind", "")),
            roles=frozenset({"public", *claims.get("roles", ())} - {"service"}),
            agency=str(claims.get("agency", "")),
            province=str(claims.get("province", "")),
            purposes=frozenset(claims.get("purposes", ())),
            loa=int(claims.get("loa", 0)),
            expires_at=min(float(claims["exp"]), until),
            certificate=_bound(claims),
            appointment=str(claims.get("appointment", "")),
            represents=frozenset(map(str, claims.get("represents", ()))),
            act=_actor(claims),
        )

    async def _await_whole_log(self) -> None:
        """Who was suspended or ended is known at the log's end only. Raises Rejected NOT_READY."""
        if self.caught_up.is_set():
            return
        try:
            async with asyncio.timeout(KEY_WAIT_SECONDS):
                await self.caught_up.wait()
        except TimeoutError:
            raise Rejected("NOT_READY") from None

    async def _await_key(self, kid: str) -> None:
        """A token may arrive a moment before its key's event does; few may wait, and for one key once. Raises KeyError."""
        if self._waiting >= MOST_WAITING or self._unknown.get(kid, -inf) > moments.monotonic():
            raise KeyError(kid)
        self._waiting += 1
        try:
            async with asyncio.timeout(KEY_WAIT_SECONDS), self._learnt:
                await self._learnt.wait_for(lambda: kid in self._keys)
        except TimeoutError:
            if len(self._unknown) >= UNKNOWN_KEYS:
                self._unknown.clear()
            self._unknown[kid] = moments.monotonic() + KEY_WAIT_SECONDS
            raise KeyError(kid) from None
        finally:
            self._waiting -= 1


def service_token(service: str, secret: str) -> str:
    """A token with which one of the platform's services calls another."""
    now = int(moments.unix())
    claims = {"iss": ISSUER, "aud": INTERNAL_AUDIENCE, "sub": service, "iat": now, "exp": now + INTERNAL_SECONDS}
    return jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(secret))


def _scopes(given: Iterable[identity.PurposeScope]) -> tuple[Scope, ...]:
    """Whoever submits for the national portal there, submits there."""
    found = [Scope(one.purpose, tuple(one.agencies), frozenset(one.procedures), one.all_procedures) for one in given]
    return tuple(found) + tuple(replace(scope, purpose=SUBMIT) for scope in found if scope.purpose == NATIONAL)


def _segment(token: str, index: int) -> bytes:
    part = token.split(".")[index]
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _bound(claims: dict[str, Any]) -> str:
    """The certificate that a token is bound to. One that is bound to something else is nobody's (RFC 7800, 3.1)."""
    confirmation = claims.get("cnf")
    if confirmation is None:
        return ""
    if not isinstance(confirmation, dict) or set(confirmation) != {"x5t#S256"} or not confirmation["x5t#S256"]:
        raise token_invalid("gắn với thứ mà dịch vụ này không biết", "bound to what this service does not know")
    return str(confirmation["x5t#S256"])


def _actor(claims: dict[str, Any]) -> str:
    """Who acts for the subject now; who did before is for information (RFC 8693, 4.1)."""
    actor = claims.get("act")
    if actor is None:
        return ""
    sent = claims.get("kind") in ("citizen", "organisation")
    if not sent or not isinstance(actor, dict) or not isinstance(actor.get("sub"), str) or not actor["sub"]:
        raise token_invalid(
            "người hành động thay không được dịch vụ này biết",
            "it is said to be acted for by nobody that this service knows",
        )
    return str(actor["sub"])


def _require(claims: dict[str, object], audience: str) -> None:
    if claims.get("iss") != ISSUER:
        raise token_invalid("của nơi cấp khác", "of another issuer")
    if claims.get("aud") != audience:
        raise token_invalid("dành cho nơi khác", "for another audience")
    if not isinstance(claims.get("exp"), int | float) or not claims.get("sub"):
        raise token_invalid("không có chủ thể hoặc hạn dùng", "without subject or expiry")
    begins = claims.get("nbf", 0)
    if not isinstance(begins, int | float) or begins > moments.unix() + CLOCK_SKEW_SECONDS:
        raise token_invalid("chưa có hiệu lực", "not valid yet")


def token_invalid(vi: str, en: str, then: Words = LOG_IN) -> Rejected:
    return Rejected("TOKEN_INVALID", why=Words.of(vi, en), then=then)


class Policy:
    """One method's declared access."""

    def __init__(self, method: MethodDescriptor, site: str = "") -> None:
        options = method.GetOptions()
        if not options.HasExtension(options_pb2.access):
            raise TypeError(f"{method.full_name} declares no (access)")
        access = options.Extensions[options_pb2.access]
        self.roles = frozenset(role_name(role) for role in access.roles)
        self.purpose = access.purpose
        self.mutation = access.mutation
        self.opens = access.opens
        self.lists = access.lists
        self._of_site = access.of_site
        self._site = site
        if not self.roles:
            raise TypeError(f"{method.full_name} lets nobody call it")

    def check(self, caller: Caller) -> None:
        """Raises Rejected TOKEN_MISSING, ROLE_MISSING, PURPOSE_MISSING, SITE_AUTHORITY_REQUIRED."""
        held = self.roles & caller.roles
        if not held:
            if caller is ANYBODY:
                raise Rejected("TOKEN_MISSING")
            raise Rejected("ROLE_MISSING", roles=", ".join(sorted(self.roles)))
        if held == {"system"} and self.purpose and self.purpose not in caller.purposes:
            raise Rejected("PURPOSE_MISSING", purpose=self.purpose)
        if self._of_site:
            require_of_site(caller, self._site)


def role_name(role: int) -> str:
    """`receptionist` for ROLE_RECEPTIONIST: as tokens and events name it."""
    return options_pb2.Role.Name(options_pb2.Role.ValueType(role)).removeprefix("ROLE_").lower()
