"""The payment service's entry points."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import parse_qsl
from uuid import UUID, uuid5

import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from motcua.dossier.events.v1 import events_pb2 as dossier
from motcua.payment.events.v1 import events_pb2 as facts
from motcua.payment.v1 import errors_pb2, payment_pb2
from motcua.payment.v1 import payment_service_pb2 as pb
from motcua.types.v1.types_pb2 import Language
from services.chassis.calls.call import Call
from services.chassis.database.database import utc
from services.chassis.decider import Rejected, Sealed
from services.chassis.deciding.caller import Caller, Origin
from services.chassis.deciding.codec import from_timestamp, to_timestamp
from services.chassis.deciding.facts import Fact, fact_of
from services.chassis.deciding.handler import Outcome
from services.chassis.following.standing import restricted
from services.chassis.following.views import position_token
from services.chassis.frame import dependencies
from services.chassis.frame.entrypoints import api, every, observed, on
from services.chassis.frame.http_server import http
from services.chassis.frame.replies import replied
from services.chassis.grounds.concern import concern_of, office, require_impartial, require_scope
from services.chassis.machine import chance
from services.chassis.telemetry import telemetry
from services.chassis.telemetry.gauges import Sample
from services.law.days import local_date
from services.payment import commands as c
from services.payment import gauges
from services.payment.codec import payment_codec
from services.payment.domain import State, payment
from services.payment.events import CancelCause, CheckoutStarted, Event, FeeItem, PaymentConfirmed, RefundConfirmed
from services.payment.pages import returned, style
from services.payment.provider import ACTOR, NAME, Provider
from services.payment.queries import (
    expired_query,
    fees_query,
    movements_listed,
    movements_query,
    oldest_query,
    payments_listed,
    sums_query,
    unmatched_listed,
    waiting_query,
)
from services.payment.reading import payment_of
from services.payment.receipts import Series, number_for, receipts
from services.payment.references import checkout_of, fee_id_of, fee_of, payment_id_of
from services.payment.refusals import Refused
from services.payment.replies import movement_of, sum_of, unmatched_of
from services.payment.views import lists
from services.payment.vnpay import Callback, Disbelieved, RspCode, answer, parse_callback, reply
from services.payment.vnpay_client import AnswerUntrusted, ProviderUnavailable

CHECKOUT_LIFETIME = timedelta(minutes=15)
CLOCK = "service:payment"
LOCALES = {Language.LANGUAGE_ENGLISH: "en"}

log = structlog.get_logger()


class PaymentService:
    """Collects the fees that dossiers owe, and says when they are paid."""

    name = "payment"
    rpcs = pb.DESCRIPTOR.services_by_name["PaymentService"]
    errors = errors_pb2.PaymentError.DESCRIPTOR

    payments = dependencies.decisions("payment", payment, payment_codec)
    lists = dependencies.view(lists)
    receipts = dependencies.view(receipts)
    restricted = dependencies.view(restricted)
    provider = dependencies.part(Provider.of)
    clock = dependencies.clock()
    platform = dependencies.platform()

    # The payer

    @api
    async def start_checkout(self, call: Call[pb.StartCheckoutRequest]) -> pb.StartCheckoutResponse:
        fee_id, now = fee_id_of(call.request.fee_id), call.now
        _ = self.provider.merchant  # without a provider nothing starts
        checkout_id = checkout_of(fee_id, call.request.request_id)
        command = c.StartCheckout(
            checkout_id=checkout_id, provider=NAME, expires_at=now + CHECKOUT_LIFETIME, at=now, by=call.caller.actor
        )
        outcome = await self.payments.execute(fee_id, command, call.origin)
        started = outcome.one(CheckoutStarted)
        locale = LOCALES.get(call.request.language, "vn")
        url = self.provider.url(
            started.checkout_id, started.code, started.amount, started.at, started.expires_at, locale
        )
        expires_at = to_timestamp(started.expires_at)
        return replied(
            pb.StartCheckoutResponse, outcome, checkout_id=started.checkout_id, url=url, expires_at=expires_at
        )

    @api
    async def get_payment(self, call: Call[pb.GetPaymentRequest]) -> pb.GetPaymentResponse:
        found = await self._payment(fee_id_of(call.request.fee_id))
        if not await self._party(call.caller, found):
            raise Refused("PAYMENT_NOT_FOUND")
        self._require_open(call.caller, found.payer_id)
        return pb.GetPaymentResponse(payment=found)

    @api
    async def list_payments(self, call: Call[pb.ListPaymentsRequest]) -> pb.ListPaymentsResponse:
        page = await call.page(self.lists, payments_listed(call.caller, call.request))
        found = [payment_pb2.Payment.FromString(row.payment) for row in page.rows]
        return pb.ListPaymentsResponse(payments=found, next_page_token=page.token)

    # The counter

    @api
    async def receive_cash(self, call: Call[pb.ReceiveCashRequest]) -> pb.ReceiveCashResponse:
        fee_id, now = fee_id_of(call.request.fee_id), call.now
        payment_id = str(uuid5(UUID(call.request.request_id), "cash"))
        number = await number_for(self.receipts, Series.RECEIPT, call.caller.agency, local_date(now), payment_id)
        command = c.ReceiveCash(
            payment_id=payment_id,
            amount=call.request.amount,
            receipt_number=number,
            counter=call.caller.agency,
            at=now,
            by=call.caller.actor,
        )
        outcome = await self._decide(fee_id, command, call)
        paid = outcome.one(PaymentConfirmed)
        return replied(pb.ReceiveCashResponse, outcome, payment_id=paid.payment_id, receipt_number=paid.receipt_number)

    @api
    async def request_refund(self, call: Call[pb.RequestRefundRequest]) -> pb.RequestRefundResponse:
        command = c.RequestRefund(
            payment_id=call.request.payment_id,
            reason=Sealed(call.request.reason),
            agency=call.caller.agency,
            at=call.now,
            by=call.caller.actor,
        )
        outcome = await self._decide(fee_id_of(call.request.fee_id), command, call)
        return replied(pb.RequestRefundResponse, outcome)

    @api
    async def return_cash(self, call: Call[pb.ReturnCashRequest]) -> pb.ReturnCashResponse:
        fee_id, now = fee_id_of(call.request.fee_id), call.now
        number = await number_for(
            self.receipts, Series.VOUCHER, call.caller.agency, local_date(now), call.request.payment_id
        )
        command = c.ReturnCash(
            payment_id=call.request.payment_id,
            voucher_number=number,
            counter=call.caller.agency,
            at=now,
            by=call.caller.actor,
        )
        outcome = await self._decide(fee_id, command, call)
        return replied(pb.ReturnCashResponse, outcome, voucher_number=outcome.one(RefundConfirmed).reference)

    @api
    async def list_unmatched_money(self, call: Call[pb.ListUnmatchedMoneyRequest]) -> pb.ListUnmatchedMoneyResponse:
        page = await call.page(self.lists, unmatched_listed(call.caller, call.request))
        return pb.ListUnmatchedMoneyResponse(unmatched=map(unmatched_of, page.rows), next_page_token=page.token)

    @api
    async def reconcile_day(self, call: Call[pb.ReconcileDayRequest]) -> pb.ReconcileDayResponse:
        listed = partial(movements_listed, movements_query(call.caller, call.request))
        page = await call.page(self.lists, listed)
        whole = sums_query(listed(page.as_of).query)
        sums = [] if call.request.page_token else await self.lists.read(lambda db: db.execute(whole).all())
        return pb.ReconcileDayResponse(
            movements=map(movement_of, page.rows), sums=map(sum_of, sums), next_page_token=page.token
        )

    # The provider

    @http("GET", "/payment/vnpay/ipn")
    async def hear_vnpay(self, request: Request) -> Response:
        try:
            code = await self._heard(self._said(request))
        except Exception:
            log.exception("callback not recorded: the provider sends it again")
            code = RspCode.OTHER
        return JSONResponse(reply(code))

    @http("GET", "/payment/return.css")
    async def style_of_return(self, request: Request) -> Response:
        return await style(request)

    @http("GET", "/payment/vnpay/return")
    async def return_from_vnpay(self, request: Request) -> Response:
        """Shows how the payment stands. Only the provider's own callback changes it."""
        said = self._said(request)
        fee_id = fee_of(said.txn_ref)
        found = await self._payment(fee_id) if fee_id and isinstance(said, Callback) else payment_pb2.Payment()
        return returned(said, found, self.platform.settings.url)

    def _said(self, request: Request) -> Callback | Disbelieved:
        return parse_callback(self.provider.merchant, parse_qsl(request.url.query, keep_blank_values=True))

    async def _heard(self, said: Callback | Disbelieved) -> RspCode:
        if isinstance(said, Callback):
            return await self._record(said)
        if said.code is RspCode.BAD_SIGNATURE and (fee_id := fee_of(said.txn_ref)):
            command = c.RefuseCallback(
                checkout_id=said.txn_ref, stated_amount=said.stated_amount, at=self.clock.now(), by=ACTOR
            )
            try:
                await self.payments.execute(fee_id, command, _delivery())
            except Rejected as rejected:
                log.info("forged callback of nothing we know", reason=rejected.reason)
        return said.code

    async def _record(self, said: Callback) -> RspCode:
        """The provider's word, from a callback or an answer to a query."""
        fee_id = fee_of(said.txn_ref)
        if fee_id is None:
            return RspCode.NOT_FOUND
        state, _ = await self.payments.load(fee_id)
        now, payment_id, number = self.clock.now(), payment_id_of(said), ""
        if state.request and said.outcome is c.PaymentOutcome.PAID and not (state.paid or state.cancelled):
            number = await number_for(self.receipts, Series.RECEIPT, state.request.agency, local_date(now), payment_id)
        command = c.RecordCallback(
            payment_id=payment_id,
            checkout_id=said.txn_ref,
            outcome=said.outcome,
            provider_code=said.provider_code,
            amount=said.amount,
            transaction=said.transaction,
            bank=said.bank,
            paid_at=said.paid_at or now,
            receipt_number=number,
            at=now,
            by=ACTOR,
        )
        try:
            code = answer((await self.payments.execute(fee_id, command, _delivery())).events)
        except Rejected as rejected:
            code = answer(rejected)
        if code is RspCode.NOT_FOUND and said.outcome is c.PaymentOutcome.PAID:
            log.warning("money for an order that nobody here began", transaction=said.transaction, amount=said.amount)
        return code

    @on(facts.RefundRequested)
    async def refund(self, fact: Fact[facts.RefundRequested]) -> None:
        if fact.event.method == facts.PaymentMethod.PAYMENT_METHOD_ONLINE:
            await self._refund(fact.event)

    async def _refund(self, asked: facts.RefundRequested) -> None:
        """Raises ProviderUnavailable, AnswerUntrusted."""
        started_at = await self._started_at(asked.fee_id, asked.checkout_id)
        command = await self.provider.refund(asked, started_at, self.clock.now())
        await self.payments.execute(asked.fee_id, command, _delivery())

    # The dossier

    @on(dossier.FeeAssessed, dossier.FeeCancelled, dossier.DossierRefused, dossier.ProcessingStopped)
    async def follow_dossier(self, fact: Fact[Any]) -> None:
        """One reaction, so that a fee is requested before it is cancelled."""
        now, origin, event = self.clock.now(), Origin.of_fact(fact, "follow_dossier", self.name), fact.event
        if isinstance(event, dossier.FeeAssessed):
            items = tuple(FeeItem(name=item.name, amount=item.amount) for item in event.items)
            command: c.Command = c.RequestPayment(
                code=event.code,
                fee_id=event.fee_id,
                payer_id=event.applicant_id,
                amount=event.amount,
                items=items,
                agency=event.agency,
                at=now,
                by=CLOCK,
            )
            await self.payments.execute(event.fee_id, command, origin, creates=True)
            return
        command = c.CancelPayment(cause=_cause(event), at=now, by=CLOCK)
        if isinstance(event, dossier.FeeCancelled):
            await self.payments.execute(event.fee_id, command, origin)
            return
        for fee_id in await self._fees(event.code, fact.position):
            await self.payments.execute(fee_id, command, origin.named(fee_id))

    async def _fees(self, code: str, position: int) -> list[str]:
        """All that the dossier was assessed before `position`. Raises Rejected NOT_READY while the view is behind."""
        return await self.lists.read(lambda db: list(db.scalars(fees_query(code))), position_token(position))

    # Time

    @every(seconds=10)
    async def expire_checkouts(self) -> None:
        now = self.clock.now()
        for row in await self.lists.read(lambda db: db.execute(expired_query(now)).all()):
            owed = payment_pb2.Payment.FromString(row.payment)
            try:
                await self._expire(owed.fee_id, owed.dossier_code, owed.checkout.checkout_id, now)
            except (ProviderUnavailable, AnswerUntrusted, Rejected) as error:
                log.warning("checkout not settled, trying again", checkout=owed.checkout.checkout_id, error=repr(error))

    async def _expire(self, fee_id: str, code: str, checkout_id: str, now: datetime) -> None:
        """The provider is asked first: its callback may have been lost."""
        found = await self.provider.query(checkout_id, code, await self._started_at(fee_id, checkout_id), now)
        if not found.known:
            raise ProviderUnavailable(f"{found.response_code} {found.message}")
        if said := found.callback(checkout_id):
            await self._record(said)
        origin = Origin.of_clock(f"{checkout_id} expired", self.name)
        await self.payments.execute(fee_id, c.ExpireCheckout(checkout_id=checkout_id, at=now, by=CLOCK), origin)

    @every(seconds=10)
    async def settle_refunds(self) -> None:
        """Those that the provider did not answer for longer than their reaction tried."""
        now = self.clock.now()
        for row in await self.lists.read(lambda db: db.execute(waiting_query(now)).all()):
            asked = facts.RefundRequested.FromString(row.requested)
            try:
                await self._refund(asked)
            except (ProviderUnavailable, AnswerUntrusted, Rejected) as error:
                log.warning("refund not settled, trying again", payment=asked.payment_id, error=repr(error))

    @observed
    async def waiting_for_the_provider(self) -> list[Sample]:
        now = self.clock.now()
        row = await self.lists.read(lambda db: db.execute(oldest_query(now)).one())
        over, refund = ((now - utc(at)).total_seconds() if at else 0.0 for at in row)
        return [gauges.CHECKOUTS_OVERDUE.at(over), gauges.REFUNDS_OLDEST.at(refund)]

    async def _decide(self, fee_id: str, command: c.Command, call: Call[Any]) -> Outcome[Event]:
        """What an official does, in nobody's affair of the own."""

        def impartially(state: State) -> c.Command:
            require_impartial(call.caller, state.request.payer_id if state.request else "")
            return command

        return await self.payments.execute(fee_id, impartially, call.origin)

    async def _party(self, caller: Caller, found: payment_pb2.Payment) -> bool:
        """Raises Rejected SCOPE_MISSING."""
        if caller.kind == "official":
            return office(caller) in {found.agency, *(taking.counter for taking in found.takings)} - {""}
        if caller.kind == "system":
            dossier = await concern_of(self.platform.store, found.dossier_code)
            if dossier is not None:
                require_scope(caller, dossier.procedure_code, (found.agency,))
            return dossier is not None
        return caller.account_id == found.payer_id

    def _require_open(self, caller: Caller, payer_id: str) -> None:
        """Raises Rejected OWN_AFFAIR, ACCOUNT_RESTRICTED."""
        require_impartial(caller, payer_id)
        if caller.kind in ("official", "system") and payer_id in self.platform.verifier.standing.restricted:
            raise Refused("ACCOUNT_RESTRICTED")

    async def _payment(self, fee_id: str) -> payment_pb2.Payment:
        return payment_of(await self.payments.read(fee_id))

    async def _started_at(self, fee_id: str, checkout_id: str) -> datetime:
        """The moment under which the provider knows the order."""
        for recorded in await self.payments.read(fee_id):
            event = fact_of(recorded).event
            if isinstance(event, facts.CheckoutStarted) and event.checkout_id == checkout_id:
                return from_timestamp(event.at)
        raise Refused("CHECKOUT_NOT_FOUND", checkout_id=checkout_id)


def _delivery() -> Origin:
    """Of what the provider said just now. The rules notice when it says it again."""
    request_id = str(chance.new_id())
    return Origin.outermost(request_id, request_id, ACTOR, telemetry.traceparent())


def _cause(event: dossier.FeeCancelled | dossier.DossierRefused | dossier.ProcessingStopped) -> CancelCause:
    if isinstance(event, dossier.FeeCancelled):
        return CancelCause.FEE_CANCELLED
    if isinstance(event, dossier.DossierRefused):
        return CancelCause.REFUSED
    withdrawn = event.cause == dossier.StopCause.STOP_CAUSE_WITHDRAWN
    return CancelCause.WITHDRAWN if withdrawn else CancelCause.STOPPED
