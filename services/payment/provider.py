"""The payment provider as this site's settings name it, read when it is needed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from uuid import UUID, uuid5

import httpx

from motcua.payment.events.v1.events_pb2 import RefundRequested
from services.chassis.platform.parts import Parts
from services.chassis.platform.settings import Settings
from services.payment.commands import ConfirmRefund, FailRefund
from services.payment.refusals import Refused
from services.payment.vnpay import Merchant, Order, payment_url
from services.payment.vnpay_client import ProviderUnavailable, QueryReply, Vnpay

NAME = "vnpay"
ACTOR = "system:vnpay"
TIMEOUT_SECONDS = 20
# The provider wants the payer's address; it stays at the edge, and a caller is often another system.
IP = "127.0.0.1"


class Provider:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._tls = httpx.create_ssl_context()

    @classmethod
    def of(cls, parts: Parts) -> Provider:
        return cls(parts.platform.settings)

    @property
    def merchant(self) -> Merchant:
        """Raises Rejected UNAVAILABLE where no provider is configured."""
        s = self._settings
        if not (s.vnpay_url and s.vnpay_api_url):
            raise Refused("UNAVAILABLE", system="VNPAY")
        secret = s.secret("vnpay", s.vnpay_secret)
        return Merchant(s.vnpay_terminal, secret, s.vnpay_url, s.vnpay_api_url, f"{s.url}/payment/vnpay/return")

    def url(self, checkout_id: str, code: str, amount: int, at: datetime, expires_at: datetime, locale: str) -> str:
        order = Order(checkout_id, amount, f"Lệ phí hồ sơ {code}", at, expires_at, IP, locale)
        return payment_url(self.merchant, order)

    async def query(self, checkout_id: str, code: str, started_at: datetime, now: datetime) -> QueryReply:
        """Raises ProviderUnavailable, AnswerUntrusted."""
        async with self._vnpay() as vnpay:
            return await vnpay.query(
                request_id=uuid5(UUID(checkout_id[:32]), f"{checkout_id} {now.isoformat()}").hex,
                txn_ref=checkout_id,
                created_at=started_at,
                at=now,
                ip=IP,
                info=f"Tra cứu giao dịch của hồ sơ {code}",
            )

    async def refund(self, asked: RefundRequested, started_at: datetime, now: datetime) -> ConfirmRefund | FailRefund:
        """Ask once per attempt, however often this is called. Raises ProviderUnavailable, AnswerUntrusted."""
        async with self._vnpay() as vnpay:
            reply = await vnpay.refund(
                request_id=uuid5(UUID(asked.payment_id), f"refund {asked.attempt}").hex,
                txn_ref=asked.checkout_id,
                transaction=asked.transaction,
                amount=asked.amount,
                created_at=started_at,
                at=now,
                by=asked.by,
                ip=IP,
                info=f"Hoàn lệ phí hồ sơ {asked.code}",
            )
        if reply.accepted:
            return ConfirmRefund(payment_id=asked.payment_id, reference=reply.transaction, at=now, by=ACTOR)
        if reply.repeated:
            found = await self.query(asked.checkout_id, asked.code, started_at, now)
            if found.refunded:
                return ConfirmRefund(payment_id=asked.payment_id, reference=found.transaction, at=now, by=ACTOR)
            if found.refunding:
                raise ProviderUnavailable("the refund is under way")
        return FailRefund(
            payment_id=asked.payment_id, attempt=asked.attempt, provider_code=reply.response_code, at=now, by=ACTOR
        )

    @asynccontextmanager
    async def _vnpay(self) -> AsyncIterator[Vnpay]:
        async with httpx.AsyncClient(verify=self._tls, timeout=TIMEOUT_SECONDS) as http:
            yield Vnpay(self.merchant, http)
