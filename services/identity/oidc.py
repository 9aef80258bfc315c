"""VNeID as its client sees it: OpenID Connect, code flow with PKCE."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode

import httpx
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from services.chassis.network.outbound import ask, origin
from services.identity.tokens import Person, TokenInvalid, key_id, verify_id_token

METADATA_LIFETIME = timedelta(hours=1)
# A token with an unknown key makes us ask for the keys again, but not more often than this.
KEYS_PAUSE = timedelta(seconds=30)
# Of what another system says that is told on.
LONGEST_ERROR = 80


class ProviderUnavailable(Exception):
    """VNeID does not answer, or answers with a server error: the same login may succeed later."""


class ProviderRefused(Exception):
    """VNeID answered that it will not: the login must start again."""


@dataclass(frozen=True, slots=True)
class ProviderSettings:
    issuer: str
    client_id: str
    client_secret: str
    redirect_uri: str
    # Other clients of VNeID whose id tokens may be exchanged, such as the national portal.
    trusted_clients: tuple[str, ...] = ()
    # Beside the issuer's own, over https.
    hosts: tuple[str, ...] = ()
    scope: str = "openid profile email phone"
    timeout: float = 5.0


@dataclass(frozen=True, slots=True)
class Metadata:
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    read_at: datetime


class Provider:
    def __init__(self, settings: ProviderSettings, http: httpx.AsyncClient, clock: Callable[[], datetime]) -> None:
        self.settings = settings
        self._http = http
        self._clock = clock
        self._metadata: Metadata | None = None
        self._keys: KeySet | None = None
        self._keys_read_at: datetime | None = None

    async def authorize_url(self, state: str, nonce: str, verifier: str, level: int) -> str:
        metadata = await self._discover()
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        query = {
            "response_type": "code",
            "client_id": self.settings.client_id,
            "redirect_uri": self.settings.redirect_uri,
            "scope": self.settings.scope,
            "acr_values": f"LoA{level}",
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        return f"{metadata.authorization_endpoint}?{urlencode(query)}"

    async def redeem(self, code: str, verifier: str) -> str:
        """The id token for a code."""
        metadata = await self._discover()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.settings.redirect_uri,
            "code_verifier": verifier,
        }
        # RFC 6749, 2.3.1: both halves are form-encoded before they are joined.
        auth = httpx.BasicAuth(quote(self.settings.client_id, safe=""), quote(self.settings.client_secret, safe=""))
        answer = await self._call("POST", metadata.token_endpoint, data=form, auth=auth)
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise ProviderUnavailable("the token answer holds no id_token")
        return token

    async def identify(self, id_token: str, nonce: str | None) -> Person:
        """Whom the token names. Raises TokenInvalid."""
        audiences = (self.settings.client_id,) if nonce else (self.settings.client_id, *self.settings.trusted_clients)
        keys = await self._keys_with(key_id(id_token))
        return verify_id_token(id_token, keys, self.settings.issuer, audiences, nonce, self._clock())

    async def _keys_with(self, kid: str) -> KeySet:
        now = self._clock()
        if self._keys is None or not any(key.kid == kid for key in self._keys.keys):
            if self._keys_read_at is None or now - self._keys_read_at >= KEYS_PAUSE:
                document = await self._call("GET", (await self._discover()).jwks_uri)
                try:
                    self._keys = KeySet.import_key_set(document)  # type: ignore[arg-type]
                except (JoseError, KeyError, TypeError, ValueError):
                    raise ProviderUnavailable("the key set cannot be read") from None
                self._keys_read_at = now
            if self._keys is None or not any(key.kid == kid for key in self._keys.keys):
                raise TokenInvalid("it is signed by a key that VNeID does not publish")
        return self._keys

    async def _discover(self) -> Metadata:
        now = self._clock()
        if self._metadata is None or now - self._metadata.read_at >= METADATA_LIFETIME:
            document = await self._call("GET", f"{self.settings.issuer}/.well-known/openid-configuration")
            if document.get("issuer") != self.settings.issuer:
                raise ProviderUnavailable("the discovery document names another issuer")
            try:
                self._metadata = Metadata(
                    self._own(document["authorization_endpoint"]),
                    self._own(document["token_endpoint"]),
                    self._own(document["jwks_uri"]),
                    now,
                )
            except KeyError as error:
                raise ProviderUnavailable(f"the discovery document lacks {error}") from None
        return self._metadata

    def _own(self, url: object) -> str:
        """An endpoint that the discovery document names: where the issuer is, or at a host that the operator lists."""
        try:
            scheme, host, port = origin(str(url))
            own = origin(self.settings.issuer)
        except ValueError:
            raise ProviderUnavailable("the discovery document names no address") from None
        if (scheme, host, port) != own and not (scheme == "https" and port is None and host in self.settings.hosts):
            raise ProviderUnavailable(
                "the discovery document names an address that is not the issuer's, nor configured"
            )
        return str(url)

    async def _call(
        self, method: str, url: str, data: Mapping[str, str] | None = None, auth: httpx.BasicAuth | None = None
    ) -> dict[str, Any]:
        try:
            answer = await ask(self._http, method, url, data=data, auth=auth, timeout=self.settings.timeout)
            document = answer.json() if answer.status < 500 else None
        except (httpx.HTTPError, ValueError) as error:
            raise ProviderUnavailable(type(error).__name__) from None
        if not isinstance(document, dict):
            raise ProviderUnavailable(f"HTTP {answer.status}")
        if answer.status >= 400:
            raise ProviderRefused(str(document.get("error", f"HTTP {answer.status}"))[:LONGEST_ERROR])
        return document
