"""The VNPAY 2.1.0 protocol, the merchant's side: payment URLs and callbacks."""

from __future__ import annotations

import hashlib
import hmac
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from urllib.parse import quote_plus

from services.chassis.decider import Rejected
from services.law.days import ZONE
from services.payment.commands import PaymentOutcome
from services.payment.events import CallbackFault, CallbackRefused, Event, UnmatchedReceived

VERSION = "2.1.0"
UNSIGNED = frozenset({"vnp_SecureHash", "vnp_SecureHashType"})


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
    if any(isinstance(event, UnmatchedReceived) for event in result):
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
    return at.astimezone(ZONE).strftime("%Y%m%d%H%M%S")


def parse_stamp(text: str) -> datetime:
    if not re.fullmatch(r"[0-9]{14}", text):
        raise ValueError(f"not yyyyMMddHHmmss: {text!r}")
    return datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=ZONE)


def plain(text: str) -> str:
    """The provider wants Vietnamese without accents and without special characters."""
    bare = unicodedata.normalize("NFD", text.replace("đ", "d").replace("Đ", "D")).encode("ascii", "ignore").decode()
    return " ".join(re.sub(r"[^A-Za-z0-9 .:-]", " ", bare).split())[:255]


def amount_of(text: str) -> int:
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
    outcome: PaymentOutcome
    provider_code: str
    transaction: str
    bank: str
    # Absent where nothing was paid.
    paid_at: datetime | None


@dataclass(frozen=True, slots=True)
class Disbelieved:
    """A callback that is not believed. What it states is what a stranger says."""

    code: RspCode
    why: str
    txn_ref: str
    stated_amount: int


def parse_callback(merchant: Merchant, query: Iterable[tuple[str, str]]) -> Callback | Disbelieved:
    """The same for the server's notice and for the payer's return."""
    pairs = list(query)
    fields = dict(pairs)

    def refused(code: RspCode, why: str) -> Disbelieved:
        try:
            stated = amount_of(fields.get("vnp_Amount", ""))
        except ValueError:
            stated = 0
        return Disbelieved(code, why, fields.get("vnp_TxnRef", ""), stated)

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
            amount=amount_of(fields["vnp_Amount"]),
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
    if callback.outcome is PaymentOutcome.PAID and callback.paid_at is None:
        return refused(RspCode.OTHER, "vnp_PayDate is missing")
    return callback


def outcome(response: str, status: str) -> PaymentOutcome:
    """Both must say 00. 01 is unfinished, 04 taken by the bank but not booked, 07 taken and suspected of fraud."""
    if (response, status) == ("00", "00"):
        return PaymentOutcome.PAID
    if response == "07" or status in ("00", "01", "04", "07"):
        return PaymentOutcome.UNSETTLED
    return PaymentOutcome.FAILED
