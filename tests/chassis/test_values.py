"""Days and money, as the API has them."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.type import date_pb2, money_pb2
from google.type.date_pb2 import Date
from google.type.money_pb2 import Money
from hypothesis import example, given
from hypothesis import strategies as st

from services.chassis.calls import requests
from services.chassis.calls.days import from_day, to_day
from services.chassis.calls.money import from_money, to_money
from services.chassis.calls.statuses import RequestInvalid

Field = descriptor_pb2.FieldDescriptorProto
INT32 = st.integers(-(2**31), 2**31 - 1)
INT64 = st.integers(-(2**63), 2**63 - 1)


def values() -> type[Any]:
    """A request with days and money, one and many of them."""
    file = descriptor_pb2.FileDescriptorProto(name="values.proto", package="test.values", syntax="proto3")
    file.dependency.extend([date_pb2.DESCRIPTOR.name, money_pb2.DESCRIPTOR.name])
    message = file.message_type.add(name="ValuesRequest")
    for number, (name, kind) in enumerate((("day", "Date"), ("days", "Date"), ("fee", "Money"), ("fees", "Money")), 1):
        label = Field.LABEL_REPEATED if name.endswith("s") else Field.LABEL_OPTIONAL
        message.field.add(
            name=name, number=number, label=label, type=Field.TYPE_MESSAGE, type_name=f".google.type.{kind}"
        )
    pool = descriptor_pool.Default()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("test.values.ValuesRequest"))


ValuesRequest = values()


def faults(request: Any) -> list[str]:
    try:
        requests.check(request)
    except RequestInvalid as invalid:
        return [violation.field for violation in invalid.violations if violation.vi and violation.en]
    return []


@given(st.dates())
def test_a_day_is_the_same_on_the_way_there_and_back(day: date) -> None:
    sent = to_day(day.isoformat())
    assert (sent.year, sent.month, sent.day) == (day.year, day.month, day.day)
    assert from_day(sent) == day.isoformat()
    assert faults(ValuesRequest(day=sent, days=[sent])) == []


@given(st.builds(Date, year=INT32, month=INT32 | st.integers(0, 13), day=INT32 | st.integers(0, 32)))
@example(Date(year=2026, month=2, day=31))
@example(Date(year=0, month=3, day=2))
@example(Date(year=2026))
@example(Date(year=2026, month=3))
@example(Date(month=3, day=2))
@example(Date())
def test_a_day_that_there_is_not_is_refused_by_its_field(day: Date) -> None:
    try:
        there = date(day.year, day.month, day.day)
    except (ValueError, OverflowError):
        assert faults(ValuesRequest(day=day, days=[to_day("2026-03-02"), day])) == ["day", "days[1]"]
    else:
        assert from_day(day) == there.isoformat()


@pytest.mark.parametrize("text", ["x", "2026", "2026-3-2", "20260302", "2026-W10-1", "2026-02-31", "0000-03-02"])
def test_what_is_no_day_is_not_sent(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        to_day(text)


@given(INT64)
def test_money_is_the_same_on_the_way_there_and_back(amount: int) -> None:
    sent = to_money(amount)
    assert (sent.currency_code, sent.units, sent.nanos) == ("VND", amount, 0)
    assert from_money(sent) == amount
    assert faults(ValuesRequest(fee=sent, fees=[sent])) == []


@given(
    st.builds(Money, currency_code=st.text(max_size=4), units=INT64, nanos=INT32).filter(
        lambda money: money.currency_code != "VND" or money.nanos
    )
)
@example(Money())
@example(Money(units=1))
@example(Money(currency_code="vnd", units=1))
@example(Money(currency_code="VND", units=1, nanos=1))
def test_what_is_not_whole_dong_is_refused_by_its_field(money: Money) -> None:
    assert faults(ValuesRequest(fee=money, fees=[to_money(1), money])) == ["fee", "fees[1]"]


def test_a_day_and_money_may_be_left_out() -> None:
    requests.require_kinds(ValuesRequest.DESCRIPTOR)
    assert faults(ValuesRequest()) == []
