"""A client of a deployment through its edge: persons who log in, calls that are repeated until they are answered."""

from __future__ import annotations

import asyncio
import json
import time
from base64 import urlsafe_b64decode
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit

import grpc
import httpx
from google.rpc import error_details_pb2
from google.rpc.status_pb2 import Status

from gateway.sandbox.people import citizen
from gateway.sandbox.people import organisation as organisation_at
from motcua.catalogue.v1.catalogue_service_pb2_grpc import CatalogueServiceStub
from motcua.dossier.v1.dossier_service_pb2_grpc import DossierServiceStub
from motcua.payment.v1.payment_service_pb2_grpc import PaymentServiceStub
from services.chassis.calls.stated import PURPOSE

T = TypeVar("T")
Observe = Callable[[str, float, Exception | None], None]

# The answers after which the same request is sent again.
AGAIN = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.DEADLINE_EXCEEDED})
NOBODY_THERE = frozenset({502, 503, 504})
PATIENCE_SECONDS = 60.0
LONGEST_PAUSE_SECONDS = 2.0
# A server that comes back is noticed soon.
OPTIONS = (("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 1000))
CALL_SECONDS = 20.0
RENEW_SECONDS = 60.0


class LoginFailed(Exception):
    pass


class Person:
    """One of the sandbox's sample persons, for their own affairs or in an office."""

    def __init__(self, door: Door, index: int, appointment_id: str = "") -> None:
        self._door = door
        self._index = index
        self._appointment_id = appointment_id
        self._token = ""
        self._expires_at = 0.0
        self._lock = asyncio.Lock()

    @property
    def full_name(self) -> str:
        return citizen(self._index).full_name

    async def token(self) -> str:
        async with self._lock:
            if time.time() > self._expires_at - RENEW_SECONDS:
                self._token = await self._door.log_in(self._index, self._appointment_id)
                self._expires_at = float(_claims(self._token)["exp"])
            return self._token

    async def account_id(self) -> str:
        return str(_claims(await self.token())["sub"])

    async def call(self, method: Any, request: Any, purpose: str = "") -> Any:
        """Call as this person. Raises grpc.aio.AioRpcError for a refusal, or when patience ends."""
        return await self._door.call(method, request, self, purpose)


class Door:
    """The edge at a URL. `observe(name, seconds, error)` hears of every answered call."""

    def __init__(self, url: str, observe: Observe | None = None, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._patience_seconds = patience_seconds
        self.longest_pause_seconds = LONGEST_PAUSE_SECONDS
        self.url = url.rstrip("/")
        parts = urlsplit(self.url)
        target = f"{parts.hostname}:{parts.port or (443 if parts.scheme == 'https' else 80)}"
        secure = parts.scheme == "https"
        self._channel = (
            grpc.aio.secure_channel(target, grpc.ssl_channel_credentials(), OPTIONS)
            if secure
            else grpc.aio.insecure_channel(target, OPTIONS)
        )
        self._observe = observe or (lambda _name, _seconds, _error: None)
        self.http = httpx.AsyncClient(timeout=CALL_SECONDS, limits=httpx.Limits(max_connections=32))
        self.dossiers = DossierServiceStub(self._channel)
        self.catalogue = CatalogueServiceStub(self._channel)
        self.payments = PaymentServiceStub(self._channel)

    async def close(self) -> None:
        await self.http.aclose()
        await self._channel.close()

    async def log_in(self, index: int, appointment_id: str = "", *, organisation: bool = False, level: int = 2) -> str:
        """Through VNeID's sandbox, as a browser would. Raises LoginFailed."""
        number = organisation_at(index).tax_code if organisation else citizen(index).personal_number
        return await self._patiently(lambda: self._log_in(number, appointment_id, level))

    async def _log_in(self, number: str, appointment_id: str, level: int) -> str:
        scope = {"level": str(level)} | ({"scope": f"appointment:{appointment_id}"} if appointment_id else {})
        begun = await self._sent("GET", f"{self.url}/login", params=scope)
        if not begun.is_redirect:
            raise LoginFailed(f"/login answered {begun.status_code}: {begun.text[:200]}")
        hint = {"login_hint": number}
        at_vneid = httpx.URL(begun.headers["location"]).copy_merge_params(hint)
        agreed = await self._sent("GET", at_vneid)
        if not agreed.is_redirect:
            raise LoginFailed(f"VNeID answered {agreed.status_code}: {agreed.text[:200]}")
        cookies = begun.headers.get_list("set-cookie")
        cookie = "; ".join(part.partition(";")[0] for part in cookies)
        back = await self._sent(
            "GET", agreed.headers["location"], headers={"cookie": cookie, "accept": "application/json"}
        )
        if back.status_code != 200:
            raise LoginFailed(f"the callback answered {back.status_code}: {back.text[:200]}")
        return str(back.json()["access_token"])

    async def post(self, url: str) -> httpx.Response:
        """Again until it is answered. Raises httpx.TransportError."""
        return await self._patiently(lambda: self._sent("POST", url))

    async def _sent(self, method: str, url: str | httpx.URL, **more: Any) -> httpx.Response:
        """Raises httpx.TransportError also where nobody stands behind the edge."""
        got = await self.http.request(method, url, **more)
        if got.status_code in NOBODY_THERE:
            raise httpx.NetworkError(f"{got.status_code} at {got.url.path}")
        return got

    async def call(self, method: Any, request: Any, person: Person | None = None, purpose: str = "") -> Any:
        """The same request again until it is answered: its request_id gives it one effect."""
        stated = ((PURPOSE, purpose),) if purpose else ()
        name = request.DESCRIPTOR.name.removesuffix("Request")

        async def once() -> Any:
            authorization = (("authorization", f"Bearer {await person.token()}"),) if person else ()
            began = time.perf_counter()
            try:
                reply = await method(request, metadata=(*authorization, *stated), timeout=CALL_SECONDS)
            except grpc.aio.AioRpcError as error:
                self._observe(name, time.perf_counter() - began, error)
                raise
            self._observe(name, time.perf_counter() - began, None)
            return reply

        return await self._patiently(once)

    async def _patiently(self, once: Callable[[], Awaitable[T]]) -> T:
        ends = time.monotonic() + self._patience_seconds
        pause = 0.1
        while True:
            try:
                return await once()
            except grpc.aio.AioRpcError as error:
                if error.code() not in AGAIN or time.monotonic() > ends:
                    raise
            except httpx.TransportError:
                if time.monotonic() > ends:
                    raise
            await asyncio.sleep(pause)
            pause = min(2 * pause, self.longest_pause_seconds)


def _claims(token: str) -> dict[str, Any]:
    part = token.split(".")[1]
    claims: dict[str, Any] = json.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return claims


def refusal(error: grpc.aio.AioRpcError) -> str:
    """The reason that ErrorInfo gives; the status code's name without one."""
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            for detail in Status.FromString(value if isinstance(value, bytes) else value.encode()).details:
                info = error_details_pb2.ErrorInfo()
                if detail.Unpack(info):
                    return str(info.reason)
    return str(error.code().name)
