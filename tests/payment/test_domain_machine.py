"""Whatever the payer, the provider, the counter and the officials do: the fee is paid once or not at all."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from services.chassis.decider import Rejected, Sealed
from services.payment.commands import (
    CancelPayment,
    Command,
    ConfirmRefund,
    ExpireCheckout,
    FailRefund,
    PaymentOutcome,
    ReceiveCash,
    RefuseCallback,
    RequestPayment,
    RequestRefund,
    ReturnCash,
    StartCheckout,
)
from services.payment.domain import RefundStatus, payment
from services.payment.events import (
    CallbackRefused,
    CancelCause,
    Event,
    PaymentConfirmed,
    PaymentMethod,
    RefundConfirmed,
    SurplusReceived,
    UnmatchedReceived,
)
from tests.payment.facts import CASHIER, CODE, ITEMS, NOW, PAYER, VNPAY, word

AMOUNT = 20_000
checkouts = st.sampled_from(["c1", "c2", "c3"])
payments = st.sampled_from(["c1-1", "c1-2", "c2-1", "c3-1", "cash-1", "cash-2"])


class Fee(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.history: list[Event] = []
        self.now = NOW
        self.send(
            RequestPayment(
                code=CODE,
                fee_id="fee-1",
                payer_id=PAYER,
                amount=AMOUNT,
                items=ITEMS,
                agency="P56.1",
                at=NOW,
                by="service:payment",
            )
        )

    def send(self, command: Command) -> None:
        self.now += timedelta(minutes=1)
        try:
            self.history += payment.decide(command, payment.fold(self.history))
        except Rejected:
            return

    @rule(checkout=checkouts)
    def start(self, checkout: str) -> None:
        self.send(
            StartCheckout(
                checkout_id=checkout,
                provider="vnpay",
                expires_at=self.now + timedelta(minutes=5),
                at=self.now,
                by=PAYER,
            )
        )

    @rule(checkout=checkouts)
    def expire(self, checkout: str) -> None:
        self.send(ExpireCheckout(checkout_id=checkout, at=self.now, by="service:payment"))

    @rule(
        checkout=checkouts,
        transaction=st.sampled_from("12"),
        outcome=st.sampled_from(PaymentOutcome),
        amount=st.sampled_from([AMOUNT, AMOUNT, AMOUNT + 1]),
    )
    def hear(self, checkout: str, transaction: str, outcome: PaymentOutcome, amount: int) -> None:
        number = f"{checkout}-{transaction}"
        self.send(word(checkout, number, transaction=number, outcome=outcome, amount=amount, at=self.now))

    @rule(checkout=checkouts)
    def forge(self, checkout: str) -> None:
        self.send(RefuseCallback(checkout_id=checkout, stated_amount=AMOUNT, at=self.now, by=VNPAY))

    @rule(number=st.sampled_from("12"), amount=st.sampled_from([AMOUNT, AMOUNT - 1]))
    def count_cash(self, number: str, amount: int) -> None:
        self.send(
            ReceiveCash(
                payment_id=f"cash-{number}",
                amount=amount,
                receipt_number=f"R{number}",
                counter="P56.1",
                at=self.now,
                by=CASHIER,
            )
        )

    @rule(cause=st.sampled_from(CancelCause))
    def end(self, cause: CancelCause) -> None:
        self.send(CancelPayment(cause=cause, at=self.now, by="service:payment"))

    @rule(paid=payments)
    def decide_refund(self, paid: str) -> None:
        self.send(RequestRefund(payment_id=paid, reason=Sealed("lý do"), agency="P56.1", at=self.now, by=CASHIER))

    @rule(paid=payments)
    def refund_settles(self, paid: str) -> None:
        self.send(ConfirmRefund(payment_id=paid, reference="rf", at=self.now, by=VNPAY))

    @rule(paid=payments, attempt=st.integers(1, 3))
    def refund_fails(self, paid: str, attempt: int) -> None:
        self.send(FailRefund(payment_id=paid, attempt=attempt, provider_code="99", at=self.now, by=VNPAY))

    @rule(paid=payments)
    def give_back(self, paid: str) -> None:
        self.send(ReturnCash(payment_id=paid, voucher_number="V1", counter="P56.1", at=self.now, by=CASHIER))

    @invariant()
    def never_two_kept(self) -> None:
        takings = payment.fold(self.history).takings.values()
        kept = [t for t in takings if t.refund is RefundStatus.NONE and not t.unmatched]
        assert len(kept) <= 1
        assert sum(isinstance(event, PaymentConfirmed) for event in self.history) <= 1

    @invariant()
    def each_refunded_at_most_once_and_only_what_was_taken(self) -> None:
        taken = [e.payment_id for e in self.history if isinstance(e, PaymentConfirmed | SurplusReceived)]
        unmatched = [e.payment_id for e in self.history if isinstance(e, UnmatchedReceived)]
        back = [e.payment_id for e in self.history if isinstance(e, RefundConfirmed)]
        for once in (taken, unmatched, back):
            assert len(once) == len(set(once))
        assert set(back) <= {*taken, *unmatched}

    @invariant()
    def the_history_is_bounded_under_forgery(self) -> None:
        faults = [(e.checkout_id, e.fault) for e in self.history if isinstance(e, CallbackRefused)]
        assert len(faults) == len(set(faults))

    def teardown(self) -> None:
        """Once everything has settled, the state keeps nothing or exactly what was owed."""
        for paid, taking in payment.fold(self.history).takings.items():
            if taking.refund is RefundStatus.FAILED or taking.unmatched:
                self.send(
                    RequestRefund(payment_id=paid, reason=Sealed("lý do"), agency="P56.1", at=self.now, by=CASHIER)
                )
            if taking.method is PaymentMethod.CASH:
                self.give_back(paid)
            else:
                self.refund_settles(paid)
        # The newest word on each: a provider may correct an amount.
        came = {
            e.payment_id: e.amount
            for e in self.history
            if isinstance(e, PaymentConfirmed | SurplusReceived | UnmatchedReceived)
        }
        taken = sum(came.values())
        back = sum(e.amount for e in self.history if isinstance(e, RefundConfirmed))
        assert taken - back in (0, AMOUNT)


TestFee = Fee.TestCase
TestFee.settings = settings(max_examples=60, stateful_step_count=30)
