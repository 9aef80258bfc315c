"""What lists, reconciliations and the clock read. A single payment is read from its stream."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    delete,
    insert,
    select,
    update,
)

from motcua.dossier.events.v1 import events_pb2 as dossier
from motcua.payment.events.v1 import events_pb2 as e
from motcua.payment.v1.payment_pb2 import Payment, RefundStatus
from services.chassis.deciding.codec import from_timestamp
from services.chassis.deciding.facts import Fact
from services.chassis.following.views import Projection
from services.law.days import local_day
from services.payment.reading import apply

REQUESTED, FAILED = RefundStatus.REFUND_STATUS_REQUESTED, RefundStatus.REFUND_STATUS_FAILED

metadata = MetaData()
payments = Table(
    "payments_v3",
    metadata,
    Column("fee_id", String, primary_key=True),
    Column("code", String, nullable=False, index=True),
    Column("payer_id", String, nullable=False),
    Column("agency", String, nullable=False),
    # The agency whose cashier took cash.
    Column("counter", String, nullable=False, default=""),
    Column("status", Integer, nullable=False),
    Column("requested_at", DateTime(timezone=True), nullable=False),
    # Of the open checkout.
    Column("expires_at", DateTime(timezone=True), index=True),
    Column("payment", LargeBinary, nullable=False),
    Index("payments_v3_by_payer", "payer_id", "requested_at"),
    Index("payments_v3_by_agency", "agency", "requested_at"),
    Index("payments_v3_by_status", "agency", "status", "requested_at"),
    Index("payments_v3_by_counter", "counter", "requested_at"),
)
# Refunds that the provider has not answered yet.
refunds = Table(
    "refunds_v3",
    metadata,
    Column("payment_id", String, primary_key=True),
    Column("requested_at", DateTime(timezone=True), nullable=False),
    Column("requested", LargeBinary, nullable=False),
)
# Money in and out, as the Treasury reconciles it.
movements = Table(
    "movements_v3",
    metadata,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("day", String, nullable=False),
    Column("fee_id", String, nullable=False),
    Column("code", String, nullable=False),
    Column("payment_id", String, nullable=False, index=True),
    Column("agency", String, nullable=False),
    Column("method", Integer, nullable=False),
    Column("provider", String, nullable=False),
    Column("transaction_number", String, nullable=False),
    Column("receipt_number", String, nullable=False),
    Column("counter", String, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Index("movements_v3_by_day", "day", "agency", "at"),
)
# What came in another amount than was owed, until it is back.
unmatched = Table(
    "unmatched_v3",
    metadata,
    Column("payment_id", String, primary_key=True),
    Column("fee_id", String, nullable=False),
    Column("code", String, nullable=False),
    Column("payer_id", String, nullable=False),
    Column("agency", String, nullable=False),
    Column("provider", String, nullable=False),
    Column("transaction_number", String, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("owed", BigInteger, nullable=False),
    Column("paid_at", DateTime(timezone=True), nullable=False),
    Column("refund_status", Integer, nullable=False, default=0),
    Index("unmatched_v3_by_agency", "agency", "paid_at"),
)
# The fees of each dossier.
fees = Table(
    "fees_v3",
    metadata,
    Column("fee_id", String, primary_key=True),
    Column("code", String, nullable=False, index=True),
)

lists = Projection("payments_v3", metadata)


def _load(db: Connection, fee_id: str) -> Payment:
    return Payment.FromString(db.execute(select(payments.c.payment).where(payments.c.fee_id == fee_id)).scalar_one())


def _fold(db: Connection, fact: Fact[Any], **values: Any) -> Payment:
    payment = _load(db, fact.event.fee_id)
    apply(payment, fact.event, fact.revision)
    expires = from_timestamp(payment.checkout.expires_at) if payment.HasField("checkout") else None
    values |= {"status": payment.status, "expires_at": expires, "payment": payment.SerializeToString()}
    db.execute(update(payments).where(payments.c.fee_id == payment.fee_id).values(**values))
    return payment


def _move(db: Connection, fact: Fact[Any], at: datetime, **values: Any) -> None:
    event = fact.event
    row = {"fee_id": event.fee_id, "code": event.code, "payment_id": event.payment_id, "method": event.method}
    db.execute(insert(movements).values(position=fact.position, day=local_day(at), at=at, **row, **values))


@lists.on(dossier.FeeAssessed)
def fee_assessed(db: Connection, fact: Fact[dossier.FeeAssessed]) -> None:
    db.execute(insert(fees).values(fee_id=fact.event.fee_id, code=fact.event.code))


@lists.on(e.PaymentRequested)
def requested(db: Connection, fact: Fact[e.PaymentRequested]) -> None:
    payment = Payment()
    apply(payment, fact.event, fact.revision)
    db.execute(
        insert(payments).values(
            fee_id=payment.fee_id,
            code=payment.dossier_code,
            payer_id=payment.payer_id,
            agency=payment.agency,
            status=payment.status,
            requested_at=from_timestamp(payment.requested_at),
            payment=payment.SerializeToString(),
        )
    )


@lists.on(e.CheckoutStarted, e.CheckoutExpired, e.PaymentFailed, e.CallbackRefused, e.PaymentCancelled)
def moved_on(db: Connection, fact: Fact[Any]) -> None:
    _fold(db, fact)


@lists.on(e.PaymentConfirmed)
def confirmed(db: Connection, fact: Fact[e.PaymentConfirmed]) -> None:
    event = fact.event
    _fold(db, fact, counter=event.counter)
    _taken(db, fact, receipt_number=event.receipt_number, counter=event.counter)


@lists.on(e.SurplusReceived)
def surplus_received(db: Connection, fact: Fact[e.SurplusReceived]) -> None:
    _fold(db, fact)
    _taken(db, fact, receipt_number="", counter="")


@lists.on(e.UnmatchedReceived)
def unmatched_received(db: Connection, fact: Fact[e.UnmatchedReceived]) -> None:
    event = fact.event
    _fold(db, fact)
    _taken(db, fact, receipt_number="", counter="")
    db.execute(
        insert(unmatched).values(
            payment_id=event.payment_id,
            fee_id=event.fee_id,
            code=event.code,
            payer_id=event.payer_id,
            agency=event.agency,
            provider=event.provider,
            transaction_number=event.transaction,
            amount=event.amount,
            owed=event.owed,
            paid_at=from_timestamp(event.paid_at),
        )
    )


def _taken(db: Connection, fact: Fact[Any], **values: str) -> None:
    event = fact.event
    # The provider corrected an amount: it is the same money.
    if db.execute(delete(unmatched).where(unmatched.c.payment_id == event.payment_id)).rowcount:
        db.execute(delete(movements).where(movements.c.payment_id == event.payment_id))
    values |= {"agency": event.agency, "provider": event.provider, "transaction_number": event.transaction}
    _move(db, fact, from_timestamp(event.paid_at), amount=event.amount, **values)


@lists.on(e.RefundRequested)
def refund_requested(db: Connection, fact: Fact[e.RefundRequested]) -> None:
    event = fact.event
    _fold(db, fact)
    _refunding(db, fact, REQUESTED)
    if event.method == e.PaymentMethod.PAYMENT_METHOD_ONLINE:
        db.execute(
            insert(refunds).values(
                payment_id=event.payment_id,
                requested_at=from_timestamp(event.at),
                requested=event.SerializeToString(),
            )
        )


@lists.on(e.RefundFailed)
def refund_failed(db: Connection, fact: Fact[e.RefundFailed]) -> None:
    _fold(db, fact)
    _refunding(db, fact, FAILED)
    _settled(db, fact)


@lists.on(e.RefundConfirmed)
def refund_confirmed(db: Connection, fact: Fact[e.RefundConfirmed]) -> None:
    event = fact.event
    _fold(db, fact)
    _settled(db, fact)
    db.execute(delete(unmatched).where(unmatched.c.payment_id == event.payment_id))
    taken = db.execute(select(movements).where(movements.c.payment_id == event.payment_id)).one()
    cash = event.method == e.PaymentMethod.PAYMENT_METHOD_CASH
    _move(
        db,
        fact,
        from_timestamp(event.at),
        amount=-event.amount,
        agency=taken.agency,
        provider=taken.provider,
        transaction_number="" if cash else event.reference,
        receipt_number=event.reference if cash else "",
        counter=taken.counter,
    )


def _settled(db: Connection, fact: Fact[Any]) -> None:
    db.execute(delete(refunds).where(refunds.c.payment_id == fact.event.payment_id))


def _refunding(db: Connection, fact: Fact[Any], status: int) -> None:
    of = unmatched.c.payment_id == fact.event.payment_id
    db.execute(update(unmatched).where(of).values(refund_status=status))
