"""Receipt numbers are learnt from the log, whatever stands in it."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest
from sqlalchemy import Connection, create_engine

from motcua.payment.events.v1.events_pb2 import PaymentConfirmed
from services.payment.receipts import Series, _allocate, confirmed, metadata
from tests.support.facts import fact_of

AGENCY, DAY = "P56.1", "20260302"


@pytest.fixture
def db() -> Iterator[Connection]:
    engine = create_engine("sqlite://")
    metadata.create_all(engine)
    with engine.begin() as connection:
        yield connection
    engine.dispose()


def paid(number: str) -> PaymentConfirmed:
    return PaymentConfirmed(payment_id=str(uuid4()), receipt_number=number)


@pytest.mark.parametrize(
    "odd",
    [
        "",
        "R1",
        f"XX-{AGENCY}-{DAY}-000007",
        f"BL-{AGENCY}-{DAY}-7",
        f"BL-{AGENCY}-{DAY}-٠٠٠٠٠٧",
        "BL--20260302-000007\n",
    ],
)
def test_a_number_of_no_series_is_skipped_and_the_later_ones_are_learnt(db: Connection, odd: str) -> None:
    for number in (f"BL-{AGENCY}-{DAY}-000004", odd, f"BL-{AGENCY}-{DAY}-000009"):
        confirmed(db, fact_of(paid(number)))
    assert _allocate(db, Series.RECEIPT, AGENCY, DAY, str(uuid4())) == f"BL-{AGENCY}-{DAY}-000010"
