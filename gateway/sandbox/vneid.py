"""VNeID for trying the platform without the state: a working OpenID provider over sample persons."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlencode

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from gateway.sandbox.outage import Outage, OutageMiddleware
from gateway.sandbox.people import (
    Citizen,
    Organisation,
    citizen,
    citizen_by_number,
    organisation,
    organisation_by_tax_code,
)
from gateway.sandbox.players import Stage
from services.chassis.pages.security_headers import stylesheet
from services.chassis.pages.templates import environment
from services.chassis.platform.settings import Settings as Site
from services.chassis.site.refusal import SiteRefused

ALGORITHM = "RS256"
FOLDER = Path(__file__).parent / "templates"
CODE_SECONDS = 60
TOKEN_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Client:
    secret: str
    redirect_uris: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Settings:
    # The address that clients see, without a slash at the end.
    issuer: str
    data: Path
    clients: Mapping[str, Client]
    admin_secret: str
    # How many persons and organisations the login page lists; all others can be named by number.
    listed_citizens: int = 8
    listed_organisations: int = 3
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Grant:
    """What a code stands for."""

    client_id: str
    redirect_uri: str
    challenge: str
    nonce: str
    scope: str
    login: str
    expires_at: float


class Refused(Exception):
    """An error that the client must not be redirected with: the redirect itself is in doubt."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(error)
        self.answer = JSONResponse(
            {"error": error, "error_description": description}, status, {"cache-control": "no-store"}
        )


def play(site: Site, stage: Stage) -> Starlette:
    client = Client(site.vneid_client_secret, (f"{site.url}/login/callback",))
    return create_app(Settings(f"{stage.base}/vneid", stage.folder, {site.vneid_client_id: client}, stage.admin))


def create_app(settings: Settings) -> Starlette:
    provider = Vneid(settings)
    return Starlette(
        routes=[
            Route("/.well-known/openid-configuration", provider.discovery),
            Route("/jwks", provider.jwks),
            Route("/vneid.css", stylesheet(FOLDER / "vneid.css")),
            Route("/authorize", provider.authorize, methods=["GET", "POST"]),
            Route("/token", provider.token, methods=["POST"]),
            Route("/userinfo", provider.userinfo, methods=["GET", "POST"]),
            provider.outage.route,
        ],
        middleware=[Middleware(OutageMiddleware, outage=provider.outage)],
        exception_handlers={Refused: _answer},
    )


