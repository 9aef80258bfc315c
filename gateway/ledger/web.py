"""The ledger over HTTP: static files of the log, receipts, add-checkpoint of the witness, a page for people."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import structlog
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from gateway.ledger.format.checkpoint import Checkpoint, decimal
from gateway.ledger.format.errors import FormatError, LedgerError
from gateway.ledger.format.leaf import MAX_REVISION, require_code
from gateway.ledger.format.note import Note, Verifier
from gateway.ledger.format.tiles import TileName
from gateway.ledger.keep import metrics
from gateway.ledger.keep.publishing import Publisher
from gateway.ledger.keep.receipts import ReceiptPending, Receipts
from gateway.ledger.keep.witness import Witness
from gateway.status import texts
from gateway.status.web import SecurityHeaders, assets
from services.chassis.blobs.port import BlobsUnavailable
from services.chassis.database.database import DatabaseUnavailable
from services.chassis.pages.assets import etag, unchanged
from services.chassis.pages.templates import environment
from services.chassis.store.port import StoreUnavailable
from services.chassis.text.dossier_codes import code_in

log = structlog.get_logger()

IMMUTABLE = "public, max-age=31536000, immutable"
FRESH = "no-cache"
ABSENT = "no-store"
TEXT = "text/plain; charset=utf-8"
# Of an add-checkpoint: 63 hashes and a note with 100 signatures are well below it.
MOST_BYTES = 32 * 1024
RETRY_SECONDS = 2

_UNKNOWN = (
    "Sổ cái không có hồ sơ hoặc bước này. Xin so lại mã hồ sơ.\n"
    "The ledger has no such dossier, or no such step. Please compare the code.\n"
)
_NOT_YET = (
    "Bước này đã được ghi nhận và sắp vào sổ cái. Xin thử lại sau vài giây.\n"
    "This step is recorded and about to enter the ledger. Please try again in a few seconds.\n"
)
_UNAVAILABLE = (
    "Sổ cái tạm thời không đọc được. Xin thử lại sau vài giây.\n"
    "The ledger cannot be read at the moment. Please try again in a few seconds.\n"
)
_NO_FILE = "Sổ cái chưa có tệp này.\nThe ledger does not have this file, or not yet.\n"


@dataclass(frozen=True, slots=True)
class Site:
    """What the pages tell of this ledger."""

    url: str
    log: Verifier
    witness: Verifier
    witnesses: Sequence[Verifier]


def application(site: Site, publisher: Publisher, receipts: Receipts, witness: Witness) -> Starlette:
    return _Web(site, publisher, receipts, witness).application()


class _Web:
    def __init__(self, site: Site, publisher: Publisher, receipts: Receipts, witness: Witness) -> None:
        self._site = site
        self._publisher = publisher
        self._receipts = receipts
        self._witness = witness
        self._templates = environment(Path(__file__).parent / "templates", Path(texts.__file__).parent / "templates")
        self._templates.globals["asset"] = assets().address

    def application(self) -> Starlette:
        compressed = [Middleware(GZipMiddleware, minimum_size=1000)]
        routes = [
            Route("/", self.page, middleware=compressed),
            Route("/checkpoint", self.checkpoint),
            Route("/vkey", self.vkey),
            Route("/tile/{name:path}", self.tile),
            Route("/receipts/{code}", self.dossier, middleware=compressed),
            Route("/receipts/{code}/{revision}", self.event, middleware=compressed),
            Route("/witness/vkey", self.witness_vkey),
            Route("/witness/add-checkpoint", self.add_checkpoint, methods=["POST"]),
        ]
        return Starlette(
            routes=routes,
            middleware=[Middleware(SecurityHeaders)],
            exception_handlers={
                404: self.absent,
                BlobsUnavailable: self.unavailable,
                DatabaseUnavailable: self.unavailable,
                StoreUnavailable: self.unavailable,
            },
        )

    async def checkpoint(self, request: Request) -> Response:
        note = await self._publisher.current()
        if note is None:
            return _plain(_NO_FILE, 404, ABSENT)
        body = note.format()
        headers = {"cache-control": FRESH, "etag": etag(body)}
        if unchanged(request, headers["etag"]):
            return Response(status_code=304, headers=headers)
        return Response(body, media_type=TEXT, headers=headers)

    async def vkey(self, _: Request) -> Response:
        return _plain(f"{self._site.log.vkey}\n", caching=FRESH)

    async def witness_vkey(self, _: Request) -> Response:
        return _plain(f"{self._site.witness.vkey}\n", caching=FRESH)

    async def tile(self, request: Request) -> Response:
        try:
            name = TileName.parse(f"tile/{request.path_params['name']}")
        except FormatError as unknown:
            return _plain(f"{unknown}\n", 404, ABSENT)
        content = await self._publisher.file(name)
        if content is None:
            return _plain(_NO_FILE, 404, ABSENT)
        headers = {"cache-control": IMMUTABLE}
        if name.level is None:
            headers["content-encoding"] = "gzip"
        return Response(content, media_type="application/octet-stream", headers=headers)

    async def event(self, request: Request) -> Response:
        code = _code(request)
        try:
            require_code(code)
            revision = decimal(request.path_params["revision"], "the revision")
            proof = await self._receipts.event(code, revision) if revision <= MAX_REVISION else None
        except ReceiptPending:
            return _not_yet()
        except LedgerError:
            proof = None
        if proof is None:
            return _plain(_UNKNOWN, 404, ABSENT)
        return _receipt(proof.format(), f"{code}-{revision}.tlog-proof")

    async def dossier(self, request: Request) -> Response:
        code = _code(request)
        try:
            receipt = await self._receipts.dossier(code)
        except ReceiptPending:
            return _not_yet()
        if receipt is None:
            return _plain(_UNKNOWN, 404, ABSENT)
        return _receipt(receipt.format(), f"{code}.tlog-proof")

    async def add_checkpoint(self, request: Request) -> Response:
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > MOST_BYTES:
                metrics.WITNESSED.labels(413).inc()
                return _plain(f"a request has at most {MOST_BYTES} bytes\n", 413, ABSENT)
        answer = await self._witness.add_checkpoint(body)
        metrics.WITNESSED.labels(answer.status).inc()
        headers = {"cache-control": ABSENT, "content-type": answer.type}
        return Response(answer.body, answer.status, headers=headers)

    async def page(self, request: Request) -> Response:
        asked = request.query_params.get("lang")
        chosen = texts.choose(asked, request.cookies.get("lang"), request.headers.get("accept-language", ""))
        words = texts.load(chosen)
        body = self._templates.get_template("ledger.html").render(
            self._chrome(words) | self._facts(await self._publisher.current())
        )
        headers = {
            "cache-control": FRESH,
            "content-language": chosen,
            "etag": etag(body.encode()),
            "vary": "Accept-Language, Cookie",
        }
        if unchanged(request, headers["etag"]):
            return Response(status_code=304, headers=headers)
        return Response(body, media_type="text/html", headers=headers)

    async def absent(self, _: Request, __: Exception) -> Response:
        return _plain(_NO_FILE, 404, ABSENT)

    async def unavailable(self, _: Request, why: Exception) -> Response:
        log.error("what is published cannot be read", error=repr(why))
        return _later(_UNAVAILABLE)

    def _chrome(self, words: texts.Texts) -> dict[str, Any]:
        def switched(language: str) -> str:
            return f"/ledger/?{urlencode({'lang': language})}"

        named = {name: getattr(words, name) for name in ("t", "number", "moment")}
        return {"lang": words.language, "path": "/ledger/", "switched": switched, "fresh": None} | named

    def _facts(self, note: Note | None) -> dict[str, Any]:
        signed = note.signed_by(self._site.witnesses) if note else {}
        return {
            "url": self._site.url,
            "origin": self._site.log.name,
            "vkey": self._site.log.vkey,
            "witness_vkey": self._site.witness.vkey,
            "size": Checkpoint.parse(note.text).size if note else 0,
            "cosigned": [
                (witness.name, datetime.fromtimestamp(time, UTC))
                for witness in self._site.witnesses
                if (time := signed.get(witness.vkey)) is not None
            ],
            "missing": [witness.name for witness in self._site.witnesses if witness.vkey not in signed],
        }


def _code(request: Request) -> str:
    written: str = request.path_params["code"]
    return code_in(written) or written


def _plain(text: str, status: int = 200, caching: str = FRESH) -> Response:
    return PlainTextResponse(text, status, headers={"cache-control": caching})


def _not_yet() -> Response:
    return _later(_NOT_YET)


def _later(text: str) -> Response:
    answer = _plain(text, 503, ABSENT)
    answer.headers["retry-after"] = str(RETRY_SECONDS)
    return answer


def _receipt(body: bytes, name: str) -> Response:
    safe = re.sub(r"[^A-Za-z0-9.-]", "_", name)
    headers = {
        "cache-control": FRESH,
        "content-disposition": f'attachment; filename="{safe}"',
        # An address holds a dossier's code.
        "x-robots-tag": "noindex",
    }
    return Response(body, media_type=TEXT, headers=headers)
