"""What is stored and what the API says of it stay apart, and each stored value has its counterpart."""

from __future__ import annotations

import importlib
from enum import Enum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from motcua.payment.events.v1 import events_pb2 as stored
from motcua.payment.v1 import payment_pb2 as shown
from motcua.types.v1 import types_pb2 as types
from scripts.build_protos import ROOT, build
from services.chassis.calls.counterparts import CounterpartMissing, Messages, Values
from tests.support.messages import messages

build()
SERVICES = sorted(path.parent.name for path in (ROOT / "services").glob("*/counterparts.py"))
MODULES = [importlib.import_module(f"services.{name}.counterparts") for name in SERVICES]
PAIRS = [
    pytest.param(pair, id=f"{module.__name__.split('.')[1]}.{name}")
    for module in MODULES
    for name, pair in vars(module).items()
    if isinstance(pair, Values | Messages)
]
VALUES = [param for param in PAIRS if isinstance(param.values[0], Values)]
MESSAGES = [param for param in PAIRS if isinstance(param.values[0], Messages)]


@pytest.mark.parametrize("pair", VALUES)
def test_every_stored_value_has_one_in_the_api_and_comes_back_from_it(pair: Values[Any]) -> None:
    there = [number for name, number in pair.shown_type.items() if not name.endswith("_UNSPECIFIED")]
    assert sorted(pair.shown(pair.stored(number)) for number in there) == sorted(there)
    assert pair.shown(10_000) == 0


@pytest.mark.parametrize("pair", MESSAGES)
@given(data=st.data())
def test_what_is_stored_is_shown_whole(pair: Messages[Any, Any], data: st.DataObject) -> None:
    """Whatever is in it, also what is set to nothing."""
    fact = data.draw(messages(pair.stored_type, unknown=False))
    assert pair.stored(pair.shown(fact)) == fact


def test_what_only_one_side_has_stops_the_program() -> None:
    with pytest.raises(CounterpartMissing, match=r"motcua.payment.v1.PaymentMethod: only on one side: MAIL"):
        Values(Enum("PaymentMethod", ["ONLINE", "CASH", "MAIL"]), shown.PaymentMethod)
    with pytest.raises(CounterpartMissing, match=r"motcua.types.v1.FeeItem: only on one side: charge_code"):
        Messages(stored.FeeItem, types.FeeItem)
    with pytest.raises(CounterpartMissing, match=r"motcua.payment.v1.DaySum"):
        Messages(stored.PaymentRequested, shown.DaySum)
