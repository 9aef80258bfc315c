"""One HTTP server per service: metrics, liveness, and the pages and applications that are entry points."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from socket import socket
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit, urlunsplit

import prometheus_client
import structlog
import uvicorn
from google.rpc.error_details_pb2 import LocalizedMessage
from nameko.extensions import Entrypoint, SharedExtension
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from services.chassis.access.certificates import certificate_names, peer_name
from services.chassis.access.tls import CLIENT, EDGE, FORWARDED, Credentials, thumbprint
from services.chassis.blobs.port import BlobsUnavailable
from services.chassis.calls.statuses import Errors
from services.chassis.database.database import DatabaseUnavailable
from services.chassis.decider import Rejected
from services.chassis.frame.container import container_of, wait_for
from services.chassis.frame.load import counted
from services.chassis.machine import threads
from services.chassis.pages.security_headers import SecurityHeaders
from services.chassis.store.port import StoreUnavailable
from services.chassis.telemetry import gauges
from services.chassis.work.tasks import Owned, troubles

Answer = Callable[[Request], Awaitable[Response]]
log = structlog.get_logger()

F = TypeVar("F", bound=Callable[..., Any])
DRAIN_SECONDS = 5
RETRY_AFTER = "5"
FAILED = "Có lỗi trong hệ thống; lỗi đã được ghi lại. Xin thử lại sau.\nThe system failed, and noted it. Please try again later.\n"
# By the code of a refusal (google.rpc.Code).
HTTP = {5: 404, 7: 403, 8: 429, 14: 503, 16: 401}
# More than the edge lets through.
LARGEST_HEADERS_BYTES = 64 * 1024
OPEN = frozenset({"/livez", "/servez", "/readyz", "/metrics"})


async def _metrics(_request: Request) -> Response:
    await gauges.refresh()
    # Of some thousand time series, which takes longer than others may wait.
    content = await threads.in_thread(prometheus_client.generate_latest)
    return Response(content, media_type=prometheus_client.CONTENT_TYPE_LATEST)


async def _away(request: Request, why: Exception) -> Response:
    log.warning("request not answered", path=request.url.path, error=repr(why))
    return PlainTextResponse("try again later", 503, {"retry-after": RETRY_AFTER, "cache-control": "no-store"})


async def _rejected(request: Request, why: Exception) -> Response:
    """What a page cannot be shown for, in the words that all answers have."""
    assert isinstance(why, Rejected)
    try:
        status = Errors(None).status(why)
    except KeyError:
        return await _failed(request, why)
    texts = [text for detail in status.details if detail.Unpack(text := LocalizedMessage())]
    body = "\n".join(text.message for text in texts)
    code = HTTP.get(status.code, 400)
    headers = {"cache-control": "no-store"}
    if code == 503:
        headers["retry-after"] = RETRY_AFTER
    log.warning("request refused", path=request.url.path, reason=why.reason)
    return PlainTextResponse(body, code, headers)


async def _failed(request: Request, why: Exception) -> Response:
    log.error("request failed", path=request.url.path, exc_info=why)
    return PlainTextResponse(FAILED, 500, {"cache-control": "no-store"})


async def _alive(_request: Request) -> Response:
    return PlainTextResponse("ok")


def probes(ready: Callable[[], bool], waiting_for: str) -> list[BaseRoute]:
    """What operations ask of every process.

    /livez: does it answer at all? /servez: does it answer calls? /readyz: does it, and does it do all that it does by itself?
    """

    async def serving(_request: Request) -> Response:
        return PlainTextResponse("ok") if ready() else PlainTextResponse(f"waiting for {waiting_for}", 503)

    async def readiness(request: Request) -> Response:
        if found := await troubles():
            told = [f"{name}: {why}" for name, why in found.items()]
            return PlainTextResponse("\n".join(["not at work:", *told]), 503)
        return await serving(request)

    paths = {"/metrics": _metrics, "/livez": _alive, "/servez": serving, "/readyz": readiness}
    return [Route(path, answer) for path, answer in paths.items()]


@dataclass(frozen=True, slots=True)
class Peer:
    """Who holds the other end of the connection, which is the edge or a probe."""

    address: str
    names: frozenset[str]


class PeerProtocol(H11Protocol):
    """Tells the application about the connection: its `request.state.peer`."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        connection = transport.get_extra_info("ssl_object")
        names = certificate_names(connection.getpeercert()) if connection else frozenset()
        self.app_state = {**self.app_state, "peer": Peer(self.client[0] if self.client else "", names)}