async def _answer(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return error.answer


def load_key(folder: Path) -> RSAKey:
    """Made once and kept, so that tokens outlive a restart; of two first starts at once, one key wins."""
    path = folder / "vneid-key.pem"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        draft = folder / f"vneid-key.{secrets.token_hex(8)}"
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(RSAKey.generate_key(2048).as_pem(private=True))
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    try:
        key = RSAKey.import_key(path.read_bytes(), {"use": "sig", "alg": ALGORITHM})
    except (JoseError, ValueError):
        raise SiteRefused(f"{path} is no key: remove it, the sandbox makes another") from None
    key.ensure_kid()
    return key


class Vneid:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._key = load_key(settings.data)
        self._grants: dict[str, Grant] = {}
        self.outage = Outage(settings.admin_secret)
        self._page = environment(FOLDER).get_template("vneid.html")

    async def discovery(self, _: Request) -> Response:
        issuer = self._settings.issuer
        return JSONResponse(
            {
                "issuer": issuer,
                "authorization_endpoint": f"{issuer}/authorize",
                "token_endpoint": f"{issuer}/token",
                "userinfo_endpoint": f"{issuer}/userinfo",
                "jwks_uri": f"{issuer}/jwks",
                "response_types_supported": ["code"],
                "response_modes_supported": ["query"],
                "grant_types_supported": ["authorization_code"],
                "subject_types_supported": ["pairwise"],
                "id_token_signing_alg_values_supported": [ALGORITHM],
                "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
                "code_challenge_methods_supported": ["S256"],
                "scopes_supported": ["openid", "profile", "email", "phone"],
                "acr_values_supported": ["LoA1", "LoA2"],
                "claims_supported": [
                    *("sub", "TechID", "LoaiTaiKhoan", "SoDinhDanh", "MaSoThue", "HoVaTen"),
                    *("acr", "email", "phone_number"),
                ],
                "ui_locales_supported": ["vi", "en"],
            }
        )

    async def jwks(self, _: Request) -> Response:
        return JSONResponse({"keys": [self._key.as_dict(private=False)]}, headers={"cache-control": "max-age=300"})

    async def authorize(self, request: Request) -> Response:
        query = request.query_params
        client = self._settings.clients.get(query.get("client_id", ""))
        redirect_uri = query.get("redirect_uri", "")
        if client is None or redirect_uri not in client.redirect_uris:
            raise Refused("invalid_request", "client_id and redirect_uri are not registered together")
        if fault := _authorize_fault(query):
            return self._back(query, error=fault[0], error_description=fault[1])
        if request.method == "POST":
            form = await request.form()
            if form.get("decision") == "cancel":
                return self._back(query, error="access_denied")
            login = str(form.get("login") or form.get("number") or "").strip()
        else:
            login = query.get("login_hint", "").strip()
        if login and _find(login) is not None:
            return self._back(query, code=self._grant(query, login))
        if query.get("prompt") == "none":
            return self._back(query, error="login_required")
        return self._login_page(client_id=query["client_id"], unknown=login)

    def _login_page(self, client_id: str, unknown: str) -> Response:
        html = self._page.render(
            citizens=[citizen(index) for index in range(self._settings.listed_citizens)],
            organisations=[organisation(index) for index in range(self._settings.listed_organisations)],
            client_id=client_id,
            unknown=unknown,
        )
        return HTMLResponse(
            html,
            status_code=404 if unknown else 200,
            headers={"cache-control": "no-store"},
        )

    def _grant(self, query: Mapping[str, str], login: str) -> str:
        now = self._settings.clock().timestamp()
        for code in [code for code, grant in self._grants.items() if grant.expires_at <= now]:
            del self._grants[code]
        code = secrets.token_urlsafe(32)
        self._grants[code] = Grant(
            query["client_id"],
            query["redirect_uri"],
            query["code_challenge"],
            query.get("nonce", ""),
            query["scope"],
            login,
            now + CODE_SECONDS,
        )
        return code

    def _back(self, query: Mapping[str, str], **answer: str) -> Response:
        if "state" in query:
            answer["state"] = query["state"]
        target = query["redirect_uri"]
        url = f"{target}{'&' if '?' in target else '?'}{urlencode({**answer, 'iss': self._settings.issuer})}"
        return RedirectResponse(url, 303, {"cache-control": "no-store"})

    async def token(self, request: Request) -> Response:
        form = {name: str(value) for name, value in (await request.form()).items()}
        client_id = self._authenticate(request, form)
        if form.get("grant_type") != "authorization_code":
            raise Refused("unsupported_grant_type", "only authorization_code is supported")
        grant = self._grants.pop(form.get("code", ""), None)
        now = self._settings.clock().timestamp()
        if grant is None or grant.expires_at <= now or grant.client_id != client_id:
            raise Refused("invalid_grant", "the code is unknown, used, expired, or another client's")
        if form.get("redirect_uri") != grant.redirect_uri:
            raise Refused("invalid_grant", "redirect_uri is not the one of the authorization request")
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        if not hmac.compare_digest(base64.urlsafe_b64encode(digest).rstrip(b"=").decode(), grant.challenge):
            raise Refused("invalid_grant", "code_verifier does not match the challenge")
        claims = self._claims(grant.login, client_id, grant.scope)
        id_claims = {**claims, "auth_time": int(now)}
        if grant.nonce:
            id_claims["nonce"] = grant.nonce
        return JSONResponse(
            {
                "access_token": await self._sign({**claims, "aud": self._settings.issuer}, "at+jwt"),
                "token_type": "Bearer",
                "expires_in": TOKEN_SECONDS,
                "scope": grant.scope,
                "id_token": await self._sign(id_claims, "JWT"),
            },
            headers={"cache-control": "no-store"},
        )

    def _authenticate(self, request: Request, form: Mapping[str, str]) -> str:
        client_id, secret = form.get("client_id", ""), form.get("client_secret", "")
        scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "basic":
            try:
                client_id, _, secret = base64.b64decode(credentials, validate=True).decode().partition(":")
            except ValueError:
                raise Refused("invalid_client", "the authorization header cannot be read", 401) from None
            client_id, secret = unquote(client_id), unquote(secret)
        client = self._settings.clients.get(client_id)
        if client is None or not hmac.compare_digest(client.secret.encode(), secret.encode()):
            raise Refused("invalid_client", "the client is unknown or its secret is wrong", 401)
        return client_id

    async def userinfo(self, request: Request) -> Response:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        try:
            if scheme.lower() != "bearer":
                raise ValueError("no bearer token")
            decoded = jwt.decode(token, self._key, algorithms=[ALGORITHM])
            jwt.JWTClaimsRegistry(
                now=int(self._settings.clock().timestamp()),
                aud={"essential": True, "value": self._settings.issuer},
                exp={"essential": True},
            ).validate(decoded.claims)
        except (JoseError, ValueError):
            return JSONResponse({"error": "invalid_token"}, 401, {"www-authenticate": 'Bearer error="invalid_token"'})
        envelope = {"iss", "aud", "iat", "exp"}
        return JSONResponse({name: value for name, value in decoded.claims.items() if name not in envelope})

    def _claims(self, login: str, client_id: str, scope: str) -> dict[str, Any]:
        subject = _find(login)
        assert subject is not None
        person = subject if isinstance(subject, Citizen) else subject.representative
        now = int(self._settings.clock().timestamp())
        # Pairwise: two clients cannot join their data on sub.
        pair = f"{client_id}:{login}".encode()
        claims: dict[str, Any] = {
            "iss": self._settings.issuer,
            "aud": client_id,
            "iat": now,
            "exp": now + TOKEN_SECONDS,
            "sub": hmac.digest(self._settings.admin_secret.encode(), pair, hashlib.sha256).hex()[:32],
            "TechID": hashlib.sha256(f"{person.index}".encode()).hexdigest()[:16],
            "LoaiTaiKhoan": "1" if isinstance(subject, Citizen) else "2",
            "SoDinhDanh": person.personal_number,
            "MaSoThue": "" if isinstance(subject, Citizen) else subject.tax_code,
            "HoVaTen": person.full_name if isinstance(subject, Citizen) else subject.name,
            "acr": f"LoA{person.level_of_assurance}",
        }
        scopes = scope.split()
        if "email" in scopes:
            claims["email"] = subject.email
        if "phone" in scopes:
            claims["phone_number"] = person.phone
        return claims

    async def _sign(self, claims: dict[str, Any], kind: str) -> str:
        header = {"alg": ALGORITHM, "kid": self._key.kid, "typ": kind}
        return await run_in_threadpool(jwt.encode, header, claims, self._key, [ALGORITHM])


def _authorize_fault(query: Mapping[str, str]) -> tuple[str, str] | None:
    if query.get("response_type") != "code":
        return "unsupported_response_type", "only code is supported"
    if "openid" not in query.get("scope", "").split():
        return "invalid_scope", "scope must contain openid"
    if query.get("code_challenge_method") != "S256" or len(query.get("code_challenge", "")) != 43:
        return "invalid_request", "PKCE with S256 is required"
    return None


def _find(login: str) -> Citizen | Organisation | None:
    return citizen_by_number(login) or organisation_by_tax_code(login)
