"""A payment provider to try everything with: VNPAY's pages, callbacks, query and refund, without money.

It signs with its own code, so that a fault in the merchant's signing cannot hide here.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import secrets
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_type_hints
from urllib.parse import urlencode, urlsplit

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.templating import Jinja2Templates

from gateway.sandbox.players import Stage
from services.chassis.clock import Clock, ShiftedClock, SystemClock
from services.chassis.pages.security_headers import stylesheet
from services.chassis.platform.settings import Settings as Site
from services.law.days import ZONE

HERE = Path(__file__).parent
ACKNOWLEDGED = ("00", "02")
# outcome: (vnp_ResponseCode, vnp_TransactionStatus)
OUTCOMES = {"success": ("00", "00"), "fail": ("51", "02"), "cancel": ("24", "02")}
REQUEST_FIELDS = {
    "querydr": [
        "RequestId",
        "Version",
        "Command",
        "TmnCode",
        "TxnRef",
        "TransactionDate",
        "CreateDate",
        "IpAddr",
        "OrderInfo",
    ],
    "refund": [
        "RequestId",
        "Version",
        "Command",
        "TmnCode",
        "TransactionType",
        "TxnRef",
        "Amount",
        "TransactionNo",
        "TransactionDate",
        "CreateBy",
        "CreateDate",
        "IpAddr",
        "OrderInfo",
    ],
}
RESPONSE_FIELDS = {
    "refund": [
        "ResponseId",
        "Command",
        "ResponseCode",
        "Message",
        "TmnCode",
        "TxnRef",
        "Amount",
        "BankCode",
        "PayDate",
        "TransactionNo",
        "TransactionType",
        "TransactionStatus",
        "OrderInfo",
    ]
}
RESPONSE_FIELDS["querydr"] = [*RESPONSE_FIELDS["refund"], "PromotionCode", "PromotionAmount"]
MESSAGES = {
    "00": "Success",
    "02": "Merchant is invalid",
    "03": "Data format is invalid",
    "04": "Amount is more than was paid",
    "91": "Transaction not found",
    "94": "The request is a duplicate",
    "95": "The transaction did not succeed",
    "97": "Checksum is invalid",
    "99": "Unknown error",
}
SCHEMA = """
CREATE TABLE IF NOT EXISTS orders (
  txn_ref TEXT PRIMARY KEY, transaction_no INTEGER NOT NULL, amount INTEGER NOT NULL, info TEXT NOT NULL,
  created TEXT NOT NULL, outcome TEXT, pay_date TEXT, acknowledged TEXT
);
CREATE TABLE IF NOT EXISTS refunds (
  txn_ref TEXT PRIMARY KEY REFERENCES orders, request_id TEXT UNIQUE NOT NULL, refund_no INTEGER NOT NULL,
  pay_date TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS callbacks (
  id INTEGER PRIMARY KEY, txn_ref TEXT NOT NULL, kind TEXT NOT NULL, at TEXT NOT NULL, reply TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS behaviours (scope TEXT PRIMARY KEY, behaviour TEXT NOT NULL);
"""
GLOBAL = "*"


@dataclass(frozen=True, slots=True)
class Settings:
    """`retries` are the seconds to wait before each callback that was not acknowledged is sent again."""

    folder: Path
    tmn_code: str
    secret: str
    ipn_url: str
    retries: tuple[float, ...] = (1, 5, 15, 60, 300, 300, 300, 300, 300, 300)
    clock: Clock = field(default_factory=SystemClock)

    def now(self) -> str:
        return self.clock.now().astimezone(ZONE).strftime("%Y%m%d%H%M%S")


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How to misbehave, for one order or for all. Wrong callbacks are sent once each, before the true one."""

    forge: int = 0
    wrong_amount: int = 0
    unknown_reference: int = 0
    repeat: int = 0
    delay: float = 0.0
    silent: bool = False
    down: bool = False
    refund_code: str = "00"

    @classmethod
    def parse(cls, body: Any) -> Behaviour:
        if not isinstance(body, dict):
            raise ValueError("an object is expected")
        hints = get_type_hints(cls)
        for name, value in body.items():
            if name not in hints:
                raise ValueError(f"unknown: {name}; known: {', '.join(f.name for f in fields(cls))}")
            kind = (int, float) if hints[name] is float else hints[name]
            if not isinstance(value, kind) or (isinstance(value, bool) and hints[name] is not bool):
                raise ValueError(f"{name} must be {hints[name].__name__}")
            if not isinstance(value, str) and value < 0:
                raise ValueError(f"{name} must not be negative")
        return cls(**body)


class Book:
    """The provider's own memory, one SQLite file."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(folder / "vnpay.sqlite", isolation_level=None)
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.executescript(SCHEMA)

    def close(self) -> None:
        self._db.close()

    def open_order(self, query: Mapping[str, str]) -> sqlite3.Row:
        txn_ref, amount = query["vnp_TxnRef"], int(query["vnp_Amount"])
        number = 14_000_000 + secrets.randbelow(900_000_000)
        self._db.execute(
            "INSERT INTO orders (txn_ref, transaction_no, amount, info, created) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT DO NOTHING",
            (txn_ref, number, amount, query.get("vnp_OrderInfo", ""), query.get("vnp_CreateDate", "")),
        )
        order = self.order(txn_ref)
        assert order is not None
        return order

    def order(self, txn_ref: str) -> sqlite3.Row | None:
        row: sqlite3.Row | None = self._db.execute("SELECT * FROM orders WHERE txn_ref = ?", (txn_ref,)).fetchone()
        return row

    def settle(self, txn_ref: str, outcome: str, pay_date: str) -> bool:
        """False where it was settled before: an order is paid once."""
        return (
            self._db.execute(
                "UPDATE orders SET outcome = ?, pay_date = ? WHERE txn_ref = ? AND outcome IS NULL",
                (outcome, pay_date, txn_ref),
            ).rowcount
            == 1
        )

    def unacknowledged(self) -> list[str]:
        rows = self._db.execute("SELECT txn_ref FROM orders WHERE outcome IS NOT NULL AND acknowledged IS NULL")
        return [row["txn_ref"] for row in rows]

    def called(self, txn_ref: str, kind: str, reply: str) -> None:
        self._db.execute(
            "INSERT INTO callbacks (txn_ref, kind, at, reply) VALUES (?, ?, ?, ?)",
            (txn_ref, kind, datetime.now(UTC).isoformat(), reply),
        )
        if kind == "true" and reply in ACKNOWLEDGED:
            self._db.execute("UPDATE orders SET acknowledged = ? WHERE txn_ref = ?", (reply, txn_ref))

    def refund(self, txn_ref: str) -> sqlite3.Row | None:
        row: sqlite3.Row | None = self._db.execute("SELECT * FROM refunds WHERE txn_ref = ?", (txn_ref,)).fetchone()
        return row

    def add_refund(self, txn_ref: str, request_id: str, pay_date: str) -> bool:
        """False where this order or this request was refunded before."""
        number = 14_000_000 + secrets.randbelow(900_000_000)
        return (
            self._db.execute(
                "INSERT INTO refunds VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
                (txn_ref, request_id, number, pay_date),
            ).rowcount
            == 1
        )

    def behaviour(self, txn_ref: str) -> Behaviour:
        rows = dict(self._db.execute("SELECT * FROM behaviours WHERE scope IN (?, ?)", (txn_ref, GLOBAL)).fetchall())
        everywhere = Behaviour(**json.loads(rows.get(GLOBAL, "{}")))
        own = Behaviour(**json.loads(rows[txn_ref])) if txn_ref in rows else everywhere
        return replace(own, down=own.down or everywhere.down)

    def behave(self, scope: str, behaviour: Behaviour) -> None:
        self._db.execute("INSERT OR REPLACE INTO behaviours VALUES (?, ?)", (scope, json.dumps(asdict(behaviour))))

    def all(self) -> list[dict[str, Any]]:
        orders = [dict(row) for row in self._db.execute("SELECT * FROM orders ORDER BY rowid")]
        for order in orders:
            rows = self._db.execute("SELECT kind, at, reply FROM callbacks WHERE txn_ref = ?", (order["txn_ref"],))
            order["callbacks"] = [dict(row) for row in rows]
            order["refunded"] = self.refund(order["txn_ref"]) is not None
        return orders


@dataclass(slots=True)
class Caller:
    """Tells the merchant, again and again, until it answers 00 or 02."""

    settings: Settings
    book: Book
    http: httpx.AsyncClient
    sleep: Callable[[float], Any] = asyncio.sleep
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def tell(self, txn_ref: str) -> None:
        task = asyncio.create_task(self._tell(txn_ref))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def stop(self) -> None:
        for task in tuple(self.tasks):
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def _tell(self, txn_ref: str) -> None:
        behaviour = self.book.behaviour(txn_ref)
        if behaviour.silent:
            return
        await self.sleep(behaviour.delay)
        notice = callback(self.settings, self.book, txn_ref)
        for _ in range(behaviour.forge):
            await self._send(txn_ref, "forged", {**notice, "vnp_SecureHash": secrets.token_hex(64)})
        for _ in range(behaviour.wrong_amount):
            amount = str(int(notice["vnp_Amount"]) + 100)
            await self._send(txn_ref, "wrong_amount", signed(self.settings.secret, notice | {"vnp_Amount": amount}))
        for _ in range(behaviour.unknown_reference):
            unknown = notice | {"vnp_TxnRef": secrets.token_hex(16)}
            await self._send(txn_ref, "unknown_reference", signed(self.settings.secret, unknown))
        for wait in (0, *self.settings.retries):
            await self.sleep(wait)
            if await self._send(txn_ref, "true", notice) in ACKNOWLEDGED:
                break
        for _ in range(behaviour.repeat):
            await self._send(txn_ref, "true", notice)

    async def _send(self, txn_ref: str, kind: str, notice: Mapping[str, str]) -> str:
        if self.book.behaviour(txn_ref).down:
            return ""
        try:
            got = await self.http.get(self.settings.ipn_url, params=dict(notice))
            reply = str(got.json()["RspCode"])
        except (httpx.HTTPError, ValueError, KeyError, TypeError) as fault:
            reply = type(fault).__name__
        self.book.called(txn_ref, kind, reply)
        return reply


def _hmac(secret: str, text: str) -> str:
    return hmac.new(secret.encode(), text.encode(), hashlib.sha512).hexdigest()


def signed(secret: str, query: Mapping[str, str]) -> dict[str, str]:
    kept = {k: v for k, v in sorted(query.items()) if k.startswith("vnp_") and not k.startswith("vnp_SecureHash") and v}
    return kept | {"vnp_SecureHash": _hmac(secret, urlencode(kept))}


def signed_message(secret: str, message: Mapping[str, str], order: Iterable[str]) -> dict[str, str]:
    text = "|".join(message.get(f"vnp_{name}", "") for name in order)
    return {**message, "vnp_SecureHash": _hmac(secret, text)}


def callback(settings: Settings, book: Book, txn_ref: str) -> dict[str, str]:
    order = book.order(txn_ref)
    assert order is not None
    response, status = OUTCOMES[order["outcome"]]
    paid = order["outcome"] == "success"
    notice = {
        "vnp_TmnCode": settings.tmn_code,
        "vnp_Amount": str(order["amount"]),
        "vnp_BankCode": "NCB" if paid else "VNPAY",
        "vnp_BankTranNo": f"VNP{order['transaction_no']}" if paid else "",
        "vnp_CardType": "ATM" if paid else "QRCODE",
        "vnp_PayDate": order["pay_date"],
        "vnp_OrderInfo": order["info"],
        "vnp_TransactionNo": str(order["transaction_no"]) if paid else "0",
        "vnp_ResponseCode": response,
        "vnp_TransactionStatus": status,
        "vnp_TxnRef": txn_ref,
    }
    return signed(settings.secret, notice)


def fault_of(settings: Settings, query: Mapping[str, str]) -> str | None:
    """Why a payment request is refused, as VNPAY's error page numbers it."""
    given = query.get("vnp_SecureHash", "")
    if not hmac.compare_digest(given.encode(), signed(settings.secret, query)["vnp_SecureHash"].encode()):
        return "70"
    if query.get("vnp_TmnCode") != settings.tmn_code:
        return "02"
    amount, expires = query.get("vnp_Amount", ""), query.get("vnp_ExpireDate", "")
    bare = amount.isascii() and amount.isdigit() and int(amount) > 0
    if not bare or query.get("vnp_CurrCode") != "VND" or query.get("vnp_Version") != "2.1.0":
        return "03"
    if not query.get("vnp_TxnRef") or urlsplit(query.get("vnp_ReturnUrl", "")).scheme not in ("http", "https"):
        return "03"
    return "15" if expires and expires < settings.now() else None


def play(site: Site, stage: Stage) -> Starlette:
    # The merchant sends moments of its own clock, which may be shifted.
    clock = ShiftedClock(site.clock_shift_file) if site.clock_shift_file else SystemClock()
    ipn = f"{site.url}/payment/vnpay/ipn"
    return create_app(Settings(stage.folder / "vnpay", site.vnpay_terminal, site.vnpay_secret, ipn, clock=clock))


def create_app(settings: Settings, http: httpx.AsyncClient | None = None) -> Starlette:
    """`http` is how callbacks reach the merchant; by default over the network."""
    templates = Jinja2Templates(directory=HERE / "vnpay_templates")
    book = Book(settings.folder)
    caller = Caller(settings, book, http or httpx.AsyncClient(timeout=30))

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        for txn_ref in book.unacknowledged():
            caller.tell(txn_ref)
        yield
        await caller.stop()
        if http is None:
            await caller.http.aclose()
        book.close()

    def page(request: Request, name: str, status: int = 200, **values: Any) -> Response:
        english = request.query_params.get("vnp_Locale") == "en"
        return templates.TemplateResponse(request, name, {"en": english, **values}, status_code=status)

    def refusal(request: Request) -> Response | None:
        query = dict(request.query_params)
        if book.behaviour(query.get("vnp_TxnRef", "")).down:
            return page(request, "refused.html", 503, code="99")
        if (code := fault_of(settings, query)) is not None:
            return page(request, "refused.html", 400, code=code)
        order = book.order(query["vnp_TxnRef"])
        if order is not None and order["outcome"] is not None:
            return page(request, "refused.html", 409, code="01")
        return None

    async def show(request: Request) -> Response:
        if (refused := refusal(request)) is not None:
            return refused
        query = request.query_params
        order = book.open_order(query)
        amount = f"{order['amount'] // 100:,}".replace(",", ".")
        return page(request, "pay.html", order=order, amount=amount, query=urlencode(dict(query)))

    async def pay(request: Request) -> Response:
        if (refused := refusal(request)) is not None:
            return refused
        query = request.query_params
        outcome = query.get("outcome", "")
        if outcome not in OUTCOMES:
            return page(request, "refused.html", 400, code="03")
        txn_ref = query["vnp_TxnRef"]
        book.open_order(query)
        if not book.settle(txn_ref, outcome, settings.now()):
            return page(request, "refused.html", 409, code="01")
        caller.tell(txn_ref)
        back = query["vnp_ReturnUrl"]
        mark = "&" if urlsplit(back).query else "?"
        return RedirectResponse(f"{back}{mark}{urlencode(callback(settings, book, txn_ref))}", status_code=303)

    async def transaction(request: Request) -> Response:
        try:
            body = await request.json()
            message = {str(k): str(v) for k, v in body.items()}
            command = message["vnp_Command"]
            order_of_fields = REQUEST_FIELDS[command]
        except (ValueError, KeyError, AttributeError, RecursionError):
            return JSONResponse({"vnp_ResponseCode": "03", "vnp_Message": MESSAGES["03"]})
        if book.behaviour(message.get("vnp_TxnRef", "")).down:
            return Response(status_code=503)
        expected = signed_message(settings.secret, message, order_of_fields)["vnp_SecureHash"]
        if not hmac.compare_digest(message.get("vnp_SecureHash", "").encode(), expected.encode()):
            answer = {"vnp_ResponseCode": "97"}
        elif message.get("vnp_TmnCode") != settings.tmn_code:
            answer = {"vnp_ResponseCode": "02"}
        else:
            answer = (query_order if command == "querydr" else refund_order)(message)
        answer = {
            "vnp_ResponseId": secrets.token_hex(16),
            "vnp_Command": command,
            "vnp_TmnCode": message.get("vnp_TmnCode", ""),
            "vnp_TxnRef": message.get("vnp_TxnRef", ""),
            "vnp_Message": MESSAGES.get(answer["vnp_ResponseCode"], MESSAGES["99"]),
            **answer,
        }
        return JSONResponse(signed_message(settings.secret, answer, RESPONSE_FIELDS[command]))

    def query_order(message: Mapping[str, str]) -> dict[str, str]:
        order = book.order(message["vnp_TxnRef"])
        if order is None or order["created"] != message["vnp_TransactionDate"]:
            return {"vnp_ResponseCode": "91"}
        refund = book.refund(order["txn_ref"])
        status = "01" if order["outcome"] is None else OUTCOMES[order["outcome"]][1]
        return {
            "vnp_ResponseCode": "00",
            "vnp_Amount": str(order["amount"]),
            "vnp_BankCode": "NCB" if order["outcome"] == "success" else "",
            "vnp_PayDate": refund["pay_date"] if refund else order["pay_date"] or "",
            "vnp_TransactionNo": str(refund["refund_no"] if refund else order["transaction_no"]),
            "vnp_TransactionType": "02" if refund else "01",
            "vnp_TransactionStatus": status,
            "vnp_OrderInfo": order["info"],
        }

    def refund_order(message: Mapping[str, str]) -> dict[str, str]:
        order = book.order(message["vnp_TxnRef"])
        if order is None or order["created"] != message["vnp_TransactionDate"]:
            return {"vnp_ResponseCode": "91"}
        if order["outcome"] != "success":
            return {"vnp_ResponseCode": "95"}
        if message["vnp_Amount"] != str(order["amount"]) or message["vnp_TransactionType"] != "02":
            return {"vnp_ResponseCode": "04"}
        if message.get("vnp_TransactionNo") not in ("", str(order["transaction_no"])):
            return {"vnp_ResponseCode": "91"}
        if (code := book.behaviour(order["txn_ref"]).refund_code) != "00":
            return {"vnp_ResponseCode": code}
        if not book.add_refund(order["txn_ref"], message["vnp_RequestId"], settings.now()):
            return {"vnp_ResponseCode": "94"}
        refund = book.refund(order["txn_ref"])
        assert refund is not None
        return {
            "vnp_ResponseCode": "00",
            "vnp_Amount": str(order["amount"]),
            "vnp_BankCode": "NCB",
            "vnp_PayDate": refund["pay_date"],
            "vnp_TransactionNo": str(refund["refund_no"]),
            "vnp_TransactionType": "02",
            "vnp_TransactionStatus": "00",
            "vnp_OrderInfo": message.get("vnp_OrderInfo", ""),
        }

    async def behave(request: Request) -> Response:
        scope = request.path_params.get("txn_ref", GLOBAL)
        if request.method == "PUT":
            try:
                book.behave(scope, Behaviour.parse(await request.json()))
            except (ValueError, RecursionError) as fault:
                return JSONResponse({"error": str(fault)}, status_code=400)
        return JSONResponse(asdict(book.behaviour(scope)))

    async def orders(_: Request) -> Response:
        return JSONResponse(book.all())

    app = Starlette(
        lifespan=lifespan,
        routes=[
            Route("/paymentv2/vpcpay.html", show),
            Route("/paymentv2/vnpay.css", stylesheet(HERE / "vnpay_templates" / "vnpay.css")),
            Route("/paymentv2/pay", pay, methods=["POST"]),
            Route("/merchant_webapi/api/transaction", transaction, methods=["POST"]),
            Route("/admin/behaviour", behave, methods=["GET", "PUT"]),
            Route("/admin/behaviour/{txn_ref}", behave, methods=["GET", "PUT"]),
            Route("/admin/orders", orders),
        ],
    )
    app.state.caller = caller
    return app
