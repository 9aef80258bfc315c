"""A podman of the drill's own: its images, containers, networks and secrets lie in one folder and end with it."""

from __future__ import annotations

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
    for name, text in (("containers.conf", CONTAINERS), ("storage.conf", STORAGE)):
        (folder / name).write_text(text.format(folder=folder))
    path = os.pathsep.join((os.environ.get("PATH", ""), *SYSTEM_AT))
    files = {"CONTAINERS_CONF": folder / "containers.conf", "CONTAINERS_STORAGE_CONF": folder / "storage.conf"}
    engine = Podman("podman", {"PATH": path, "TMPDIR": str(folder)} | {key: str(file) for key, file in files.items()})
    try:
        yield engine
    finally:
        for arguments in (("pod", "rm", *END_AT_ONCE), ("rm", *END_AT_ONCE), ("network", "prune", "--force")):
            subprocess.run(["podman", *arguments], env=engine.whole_environment, capture_output=True, check=False)
        _unmount(folder)
        shutil.rmtree(folder)


def _unmount(folder: Path) -> None:
    mounted = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for path in sorted((path for path in mounted if path.startswith(f"{folder}/")), reverse=True):
        subprocess.run(["umount", path], check=True)
