"""What a caller states beside a request: for which purpose it reads others' data, and because of which of their dossiers.

In metadata (gRPC) and headers (JSON): every proxy on its way writes a request's address down, with its query. A statement is
no part of what is asked for, so that a client may send it with all of its calls: where nothing is opened it is not read.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from motcua.options.v1.options_pb2 import Text
from services.chassis.calls import requests
from services.chassis.calls.statuses import Violation

PURPOSE = "motcua-purpose"
DOSSIER = "motcua-dossier"
STATEMENTS = {PURPOSE: Text.TEXT_KEY, DOSSIER: Text.TEXT_DOSSIER_CODE}


@dataclass(frozen=True, slots=True)
class Stated:
    purpose: str = ""
    dossier: str = ""
    """Its code."""


NOTHING = Stated()


def stated_in(metadata: Iterable[tuple[str, str | bytes]], violations: list[Violation]) -> Stated:
    """`violations`: what is wrong with the statements is added to them."""
    found = dict.fromkeys(STATEMENTS, "")
    seen: set[str] = set()
    for name, value in metadata:
        if name not in STATEMENTS:
            continue
        if name in seen:
            violations.append(Violation(name, "Tiêu đề này xuất hiện hai lần.", "The header stands there twice."))
        seen.add(name)
        found[name] = requests.text(STATEMENTS[name], str(value), name, violations)
    return Stated(found[PURPOSE], found[DOSSIER])
