"""Numbers of receipts and cash vouchers: agency, day and sequence; never twice, gaps allowed.

A payment that is asked about again finds the number that it was given. A lost database fills itself from the log before it
gives the next number.
"""

from __future__ import annotations

import re
from datetime import date
from enum import StrEnum
from typing import Any

import structlog
from sqlalchemy import Column, Connection, Integer, MetaData, String, Table, bindparam, select, update

from motcua.payment.events.v1.events_pb2 import PaymentConfirmed, PaymentMethod, RefundConfirmed
from services.chassis.database.database import insert_new
from services.chassis.deciding.facts import Fact
from services.chassis.following.views import Projection, RunningView

log = structlog.get_logger()

NUMBER = re.compile(r"^(?P<series>BL|PC)-(?P<agency>.+)-(?P<day>\d{8})-(?P<sequence>\d{6,9})$", re.ASCII)


class Series(StrEnum):
    RECEIPT = "BL"
    VOUCHER = "PC"


metadata = MetaData()
counters = Table(
    "receipt_counters",
    metadata,
    Column("series", String, primary_key=True),
    Column("agency", String, primary_key=True),
    Column("day", String, primary_key=True),
    Column("last", Integer, nullable=False),
)
given = Table(
    "receipts_given_v1",
    metadata,
    Column("series", String, primary_key=True),
    Column("payment_id", String, primary_key=True),
    Column("number", String, nullable=False),
)

_HERE = (
    (counters.c.series == bindparam("series_"))
    & (counters.c.agency == bindparam("agency_"))
    & (counters.c.day == bindparam("day_"))
)
_COUNT = update(counters).where(_HERE).values(last=counters.c.last + 1).returning(counters.c.last)
_RAISE = update(counters).where(_HERE, counters.c.last < bindparam("to")).values(last=bindparam("to"))

receipts = Projection("receipts_v1", metadata, kept=(counters,))


async def number_for(view: RunningView, series: Series, agency: str, day: date, payment_id: str) -> str:
    """The payment's number: the one it has, or a new one."""
    await view.caught_up.wait()
    return await view.write(lambda db: _allocate(db, series, agency, day.strftime("%Y%m%d"), payment_id))


def _allocate(db: Connection, series: Series, agency: str, day: str, payment_id: str) -> str:
    if (found := _given(db, series, payment_id)) is not None:
        return found
    here = {"series": series.value, "agency": agency, "day": day}
    insert_new(db, counters, here | {"last": 0})
    last = db.execute(_COUNT, {f"{key}_": value for key, value in here.items()}).scalar_one()
    row = {"series": series.value, "payment_id": payment_id, "number": f"{series}-{agency}-{day}-{last:06d}"}
    insert_new(db, given, row)
    # Of two replicas that give one payment a number at this moment, one was first.
    number = _given(db, series, payment_id)
    assert number
    return number


def _given(db: Connection, series: str, payment_id: str) -> str | None:
    query = select(given.c.number).where(given.c.series == series, given.c.payment_id == payment_id)
    return db.execute(query).scalar()


@receipts.on(PaymentConfirmed)
def confirmed(db: Connection, fact: Fact[PaymentConfirmed]) -> None:
    _learn(db, fact, fact.event.receipt_number)


@receipts.on(RefundConfirmed)
def refunded(db: Connection, fact: Fact[RefundConfirmed]) -> None:
    if fact.event.method == PaymentMethod.PAYMENT_METHOD_CASH:
        _learn(db, fact, fact.event.reference)


def _learn(db: Connection, fact: Fact[Any], number: str) -> None:
    match = NUMBER.match(number)
    if match is None:
        # An event is for ever: one odd number must not keep all later ones from being learnt. It is in no series, so it takes none.
        log.error("a stored receipt number is none of ours, skipped", number=number, stream=fact.stream)
        return
    here, sequence = match.groupdict(), int(match["sequence"])
    del here["sequence"]
    insert_new(db, counters, here | {"last": sequence})
    db.execute(_RAISE, {f"{key}_": value for key, value in here.items()} | {"to": sequence})
    insert_new(db, given, {"series": here["series"], "payment_id": fact.event.payment_id, "number": number})
