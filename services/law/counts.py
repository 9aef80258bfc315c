"""How many of each unit a form's answers ask for, as the form's own hints say."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, TypeGuard

from services.law.definitions import Form
from services.law.forms import FormUnusable, parsed

MOST = 1_000_000


def counts(form: Form | None, answers: Mapping[str, Any]) -> dict[str, int]:
    """By unit, from the fields that count one: {"page": 12, "copy": 2}. What nobody asks for counts as not said."""
    if form is None:
        return {}
    found = {unit: answers.get(field) for field, unit in _counted(str(form.ui))}
    return {unit: int(value) for unit, value in found.items() if _is_number(value) and 1 <= value <= MOST}


def counted(form: Form | None) -> frozenset[str]:
    """The fields that say how many."""
    return frozenset(field for field, _ in _counted(str(form.ui))) if form else frozenset()


def _is_number(value: Any) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


@lru_cache(maxsize=512)
def _counted(ui: str) -> tuple[tuple[str, str], ...]:
    """None from hints that are none, as a definition published before they were checked may have."""
    try:
        hinted = parsed(ui)
    except FormUnusable:
        return ()
    fields = hinted.get("fields") if isinstance(hinted, dict) else None
    return tuple(
        (name, str(hints["count"]))
        for name, hints in (fields if isinstance(fields, dict) else {}).items()
        if isinstance(hints, dict) and "count" in hints
    )
