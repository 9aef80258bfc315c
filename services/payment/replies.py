"""Rows of the view as the API's messages."""

from __future__ import annotations

from typing import Any

from motcua.payment.v1 import payment_pb2
from services.chassis.database.database import utc
from services.chassis.deciding.codec import to_timestamp
from services.payment.counterparts import METHOD


def unmatched_of(row: Any) -> payment_pb2.UnmatchedMoney:
    return payment_pb2.UnmatchedMoney(
        fee_id=row.fee_id,
        payment_id=row.payment_id,
        dossier_code=row.code,
        agency=row.agency,
        provider=row.provider,
        transaction=row.transaction_number,
        amount=row.amount,
        owed=row.owed,
        paid_at=to_timestamp(utc(row.paid_at)),
        refund_status=row.refund_status,
    )


def movement_of(row: Any) -> payment_pb2.Movement:
    return payment_pb2.Movement(
        fee_id=row.fee_id,
        dossier_code=row.code,
        payment_id=row.payment_id,
        agency=row.agency,
        method=METHOD.shown(row.method),
        provider=row.provider,
        transaction=row.transaction_number,
        receipt_number=row.receipt_number,
        counter=row.counter,
        amount=row.amount,
        # SQLite gives back moments without their zone; all are UTC.
        at=to_timestamp(utc(row.at)),
    )


def sum_of(row: Any) -> payment_pb2.DaySum:
    return payment_pb2.DaySum(
        agency=row.agency,
        method=METHOD.shown(row.method),
        provider=row.provider,
        taken_count=row.taken_count,
        taken=int(row.taken),
        refunded_count=row.refunded_count,
        refunded=int(row.refunded),
    )
