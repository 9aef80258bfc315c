"""The payment service and the provider's sandbox, both running, and a dossier service that only writes facts."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit
from uuid import uuid4

import grpc
import httpx
import uvicorn
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from joserfc.jwk import OKPKey

from gateway.sandbox.vnpay import Settings, create_app
from motcua.identity.events.v1.events_pb2 import SigningKeyIntroduced
from motcua.payment.v1 import payment_pb2
from motcua.payment.v1 import payment_service_pb2 as pb
from motcua.payment.v1.payment_service_pb2_grpc import PaymentServiceStub
from services.chassis.decider import Decider
from services.chassis.deciding.caller import Origin
from services.chassis.deciding.handler import Handler
from services.chassis.store.port import NewEvent
from services.chassis.store.sqlite import SqliteStore
from services.dossier import events as dossier
from services.dossier.codec import dossier_codec
from services.dossier.values import FeeItem
from services.law.course import FeeCondition
from services.payment.service import PaymentService
from tests.support.grounds import scope
from tests.support.hosted import Host, hosted
from tests.support.keys import MemoryKeys
from tests.support.tokens import mint
from tests.support.waiting import eventually, free_port

SECRET, TERMINAL = "a-secret", "MOTCUA01"
KEY = OKPKey.generate_key("Ed25519", {"kid": "test"})
PAYER, AGENCY = "payer-1", "P56.1"
AMOUNT = 20_000
WAIT_SECONDS = 60
T = TypeVar("T")

# Whatever it is told happened, happened.
told: Decider[tuple[dossier.Event, ...], int, dossier.Event] = Decider(0, lambda events, _: events, lambda n, _: n + 1)


def token(account_id: str = PAYER, kind: str = "citizen", *roles: str, agency: str = "", purpose: str = "") -> str:
    purposes = [purpose] if purpose else []
    return mint(KEY, *(roles or [kind]), kind=kind, account_id=account_id, agency=agency, purposes=purposes)


CITIZEN = token()
CASHIER = token("cashier-1", "official", "cashier", agency=AGENCY)
ELSEWHERE = token("cashier-2", "official", "cashier", agency="P56.9")


def reason_of(error: grpc.RpcError) -> str:
    status = rpc_status.from_call(error)  # type: ignore[arg-type]
    info = error_details_pb2.ErrorInfo()
    assert status is not None
    assert status.details[0].Unpack(info)
    return info.reason


@dataclass
class Site:
    folder: Path
    host: Host
    stub: PaymentServiceStub
    provider: str
    http: httpx.Client

    # The dossier's facts

    def tell(self, code: str, *events: dossier.Event) -> None:
        asyncio.run(self._tell(code, events))

    async def _tell(self, code: str, events: tuple[dossier.Event, ...]) -> None:
        store = await SqliteStore.open(self.folder / "events.db")
        handler = Handler("dossier", told, dossier_codec, store, KEYS, "vn-56", "dossier", lambda: datetime.now(UTC))
        request_id = str(uuid4())
        await handler.execute(code, events, Origin.outermost(request_id, request_id, "service:test"))
        await store.close()

    def assess(self, code: str = "") -> pb.GetPaymentRequest:
        """A dossier owes a fee, and the payment service knows."""
        code, fee_id = code or f"P56-20260302-{uuid4().int % 10**7:07d}", str(uuid4())
        items = (FeeItem("Lệ phí", AMOUNT),)
        stamp = dossier.Stamp(code=code, at=datetime.now(UTC), by="official-1", applicant_id=PAYER)
        self.tell(
            code,
            dossier.FeeAssessed(
                **stamp, fee_id=fee_id, amount=AMOUNT, items=items, condition=FeeCondition.PROCESSING, agency=AGENCY
            ),
        )
        wanted = pb.GetPaymentRequest(fee_id=fee_id)
        eventually(lambda: self._known(wanted))
        return wanted

    def _known(self, wanted: pb.GetPaymentRequest) -> bool:
        try:
            return bool(self.payment(wanted).fee_id)
        except grpc.RpcError:
            return False

    # The payment service

    def call(self, rpc: str, request: Any, bearer: str = CITIZEN) -> Any:
        if "request_id" in request.DESCRIPTOR.fields_by_name and not request.request_id:
            request.request_id = str(uuid4())
        return getattr(self.stub, rpc)(request, metadata=(("authorization", f"Bearer {bearer}"),), timeout=WAIT_SECONDS)

    def refused(self, rpc: str, request: Any, bearer: str = CITIZEN) -> str:
        try:
            self.call(rpc, request, bearer)
        except grpc.RpcError as error:
            return reason_of(error)
        raise AssertionError("accepted")

    def payment(self, fee: pb.GetPaymentRequest) -> payment_pb2.Payment:
        found: payment_pb2.Payment = self.call("GetPayment", fee).payment
        return found

    def facts(self, fee: pb.GetPaymentRequest) -> list[str]:
        async def read() -> list[str]:
            store = await SqliteStore.open(self.folder / "events.db")
            found = [event.type.rpartition(".")[2] for event in await store.read(f"payment-{fee.fee_id}")]
            await store.close()
            return found[1:]

        return asyncio.run(read())

    def checkout(self, fee: pb.GetPaymentRequest) -> pb.StartCheckoutResponse:
        started: pb.StartCheckoutResponse = self.call("StartCheckout", pb.StartCheckoutRequest(fee_id=fee.fee_id))
        return started

    # The provider

    def pay(self, checkout: pb.StartCheckoutResponse, outcome: str = "success", **behaviour: Any) -> str:
        """At the provider's page; returns the address it sends the payer back to."""
        if behaviour:
            self.behave(f"/{checkout.checkout_id}", **behaviour)
        answer = self.http.post(f"{self.provider}/paymentv2/pay?{urlsplit(checkout.url).query}&outcome={outcome}")
        assert answer.status_code == 303
        query = urlsplit(answer.headers["location"]).query
        return f"http://{self.host.platform.http_addresses['payment']}/payment/vnpay/return?{query}"

    def behave(self, scope: str = "", **behaviour: Any) -> None:
        self.http.put(f"{self.provider}/admin/behaviour{scope}", json=behaviour).raise_for_status()

    def callbacks(self, checkout: pb.StartCheckoutResponse) -> list[tuple[str, str]]:
        orders = self.http.get(f"{self.provider}/admin/orders").json()
        order = next(order for order in orders if order["txn_ref"] == checkout.checkout_id)
        return [(callback["kind"], callback["reply"]) for callback in order["callbacks"]]

    def notify(self, query: dict[str, str]) -> str:
        address = self.host.platform.http_addresses["payment"]
        return str(self.http.get(f"http://{address}/payment/vnpay/ipn", params=query).json()["RspCode"])

    def shift(self, seconds: int) -> None:
        (self.folder / "shift").write_text(str(seconds))

    def until_facts(self, fee: pb.GetPaymentRequest, *expected: str) -> None:
        eventually(lambda: len(self.facts(fee)) >= len(expected))
        assert self.facts(fee) == list(expected)


