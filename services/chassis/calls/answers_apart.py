"""Answers held against a form in a process that can read no file."""

from __future__ import annotations

import json

from services.chassis.text import contact
from services.law.forms import FormUnusable, compiled

contact.load_all()


def wrong(schema: str, answers: str, today: str) -> list[tuple[tuple[str, ...], str, str]] | None:
    """The faults of the answers, as JSON has them; None for an unusable schema."""
    try:
        form = compiled(schema)
    except FormUnusable:
        return None
    return [(each.path, each.rule, each.asked) for each in form.wrong(json.loads(answers), today)]
