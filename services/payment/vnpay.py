"""The VNPAY 2.1.0 protocol, the merchant's side: payment URLs, callbacks, query and refund."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from urllib.parse import quote_plus
from zoneinfo import ZoneInfo

import httpx

from services.chassis.decider import Rejected
from services.payment.domain import CallbackFault, CallbackRefused, Event, Outcome

VERSION = "2.1.0"
VIETNAM = ZoneInfo("Asia/Ho_Chi_Minh")
UNSIGNED = frozenset({"vnp_SecureHash", "vnp_SecureHashType"})
QUERY_REQUEST = [
    "RequestId",
    "Version",
    "Command",
    "TmnCode",
    "TxnRef",
    "TransactionDate",
    "CreateDate",
    "IpAddr",
    "OrderInfo",
]
REFUND_REQUEST = [
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
]
REFUND_RESPONSE = [
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
QUERY_RESPONSE = [*REFUND_RESPONSE, "PromotionCode", "PromotionAmount"]
FULL_REFUND = "02"


class RspCode(StrEnum):
    """The merchant's answer to a callback; the provider sends again until it is 00 or 02."""

    OK = "00"
    NOT_FOUND = "01"
    ALREADY_CONFIRMED = "02"
    WRONG_AMOUNT = "04"
    BAD_SIGNATURE = "97"
    OTHER = "99"


MESSAGES = {
    RspCode.OK: "Confirm Success",
    RspCode.NOT_FOUND: "Order not found",
    RspCode.ALREADY_CONFIRMED: "Order already confirmed",
    RspCode.WRONG_AMOUNT: "Invalid amount",
    RspCode.BAD_SIGNATURE: "Invalid signature",
    RspCode.OTHER: "Unknown error",
}


def reply(code: RspCode) -> dict[str, str]:
    return {"RspCode": code, "Message": MESSAGES[code]}


def answer(result: Sequence[Event] | Rejected) -> RspCode:
    """What the decision on a verified callback means to the provider."""
    if isinstance(result, Rejected):
        match result.reason:
            case "PAYMENT_NOT_FOUND" | "CHECKOUT_NOT_FOUND":
                return RspCode.NOT_FOUND
            case "WRONG_AMOUNT":
                return RspCode.WRONG_AMOUNT
            case _:
                return RspCode.OTHER
    if any(isinstance(event, CallbackRefused) and event.fault is CallbackFault.AMOUNT for event in result):
        return RspCode.WRONG_AMOUNT
    return RspCode.OK if result else RspCode.ALREADY_CONFIRMED


@dataclass(frozen=True, slots=True)
class Merchant:
    """What the provider agreed with one merchant."""

    tmn_code: str
    secret: str
    pay_url: str
    api_url: str
    return_url: str


# Signing


def sign_query(secret: str, fields: Mapping[str, str]) -> str:
    """Over the vnp_* fields that are not empty, sorted and URL-encoded, the hash fields left out."""
    signed = sorted((k, v) for k, v in fields.items() if k.startswith("vnp_") and k not in UNSIGNED and v)
    return _hmac(secret, "&".join(f"{quote_plus(k)}={quote_plus(v)}" for k, v in signed))


def sign_message(secret: str, message: Mapping[str, str], order: Iterable[str]) -> str:
    """Over the values alone, joined by | in a fixed order; absent ones are empty."""
    return _hmac(secret, "|".join(message.get(f"vnp_{name}", "") for name in order))


def _hmac(secret: str, text: str) -> str:
    return hmac.new(secret.encode(), text.encode(), hashlib.sha512).hexdigest()


def same(signature: str, expected: str) -> bool:
    return hmac.compare_digest(signature.encode(), expected.encode())


# Values


def stamp(at: datetime) -> str:
    return at.astimezone(VIETNAM).strftime("%Y%m%d%H%M%S")


def parse_stamp(text: str) -> datetime:
    if not re.fullmatch(r"[0-9]{14}", text):
        raise ValueError(f"not yyyyMMddHHmmss: {text!r}")
    return datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=VIETNAM)


def plain(text: str) -> str:
    """The provider wants Vietnamese without accents and without special characters."""
    bare = unicodedata.normalize("NFD", text.replace("đ", "d").replace("Đ", "D")).encode("ascii", "ignore").decode()
    return " ".join(re.sub(r"[^A-Za-z0-9 .:-]", " ", bare).split())[:255]


def _amount(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,15}", text):
        raise ValueError(f"not an amount: {text!r}")
    hundredths = int(text)
    if hundredths % 100:
        raise ValueError(f"not whole đồng: {text!r}")
    return hundredths // 100


# The payment URL