KEYS = MemoryKeys()
Hosted = type("Hosted", (PaymentService,), {"key_ring": staticmethod(lambda *_: KEYS)})


async def introduce_key(folder: Path) -> None:
    store = await SqliteStore.open(folder / "events.db")
    event = SigningKeyIntroduced(kid="test", public_jwk=json.dumps(KEY.as_dict(private=False)))
    await store.append(
        "signing-keys", [NewEvent(uuid4(), event.DESCRIPTOR.full_name, event.SerializeToString(), b"{}")], -2
    )
    await scope(store, "treasury", ["reconcile"], ["P56"])
    await store.close()


@contextmanager
def provider_at(folder: Path, ipn_url: str) -> Iterator[str]:
    settings = Settings(folder, TERMINAL, SECRET, ipn_url, retries=(0.2,) * 100)
    # Its SQLite connection belongs to the thread that makes it.
    config = uvicorn.Config(lambda: create_app(settings), factory=True, port=0, log_level="error")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, name="provider")
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the provider did not start"
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


@contextmanager
def service_at(folder: Path, provider: str, http_port: int) -> Iterator[Site]:
    with (
        hosted(
            folder,
            [Hosted],
            http_port=http_port,
            vnpay_url=f"{provider}/paymentv2/vpcpay.html",
            vnpay_api_url=f"{provider}/merchant_webapi/api/transaction",
            vnpay_terminal=TERMINAL,
            vnpay_secret=SECRET,
            clock_shift_file=folder / "shift",
        ) as host,
        grpc.insecure_channel(host.address("payment")) as channel,
        httpx.Client(timeout=WAIT_SECONDS) as http,
    ):
        yield Site(folder, host, PaymentServiceStub(channel), provider, http)


@contextmanager
def running(folder: Path) -> Iterator[Site]:
    port = free_port()
    asyncio.run(introduce_key(folder))
    with (
        provider_at(folder / "provider", f"http://127.0.0.1:{port}/payment/vnpay/ipn") as provider,
        service_at(folder, provider, port) as site,
    ):
        yield site
