"""promtool and the Prometheus server, from Debian's package: unpacked once into build/tools, nothing is installed.

`python scripts/promtool.py` prints where promtool is; with arguments it runs it. The variable PROMTOOL names another binary.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "prometheus"


class PromtoolUnavailableError(RuntimeError):
    """Says why there is no promtool, and what to do."""

    def __init__(self, why: str) -> None:
        super().__init__(f"promtool cannot be fetched: {why}. Set PROMTOOL to the path of the binary, or fix this.")


def promtool(tools: Path = ROOT / "build" / "tools") -> Path:
    if given := os.environ.get("PROMTOOL"):
        if not os.access(given, os.X_OK):
            raise PromtoolUnavailableError(f"PROMTOOL={given} is not an executable file")
        return Path(given)
    if found := shutil.which("promtool"):
        return Path(found)
    binary = tools / PACKAGE / "usr" / "bin" / "promtool"
    if not binary.exists():
        fetch(tools)
    return binary


def fetch(tools: Path) -> None:
    """Raises PromtoolUnavailableError."""
    for needed in ("apt-get", "dpkg-deb"):
        if not shutil.which(needed):
            raise PromtoolUnavailableError(f"this is no Debian, {needed} is missing")
    tools.mkdir(parents=True, exist_ok=True)
    with (tools / "promtool.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # of apt-get's lists there is one
        if not (tools / PACKAGE).exists():
            _fetch(tools)


def _fetch(tools: Path) -> None:
    with tempfile.TemporaryDirectory(dir=tools) as folder:
        failed = _run("apt-get", "download", "-q", PACKAGE, cwd=folder)
        if failed:  # the lists may be missing, or name a version that was replaced
            _run("apt-get", "update", "-q", cwd=folder)
            failed = _run("apt-get", "download", "-q", PACKAGE, cwd=folder)
        packages = list(Path(folder).glob("*.deb"))
        if failed or len(packages) != 1:
            raise PromtoolUnavailableError(f"apt-get download {PACKAGE} failed: {failed}")
        unpacked = Path(folder, "unpacked")
        if failed := _run("dpkg-deb", "-x", str(packages[0]), str(unpacked), cwd=folder):
            raise PromtoolUnavailableError(f"dpkg-deb failed: {failed}")
        unpacked.rename(tools / PACKAGE)


def _run(*command: str, cwd: str) -> str:
    """What it complained of; empty if it did not."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    return (done.stderr.strip() or "no reason given")[-500:] if done.returncode else ""


if __name__ == "__main__":
    try:
        path = promtool()
    except PromtoolUnavailableError as unavailable:
        sys.exit(str(unavailable))
    if sys.argv[1:]:
        os.execv(path, [str(path), *sys.argv[1:]])
    print(path)
