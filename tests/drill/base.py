"""The base image of the drill: Debian 12 with Python, made by debootstrap and kept for a week in the user's cache."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

SUITE = "bookworm"
# What images/Containerfile expects of its base.
PACKAGES = ("ca-certificates", "python3")
WEEK_SECONDS = 7 * 24 * 3600
# Downloaded, and of no use in an image.
LEFT_OUT = ("./var/cache/apt", "./var/lib/apt/lists", "./var/log", "./dev")


def tar() -> Path:
    """Raises CalledProcessError with debootstrap's output."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "motcua"
    cache.mkdir(parents=True, exist_ok=True)
    kept = cache / f"drill-{SUITE}-{'-'.join(PACKAGES)}.tar"
    with (cache / "drill.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists() or time.time() - kept.stat().st_mtime > WEEK_SECONDS:
            _make(kept)
    return kept


def _make(kept: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="drill-", dir=kept.parent) as folder:
        tree, fresh = Path(folder, "tree"), Path(folder, "base.tar")
        command = ["debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", SUITE, str(tree)]
        try:
            subprocess.run(command, check=True, capture_output=True, text=True)
            without = [f"--exclude={path}/*" for path in LEFT_OUT]
            subprocess.run(["tar", "-C", tree, *without, "--sort=name", "-cf", fresh, "."], check=True)
        finally:
            shutil.rmtree(tree, ignore_errors=True)
        fresh.replace(kept)
