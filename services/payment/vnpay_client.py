"""The VNPAY 2.1.0 protocol, the merchant's side: query and refund."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx

from services.chassis.network.outbound import ask
from services.payment.commands import PaymentOutcome
from services.payment.vnpay import (
    VERSION,
    Callback,
    Merchant,
    amount_of,
    outcome,
    parse_stamp,
    plain,
    same,
    sign_message,
    stamp,
)

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
PAYMENT, FULL_REFUND = "01", "02"
# The provider is still working on a refund, or has handed it to the bank.
REFUND_UNDER_WAY = ("05", "06")


class ProviderUnavailable(Exception):
    """No answer that can be used: the same request may be sent again."""


class AnswerUntrusted(Exception):
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
    def known(self) -> bool:
        """The provider told how it stands; 91 tells that the payer never came."""
        return self.response_code in ("00", "91")

    @property
    def outcome(self) -> PaymentOutcome:
        if self.response_code == "91":
            return PaymentOutcome.FAILED
        return outcome(self.response_code, self.status)

    @property
    def refunded(self) -> bool:
        return (self.response_code, self.status, self.transaction_type) == ("00", "00", FULL_REFUND)

    @property
    def refunding(self) -> bool:
        return (self.response_code, self.transaction_type) == ("00", FULL_REFUND) and self.status in REFUND_UNDER_WAY

    def callback(self, txn_ref: str) -> Callback | None:
        """The callback that should have come, where the provider knows how the payment ended."""
        if (self.response_code, self.transaction_type) != ("00", PAYMENT) or self.outcome is PaymentOutcome.UNSETTLED:
            return None
        return Callback(txn_ref, self.amount, self.outcome, self.status, self.transaction, self.bank, self.paid_at)


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
                amount=amount_of(answer["vnp_Amount"]),
                paid_at=parse_stamp(answer["vnp_PayDate"]) if answer.get("vnp_PayDate") else None,
            )
        except (KeyError, ValueError) as fault:
            raise ProviderUnavailable(f"the answer cannot be read: {fault}") from fault

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
            signed = message | {"vnp_SecureHash": signature}
            got = await ask(self._http, "POST", self._merchant.api_url, json=signed)
            if not 200 <= got.status < 300:
                raise ValueError(f"HTTP {got.status}")
            answer = _texts(got.json())
        except (httpx.HTTPError, json.JSONDecodeError, UnicodeDecodeError, ValueError) as fault:
            raise ProviderUnavailable(str(fault) or type(fault).__name__) from fault
        _unambiguous(answer)
        if not same(answer.get("vnp_SecureHash", ""), sign_message(self._merchant.secret, answer, response)):
            raise AnswerUntrusted("the signature is wrong")
        for name in ("vnp_Command", "vnp_TmnCode", "vnp_TxnRef"):
            if answer.get(name) != message[name]:
                raise AnswerUntrusted(f"{name} is not the request's")
        if "vnp_ResponseCode" not in answer:
            raise ProviderUnavailable("vnp_ResponseCode is missing")
        return answer


def _texts(body: Any) -> dict[str, str]:
    if not isinstance(body, dict):
        raise ValueError("the answer is not an object")
    return {str(k): "" if v is None else str(v) for k, v in body.items()}


def _unambiguous(message: Mapping[str, str]) -> None:
    """Joined by |, two messages could share a signature if a value held one."""
    for name, value in message.items():
        if "|" in value:
            raise AnswerUntrusted(f"{name} holds a |")
