"""A ninth service is written by the program that writes one, and passes what every other passes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
LEFT = shutil.ignore_patterns(".venv", ".git", "data", "__pycache__", ".*_cache", ".hypothesis", "dist")
WRITTEN = ("services/booking", "tests/booking")
CHECKS = (
    (BIN / "ruff", "check", "."),
    (BIN / "ruff", "format", "--check", "."),
    (BIN / "lint-imports", "--no-cache"),
    (sys.executable, "-c", "import scripts.check_protos as c, sys; sys.exit(not c.lint())"),
    (BIN / "mypy", *WRITTEN),
    (
        sys.executable,
        "-m",
        "pytest",
        "-n0",
        "tests/booking",
        "tests/protos/test_refusals.py",
        "tests/setup/test_services.py",
        "tests/setup/test_rooms.py",
    ),
)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Of the repository, with what was built for it."""
    to = tmp_path / "motcua"
    shutil.copytree(ROOT, to, ignore=LEFT, symlinks=True)
    (to / ".venv").symlink_to(ROOT / ".venv")
    return to


def run(at: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join(map(str, (at, at / "protos")))
    return subprocess.run(
        words, cwd=at, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True, check=False
    )


@pytest.mark.long
def test_a_service_that_was_written_passes(copy: Path) -> None:
    made = run(copy, sys.executable, "-m", "scripts.new_service", "booking")
    assert made.returncode == 0, made.stderr
    for words in CHECKS:
        checked = run(copy, *words)
        assert checked.returncode == 0, f"{words}\n{checked.stdout}{checked.stderr}"


@pytest.mark.parametrize(
    ("name", "said"), [("Booking", "cannot be"), ("a", "cannot be"), ("dossier", "already"), ("status", "already")]
)
def test_a_name_that_cannot_be_one_or_is_taken_is_refused(name: str, said: str) -> None:
    refused = run(ROOT, sys.executable, "-m", "scripts.new_service", name)
    assert refused.returncode == 1
    assert said in refused.stderr
