"""What a site keeps is its user's own, also where the shell that starts it lets others read."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from services.chassis.files.private import FolderNotPrivate, keep_private, open_to_others
from tests.platform.deployment import TLS_ABOVE, Deployment


@pytest.fixture(autouse=True)
def _usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def modes(folder: Path) -> dict[str, str]:
    """Of everything that others may open, enter or change, links apart."""
    found = {}
    for root, folders, files in os.walk(folder):
        for path in (Path(root), *(Path(root) / name for name in (*folders, *files))):
            mode = path.lstat().st_mode
            if mode & 0o077 and not stat.S_ISLNK(mode):
                found[str(path.relative_to(folder))] = oct(stat.S_IMODE(mode))
    return found


def heard_by(pid: int) -> set[tuple[str, int]]:
    """Where the process and all that it started listen."""
    process = psutil.Process(pid)
    return {
        # gRPC listens on IPv4 by sockets of IPv6.
        (connection.laddr.ip.removeprefix("::ffff:"), connection.laddr.port)
        for each in (process, *process.children(recursive=True))
        for connection in each.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    }


@pytest.mark.long
@pytest.mark.parametrize("arguments", [(), ("--processes", "--database", "postgresql")], ids=["one", "processes"])
def test_a_data_folder_that_was_lived_in_is_closed(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    data = tmp_path / "data"
    deployment = Deployment(data, arguments=arguments)
    deployment.start()
    try:
        assert deployment.run("demo", "--dossiers", "3").returncode == 0
        assert modes(data) == {}
        # With sandboxes: on this machine only, Envoy and its TLS too, and its admin interface on no port at all.
        listening = heard_by(deployment.pid)
        assert {port for _, port in listening} >= {deployment.port, deployment.port + TLS_ABOVE}
        assert {host for host, _ in listening} == {"127.0.0.1"}
        backup = tmp_path / "backup"
        ran = deployment.run("backup", str(backup))
        assert ran.returncode == 0, ran.stderr
        assert modes(backup) == {}
    finally:
        deployment.stop()
    assert modes(data) == {}


def test_an_open_folder_of_ours_is_closed(tmp_path: Path) -> None:
    data = tmp_path / "data"
    (data / "secrets").mkdir(parents=True)
    (data / "secrets" / "master").write_text("x")
    os.symlink("/etc/hostname", data / "link")
    assert modes(data)
    assert open_to_others(data, 2) == [f"{data} (0755)", f"{data}/secrets (0755)"]
    keep_private(data)
    assert modes(data) == {}
    assert open_to_others(data, 2) == []
    keep_private(data)


def test_an_empty_one_is_closed_and_one_that_is_missing_is_made_so(tmp_path: Path) -> None:
    for folder in (tmp_path / "empty", tmp_path / "new" / "data"):
        if folder.name == "empty":
            folder.mkdir()
        keep_private(folder)
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    (tmp_path / "new" / "data" / "later").write_text("x")
    assert modes(tmp_path / "new") == {}


@pytest.mark.parametrize("mode", [0o755, 0o777, 0o1777])
def test_a_folder_of_others_is_not_touched(tmp_path: Path, mode: int) -> None:
    folder = tmp_path / "home"
    folder.mkdir()
    (folder / "letter.odt").write_text("x")
    folder.chmod(mode)
    with pytest.raises(FolderNotPrivate, match="give Motcua a folder of its own"):
        keep_private(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == mode
    ran = Deployment(folder).run("up")
    assert ran.returncode == 1
    assert "cannot be used: it may be read by others" in " ".join(ran.stderr.split())
    assert "Traceback" not in ran.stderr
