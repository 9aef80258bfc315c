"""What other systems' facts and commands speak of."""

from __future__ import annotations

import re
from dataclasses import dataclass

CLIENT_ID = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
PURPOSE = re.compile(r"[a-z]+(?:-[a-z]+)*")


@dataclass(frozen=True, slots=True)
class PurposeScope:
    """`agencies`: each with those below it."""

    purpose: str
    agencies: tuple[str, ...]
    procedures: tuple[str, ...] = ()
    all_procedures: bool = False
