from __future__ import annotations

from dataclasses import replace

import pytest

from services.chassis.decider import Sealed
from services.payment.commands import (
    CancelPayment,
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
from services.payment.domain import payment
from services.payment.events import (
    CallbackFault,
    CallbackRefused,
    CancelCause,
    FeeItem,
    PaymentFailed,
    PaymentMethod,
    RefundCause,
    RefundConfirmed,
)
from tests.payment.facts import (
    CASHIER,
    CODE,
    ITEMS,
    LATER,
    NOW,
    PAYER,
    VNPAY,
    cancelled,
    cash,
    confirmed,
    expired,
    refund,
    refund_failed,
    refunded,
    requested,
    stamp,
    started,
    surplus,
    unmatched,
    word,
)
from tests.support.given import given

SERVICE = "service:payment"
ask = RequestPayment(
    code=CODE, fee_id="fee-1", payer_id=PAYER, amount=20_000, items=ITEMS, agency="P56.1", at=NOW, by=SERVICE
)
start = StartCheckout(checkout_id="c1", provider="vnpay", expires_at=LATER, at=NOW, by=PAYER)
count_cash = ReceiveCash(payment_id="p1", amount=20_000, receipt_number="R1", counter="P56.22.336", at=NOW, by=CASHIER)
decide_refund = RequestRefund(payment_id="p1", reason=Sealed("thu nhầm"), agency="P56.1", at=NOW, by="approver-1")
give_back = ReturnCash(payment_id="p1", voucher_number="V1", counter="P56.22.336", at=NOW, by=CASHIER)
SURPLUS, DECIDED, REFUSED = RefundCause.SURPLUS, RefundCause.DECIDED, RefundCause.DOSSIER_REFUSED
paid = (requested, started(), confirmed())
faulty = CallbackRefused(
    **stamp(VNPAY), checkout_id="c1", provider="vnpay", fault=CallbackFault.AMOUNT, stated_amount=1
)
failed = PaymentFailed(**stamp(VNPAY), checkout_id="c1", provider="vnpay", provider_code="24")


def cancel(cause: CancelCause) -> CancelPayment:
    return CancelPayment(cause=cause, at=NOW, by=SERVICE)


def test_a_fee_is_requested_once() -> None:
    given(payment).when(ask).then(requested)
    given(payment, requested).when(replace(ask, at=LATER)).then_nothing()
    given(payment, requested).when(replace(ask, payer_id="other")).then_rejected("ALREADY_REQUESTED")


@pytest.mark.parametrize(
    ("amount", "items"),
    [(0, ()), (1, ITEMS), (20_000, ()), (5, (FeeItem(name="a", amount=10), FeeItem(name="b", amount=-5)))],
)
def test_the_amount_is_positive_and_the_sum_of_its_items(amount: int, items: tuple[FeeItem, ...]) -> None:
    given(payment).when(replace(ask, amount=amount, items=items)).then_rejected("AMOUNT_INVALID", amount=str(amount))


@pytest.mark.parametrize(
    "command",
    [
        start,
        ExpireCheckout(checkout_id="c1", at=NOW, by=SERVICE),
        word(),
        RefuseCallback(checkout_id="c1", stated_amount=1, at=NOW, by=VNPAY),
        count_cash,
        cancel(CancelCause.REFUSED),
        decide_refund,
        ConfirmRefund(payment_id="p1", reference="rf1", at=NOW, by=VNPAY),
        FailRefund(payment_id="p1", attempt=1, provider_code="99", at=NOW, by=VNPAY),
        give_back,
    ],
)
def test_nothing_happens_to_a_fee_that_nobody_asked_for(command: object) -> None:
    given(payment).when(command).then_rejected("PAYMENT_NOT_FOUND")


def test_the_payer_starts_a_checkout_and_a_second_one_ends_the_first() -> None:
    given(payment, requested).when(start).then(started())
    given(payment, requested, started()).when(replace(start, checkout_id="c2")).then(expired(by=PAYER), started("c2"))


def test_checkouts_that_cannot_start() -> None:
    given(payment, requested).when(replace(start, by="other")).then_rejected("PAYMENT_NOT_FOUND")
    given(payment, *paid).when(replace(start, checkout_id="c2")).then_rejected("ALREADY_PAID", receipt_number="R1")
    given(payment, requested, cancelled(CancelCause.STOPPED)).when(start).then_rejected("CANCELLED")
    given(payment, requested, started()).when(start).then_rejected("CHECKOUT_EXISTS", checkout_id="c1")
    given(payment, requested).when(replace(start, expires_at=NOW)).then_rejected("EXPIRY_INVALID")


def test_a_checkout_expires_when_its_time_has_come() -> None:
    expire = ExpireCheckout(checkout_id="c1", at=LATER, by=SERVICE)
    given(payment, requested, started()).when(expire).then(replace(expired(), at=LATER))
    given(payment, requested, started(), expired()).when(expire).then_nothing()
    given(payment, *paid).when(expire).then_nothing()
    too_early = replace(expire, at=NOW)
    given(payment, requested, started()).when(too_early).then_rejected(
        "CHECKOUT_NOT_EXPIRED", expires_at=LATER.isoformat()
    )
    given(payment, requested).when(expire).then_rejected("CHECKOUT_NOT_FOUND", checkout_id="c1")


def test_a_callback_confirms_once_however_often_it_comes() -> None:
    given(payment, requested, started()).when(word()).then(confirmed())
    given(payment, *paid).when(word(payment_id="p9", transaction="t-p1")).then_nothing()
    given(payment, *paid).when(word(outcome=PaymentOutcome.FAILED)).then_nothing()


def test_money_that_comes_after_expiry_or_after_a_failure_still_pays() -> None:
    given(payment, requested, started(), expired()).when(word()).then(confirmed())
    given(payment, requested, started(), failed).when(word()).then(confirmed())


def test_money_that_is_not_owed_goes_back() -> None:
    returned = (surplus(), refund(SURPLUS))
    given(payment, requested, started(), cash("p0")).when(word()).then(*returned)
    for cause in CancelCause:
        given(payment, requested, started(), cancelled(cause)).when(word()).then(*returned)
    given(payment, *paid, refund(DECIDED), refunded(DECIDED)).when(word(payment_id="p2")).then(
        surplus(payment_id="p2"), refund(SURPLUS, "p2")
    )
    given(payment, requested, started(), started("c2"), confirmed("c2", "p2")).when(word()).then(*returned)
    given(payment, requested, started(), cash("p0"), *returned).when(word()).then_nothing()


@pytest.mark.parametrize("amount", [1, 19_999, 20_001, 10**12])
def test_money_in_another_amount_is_seen_once_per_transaction_and_pays_nothing(amount: int) -> None:
    came, other = unmatched(amount), unmatched(amount, payment_id="p2")
    for before in (
        (started(),),
        (started(), expired()),
        (started(), cancelled(CancelCause.REFUSED)),
        (started(), cash("p0")),
    ):
        given(payment, requested, *before).when(word(amount=amount)).then(came)
        given(payment, requested, *before, came).when(word(payment_id="p2", amount=amount)).then(other)
        for again in (amount, amount + 7):
            given(payment, requested, *before, came).when(
                word(payment_id="p9", transaction="t-p1", amount=again)
            ).then_rejected("WRONG_AMOUNT", owed="20000", amount=str(again))
    given(payment, requested, started(), came).when(word(payment_id="p3")).then(confirmed(payment_id="p3"))
    given(payment, requested, started(), came).when(count_cash).then(cash())


def test_money_in_another_amount_goes_back_once() -> None:
    came = unmatched(1)
    asked = replace(refund(RefundCause.UNMATCHED, by="approver-1", reason="thu nhầm"), amount=1)
    back = replace(refunded(RefundCause.UNMATCHED), amount=1)
    given(payment, requested, started(), came).when(decide_refund).then(asked)
    given(payment, requested, started(), came, asked).when(decide_refund).then_rejected("REFUND_ALREADY_REQUESTED")
    given(payment, requested, started(), came, asked).when(
        ConfirmRefund(payment_id="p1", reference="rf1", at=NOW, by=VNPAY)
    ).then(back)
    for on_its_way in ((asked,), (asked, back)):
        given(payment, requested, started(), came, *on_its_way).when(word()).then_nothing()
    by_itself = replace(asked, by=SERVICE, reason=Sealed())
    given(payment, requested, started(), came).when(cancel(CancelCause.FEE_CANCELLED)).then(
        cancelled(CancelCause.FEE_CANCELLED), by_itself
    )


def test_a_provider_that_corrects_the_amount_of_a_transaction_pays_the_fee() -> None:
    given(payment, requested, started(), unmatched(1)).when(word()).then(confirmed())
    given(payment, requested, started(), unmatched(1), confirmed()).when(word()).then_nothing()
    given(payment, requested, started(), unmatched(1), cash("p0")).when(word()).then(surplus(), refund(SURPLUS))


def test_a_callback_of_nothing_paid_with_a_wrong_amount_is_noted_once() -> None:
    for outcome in (PaymentOutcome.FAILED, PaymentOutcome.UNSETTLED):
        given(payment, requested, started()).when(word(outcome=outcome, amount=1)).then(faulty)
        given(payment, requested, started(), faulty).when(word(outcome=outcome, amount=1)).then_rejected(
            "WRONG_AMOUNT", owed="20000", amount="1"
        )


def test_a_forged_callback_is_noted_once_per_checkout() -> None:
    forged = replace(faulty, fault=CallbackFault.SIGNATURE, stated_amount=7)
    refuse = RefuseCallback(checkout_id="c1", stated_amount=7, at=NOW, by=VNPAY)
    given(payment, requested, started()).when(refuse).then(forged)
    given(payment, requested, started(), forged).when(refuse).then_nothing()
    given(payment, requested).when(refuse).then_rejected("CHECKOUT_NOT_FOUND", checkout_id="c1")


def test_other_callbacks() -> None:
    given(payment, requested, started()).when(word(outcome=PaymentOutcome.FAILED, provider_code="24")).then(failed)
    given(payment, requested, started(), failed).when(word(outcome=PaymentOutcome.FAILED)).then_nothing()
    given(payment, requested, started()).when(word(outcome=PaymentOutcome.UNSETTLED)).then_rejected(
        "OUTCOME_UNSETTLED", checkout_id="c1"
    )
    given(payment, requested, started()).when(word("c9")).then_rejected("CHECKOUT_NOT_FOUND", checkout_id="c9")
    given(payment, requested, started()).when(word(receipt_number="")).then_rejected("RECEIPT_NUMBER_MISSING")


def test_cash_pays_once_and_exactly() -> None:
    given(payment, requested, started()).when(count_cash).then(cash())
    given(payment, requested, cash()).when(replace(count_cash, payment_id="p2")).then_rejected(
        "ALREADY_PAID", receipt_number="R1"
    )
    given(payment, requested).when(replace(count_cash, amount=19_000)).then_rejected(
        "WRONG_AMOUNT", owed="20000", amount="19000"
    )
    given(payment, requested).when(replace(count_cash, receipt_number="")).then_rejected("RECEIPT_NUMBER_MISSING")
    given(payment, requested, cancelled(CancelCause.WITHDRAWN)).when(
        replace(count_cash, counter="P56.1")
    ).then_rejected("CANCELLED")


def test_a_counter_that_has_no_part_in_a_fee_learns_only_that_nothing_is_owed() -> None:
    elsewhere = replace(count_cash, counter="P56.9", payment_id="p2")
    given(payment, requested).when(elsewhere).then(replace(cash("p2"), counter="P56.9"))
    for settled in ((cash(),), (started(), confirmed()), (cancelled(CancelCause.REFUSED),)):
        given(payment, requested, *settled).when(elsewhere).then_rejected("NOTHING_OWED")
    for strange in (replace(decide_refund, agency="P56.9"), replace(give_back, counter="P56.9")):
        for history in ((), (cash(),), (started(), confirmed())):
            given(payment, requested, *history).when(strange).then_rejected("PAYMENT_NOT_FOUND")


@pytest.mark.parametrize(
    ("cause", "refunded_for"),
    [
        (CancelCause.REFUSED, RefundCause.DOSSIER_REFUSED),
        (CancelCause.WITHDRAWN, RefundCause.DOSSIER_WITHDRAWN),
        (CancelCause.STOPPED, RefundCause.DOSSIER_STOPPED),
        (CancelCause.FEE_CANCELLED, RefundCause.FEE_CANCELLED),
    ],
)
def test_an_ended_dossier_owes_nothing_and_gets_its_money_back(cause: CancelCause, refunded_for: RefundCause) -> None:
    given(payment, requested).when(cancel(cause)).then(cancelled(cause))
    given(payment, *paid).when(cancel(cause)).then(cancelled(cause), refund(refunded_for, by=SERVICE))
    given(payment, *paid, refund(DECIDED)).when(cancel(cause)).then(cancelled(cause))
    given(payment, requested, cancelled(CancelCause.STOPPED)).when(cancel(cause)).then_nothing()


def test_an_official_of_the_agency_decides_a_refund_once() -> None:
    decided = refund(DECIDED, by="approver-1", reason="thu nhầm")
    given(payment, *paid).when(decide_refund).then(decided)
    given(payment, *paid, decided).when(decide_refund).then_rejected("REFUND_ALREADY_REQUESTED")
    given(payment, *paid, decided, refunded(DECIDED)).when(decide_refund).then_rejected("ALREADY_REFUNDED")
    given(payment, *paid).when(replace(decide_refund, reason=Sealed(" "))).then_rejected("REASON_MISSING")
    other = (requested, started(), cash("p0"), surplus())
    given(payment, *other).when(replace(decide_refund, agency="P56.22.336")).then_rejected(
        "OTHER_AGENCY", agency="P56.1"
    )
    given(payment, requested).when(decide_refund).then_rejected("NOT_TAKEN", payment_id="p1")


def test_a_refund_that_failed_may_be_tried_again_and_keeps_its_cause() -> None:
    tried = (*paid, cancelled(CancelCause.REFUSED), refund(REFUSED), refund_failed())
    given(payment, *tried).when(decide_refund).then(refund(REFUSED, attempt=2, by="approver-1", reason="thu nhầm"))


def test_the_provider_settles_a_refund_once() -> None:
    confirm, fail = (
        ConfirmRefund(payment_id="p1", reference="rf1", at=NOW, by=VNPAY),
        FailRefund(payment_id="p1", attempt=1, provider_code="99", at=NOW, by=VNPAY),
    )
    asked = (*paid, refund(DECIDED))
    given(payment, *asked).when(confirm).then(refunded(DECIDED))
    given(payment, *asked, refunded(DECIDED)).when(confirm).then_nothing()
    given(payment, *asked).when(fail).then(refund_failed())
    given(payment, *asked, refund_failed()).when(fail).then_nothing()
    given(payment, *asked, refunded(DECIDED)).when(fail).then_nothing()
    given(payment, *asked, refund_failed(), refund(DECIDED, attempt=2)).when(
        fail
    ).then_nothing()  # late word on the first
    given(payment, *asked, refund_failed()).when(confirm).then(refunded(DECIDED))  # it went through all the same
    given(payment, *paid).when(confirm).then_rejected("REFUND_NOT_REQUESTED")
    given(payment, *paid).when(fail).then_rejected("REFUND_NOT_REQUESTED")
    given(payment, requested, cash()).when(confirm).then_rejected("OTHER_METHOD")
    given(payment, requested, cash()).when(fail).then_rejected("OTHER_METHOD")
    given(payment, requested).when(fail).then_rejected("NOT_TAKEN", payment_id="p1")


def test_cash_goes_back_over_the_counter_against_a_voucher() -> None:
    asked = (requested, cash(), refund(DECIDED, by="approver-1", method=PaymentMethod.CASH))
    returned = RefundConfirmed(
        **stamp(CASHIER), payment_id="p1", method=PaymentMethod.CASH, amount=20_000, cause=DECIDED, reference="V1"
    )
    given(payment, *asked).when(give_back).then(returned)
    given(payment, *asked, returned).when(give_back).then_rejected("ALREADY_REFUNDED")
    given(payment, requested, cash()).when(give_back).then_rejected("REFUND_NOT_REQUESTED")
    given(payment, *paid, refund(DECIDED)).when(replace(give_back, counter="P56.1")).then_rejected("OTHER_METHOD")
    given(payment, *asked).when(replace(give_back, voucher_number="")).then_rejected("VOUCHER_NUMBER_MISSING")
    other = (requested, started(), cash("p0"), surplus(), refund(SURPLUS))
    given(payment, *other).when(give_back).then_rejected("OTHER_AGENCY", agency="P56.1")
