"""What editors send, read in a process that can read no file."""

from __future__ import annotations

from itertools import islice

from services.catalogue.linter import lint
from services.chassis.text import contact
from services.law.definitions import Procedure

MOST_FAULTS = 200

contact.load_all()


def linted(procedure: Procedure) -> list[tuple[str, str, str, str]]:
    """The first faults, as JSON has them: what a procedure costs is up to whoever wrote it."""
    return [(each.code, each.path, each.text.vi, each.text.en) for each in islice(lint(procedure), MOST_FAULTS)]
