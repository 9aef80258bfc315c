"""A podman of the drill's own: its images, containers, networks and secrets lie in one folder and end with it.

Not the names that netavark's server answers with: they lie in /run for all. What a drill that was interrupted left there is
answered beside what is true, so the next one takes it away first.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from scripts.images import PYTHON, Engine

PROGRAMS = ("podman", "runc", "conmon", "iptables", "debootstrap")
# Which podman looks for in its own folders.
HELPERS = ("netavark", "aardvark-dns", "catatonit")
HELPERS_AT = (
    "/usr/lib/podman",
    "/usr/libexec/podman",
    "/usr/local/lib/podman",
    "/usr/local/libexec/podman",
    "/usr/bin",
)
SYSTEM_AT = ("/usr/local/sbin", "/usr/sbin", "/sbin")
ADVICE = "apt-get install podman buildah runc netavark aardvark-dns catatonit conmon uidmap iptables debootstrap"

# crun refuses cgroups of versions 1 and 2 side by side; journald may be absent; locks in shared memory would be shared with
# the machine's own podman.
CONTAINERS = """
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=4096:4096"]
log_driver = "k8s-file"
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
lock_type = "file"
tmp_dir = "{folder}/tmp"
[network]
network_backend = "netavark"
network_config_dir = "{folder}/networks"
"""
STORAGE = """
[storage]
driver = "overlay"
runroot = "{folder}/run"
graphroot = "{folder}/graph"
"""
END_AT_ONCE = ("--all", "--force", "--time", "0")
# Below /var/tmp; in each the folder of its podman, which its drill holds locked.
DRILLS = ("/var/tmp", "drill-")


def why_not() -> str:
    """Why the drill cannot run here; empty if it can."""
    if os.geteuid() != 0:
        return "the drill limits memory and makes networks, which needs root"
    if sys.version_info[:2] != PYTHON:
        return f"the wheels and the stand-ins are those of Python {'.'.join(map(str, PYTHON))}, as in the images"
    path = os.pathsep.join((os.environ.get("PATH", ""), *SYSTEM_AT))
    missing = [program for program in PROGRAMS if not shutil.which(program, path=path)]
    missing += [helper for helper in HELPERS if not shutil.which(helper, path=os.pathsep.join(HELPERS_AT))]
    return f"{', '.join(missing)} not installed: {ADVICE}" if missing else ""


class Podman(Engine):
    def inspect(self, kind: str, name: str) -> Any:
        found = json.loads(self.run(kind, "inspect", name))
        return found[0] if isinstance(found, list) else found


@contextmanager
def podman(folder: Path) -> Iterator[Podman]:
    """Whatever happens, nothing of it is left. Raises ImagesError."""
    folder.mkdir(parents=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        sweep()
        for name, text in (("containers.conf", CONTAINERS), ("storage.conf", STORAGE)):
            (folder / name).write_text(text.format(folder=folder))
        try:
            yield _of(folder)
        finally:
            _end(folder)


def sweep(place: Path = Path(DRILLS[0])) -> None:
    """End what drills left that were interrupted."""
    for folder in place.glob(f"{DRILLS[1]}*/podman"):
        with (folder / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            _end(folder)
        shutil.rmtree(folder.parent)


def _of(folder: Path) -> Podman:
    path = os.pathsep.join((os.environ.get("PATH", ""), *SYSTEM_AT))
    files = {"CONTAINERS_CONF": folder / "containers.conf", "CONTAINERS_STORAGE_CONF": folder / "storage.conf"}
    return Podman("podman", {"PATH": path, "TMPDIR": str(folder)} | {key: str(file) for key, file in files.items()})


def _end(folder: Path) -> None:
    if all((folder / name).exists() for name in ("containers.conf", "storage.conf")):
        for arguments in (("pod", "rm", *END_AT_ONCE), ("rm", *END_AT_ONCE), ("network", "prune", "--force")):
            subprocess.run(["podman", *arguments], env=_of(folder).whole_environment, capture_output=True, check=False)
    _unmount(folder)
    shutil.rmtree(folder)


def _unmount(folder: Path) -> None:
    mounted = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for path in sorted((path for path in mounted if path.startswith(f"{folder}/")), reverse=True):
        subprocess.run(["umount", path], check=True)
