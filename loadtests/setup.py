"""How long the set-up takes beside a bare download and unpacking of the same wheels: python -m loadtests.setup [--rounds 3].

Both begin with nothing kept from before, in turns. What the registry takes to answer is in both.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import httpx

ROOT = Path(__file__).resolve().parent.parent
LISTS = ("requirements.lock", "scripts/uv.txt")
AT_ONCE = 8


def addresses() -> list[str]:
    """Of the wheels that the set-up installs on this machine, as pip finds them."""
    lists = [part for name in LISTS for part in ("-r", str(ROOT / name))]
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "install", "-q", "--dry-run", "--ignore-installed", "--no-deps", *lists]
        report = Path(folder, "report.json")
        subprocess.run([*command, "--report", str(report)], check=True, stderr=subprocess.DEVNULL)
        return [each["download_info"]["url"] for each in json.loads(report.read_text())["install"]]


def bare(wheels: list[str], folder: Path) -> float:
    """Seconds."""
    began = time.perf_counter()
    with httpx.Client(timeout=60) as client, ThreadPoolExecutor(AT_ONCE) as pool:

        def fetch(at: int) -> None:
            wheel = folder / f"{at}.whl"
            if wheels[at].startswith("file:"):
                shutil.copy(url2pathname(urlsplit(wheels[at]).path), wheel)
            else:
                _download(client, wheels[at], wheel)
            zipfile.ZipFile(wheel).extractall(folder / "unpacked")

        list(pool.map(fetch, range(len(wheels))))
    return time.perf_counter() - began


def _download(client: httpx.Client, address: str, wheel: Path) -> None:
    with client.stream("GET", address) as reply, wheel.open("wb") as file:
        reply.raise_for_status()
        for chunk in reply.iter_bytes():
            file.write(chunk)


def set_up(folder: Path) -> float:
    """Seconds of the README's set-up in a fresh clone, without what is built from the protos."""
    clone = folder / "clone"
    subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
    fresh = {"UV_CACHE_DIR": str(folder / "cache"), "PIP_NO_CACHE_DIR": "1"}
    began = time.perf_counter()
    subprocess.run(
        ["make", ".venv/run"],
        cwd=clone,
        env=os.environ | fresh,
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m loadtests.setup", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    wheels, ratios = addresses(), []
    for number in range(1, rounds + 1):
        with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
            unpacked, ready = bare(wheels, Path(one)), set_up(Path(other))
        ratios.append(ready / unpacked)
        print(f"round {number}: bare {unpacked:.1f} s, set-up {ready:.1f} s, ratio {ratios[-1]:.2f}", flush=True)
    print(f"{len(wheels)} wheels; the median ratio is {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main()