@dataclass(frozen=True, slots=True)
class Order:
    txn_ref: str
    amount: int
    info: str
    created_at: datetime
    expires_at: datetime
    ip: str
    locale: str = "vn"


def payment_url(merchant: Merchant, order: Order) -> str:
    fields = {
        "vnp_Version": VERSION,
        "vnp_Command": "pay",
        "vnp_TmnCode": merchant.tmn_code,
        "vnp_Amount": str(order.amount * 100),
        "vnp_CurrCode": "VND",
        "vnp_TxnRef": order.txn_ref,
        "vnp_OrderInfo": plain(order.info),
        "vnp_OrderType": "other",
        "vnp_Locale": order.locale,
        "vnp_ReturnUrl": merchant.return_url,
        "vnp_IpAddr": order.ip,
        "vnp_CreateDate": stamp(order.created_at),
        "vnp_ExpireDate": stamp(order.expires_at),
    }
    query = "&".join(f"{quote_plus(k)}={quote_plus(v)}" for k, v in sorted(fields.items()))
    return f"{merchant.pay_url}?{query}&vnp_SecureHash={sign_query(merchant.secret, fields)}"


# Callbacks


@dataclass(frozen=True, slots=True)
class Callback:
    txn_ref: str
    amount: int
    outcome: Outcome
    provider_code: str
    transaction: str
    bank: str
    # Absent where nothing was paid.
    paid_at: datetime | None


@dataclass(frozen=True, slots=True)
class Refused:
    """A callback that is not believed. What it states is what a stranger says."""

    code: RspCode
    why: str
    txn_ref: str
    stated_amount: int


def parse_callback(merchant: Merchant, query: Iterable[tuple[str, str]]) -> Callback | Refused:
    """The same for the server's notice and for the payer's return."""
    pairs = list(query)
    fields = dict(pairs)

    def refused(code: RspCode, why: str) -> Refused:
        try:
            stated = _amount(fields.get("vnp_Amount", ""))
        except ValueError:
            stated = 0
        return Refused(code, why, fields.get("vnp_TxnRef", ""), stated)

    if len(fields) != len(pairs):
        return refused(RspCode.BAD_SIGNATURE, "a field comes twice")
    fields = {k: v for k, v in pairs if v}  # the signature does not cover an empty field: it is an absent one
    if not same(fields.get("vnp_SecureHash", ""), sign_query(merchant.secret, fields)):
        return refused(RspCode.BAD_SIGNATURE, "the signature is wrong")
    if fields.get("vnp_TmnCode") != merchant.tmn_code:
        return refused(RspCode.OTHER, "it is for another merchant")
    try:
        response, status = fields["vnp_ResponseCode"], fields["vnp_TransactionStatus"]
        paid_at = parse_stamp(fields["vnp_PayDate"]) if "vnp_PayDate" in fields else None
        callback = Callback(
            txn_ref=fields["vnp_TxnRef"],
            amount=_amount(fields["vnp_Amount"]),
            outcome=outcome(response, status),
            provider_code=response if response != "00" else status,
            transaction=fields["vnp_TransactionNo"],
            bank=fields.get("vnp_BankCode", ""),
            paid_at=paid_at,
        )
    except KeyError as missing:
        return refused(RspCode.OTHER, f"{missing.args[0]} is missing")
    except ValueError as invalid:
        return refused(RspCode.OTHER, str(invalid))
    if callback.outcome is Outcome.PAID and callback.paid_at is None:
        return refused(RspCode.OTHER, "vnp_PayDate is missing")
    return callback


def outcome(response: str, status: str) -> Outcome:
    """Both must say 00. 01 is unfinished, 04 taken by the bank but not booked, 07 taken and suspected of fraud."""
    if (response, status) == ("00", "00"):
        return Outcome.PAID
    if response == "07" or status in ("00", "01", "04", "07"):
        return Outcome.UNSETTLED
    return Outcome.FAILED


# Query and refund


class UnavailableError(Exception):
    """No answer that can be used: the same request may be sent again."""


class UntrustedError(Exception):
    """An answer that the provider did not sign, or not for this request."""


@dataclass(frozen=True, slots=True)
class QueryReply:
    response_code: str
    message: str
    # The rest is set where response_code is 00.
    status: str = ""
    transaction_type: str = ""
    transaction: str = ""
    bank: str = ""
    amount: int = 0
    paid_at: datetime | None = None

    @property
    def outcome(self) -> Outcome:
        if self.response_code == "91":  # not known there: the payer never came
            return Outcome.FAILED
        return outcome(self.response_code, self.status)

    @property
    def refunded(self) -> bool:
        return (self.response_code, self.status, self.transaction_type) == ("00", "00", FULL_REFUND)


