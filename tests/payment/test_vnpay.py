from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.chassis.decider import Rejected
from services.payment.commands import PaymentOutcome
from services.payment.domain import payment
from services.payment.vnpay import (
    Callback,
    Disbelieved,
    Merchant,
    Order,
    RspCode,
    answer,
    outcome,
    parse_callback,
    parse_stamp,
    payment_url,
    plain,
    reply,
    sign_message,
    sign_query,
    stamp,
)
from services.payment.vnpay_client import REFUND_RESPONSE, AnswerUntrusted, ProviderUnavailable, Vnpay
from tests.payment.facts import requested, started, word

MERCHANT = Merchant("MOTCUA01", "a-secret", "http://pay.test/pay", "http://pay.test/api", "http://me.test/return?a=b")
AT = datetime(2026, 3, 2, 18, 30, tzinfo=UTC)
ORDER = Order("ref1", 20_000, "Lệ phí hồ sơ P56-20260302-0000001 (đợt 1)", AT, AT + timedelta(minutes=15), "10.0.0.1")
NOTICE = {
    "vnp_TmnCode": "MOTCUA01",
    "vnp_Amount": "2000000",
    "vnp_BankCode": "NCB",
    "vnp_PayDate": "20260303013500",
    "vnp_OrderInfo": "Le phi + 1 & 2",
    "vnp_TransactionNo": "14422574",
    "vnp_ResponseCode": "00",
    "vnp_TransactionStatus": "00",
    "vnp_TxnRef": "ref1",
}


def signed(notice: dict[str, str]) -> dict[str, str]:
    return notice | {"vnp_SecureHash": sign_query(MERCHANT.secret, notice)}


def parse(notice: dict[str, str]) -> Callback | Disbelieved:
    return parse_callback(MERCHANT, notice.items())


def test_the_payment_url_is_signed_and_sorted() -> None:
    query = urlsplit(payment_url(MERCHANT, ORDER)).query
    fields = dict(parse_qsl(query))
    signature = fields.pop("vnp_SecureHash")
    assert list(fields) == sorted(fields)
    assert fields["vnp_Amount"] == "2000000"
    assert fields["vnp_OrderInfo"] == "Le phi ho so P56-20260302-0000001 dot 1"
    assert (fields["vnp_CreateDate"], fields["vnp_ExpireDate"]) == ("20260303013000", "20260303014500")
    assert fields["vnp_ReturnUrl"] == MERCHANT.return_url
    assert signature == sign_query(MERCHANT.secret, fields)


def test_a_signature_computed_with_openssl() -> None:
    # printf 'vnp_Amount=2000000&vnp_OrderInfo=Le+phi+%2B+1' | openssl dgst -sha512 -hmac a-secret
    fields = {"vnp_OrderInfo": "Le phi + 1", "vnp_Amount": "2000000", "vnp_Empty": "", "other": "x"}
    assert sign_query("a-secret", fields | {"vnp_SecureHash": "left out"}) == (
        "fb0375a28ef009bcad9a6ee56c65a5464135a4ab71d4bde8b4385724e3ae2fe9"
        "d3f7dfdcfc9ce9da15b25b0365660ffa412747e2a04bc1d2bae541f383c4e0ba"
    )


def test_a_callback_is_read() -> None:
    paid_at = datetime(2026, 3, 2, 18, 35, tzinfo=UTC)
    assert parse(signed(NOTICE)) == Callback("ref1", 20_000, PaymentOutcome.PAID, "00", "14422574", "NCB", paid_at)


texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


@settings(max_examples=80)
@given(info=texts, bank=texts, ref=texts)
def test_what_is_signed_is_verified(info: str, bank: str, ref: str) -> None:
    notice = signed(NOTICE | {"vnp_OrderInfo": info, "vnp_BankCode": bank, "vnp_TxnRef": ref})
    read = parse(dict(parse_qsl(str(httpx.QueryParams(notice)), keep_blank_values=True)))
    assert isinstance(read, Callback)
    assert (read.txn_ref, read.bank) == (ref, bank)


@settings(max_examples=150)
@given(data=st.data())
def test_any_changed_character_of_any_field_is_refused(data: st.DataObject) -> None:
    notice = signed(NOTICE)
    name = data.draw(st.sampled_from(sorted(notice)))
    at = data.draw(st.integers(0, len(notice[name]) - 1))
    other = data.draw(st.characters(exclude_categories=["Cs"]).filter(lambda c: c != notice[name][at]))
    read = parse(notice | {name: notice[name][:at] + other + notice[name][at + 1 :]})
    assert isinstance(read, Disbelieved)
    assert read.code is RspCode.BAD_SIGNATURE


