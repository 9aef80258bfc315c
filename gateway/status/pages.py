"""The public status page as an ASGI application."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from gateway.status import codes, live, model, texts
from gateway.status.model import DossierPage
from gateway.status.reader import Reader
from gateway.status.settings import Settings
from gateway.status.web import SecurityHeaders, assets
from motcua.catalogue.events.v1.definitions_pb2 import Text
from services.chassis.database.database import DatabaseUnavailable
from services.chassis.frame.http_server import client_address
from services.chassis.pages.assets import etag, unchanged
from services.chassis.pages.languages import COOKIE
from services.chassis.pages.templates import environment
from services.chassis.store.port import StoreUnavailable
from services.chassis.text.dossier_codes import code_in, codes_in

PAGE_SIZE: Final = 20
LONGEST_QUERY: Final = 100
# Of what was typed and is no code.
LONGEST_SHOWN: Final = 200
log = structlog.get_logger()

_FORMATS = ("t", "n", "say", "known", "term", "day", "date", "weekday", "clock", "moment", "number", "money", "percent")
_YEAR = 31_536_000
RETRY_AFTER = "30"
_FRESH = "no-cache"
_BOARD = "public, max-age=15, stale-while-revalidate=60"
_CATALOGUE = "public, max-age=300"
_ONLY_READ = "Trang này chỉ để xem.\nThis page is only to be read.\n"
_ROBOTS = "User-agent: *\nDisallow: /dossiers/\nDisallow: /*?\nAllow: /\n"


def application(reader: Reader, settings: Settings, clock: Callable[[], datetime]) -> Starlette:
    return _Pages(reader, settings, clock).application()


@dataclass(frozen=True)
class _Language:
    texts: texts.Texts
    asked: bool


class _Pages:
    def __init__(self, reader: Reader, settings: Settings, clock: Callable[[], datetime]) -> None:
        self.reader = reader
        self.settings = settings
        self.clock = clock
        self.assets = assets()
        self.listeners: Counter[str] = Counter()
        self.templates = environment(Path(__file__).parent / "templates")
        self.templates.globals |= {"asset": self.assets.address, "days_between": model.days_between}

    def application(self) -> Starlette:
        routes = [
            Route("/", self.home),
            Route("/dossiers/{code}", self.dossier),
            Route("/dossiers/{code}/live", self.live),
            Route("/dossiers/{code}/qr.svg", self.qr),
            Route("/boards", self.nation),
            Route("/boards/{province}", self.province),
            Route("/boards/{province}/{agency}", self.agency),
            Route("/procedures", self.procedures),
            Route("/procedures/{code}", self.procedure),
            Route("/about", self.about),
            Route("/robots.txt", self.robots),
            Route("/static/{name}", self.assets.serve),
        ]
        return Starlette(
            routes=routes,
            middleware=[Middleware(SecurityHeaders), Middleware(GZipMiddleware, minimum_size=1000)],
            exception_handlers={
                404: self.not_found,
                405: self.only_read,
                500: self.failed,
                DatabaseUnavailable: self.unavailable,
                StoreUnavailable: self.unavailable,
            },
        )

    async def home(self, request: Request) -> Response:
        written = request.query_params.get("code", "")
        if written.strip():
            if code := code_in(written):
                return RedirectResponse(_address(code, codes.scanned_seal(written)), 303)
            return await self._home(request, written[:LONGEST_SHOWN], 400)
        return await self._home(request, "", 200)

    async def dossier(self, request: Request) -> Response:
        written = request.path_params["code"]
        code = code_in(written)
        if code is None:
            return await self._home(request, written[:LONGEST_SHOWN], 404)
        claimed = request.query_params.get("seal")
        if claimed is not None and not codes.seal_holds(self.settings.qr_key, code, claimed):
            return await self._message(request, "forged", 403)
        if code != written:
            return RedirectResponse(_address(code, claimed), 308)
        page = await self.reader.dossier(code)
        if page is None:
            raise HTTPException(404)
        context = await self._dossier_context(page, self._language(request).texts)
        return await self._render(request, "dossier.html", context | {"sealed": claimed is not None}, _FRESH)

    async def live(self, request: Request) -> Response:
        page = await self._page(request)
        address = client_address(request, self.settings.mutual_site)
        # Nothing is awaited between this and the place that is taken below.
        full = self.listeners.total() >= self.settings.live_limit
        if full or self.listeners[address] >= self.settings.live_limit_per_address:
            return Response(status_code=503, headers={"retry-after": RETRY_AFTER})
        words = self._language(request).texts
        template = self.templates.get_template("_dossier.html")

        async def render(changed: DossierPage) -> str:
            return template.render(self._words(words) | await self._dossier_context(changed, words))

        known = request.headers.get("last-event-id") or request.query_params.get("after", "")
        stream = live.frames(self.reader, page.code, live.resume_point(known), render, self.settings.heartbeat_seconds)

        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return _Listened(stream, self.listeners, address, headers)

    async def qr(self, request: Request) -> Response:
        page = await self._page(request)
        seal = codes.seal(self.settings.qr_key, page.code)
        import segno  # slow to load, and not needed to start

        picture = io.BytesIO()
        segno.make_qr(self.settings.public_address + _address(page.code, seal), error="m").save(
            picture, kind="svg", border=2, dark="#0f1f3d", light="#fff", svgclass=None, lineclass=None, omitsize=True
        )
        return _cached(request, picture.getvalue(), "image/svg+xml", "public, max-age=86400")

    async def nation(self, request: Request) -> Response:
        board = await self.reader.nation()
        return await self._board(request, board, level="nation", trail=[])

    async def province(self, request: Request) -> Response:
        board = await self.reader.province(_code(request, "province"))
        return await self._board(request, board, level="province", trail=[])

    async def agency(self, request: Request) -> Response:
        province, agency = _code(request, "province"), _code(request, "agency")
        board = await self.reader.agency(province, agency)
        names = await self.reader.province_names([province])
        parent = self._language(request).texts.name(names, province)
        return await self._board(request, board, level="agency", trail=[(f"/boards/{quote(province)}", parent)])

    async def procedures(self, request: Request) -> Response:
        words = request.query_params.get("q", "").strip()[:LONGEST_QUERY]
        after = request.query_params.get("after", "")[:LONGEST_QUERY]
        found = await self.reader.procedures(words, after, PAGE_SIZE)
        if found.total and not found.entries:
            raise HTTPException(404)
        context = {
            "words": words,
            "found": found,
            "to_page": lambda code: "/procedures?" + urlencode({"q": words} | ({"after": code} if code else {})),
        }
        return await self._render(request, "procedures.html", context, _CATALOGUE)

    async def procedure(self, request: Request) -> Response:
        found = await self.reader.procedure(request.path_params["code"])
        if found is None:
            raise HTTPException(404)
        return await self._render(request, "procedure.html", {"procedure": found}, _CATALOGUE)

    async def about(self, request: Request) -> Response:
        return await self._render(request, "about.html", {}, _CATALOGUE)

    async def robots(self, _: Request) -> Response:
        return PlainTextResponse(_ROBOTS, headers={"cache-control": "public, max-age=86400"})

    async def not_found(self, request: Request, _: Exception) -> Response:
        return await self._message(request, "not-found", 404)

    async def only_read(self, _: Request, why: Exception) -> Response:
        return PlainTextResponse(_ONLY_READ, 405, getattr(why, "headers", None))

    async def failed(self, request: Request, _: Exception) -> Response:
        return self._broken(request, 500)

    async def unavailable(self, request: Request, why: Exception) -> Response:
        log.warning("page not shown", path=request.url.path, error=repr(why))
        response = self._broken(request, 503)
        response.headers["retry-after"] = RETRY_AFTER
        return response

    def _broken(self, request: Request, status: int) -> Response:
        words = self._language(request).texts
        body = self.templates.get_template("message.html").render(
            self._chrome(request, words) | {"kind": "failed", "fresh": None}
        )
        return Response(body, status, media_type="text/html", headers={"cache-control": "no-store"})

    async def _page(self, request: Request) -> DossierPage:
        code = code_in(request.path_params["code"])
        page = await self.reader.dossier(code) if code else None
        if page is None:
            raise HTTPException(404)
        return page

    async def _home(self, request: Request, refused: str, status: int) -> Response:
        context = {
            "today": await self.reader.today(),
            "refused": refused,
            "several": len(codes_in(refused)) > 1,
        }
        return await self._render(request, "home.html", context, _FRESH, status)

    async def _board(
        self, request: Request, board: model.Board | None, level: str, trail: list[tuple[str, str]]
    ) -> Response:
        if board is None:
            raise HTTPException(404)
        context = {"board": board, "level": level, "trail": trail, "quote": quote}
        return await self._render(request, "board.html", context, _BOARD)

    async def _message(self, request: Request, kind: str, status: int) -> Response:
        return await self._render(request, "message.html", {"kind": kind}, "no-store", status)

    async def _dossier_context(self, page: DossierPage, words: texts.Texts) -> dict[str, Any]:
        mentioned = {page.reception_agency, page.competent_agency, page.place_of_submission}
        mentioned |= {agency for step in page.steps for agency in (step.agency, step.to_agency)}
        agencies = await self.reader.agency_names(mentioned - {""})
        provinces = await self.reader.province_names([page.province])
        procedure = await self.reader.procedure(page.procedure_code, page.procedure_version)
        calendar = await self.reader.calendar_name(page.calendar)
        now = self.clock()
        return {
            "page": page,
            "now": now,
            "standing": model.standing(page, now),
            "procedure": procedure,
            "title": words.say(procedure.name) if procedure else page.procedure_code,
            "agency": lambda code: words.name(agencies, code),
            "province": words.name(provinces, page.province),
            "calendar": words.say(calendar) if calendar else page.calendar,
            # A fee's items have the name of the law's charge, in Vietnamese.
            "charge": _namer(words, {item.name.vi: item.name for item in procedure.fee.charges} if procedure else {}),
            "component": _namer(words, {item.code: item.name for item in procedure.components} if procedure else {}),
            "step_name": _namer(words, {item.code: item.name for item in procedure.steps} if procedure else {}),
            "result_name": _namer(
                words, {item.document_kind: item.name for item in procedure.results} if procedure else {}
            ),
            "whole_receipt": self.settings.whole_receipt_address.format(code=page.code),
            "log_key": self.settings.log_key_address,
            "receipt": lambda step: self.settings.receipt_address.format(code=page.code, revision=step.revision),
        }

    async def _render(
        self, request: Request, template: str, context: dict[str, Any], caching: str, status: int = 200
    ) -> Response:
        language = self._language(request)
        chrome = self._chrome(request, language.texts) | {"fresh": await self.reader.freshness()}
        body = self.templates.get_template(template).render(chrome | context).encode()
        if language.asked:
            caching = "no-store"
        response = _cached(request, body, "text/html", caching, status)
        response.headers["vary"] = "Accept-Language, Cookie"
        response.headers["content-language"] = language.texts.language
        if template == "dossier.html" or status != 200:
            response.headers["x-robots-tag"] = "noindex"
        if language.asked:
            secure = request.url.scheme == "https"
            response.set_cookie(COOKIE, language.texts.language, _YEAR, secure=secure, httponly=True, samesite="lax")
        return response

    def _language(self, request: Request) -> _Language:
        asked = request.query_params.get("lang")
        chosen = texts.choose(asked, request.cookies.get(COOKIE), request.headers.get("accept-language", ""))
        return _Language(texts.load(chosen), asked == chosen)

    def _chrome(self, request: Request, words: texts.Texts) -> dict[str, Any]:
        def switched(language: str) -> str:
            query = [(key, value) for key, value in request.query_params.multi_items() if key != "lang"]
            return f"{quote(request.url.path)}?{urlencode([*query, ('lang', language)])}"

        return self._words(words) | {"path": request.url.path, "switched": switched}

    def _words(self, words: texts.Texts) -> dict[str, Any]:
        return {"lang": words.language} | {name: getattr(words, name) for name in _FORMATS}


class _Listened(StreamingResponse):
    """Counted from the moment at which there was a place."""

    def __init__(
        self, stream: AsyncGenerator[str], listeners: Counter[str], address: str, headers: dict[str, str]
    ) -> None:
        super().__init__(stream, media_type=live.MEDIA_TYPE, headers=headers)
        self._stream = stream
        self._listeners = listeners
        self._address = address
        listeners[address] += 1

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._listeners[self._address] -= 1
            if not self._listeners[self._address]:
                del self._listeners[self._address]
            await self._stream.aclose()


def _namer(words: texts.Texts, names: dict[str, Text]) -> Callable[[str], str]:
    return lambda code: words.name(names, code)


def _address(code: str, seal: str | None) -> str:
    return f"/dossiers/{quote(code)}" + (f"?{urlencode({'seal': seal})}" if seal is not None else "")


def _code(request: Request, name: str) -> str:
    """Of a province or an agency. What no text of a database can hold is none of them."""
    code: str = request.path_params[name]
    if "\0" in code:
        raise HTTPException(404)
    return code


def _cached(request: Request, body: bytes, media_type: str, caching: str, status: int = 200) -> Response:
    tag = etag(body)
    headers = {"etag": tag, "cache-control": caching}
    if status == 200 and caching != "no-store" and unchanged(request, tag):
        return Response(status_code=304, headers=headers)
    return Response(body, status, media_type=media_type, headers=headers)
