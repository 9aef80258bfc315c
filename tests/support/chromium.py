"""The system's Chromium under test, and the rules of accessibility. Without Chromium a test fails; it is not skipped."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

PATH = shutil.which("chromium") or shutil.which("google-chrome") or "/usr/bin/chromium"
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
RULES = {
    "resultTypes": ["violations"],
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
}
# What another width or another colour scheme can break.
LOOKS = {"resultTypes": ["violations"], "runOnly": {"type": "rule", "values": ["color-contrast", "target-size"]}}
FITS = "document.documentElement.scrollWidth <= innerWidth"


def require() -> None:
    if not Path(PATH).exists():
        pytest.fail("Chromium is missing: install it, for example with `apt-get install chromium`", pytrace=False)


def faults(response: dict[str, Any]) -> list[tuple[str, list[str]]]:
    return [(found["id"], [node["html"] for node in found["nodes"]]) for found in response["violations"]]