def client_certificate(request: Request, mutual_site: str) -> str:
    """The x5t#S256 of the certificate that the caller showed to the edge; empty if none, or if not the edge says so."""
    peer: Peer = request.state.peer
    from_edge = peer_name(EDGE, mutual_site) in peer.names if mutual_site else ip_address(peer.address).is_loopback
    return thumbprint(request.headers.get(FORWARDED, "")) if from_edge else ""


def client_address(request: Request, mutual_site: str) -> str:
    """As one caller: the edge's word, or the connection's own."""
    peer: Peer | None = getattr(request.state, "peer", None)
    from_edge = not mutual_site or (peer is not None and peer_name(EDGE, mutual_site) in peer.names)
    return counted((from_edge and request.headers.get(CLIENT)) or (peer.address if peer else ""))


class RelativeRedirects:
    """Where the framework leads to the same page with or without a slash, it writes the host that the caller wrote: not here."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_relative(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if (location := headers.get("location")) and (path := without_host(location, scope["path"])):
                    headers["location"] = path
            await send(message)

        await self._app(scope, receive, send_relative)


def without_host(location: str, asked: str) -> str:
    """Empty where it leads to another page than the one that was asked for."""
    parts = urlsplit(location)
    if not parts.netloc or unquote(parts.path).rstrip("/") != asked.rstrip("/"):
        return ""
    return urlunsplit(("", "", "/" + parts.path.lstrip("/\\"), parts.query, ""))


class Answered:
    """What failed and was answered all the same ends here: a server that hears of it closes the connection, on which the edge may
    have sent somebody else's request already.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answered = False

        async def send_noting(message: Message) -> None:
            nonlocal answered
            await send(message)
            answered = message["type"] == "http.response.body" and not message.get("more_body", False)

        try:
            await self._app(scope, receive, send_noting)
        except Exception:
            if not answered:
                raise


class OnlyTheEdge:
    """Under mutual TLS, whoever is not the site's edge reaches the probes and the metrics only."""

    def __init__(self, app: ASGIApp, site: str) -> None:
        self._app = app
        self._edge = peer_name(EDGE, site)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in OPEN and self._edge not in scope["state"]["peer"].names:
            text = f"This port is for {self._edge}: show a certificate with that name."
            await PlainTextResponse(text, 403)(scope, receive, send)
        else:
            await self._app(scope, receive, send)


