"""What both profiles become: `python -m tests.charts.golden` writes them anew, and `git diff` shows what changed."""

from __future__ import annotations

from pathlib import Path

from tests.charts.chart import template

FOLDER = Path(__file__).parent


def path(profile: str) -> Path:
    return FOLDER / f"{profile}.yaml"


def rendered(profile: str) -> str:
    made = template(profile, {})
    assert made.returncode == 0, made.stderr
    return made.stdout
