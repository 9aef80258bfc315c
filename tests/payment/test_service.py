"""The service as it runs: over gRPC and HTTP, on a real store, against the provider's sandbox."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from motcua.payment.v1 import payment_pb2 as p
from motcua.payment.v1 import payment_service_pb2 as pb
from motcua.types.v1.types_pb2 import MomentOrder
from services.chassis.decider import Rejected, Sealed
from services.chassis.following import reactions
from services.dossier.events import DossierRefused, Event, ProcessingStopped, Stamp
from services.dossier.values import StopCause
from services.law.days import local_date
from services.payment.provider import Provider
from services.payment.service import PaymentService
from services.payment.vnpay import sign_query
from services.payment.vnpay_client import ProviderUnavailable
from tests.payment import site as sites
from tests.payment.site import AGENCY, AMOUNT, CASHIER, CITIZEN, ELSEWHERE, PAYER, SECRET, Site, token
from tests.support.postgresql import Engine
from tests.support.waiting import eventually, free_port

APPROVER = token("approver-1", "official", "approver", agency=AGENCY)
TREASURY = token("treasury", "system", "system", purpose="reconcile")


@pytest.fixture(scope="module")
def site(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with sites.running(tmp_path_factory.mktemp("site")) as running:
        yield running


def ended(code: str, cause: StopCause | None = None) -> Event:
    stamp = Stamp(code=code, at=datetime.now(UTC), by="official-1", applicant_id=PAYER)
    return (
        ProcessingStopped(**stamp, cause=cause, explanation=Sealed())
        if cause
        else DossierRefused(**stamp, reason=Sealed())
    )


def notice(checkout: pb.StartCheckoutResponse, **changes: str) -> dict[str, str]:
    fields = {
        "vnp_TmnCode": "MOTCUA01",
        "vnp_Amount": str(AMOUNT * 100),
        "vnp_BankCode": "NCB",
        "vnp_PayDate": "20260302090000",
        "vnp_TransactionNo": "14000001",
        "vnp_ResponseCode": "00",
        "vnp_TransactionStatus": "00",
        "vnp_TxnRef": checkout.checkout_id,
    } | changes
    return fields | {"vnp_SecureHash": sign_query(SECRET, fields)}


def test_a_fee_is_paid_online_and_receipted(site: Site) -> None:
    fee = site.assess()
    request = pb.StartCheckoutRequest(request_id=str(uuid4()), fee_id=fee.fee_id)
    checkout = site.call("StartCheckout", request)
    assert site.call("StartCheckout", request) == checkout
    assert site.payment(fee).checkout.checkout_id == checkout.checkout_id
    back = site.pay(checkout)
    site.until_facts(fee, "CheckoutStarted", "PaymentConfirmed")
    paid = site.payment(fee)
    (taking,) = paid.takings
    assert (paid.status, paid.HasField("checkout")) == (p.PaymentStatus.PAYMENT_STATUS_PAID, False)
    assert taking.receipt_number.startswith(f"BL-{AGENCY}-")
    page = site.http.get(back)
    assert page.status_code == 200
    for text in (
        "Đã nộp lệ phí",
        "The fee is paid",
        "20.000 đồng",
        taking.receipt_number,
        f"/dossiers/{paid.dossier_code}",
    ):
        assert text in page.text
    assert site.refused("StartCheckout", pb.StartCheckoutRequest(fee_id=fee.fee_id)) == "ALREADY_PAID"


def test_bad_callbacks_are_answered_and_change_nothing(site: Site) -> None:
    fee = site.assess()
    checkout = site.checkout(fee)
    site.pay(checkout, forge=2, wrong_amount=2, unknown_reference=1, repeat=2)
    eventually(lambda: len(site.callbacks(checkout)) == 8)
    assert site.callbacks(checkout) == [
        ("forged", "97"),
        ("forged", "97"),
        ("wrong_amount", "04"),
        ("wrong_amount", "04"),
        ("unknown_reference", "01"),
        ("true", "00"),
        ("true", "02"),
        ("true", "02"),
    ]
    assert site.facts(fee) == ["CheckoutStarted", "CallbackRefused", "UnmatchedReceived", "PaymentConfirmed"]


def test_money_in_another_amount_is_listed_for_the_cashier_until_it_is_back(site: Site) -> None:
    fee = site.assess()
    checkout = site.checkout(fee)
    odd = notice(checkout, vnp_Amount="100", vnp_TransactionNo="14009999", vnp_PayDate="20200102090000")
    assert [site.notify(odd) for _ in range(3)] == ["04"] * 3
    assert site.facts(fee) == ["CheckoutStarted", "UnmatchedReceived"]
    assert (
        "another amount"
        in site.http.get(f"http://{site.host.platform.http_addresses['payment']}/payment/vnpay/return", params=odd).text
    )
    asked = pb.ListUnmatchedMoneyRequest()
    eventually(lambda: any(row.fee_id == fee.fee_id for row in site.call(*_unmatched).unmatched))
    (row,) = (row for row in site.call("ListUnmatchedMoney", asked, CASHIER).unmatched if row.fee_id == fee.fee_id)
    assert (row.amount, row.owed, row.transaction, row.refund_status) == (1, AMOUNT, "14009999", 0)
    assert not site.call("ListUnmatchedMoney", asked, ELSEWHERE).unmatched
    newest = MomentOrder.MOMENT_ORDER_NEWEST_FIRST
    narrowed = pb.ListUnmatchedMoneyRequest(dossier_code=row.dossier_code, undecided_only=True, order=newest)
    assert list(site.call("ListUnmatchedMoney", narrowed, CASHIER).unmatched) == [row]
    other = pb.ListUnmatchedMoneyRequest(dossier_code="P56-20260302-0000000")
    assert not site.call("ListUnmatchedMoney", other, CASHIER).unmatched
    assert site.refused("ListUnmatchedMoney", asked) == "ROLE_MISSING"
    (taking,) = site.payment(fee).takings
    assert (taking.unmatched, taking.receipt_number, site.payment(fee).status) == (
        True,
        "",
        p.PaymentStatus.PAYMENT_STATUS_OWED,
    )
    day = site.call("ReconcileDay", pb.ReconcileDayRequest(day="2020-01-02"), CASHIER)
    assert [(m.payment_id, m.amount) for m in day.movements] == [(row.payment_id, 1)]
    back = pb.RequestRefundRequest(fee_id=fee.fee_id, payment_id=row.payment_id, reason="Số tiền không khớp")
    site.call("RequestRefund", back, CASHIER)
    site.until_facts(fee, "CheckoutStarted", "UnmatchedReceived", "RefundRequested", "RefundFailed")
    eventually(lambda: not site.call("ListUnmatchedMoney", narrowed, CASHIER).unmatched)
    narrowed.undecided_only = False
    assert [each.fee_id for each in site.call("ListUnmatchedMoney", narrowed, CASHIER).unmatched] == [fee.fee_id]


_unmatched = ("ListUnmatchedMoney", pb.ListUnmatchedMoneyRequest(), CASHIER)


def test_every_other_answer_to_a_callback(site: Site) -> None:
    checkout = site.checkout(site.assess())
    assert site.notify(notice(checkout, vnp_TxnRef=f"{uuid4().hex}{uuid4().hex}")) == "01"
    assert site.notify(notice(checkout, vnp_TxnRef=checkout.checkout_id[:32] + uuid4().hex)) == "01"
    assert site.notify(notice(checkout, vnp_TmnCode="OTHER")) == "99"
    assert site.notify(notice(checkout, vnp_TransactionStatus="01")) == "99"
    assert site.notify(notice(checkout) | {"vnp_SecureHash": "0"}) == "97"
    assert site.notify({"vnp_TxnRef": "nothing"}) == "97"
    assert site.notify(notice(checkout, vnp_ResponseCode="24", vnp_TransactionStatus="02")) == "00"
    assert site.notify(notice(checkout)) == "00"
    assert site.notify(notice(checkout)) == "02"


def test_a_delayed_callback_leaves_the_payer_waiting(site: Site) -> None:
    fee = site.assess()
    back = site.pay(site.checkout(fee), delay=1.0)
    page = site.http.get(back)
    assert "Waiting for confirmation" in page.text
    assert 'http-equiv="refresh"' in page.text
    site.until_facts(fee, "CheckoutStarted", "PaymentConfirmed")
    assert "The fee is paid" in site.http.get(back).text


def test_a_payer_who_gave_up_may_try_again(site: Site) -> None:
    fee = site.assess()
    back = site.pay(site.checkout(fee), "cancel")
    site.until_facts(fee, "CheckoutStarted", "PaymentFailed")
    assert "You can pay again" in site.http.get(back).text
    site.pay(site.checkout(fee))
    site.until_facts(fee, "CheckoutStarted", "PaymentFailed", "CheckoutStarted", "PaymentConfirmed")


def test_a_return_address_that_nobody_signed_tells_nothing(site: Site) -> None:
    checkout = site.checkout(site.assess())
    address = f"http://{site.host.platform.http_addresses['payment']}/payment/vnpay/return"
    page = site.http.get(address, params=notice(checkout) | {"vnp_SecureHash": "0"})
    assert (page.status_code, "P56-" in page.text) == (400, False)
    assert "did not sign" in page.text


def test_cash_is_receipted_once(site: Site) -> None:
    fee = site.assess()
    request = pb.ReceiveCashRequest(request_id=str(uuid4()), fee_id=fee.fee_id, amount=AMOUNT)
    assert site.refused("ReceiveCash", pb.ReceiveCashRequest(fee_id=fee.fee_id, amount=1), CASHIER) == "WRONG_AMOUNT"
    taken = site.call("ReceiveCash", request, CASHIER)
    assert taken.receipt_number.startswith(f"BL-{AGENCY}-")
    assert site.call("ReceiveCash", request, CASHIER) == taken
    assert (
        site.refused("ReceiveCash", pb.ReceiveCashRequest(fee_id=fee.fee_id, amount=AMOUNT), CASHIER) == "ALREADY_PAID"
    )
    assert site.refused("ReceiveCash", request) == "ROLE_MISSING"


def test_a_decided_refund_of_cash_ends_with_a_voucher(site: Site) -> None:
    fee = site.assess()
    taken = site.call("ReceiveCash", pb.ReceiveCashRequest(fee_id=fee.fee_id, amount=AMOUNT), CASHIER)
    decided = pb.RequestRefundRequest(fee_id=fee.fee_id, payment_id=taken.payment_id, reason="thu nhầm")
    back = pb.ReturnCashRequest(fee_id=fee.fee_id, payment_id=taken.payment_id)
    assert site.refused("ReturnCash", back, CASHIER) == "REFUND_NOT_REQUESTED"
    site.call("RequestRefund", decided, APPROVER)
    returned = site.call("ReturnCash", pb.ReturnCashRequest(fee_id=fee.fee_id, payment_id=taken.payment_id), CASHIER)
    assert returned.voucher_number.startswith(f"PC-{AGENCY}-")
    again = pb.ReturnCashRequest(fee_id=fee.fee_id, payment_id=taken.payment_id)
    assert site.refused("ReturnCash", again, CASHIER) == "ALREADY_REFUNDED"
    assert site.payment(fee).status == p.PaymentStatus.PAYMENT_STATUS_REFUNDED


@pytest.mark.parametrize(
    ("cause", "refunded_for"),
    [
        (None, p.RefundCause.REFUND_CAUSE_DOSSIER_REFUSED),
        (StopCause.WITHDRAWN, p.RefundCause.REFUND_CAUSE_DOSSIER_WITHDRAWN),
        (StopCause.NOT_SUPPLIED, p.RefundCause.REFUND_CAUSE_DOSSIER_STOPPED),
    ],
)
def test_a_dossier_that_ends_gets_its_money_back(
    site: Site, cause: StopCause | None, refunded_for: p.RefundCause.ValueType
) -> None:
    fee = site.assess()
    code = site.payment(fee).dossier_code
    other = site.assess(code)
    back = site.pay(site.checkout(fee))
    site.until_facts(fee, "CheckoutStarted", "PaymentConfirmed")
    site.tell(code, ended(code, cause))
    site.until_facts(
        fee, "CheckoutStarted", "PaymentConfirmed", "PaymentCancelled", "RefundRequested", "RefundConfirmed"
    )
    assert site.payment(fee).takings[0].refund.cause == refunded_for
    assert "The money goes back" in site.http.get(back).text
    site.until_facts(other, "PaymentCancelled")
    assert site.payment(other).status == p.PaymentStatus.PAYMENT_STATUS_CANCELLED


def test_money_that_comes_after_the_end_goes_back(site: Site) -> None:
    fee = site.assess()
    code, checkout = site.payment(fee).dossier_code, site.checkout(fee)
    site.tell(code, ended(code))
    site.until_facts(fee, "CheckoutStarted", "PaymentCancelled")
    site.pay(checkout)
    surplus = ("SurplusReceived", "RefundRequested", "RefundConfirmed")
    site.until_facts(fee, "CheckoutStarted", "PaymentCancelled", *surplus)


@pytest.fixture
def failures(monkeypatch: pytest.MonkeyPatch) -> list[ProviderUnavailable]:
    """What the service meets while the provider is down."""
    met: list[ProviderUnavailable] = []
    refund = Provider.refund

    async def watched(self: Provider, *args: Any) -> Any:
        try:
            return await refund(self, *args)
        except ProviderUnavailable as error:
            met.append(error)
            raise

    monkeypatch.setattr(Provider, "refund", watched)
    return met


@pytest.mark.parametrize("patience", [reactions.ATTEMPTS, 1])
def test_a_refund_waits_for_a_provider_that_is_down(
    site: Site, failures: list[ProviderUnavailable], monkeypatch: pytest.MonkeyPatch, patience: int
) -> None:
    """Its reaction tries again for a while; after that the clock does."""
    monkeypatch.setattr(reactions, "ATTEMPTS", patience)
    fee = site.assess()
    code = site.payment(fee).dossier_code
    site.pay(site.checkout(fee))
    site.until_facts(fee, "CheckoutStarted", "PaymentConfirmed")
    site.behave(down=True)
    site.tell(code, ended(code))
    eventually(lambda: failures)
    asked = ("CheckoutStarted", "PaymentConfirmed", "PaymentCancelled", "RefundRequested")
    assert site.facts(fee) == list(asked)
    site.behave()
    site.shift(3 * 60 if patience == 1 else 0)
    try:
        site.until_facts(fee, *asked, "RefundConfirmed")
    finally:
        site.shift(0)


def test_a_refund_that_the_provider_refuses_is_tried_again_by_an_official(site: Site) -> None:
    fee = site.assess()
    code, checkout = site.payment(fee).dossier_code, site.checkout(fee)
    site.pay(checkout, refund_code="99")
    site.until_facts(fee, "CheckoutStarted", "PaymentConfirmed")
    site.tell(code, ended(code))
    ending = ("PaymentCancelled", "RefundRequested", "RefundFailed")
    site.until_facts(fee, "CheckoutStarted", "PaymentConfirmed", *ending)
    site.behave(f"/{checkout.checkout_id}")
    again = pb.RequestRefundRequest(
        fee_id=fee.fee_id, payment_id=site.payment(fee).takings[0].payment_id, reason="cổng đã sửa"
    )
    site.call("RequestRefund", again, CASHIER)
    site.until_facts(fee, "CheckoutStarted", "PaymentConfirmed", *ending, "RefundRequested", "RefundConfirmed")
    assert site.payment(fee).takings[0].refund.attempt == 2


def test_a_checkout_expires_and_a_lost_callback_is_found(site: Site) -> None:
    lost, left = site.assess(), site.assess()
    site.pay(site.checkout(lost), silent=True)
    site.checkout(left)
    site.shift(16 * 60)
    try:
        site.until_facts(lost, "CheckoutStarted", "PaymentConfirmed")
        site.until_facts(left, "CheckoutStarted", "CheckoutExpired")
    finally:
        site.shift(0)


def test_who_may_see_what(site: Site) -> None:
    fee = site.assess()
    own = site.payment(fee)
    eventually(
        lambda: list(site.call("ListPayments", pb.ListPaymentsRequest(dossier_code=own.dossier_code)).payments) == [own]
    )
    assert list(site.call("ListPayments", pb.ListPaymentsRequest(dossier_code=own.dossier_code), CASHIER).payments) == [
        own
    ]
    assert not site.call("ListPayments", pb.ListPaymentsRequest(dossier_code=own.dossier_code), ELSEWHERE).payments
    for stranger in (ELSEWHERE, token("payer-2")):
        assert site.refused("GetPayment", fee, stranger) == "PAYMENT_NOT_FOUND"
    assert site.refused("GetPayment", pb.GetPaymentRequest(fee_id="x")) == "PAYMENT_NOT_FOUND"
    assert site.refused("StartCheckout", pb.StartCheckoutRequest(fee_id=fee.fee_id), token("payer-2")) == (
        "PAYMENT_NOT_FOUND"
    )
    site.call("ReceiveCash", pb.ReceiveCashRequest(fee_id=fee.fee_id, amount=AMOUNT), CASHIER)
    again = pb.ReceiveCashRequest(fee_id=fee.fee_id, amount=AMOUNT)
    assert site.refused("ReceiveCash", again, ELSEWHERE) == "NOTHING_OWED"


def test_fees_are_listed_as_asked(site: Site) -> None:
    first = site.assess()
    code = site.payment(first).dossier_code
    fees = [first.fee_id, *(site.assess(code).fee_id for _ in range(2))]
    taken = site.call("ReceiveCash", pb.ReceiveCashRequest(fee_id=fees[1], amount=AMOUNT), CASHIER)
    moments = [site.payment(pb.GetPaymentRequest(fee_id=fee_id)).requested_at for fee_id in fees]

    def listed(**asked: Any) -> list[str]:
        request = pb.ListPaymentsRequest(dossier_code=code, min_position=taken.position, **asked)
        return [payment.fee_id for payment in site.call("ListPayments", request).payments]

    oldest = MomentOrder.MOMENT_ORDER_OLDEST_FIRST
    assert listed() == listed(order=MomentOrder.MOMENT_ORDER_NEWEST_FIRST) == fees[::-1]
    assert listed(order=oldest) == fees
    assert listed(status=p.PaymentStatus.PAYMENT_STATUS_PAID) == [fees[1]]
    assert (listed(agency=AGENCY), listed(agency="P56.9")) == (fees[::-1], [])
    assert listed(requested_from=moments[1]) == fees[:0:-1]
    assert listed(requested_until=moments[1]) == fees[:1]
    page = site.call("ListPayments", pb.ListPaymentsRequest(dossier_code=code, order=oldest, page_size=1))
    rest = pb.ListPaymentsRequest(dossier_code=code, order=oldest, page_token=page.next_page_token)
    assert [payment.fee_id for payment in site.call("ListPayments", rest).payments] == fees[1:]
    rest.order = MomentOrder.MOMENT_ORDER_NEWEST_FIRST
    assert site.refused("ListPayments", rest) == "INVALID_POSITION"


def test_a_day_is_reconciled(site: Site) -> None:
    fee = site.assess()
    before = {(s.method, s.provider): s for s in _day(site, CASHIER).sums}
    taken = site.call("ReceiveCash", pb.ReceiveCashRequest(fee_id=fee.fee_id, amount=AMOUNT), CASHIER)
    day = _day(site, CASHIER, taken.position)
    cash = (p.PaymentMethod.PAYMENT_METHOD_CASH, "")
    (now,) = (s for s in day.sums if (s.method, s.provider) == cash)
    earlier = before.get(cash, p.DaySum())
    assert (now.taken_count - earlier.taken_count, now.taken - earlier.taken) == (1, AMOUNT)
    assert taken.receipt_number in [movement.receipt_number for movement in day.movements]
    assert not _day(site, ELSEWHERE).movements
    assert _day(site, TREASURY).sums == day.sums
    assert sum(movement.amount for movement in day.movements) == sum(s.taken - s.refunded for s in day.sums)
    assert site.refused("ReconcileDay", pb.ReconcileDayRequest(day="today"), CASHIER) == "DAY_INVALID"
    other = pb.ReconcileDayRequest(day="2026-03-02", agency="P56.9")
    assert site.refused("ReconcileDay", other, CASHIER) == "OTHER_AGENCY"


def _day(site: Site, bearer: str, position: str = "") -> pb.ReconcileDayResponse:
    today = local_date(datetime.now(UTC)).isoformat()
    request = pb.ReconcileDayRequest(day=today, page_size=200, min_position=position)
    found: pb.ReconcileDayResponse = site.call("ReconcileDay", request, bearer)
    return found


def test_after_a_restart_nothing_is_lost_and_no_receipt_number_comes_twice(tmp_path: Path) -> None:
    port, data = free_port(), tmp_path / "site"
    data.mkdir()
    asyncio.run(sites.introduce_key(data))
    with sites.provider_at(tmp_path / "provider", f"http://127.0.0.1:{port}/payment/vnpay/ipn") as provider:
        with sites.service_at(data, provider, port) as site:
            fee, other = site.assess(), site.assess()
            request = pb.ReceiveCashRequest(request_id=str(uuid4()), fee_id=other.fee_id, amount=AMOUNT)
            first = site.call("ReceiveCash", request, CASHIER)
            checkout = site.checkout(fee)
        for view in (data / "views").glob("payment.db*"):
            view.unlink()  # a lost database is folded again from the log
        with httpx.Client() as http:
            replace(site, http=http).pay(checkout)  # while the service is down
        with sites.service_at(data, provider, port) as site:
            site.until_facts(fee, "CheckoutStarted", "PaymentConfirmed")
            assert site.call("ReceiveCash", request, CASHIER) == first
            numbers = {first.receipt_number, site.payment(fee).takings[0].receipt_number}
            third = site.assess()
            taken = site.call("ReceiveCash", pb.ReceiveCashRequest(fee_id=third.fee_id, amount=AMOUNT), CASHIER)
            assert len(numbers | {taken.receipt_number}) == 3
            assert site.call("ListPayments", pb.ListPaymentsRequest(), CITIZEN).payments


async def test_a_view_that_is_behind_is_waited_for_and_parks_nothing() -> None:
    """It passes, and is tried until it does; a failure would be given up after some tries."""

    class Behind:
        async def read(self, *_: Any) -> None:
            raise Rejected("NOT_READY")

    service: Any = PaymentService()
    service.lists = Behind()
    with pytest.raises(Rejected) as refused:
        await service._fees("P56-20260302-0000001", 3)
    assert refused.value.reason in reactions.PASSING
