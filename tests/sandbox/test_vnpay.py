"""The sandbox provider and the real merchant code, together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from gateway.sandbox.vnpay import Settings, create_app
from services.chassis.decider import Rejected
from services.payment.commands import PaymentOutcome, RecordCallback, RefuseCallback
from services.payment.domain import payment
from services.payment.events import CheckoutStarted, Event, PaymentConfirmed, PaymentRequested, Stamp
from services.payment.vnpay import Callback, Merchant, Order, RspCode, answer, parse_callback, payment_url, reply
from services.payment.vnpay_client import ProviderUnavailable, Vnpay
from tests.payment.facts import ITEMS

MERCHANT = Merchant(
    "MOTCUA01",
    "a-secret",
    "http://sandbox.test/paymentv2/vpcpay.html",
    "http://sandbox.test/merchant_webapi/api/transaction",
    "http://merchant.test/payment/vnpay/return",
)


class Shop:
    """A merchant: one fee, decided by the real rules, heard over the real protocol."""

    def __init__(self) -> None:
        self.at = datetime.now(UTC).replace(microsecond=0)
        stamp = Stamp(code="P56-20260302-0000001", at=self.at, by="service:payment", payer_id="payer-1", fee_id="fee-1")
        expires = self.at + timedelta(minutes=15)
        self.history: list[Event] = [
            PaymentRequested(**stamp, amount=20_000, items=ITEMS, agency="P56.1"),
            CheckoutStarted(**stamp, checkout_id="c1", provider="vnpay", amount=20_000, expires_at=expires),
        ]
        self.order = Order("c1", 20_000, "Lệ phí", self.at, expires, "127.0.0.1")
        self.replies: list[str] = []
        self.failing = 0
        self.app = Starlette(routes=[Route("/payment/vnpay/ipn", self.ipn)])

    async def ipn(self, request: Request) -> JSONResponse:
        if self.failing:
            self.failing -= 1
            return JSONResponse({}, status_code=502)
        code = self.hear(parse_qsl(request.url.query, keep_blank_values=True))
        self.replies.append(code)
        return JSONResponse(reply(code))

    def hear(self, query: Sequence[tuple[str, str]]) -> RspCode:
        said, state = parse_callback(MERCHANT, query), payment.fold(self.history)
        now = datetime.now(UTC)
        if not isinstance(said, Callback):
            self.history += payment.decide(
                RefuseCallback(checkout_id=said.txn_ref, stated_amount=said.stated_amount, at=now, by="system:vnpay"),
                state,
            )
            return said.code
        command = RecordCallback(
            payment_id=said.transaction,
            checkout_id=said.txn_ref,
            outcome=said.outcome,
            provider_code=said.provider_code,
            amount=said.amount,
            transaction=said.transaction,
            bank=said.bank,
            paid_at=said.paid_at or now,
            receipt_number="R1",
            at=now,
            by="system:vnpay",
        )
        try:
            events = payment.decide(command, state)
        except Rejected as rejected:
            return answer(rejected)
        self.history += events
        return answer(events)

    def facts(self) -> list[str]:
        return [type(event).__name__ for event in self.history[2:]]


class World:
    def __init__(self, shop: Shop, http: httpx.AsyncClient, app: Starlette) -> None:
        self.shop, self.http, self.app = shop, http, app
        self.provider = Vnpay(MERCHANT, http)

    async def pay(self, outcome: str, order: Order | None = None) -> httpx.Response:
        query = urlsplit(payment_url(MERCHANT, order or self.shop.order)).query
        return await self.http.post(f"http://sandbox.test/paymentv2/pay?{query}&outcome={outcome}")

    async def behave(self, scope: str = "", **behaviour: Any) -> httpx.Response:
        return await self.http.put(f"http://sandbox.test/admin/behaviour{scope}", json=behaviour)

    async def settled(self) -> None:
        await asyncio.wait_for(asyncio.gather(*self.app.state.caller.tasks), 10)

    async def refund(self, request_id: str = "r1") -> str:
        paid = next(e for e in self.shop.history if isinstance(e, PaymentConfirmed))
        got = await self.provider.refund(
            request_id=request_id,
            txn_ref="c1",
            transaction=paid.transaction,
            amount=paid.amount,
            created_at=self.shop.at,
            at=datetime.now(UTC),
            by="cashier-1",
            ip="127.0.0.1",
            info="Hoàn lệ phí",
        )
        return got.response_code

    async def query(self) -> Any:
        return await self.provider.query(
            request_id="q1", txn_ref="c1", created_at=self.shop.at, at=datetime.now(UTC), ip="127.0.0.1", info="Tra cứu"
        )


@asynccontextmanager
async def world(folder: Path, shop: Shop, retries: tuple[float, ...] = (0.0,) * 5) -> AsyncIterator[World]:
    merchant = httpx.AsyncClient(transport=httpx.ASGITransport(shop.app))
    app = create_app(
        Settings(folder, "MOTCUA01", "a-secret", "http://merchant.test/payment/vnpay/ipn", retries), http=merchant
    )
    transport = httpx.ASGITransport(app)
    async with merchant, httpx.AsyncClient(transport=transport) as http, app.router.lifespan_context(app):
        yield World(shop, http, app)


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
async def sandbox(tmp_path: Path, shop: Shop) -> AsyncIterator[World]:
    async with world(tmp_path, shop) as opened:
        yield opened


async def test_the_page_says_that_it_is_a_sandbox_and_leads_to_the_three_outcomes(sandbox: World) -> None:
    for locale, first in (("vn", "Thanh toán phí, lệ phí"), ("en", "Pay a fee")):
        page = await sandbox.http.get(payment_url(MERCHANT, replace(sandbox.shop.order, locale=locale)))
        assert page.status_code == 200
        assert page.text.index(first) < page.text.index("20.000 ₫")
        assert "PAYMENT SANDBOX" in page.text
        assert all(f"outcome={outcome}" in page.text for outcome in ("success", "fail", "cancel"))


async def test_a_success_reaches_the_merchant_and_the_payer_returns_with_the_same_word(sandbox: World) -> None:
    back = await sandbox.pay("success")
    await sandbox.settled()
    assert back.status_code == 303
    assert back.headers["location"].startswith(MERCHANT.return_url + "?")
    returned = parse_callback(MERCHANT, parse_qsl(urlsplit(back.headers["location"]).query))
    assert isinstance(returned, Callback)
    assert returned.outcome is PaymentOutcome.PAID
    assert sandbox.shop.facts() == ["PaymentConfirmed"]
    assert sandbox.shop.replies == ["00"]


@pytest.mark.parametrize("outcome", ["fail", "cancel"])
async def test_a_failure_is_told_too(sandbox: World, outcome: str) -> None:
    await sandbox.pay(outcome)
    await sandbox.settled()
    assert sandbox.shop.facts() == ["PaymentFailed"]


async def test_an_order_is_paid_once(sandbox: World) -> None:
    await sandbox.pay("success")
    assert (await sandbox.pay("success")).status_code == 409
    assert (await sandbox.http.get(payment_url(MERCHANT, sandbox.shop.order))).status_code == 409


async def test_a_request_that_is_forged_foreign_expired_or_unclear_is_refused(sandbox: World) -> None:
    url = payment_url(MERCHANT, sandbox.shop.order)
    old = replace(sandbox.shop.order, expires_at=sandbox.shop.at - timedelta(minutes=1))
    foreign = replace(MERCHANT, tmn_code="OTHER")
    for bad, code in (
        (url.replace("vnp_Amount=2000000", "vnp_Amount=100"), "70"),
        (payment_url(foreign, sandbox.shop.order), "02"),
        (payment_url(MERCHANT, old), "15"),
        (payment_url(replace(MERCHANT, return_url="javascript:alert(1)"), sandbox.shop.order), "03"),
    ):
        page = await sandbox.http.get(bad)
        assert (page.status_code, f"<dd>{code}</dd>" in page.text) == (400, True)
    assert (await sandbox.pay("perhaps")).status_code == 400


async def test_callbacks_are_sent_again_until_they_are_acknowledged(sandbox: World) -> None:
    sandbox.shop.failing = 3
    await sandbox.pay("success")
    await sandbox.settled()
    orders = (await sandbox.http.get("http://sandbox.test/admin/orders")).json()
    assert [c["reply"] for c in orders[0]["callbacks"]] == ["KeyError"] * 3 + ["00"]
    assert sandbox.shop.facts() == ["PaymentConfirmed"]


async def test_every_way_to_misbehave_changes_nothing_but_the_log_of_refusals(sandbox: World) -> None:
    await sandbox.behave(forge=2, wrong_amount=2, unknown_reference=1, repeat=2, delay=0.01)
    await sandbox.pay("success")
    await sandbox.settled()
    assert sandbox.shop.replies == ["97", "97", "04", "04", "01", "00", "02", "02"]
    assert sandbox.shop.facts() == ["CallbackRefused", "UnmatchedReceived", "PaymentConfirmed"]


async def test_an_order_may_behave_otherwise_than_the_rest(sandbox: World) -> None:
    await sandbox.behave(repeat=3)
    await sandbox.behave("/c1", silent=True)
    await sandbox.pay("success")
    await sandbox.settled()
    assert sandbox.shop.replies == []
    known = await sandbox.query()
    assert (known.outcome, known.amount) == (PaymentOutcome.PAID, 20_000)


async def test_an_unknown_way_to_behave_is_refused(sandbox: World) -> None:
    for wrong in ({"explode": 1}, {"repeat": -1}, {"repeat": True}, {"down": 1}, {"delay": "x"}):
        assert (await sandbox.behave(**wrong)).status_code == 400
    assert (await sandbox.http.get("http://sandbox.test/admin/behaviour")).json()["repeat"] == 0


async def test_a_provider_that_is_down_answers_nobody(sandbox: World) -> None:
    await sandbox.behave(down=True)
    assert (await sandbox.http.get(payment_url(MERCHANT, sandbox.shop.order))).status_code == 503
    assert (await sandbox.pay("success")).status_code == 503
    with pytest.raises(ProviderUnavailable):
        await sandbox.query()


async def test_a_refund_happens_once(sandbox: World) -> None:
    await sandbox.pay("success")
    await sandbox.settled()
    assert not (await sandbox.query()).refunded
    assert [await sandbox.refund("r1"), await sandbox.refund("r1"), await sandbox.refund("r2")] == ["00", "94", "94"]
    assert (await sandbox.query()).refunded


async def test_a_refund_that_the_provider_refuses_may_be_tried_again(sandbox: World) -> None:
    await sandbox.pay("success")
    await sandbox.settled()
    await sandbox.behave("/c1", refund_code="99")
    assert await sandbox.refund("r1") == "99"
    await sandbox.behave("/c1")
    assert await sandbox.refund("r2") == "00"


async def test_queries_tell_the_unknown_the_unfinished_and_the_failed(sandbox: World) -> None:
    assert (await sandbox.query()).response_code == "91"
    await sandbox.http.get(payment_url(MERCHANT, sandbox.shop.order))
    assert (await sandbox.query()).outcome is PaymentOutcome.UNSETTLED
    await sandbox.pay("cancel")
    assert (await sandbox.query()).outcome is PaymentOutcome.FAILED


async def test_a_wrongly_signed_query_is_refused(sandbox: World) -> None:
    got = await sandbox.http.post(MERCHANT.api_url, json={"vnp_Command": "querydr", "vnp_SecureHash": "é"})
    assert got.json()["vnp_ResponseCode"] == "97"
    assert (await sandbox.http.post(MERCHANT.api_url, content="[")).json()["vnp_ResponseCode"] == "03"


async def test_what_was_not_acknowledged_is_sent_after_a_restart(tmp_path: Path, shop: Shop) -> None:
    shop.failing = 1
    async with world(tmp_path, shop, retries=()) as before:
        await before.pay("success")
        await before.settled()
    assert shop.facts() == []
    async with world(tmp_path, shop) as after:
        await after.settled()
    assert shop.facts() == ["PaymentConfirmed"]


@asynccontextmanager
async def served(app: Starlette) -> AsyncIterator[int]:
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
    task = asyncio.create_task(server.serve())
    while not server.started:
        assert not task.done()
        await asyncio.sleep(0)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    await task


async def test_over_real_sockets(tmp_path: Path, shop: Shop) -> None:
    async with served(shop.app) as merchant:
        app = create_app(Settings(tmp_path, "MOTCUA01", "a-secret", f"http://127.0.0.1:{merchant}/payment/vnpay/ipn"))
        async with served(app) as port, httpx.AsyncClient() as http:
            at = replace(MERCHANT, pay_url=f"http://127.0.0.1:{port}/paymentv2/pay")
            back = await http.post(payment_url(at, shop.order) + "&outcome=success")
            await asyncio.wait_for(asyncio.gather(*app.state.caller.tasks), 10)
            assert back.status_code == 303
    assert shop.facts() == ["PaymentConfirmed"]
