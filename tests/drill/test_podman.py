"""What an interrupted drill left ends with the next one; a drill that goes on is left alone."""

from __future__ import annotations

import fcntl
from pathlib import Path

from tests.drill.podman import sweep


def test_what_nobody_holds_is_taken_away(tmp_path: Path) -> None:
    left, going_on, other = (tmp_path / name for name in ("drill-left", "drill-on", "else"))
    for folder in (left, going_on, other):
        (folder / "podman").mkdir(parents=True)
    with (going_on / "podman" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        sweep(tmp_path)
    assert sorted(tmp_path.iterdir()) == [going_on, other]