@pytest.mark.parametrize("name", sorted(NOTICE))
def test_a_field_left_out_or_added_is_refused(name: str) -> None:
    for forged in ({k: v for k, v in signed(NOTICE).items() if k != name}, signed(NOTICE) | {f"{name}x": "1"}):
        read = parse(forged)
        assert isinstance(read, Disbelieved)
        assert read.code is RspCode.BAD_SIGNATURE


def test_a_repeated_field_is_refused() -> None:
    read = parse_callback(MERCHANT, [*signed(NOTICE).items(), ("vnp_Amount", "2000000")])
    assert read == Disbelieved(RspCode.BAD_SIGNATURE, "a field comes twice", "ref1", 20_000)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"vnp_TmnCode": "OTHER"}, "it is for another merchant"),
        ({"vnp_Amount": "2000001"}, "not whole đồng: '2000001'"),
        ({"vnp_Amount": "-100"}, "not an amount: '-100'"),
        ({"vnp_PayDate": "2026-03-03"}, "not yyyyMMddHHmmss: '2026-03-03'"),
        ({"vnp_PayDate": ""}, "vnp_PayDate is missing"),
        ({"vnp_TransactionNo": ""}, "vnp_TransactionNo is missing"),
    ],
)
def test_a_signed_callback_that_cannot_be_used_is_refused(change: dict[str, str], why: str) -> None:
    read = parse(signed(NOTICE | change))
    assert isinstance(read, Disbelieved)
    assert (read.code, read.why) == (RspCode.OTHER, why)


@pytest.mark.parametrize(
    ("response", "status", "means"),
    [
        ("00", "00", PaymentOutcome.PAID),
        ("00", "02", PaymentOutcome.FAILED),
        ("24", "02", PaymentOutcome.FAILED),
        ("00", "01", PaymentOutcome.UNSETTLED),
        ("07", "00", PaymentOutcome.UNSETTLED),
        ("00", "07", PaymentOutcome.UNSETTLED),
        ("51", "00", PaymentOutcome.UNSETTLED),
    ],
)
def test_outcomes(response: str, status: str, means: PaymentOutcome) -> None:
    assert outcome(response, status) is means


def test_the_answers_to_callbacks() -> None:
    state = payment.fold([requested, started()])
    assert answer(payment.decide(word(), state)) is RspCode.OK
    assert answer(()) is RspCode.ALREADY_CONFIRMED
    assert answer(payment.decide(word(amount=1), state)) is RspCode.WRONG_AMOUNT
    assert answer(payment.decide(word(amount=1, outcome=PaymentOutcome.FAILED), state)) is RspCode.WRONG_AMOUNT
    assert answer(Rejected("WRONG_AMOUNT")) is RspCode.WRONG_AMOUNT
    assert answer(Rejected("CHECKOUT_NOT_FOUND")) is RspCode.NOT_FOUND
    assert answer(Rejected("PAYMENT_NOT_FOUND")) is RspCode.NOT_FOUND
    assert answer(Rejected("OUTCOME_UNSETTLED")) is RspCode.OTHER
    assert {code: reply(code)["RspCode"] for code in RspCode} == {code: code.value for code in RspCode}


def test_values() -> None:
    assert plain("Đăng ký “kết hôn” | số 1") == "Dang ky ket hon so 1"
    assert parse_stamp(stamp(AT)) == AT
    assert replace(ORDER, locale="en").locale in payment_url(MERCHANT, replace(ORDER, locale="en"))


def client(body: object, status: int = 200) -> Vnpay:
    transport = httpx.MockTransport(lambda _: httpx.Response(status, content=json.dumps(body)))
    return Vnpay(MERCHANT, httpx.AsyncClient(transport=transport))


async def refund(provider: Vnpay) -> str:
    answer = await provider.refund(
        request_id="r1",
        txn_ref="ref1",
        transaction="1",
        amount=20_000,
        created_at=AT,
        at=AT,
        by="a",
        ip="::1",
        info="i",
    )
    return answer.response_code


REFUND = {"vnp_Command": "refund", "vnp_TmnCode": "MOTCUA01", "vnp_TxnRef": "ref1", "vnp_ResponseCode": "00"}


def signed_refund(**changes: str) -> dict[str, str]:
    body = REFUND | changes
    return body | {"vnp_SecureHash": sign_message(MERCHANT.secret, body, REFUND_RESPONSE)}


async def test_an_answer_is_believed_only_if_signed_and_for_this_request() -> None:
    assert await refund(client(signed_refund())) == "00"
    for body in (
        REFUND,
        signed_refund() | {"vnp_ResponseCode": "99"},
        signed_refund(vnp_TxnRef="other"),
        signed_refund(vnp_Message="a|b"),
    ):
        with pytest.raises(AnswerUntrusted):
            await refund(client(body))


async def test_an_unusable_answer_may_be_asked_for_again() -> None:
    for provider in (client({}, 503), client([])):
        with pytest.raises(ProviderUnavailable):
            await refund(provider)
