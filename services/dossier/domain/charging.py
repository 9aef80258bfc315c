"""What is left to pay where the answers changed what is owed and some was paid. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from services.dossier.values import FeeItem


def total(items: Sequence[FeeItem]) -> int:
    return sum(item.amount for item in items)


def left(items: Sequence[FeeItem], paid: Sequence[FeeItem]) -> tuple[FeeItem, ...]:
    """The items less what was paid, without those of which nothing is left.

    A payment counts first for items of its own charge, then for the others; no item falls below zero, and what is left of the
    payment is dropped.
    """
    credit: dict[str, int] = {}
    for item in paid:
        credit[item.charge_code] = credit.get(item.charge_code, 0) + item.amount
    rest = [_less(item, credit, item.charge_code) for item in items]
    for code in list(credit):
        rest = [_less(item, credit, code) for item in rest]
    return tuple(item for item in rest if item.amount)


def _less(item: FeeItem, credit: dict[str, int], code: str) -> FeeItem:
    used = min(item.amount, credit.get(code, 0))
    if not used:
        return item
    credit[code] -= used
    return replace(item, amount=item.amount - used, waived=0)
