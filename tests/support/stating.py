"""What tests state beside a request: its headers stand among its fields, and are parted from them where it is sent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from services.chassis.calls.stated import DOSSIER, PURPOSE, STATEMENTS


def stating(purpose: str, dossier: str = "") -> dict[str, str]:
    """The headers of a purpose, and of the dossier that is its ground."""
    return {name: value for name, value in ((PURPOSE, purpose), (DOSSIER, dossier)) if value}


def parted(fields: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """The request's fields, and what is stated beside it."""
    asked = {name: value for name, value in fields.items() if name not in STATEMENTS}
    return asked, {name: value for name, value in fields.items() if name in STATEMENTS}


def reading_for(
    purpose: str, authorization: Iterable[tuple[str, str]], dossier: str = ""
) -> tuple[tuple[str, str], ...]:
    """The metadata of who reads for a purpose."""
    return (*authorization, *stating(purpose, dossier).items())
