"""What the kernel says of a container's processes, seen from outside."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
CGROUPS = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Process:
    program: str
    user: int
    group: int
    capabilities: int
    no_new_privileges: bool
    filtered: bool
    """By seccomp."""


def processes(pid: int) -> list[Process]:
    """All in the cgroup of this one: the container's."""
    found = [_process(PROC / one) for one in (_cgroup(pid) / "cgroup.procs").read_text().split()]
    assert found, f"no process in the cgroup of {pid}"
    return found


def _process(path: Path) -> Process:
    status = dict(line.split(":\t", 1) for line in (path / "status").read_text().splitlines())
    return Process(
        status["Name"],
        int(status["Uid"].split()[1]),
        int(status["Gid"].split()[1]),
        int(status["CapEff"], 16) | int(status["CapPrm"], 16) | int(status["CapBnd"], 16),
        status["NoNewPrivs"] == "1",
        status["Seccomp"] == "2",
    )


def root_is_read_only(pid: int) -> bool:
    mounts = [line.split() for line in (PROC / str(pid) / "mountinfo").read_text().splitlines()]
    [options] = [mount[5].split(",") for mount in mounts if mount[4] == "/"]
    return "ro" in options


def memory_limit(pid: int) -> int:
    """In bytes."""
    folder = _cgroup(pid)
    [file] = [folder / name for name in ("memory.limit_in_bytes", "memory.max") if (folder / name).exists()]
    return int(file.read_text())


def _cgroup(pid: int) -> Path:
    """That of version 2 where it limits memory, else memory's of version 1."""
    for line in (PROC / str(pid) / "cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            return CGROUPS / "memory" / path.lstrip("/")
        if not controllers and (CGROUPS / path.lstrip("/") / "memory.max").exists():
            return CGROUPS / path.lstrip("/")
    raise AssertionError(f"process {pid} is in no cgroup that limits memory")
