"""What differs between two versions of anything that JSON holds."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.dossier.comparing import ABSENT, Change, changes

plain = st.none() | st.booleans() | st.integers(-3, 3) | st.floats(-2, 2) | st.sampled_from(["", "a", "1"])
anything = st.recursive(
    plain, lambda below: st.lists(below, max_size=3) | st.dictionaries(st.sampled_from("abc"), below, max_size=3)
)


def patched(value: Any, change: Change) -> Any:
    """The value after the one change."""
    if not change.path:
        return change.after
    *way, last = change.path.split(".")
    at = value
    for name in way:
        at = at[int(name)] if isinstance(at, list) else at[name]
    if isinstance(at, list):
        if change.after is ABSENT:
            at.pop()
        elif int(last) == len(at):
            at.append(change.after)
        else:
            at[int(last)] = change.after
    elif change.after is ABSENT:
        del at[last]
    else:
        at[last] = change.after
    return value


def same(one: Any, other: Any) -> bool:
    """As JSON texts, in which 1 is not true; numbers are one kind."""

    def numbers(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: numbers(below) for name, below in value.items()}
        if isinstance(value, list):
            return [numbers(below) for below in value]
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else value

    texts = (json.dumps(numbers(value), sort_keys=True).replace("-0.0", "0.0") for value in (one, other))
    return next(texts) == next(texts)


@given(anything, anything)
def test_the_changes_lead_from_the_one_to_the_other(before: Any, after: Any) -> None:
    found = changes(before, after)
    assert (found == []) is same(before, after)
    reached = json.loads(json.dumps(before))
    # Of a list's end, the last goes first.
    removed = [change for change in found if change.after is ABSENT]
    for change in [*(change for change in found if change.after is not ABSENT), *reversed(removed)]:
        reached = patched(reached, change)
    assert same(reached, after)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"name": "A"}, {"name": "A"}, []),
        ({"name": "A"}, {"name": "B"}, [Change("name", "A", "B")]),
        ({}, {"name": None}, [Change("name", ABSENT, None)]),
        ({"late": True}, {"late": 1}, [Change("late", True, 1)]),
        ({"count": 1}, {"count": 1.0}, []),
        (
            {"children": [{"name": "A"}, {"name": "B"}]},
            {"children": [{"name": "C"}]},
            [Change("children.0.name", "A", "C"), Change("children.1", {"name": "B"}, ABSENT)],
        ),
    ],
)
def test_changes(before: Any, after: Any, expected: list[Change]) -> None:
    assert changes(before, after) == expected