@dataclass(frozen=True, slots=True)
class RefundReply:
    response_code: str
    message: str
    transaction: str
    status: str

    @property
    def accepted(self) -> bool:
        return self.response_code == "00"

    @property
    def repeated(self) -> bool:
        """A refund of this transaction was requested before: query says how it went."""
        return self.response_code == "94"


class Vnpay:
    """The provider's API, with one merchant's credentials."""

    def __init__(self, merchant: Merchant, http: httpx.AsyncClient) -> None:
        self._merchant = merchant
        self._http = http

    async def query(
        self, *, request_id: str, txn_ref: str, created_at: datetime, at: datetime, ip: str, info: str
    ) -> QueryReply:
        message = self._message("querydr", request_id, txn_ref, at, ip, info)
        message["vnp_TransactionDate"] = stamp(created_at)
        answer = await self._post(message, QUERY_REQUEST, QUERY_RESPONSE)
        code, text = answer["vnp_ResponseCode"], answer.get("vnp_Message", "")
        if code != "00":
            return QueryReply(code, text)
        try:
            return QueryReply(
                code,
                text,
                status=answer["vnp_TransactionStatus"],
                transaction_type=answer.get("vnp_TransactionType", ""),
                transaction=answer.get("vnp_TransactionNo", ""),
                bank=answer.get("vnp_BankCode", ""),
                amount=_amount(answer["vnp_Amount"]),
                paid_at=parse_stamp(answer["vnp_PayDate"]) if answer.get("vnp_PayDate") else None,
            )
        except (KeyError, ValueError) as fault:
            raise UnavailableError(f"the answer cannot be read: {fault}") from fault

    async def refund(
        self,
        *,
        request_id: str,
        txn_ref: str,
        transaction: str,
        amount: int,
        created_at: datetime,
        at: datetime,
        by: str,
        ip: str,
        info: str,
    ) -> RefundReply:
        """The whole amount. The same request id again is refused there with 94, so that nothing is refunded twice."""
        message = self._message("refund", request_id, txn_ref, at, ip, info) | {
            "vnp_TransactionType": FULL_REFUND,
            "vnp_Amount": str(amount * 100),
            "vnp_TransactionNo": transaction,
            "vnp_TransactionDate": stamp(created_at),
            "vnp_CreateBy": plain(by),
        }
        answer = await self._post(message, REFUND_REQUEST, REFUND_RESPONSE)
        return RefundReply(
            answer["vnp_ResponseCode"],
            answer.get("vnp_Message", ""),
            answer.get("vnp_TransactionNo", ""),
            answer.get("vnp_TransactionStatus", ""),
        )

    def _message(self, command: str, request_id: str, txn_ref: str, at: datetime, ip: str, info: str) -> dict[str, str]:
        return {
            "vnp_RequestId": request_id,
            "vnp_Version": VERSION,
            "vnp_Command": command,
            "vnp_TmnCode": self._merchant.tmn_code,
            "vnp_TxnRef": txn_ref,
            "vnp_OrderInfo": plain(info),
            "vnp_CreateDate": stamp(at),
            "vnp_IpAddr": ip,
        }

    async def _post(self, message: dict[str, str], request: list[str], response: list[str]) -> dict[str, str]:
        _unambiguous(message)
        signature = sign_message(self._merchant.secret, message, request)
        try:
            got = await self._http.post(self._merchant.api_url, json=message | {"vnp_SecureHash": signature})
            got.raise_for_status()
            answer = _texts(got.json())
        except (httpx.HTTPError, json.JSONDecodeError, UnicodeDecodeError, ValueError) as fault:
            raise UnavailableError(str(fault) or type(fault).__name__) from fault
        _unambiguous(answer)
        if not same(answer.get("vnp_SecureHash", ""), sign_message(self._merchant.secret, answer, response)):
            raise UntrustedError("the signature is wrong")
        for name in ("vnp_Command", "vnp_TmnCode", "vnp_TxnRef"):
            if answer.get(name) != message[name]:
                raise UntrustedError(f"{name} is not the request's")
        if "vnp_ResponseCode" not in answer:
            raise UnavailableError("vnp_ResponseCode is missing")
        return answer


def _texts(body: Any) -> dict[str, str]:
    if not isinstance(body, dict):
        raise ValueError("the answer is not an object")
    return {str(k): "" if v is None else str(v) for k, v in body.items()}


def _unambiguous(message: Mapping[str, str]) -> None:
    """Joined by |, two messages could share a signature if a value held one."""
    for name, value in message.items():
        if "|" in value:
            raise UntrustedError(f"{name} holds a |")
