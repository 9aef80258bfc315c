"""Money as the API has it, google.type.Money, and as it is counted: whole đồng."""

from __future__ import annotations

from google.type.money_pb2 import Money

DONG = "VND"


def to_money(amount: int) -> Money:
    return Money(currency_code=DONG, units=amount)


def from_money(money: Money) -> int:
    """The đồng that a message says. Raises ValueError for another currency, and for parts of a đồng."""
    if money.currency_code != DONG or money.nanos:
        raise ValueError(f"{money.units}.{money.nanos:09} {money.currency_code}")
    return money.units