class HostedServer(uvicorn.Server):
    """uvicorn on a loop that somebody else runs and stops; `began` hears where it listens."""

    def __init__(self, config: uvicorn.Config, began: Callable[[str, int], None]) -> None:
        super().__init__(config)
        self._began = began

    async def startup(self, sockets: list[socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            self._began(host, port)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class HostedApp:
    """A Starlette application served on a port of its own until `stop`."""

    def __init__(self, app: ASGIApp, host: str, port: int, credentials: Credentials | None = None) -> None:
        self._config = partial(
            uvicorn.Config,
            Answered(SecurityHeaders(RelativeRedirects(OnlyTheEdge(app, credentials.site) if credentials else app))),
            http=PeerProtocol,
            ssl_context_factory=(lambda *_: credentials.for_http_server()) if credentials else None,
            host=host,
            log_config=None,
            access_log=False,
            lifespan="auto",
            timeout_graceful_shutdown=DRAIN_SECONDS,
            server_header=False,
            h11_max_incomplete_event_size=LARGEST_HEADERS_BYTES,
            # Only the edge reaches this port, from an address of the cluster's.
            forwarded_allow_ips="*",
        )
        self._port = port
        self._server: HostedServer | None = None
        self._started: asyncio.Future[str] | None = None
        self._stopping = False
        self._owned = Owned("HTTP server", self._serve, finite=True)

    async def start(self) -> str:
        """Serve; returns host:port. Raises OSError if the port is taken."""
        self._started = asyncio.get_running_loop().create_future()
        self._owned.start()
        try:
            return await self._started
        except BaseException:
            await self._owned.stop()
            raise

    async def stop(self) -> None:
        self._stopping = True
        if self._server:
            self._server.should_exit = True
        await self._owned.finish()

    async def _serve(self) -> None:
        self._server = HostedServer(self._config(port=self._port), self._began)
        try:
            await self._server.serve()
        except (Exception, SystemExit) as error:  # uvicorn would end the program
            self._never_began(f"the HTTP server did not start: {error!r}")
            raise
        finally:  # it leaves its port when it is stopped only
            for listening in getattr(self._server, "servers", ()):
                listening.close()
            if self._server.started:  # what the application holds open ends with it, whatever ended the server
                with suppress(TimeoutError):
                    async with asyncio.timeout(DRAIN_SECONDS):
                        await self._server.lifespan.shutdown()
        if not self._stopping:
            self._never_began("the HTTP server did not start")
            raise RuntimeError("the HTTP server ended")

    def _began(self, host: str, port: int) -> None:
        self._port = port  # if it is begun again
        if self._started and not self._started.done():
            self._started.set_result(f"{'127.0.0.1' if host == '0.0.0.0' else host}:{port}")

    def _never_began(self, why: str) -> None:
        if self._started and not self._started.done():
            self._started.set_exception(OSError(why))


class HttpServer(SharedExtension):  # type: ignore[misc]
    def __init__(self) -> None:
        self._routes: list[BaseRoute] = []
        self._mounts: list[BaseRoute] = []
        self._app: HostedApp | None = None

    def register(self, path: str, methods: list[str], answer: Answer) -> None:
        self._routes.append(Route(path, answer, methods=methods))

    def mount(self, path: str, app: ASGIApp) -> None:
        self._mounts.append(Mount(path, app))

    def start(self) -> None:
        wait_for(self._start())

    def stop(self) -> None:
        if self._app:
            wait_for(self._app.stop())

    async def _start(self) -> None:
        container = container_of(self)
        platform, name = container.parts.platform, container.parts.service
        asked = probes(lambda: container.ready, "what the service reads to catch up")
        away = dict.fromkeys((StoreUnavailable, DatabaseUnavailable, BlobsUnavailable), _away)
        answers: dict[Any, Any] = {**away, Rejected: _rejected, Exception: _failed}
        app = Starlette(routes=[*asked, *self._routes, *self._mounts], exception_handlers=answers)
        port = platform.http_ports.get(name, platform.settings.http_port)
        self._app = HostedApp(app, platform.settings.host, port, platform.credentials)
        platform.http_addresses[name] = await self._app.start()


class Http(Entrypoint):  # type: ignore[misc]
    """`@http("GET", "/path")`: the method gets a starlette Request and returns a Response."""

    server = HttpServer()

    def __init__(self, method: str, path: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._methods = method.split(",")
        self._path = path

    def setup(self) -> None:
        self.server.register(self._path, self._methods, self._answer)

    async def _answer(self, request: Request) -> Response:
        response: Response = await self.container.run_worker(self, request)
        return response


class Mounted(Entrypoint):  # type: ignore[misc]
    """`@mounted("/pages")`: the method makes an application once, when the service starts."""

    server = HttpServer()

    def __init__(self, path: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._path = path

    def start(self) -> None:
        self.server.mount(self._path, wait_for(self.container.run_worker(self)))


def http(method: str, path: str) -> Callable[[F], F]:
    """Answer HTTP requests of these methods ("GET,POST") at a path."""
    decorator: Callable[[F], F] = Http.decorator(method, path)
    return decorator


def mounted(path: str) -> Callable[[F], F]:
    """Serve a whole application under a path ("" is all that no other route takes): async, returns the application."""
    decorator: Callable[[F], F] = Mounted.decorator(path)
    return decorator
