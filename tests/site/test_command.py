"""The same by the command, as an operator meets it: one line, exit code 1, no traceback; and always to be interrupted."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.backup.site import SECRETS
from tests.platform.deployment import Deployment
from tests.site.lived import Lived
from tests.support.waiting import eventually

pytestmark = pytest.mark.long

ENVIRONMENT = {f"MOTCUA_{name.upper()}": value for name, value in SECRETS.items()}


STARTS = [("up",), ("up", "--processes"), ("serve", "identity"), ("serve", "sandbox"), ("serve", "warehouse")]


def deployment(lived: Lived, folder: Path, *arguments: str) -> Deployment:
    shutil.copytree(lived.stopped, folder / "data")
    return Deployment(folder / "data", settings=dict(ENVIRONMENT), arguments=arguments)


def refused(ran: subprocess.CompletedProcess[str], *words: str) -> None:
    assert ran.returncode == 1, ran.stderr
    assert "Traceback" not in ran.stdout + ran.stderr
    _first, *more = ran.stderr.splitlines()
    assert len(more) <= 1, ran.stderr  # what to do
    for word in words:
        assert word in ran.stderr


@pytest.mark.parametrize(
    "arguments",
    [("up",), ("up", "--processes"), ("serve", "identity"), ("serve", "sandbox"), ("serve", "warehouse")],
    ids=" ".join,
)
def test_a_log_that_is_lost(lived: Lived, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    there = deployment(lived, tmp_path)
    (there.data / "events.db").unlink()
    there.settings |= {"MOTCUA_IDENTITY_ADDRESS": "127.0.0.1:9"}
    refused(there.run(*arguments), "events.db is empty or missing", "docs/backup.md")
    assert not (there.data / "events.db").exists()


@pytest.mark.parametrize("site", ["vn-52", "vn"])
@pytest.mark.parametrize("arguments", [("up",), ("serve", "identity")], ids=" ".join)
def test_a_setting_that_names_another_site(lived: Lived, tmp_path: Path, arguments: tuple[str, ...], site: str) -> None:
    there = deployment(lived, tmp_path)
    there.settings |= {"MOTCUA_IDENTITY_ADDRESS": "127.0.0.1:9", "MOTCUA_SITE": site}
    refused(there.run(*arguments), f"MOTCUA_SITE is {site}, and", "is the log of the site vn-56")


@pytest.mark.parametrize("site", ["vn-99", "vn-00", "vn-57"])
def test_a_site_that_is_none_is_not_founded(tmp_path: Path, site: str) -> None:
    there = Deployment(tmp_path / "data", settings={"MOTCUA_SITE": site})
    refused(there.run("up"), f"MOTCUA_SITE is {site}, and no province has this code", "56")
    assert not (there.data / "events.db").exists()


@pytest.mark.parametrize("command", [("up",), ("serve", "identity"), ("doctor",)], ids=" ".join)
def test_a_damaged_page(lived: Lived, tmp_path: Path, command: tuple[str, ...]) -> None:
    there = deployment(lived, tmp_path)
    with (there.data / "events.db").open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(4096))
    ran = there.run(*command)
    assert ran.returncode == 1
    assert "events.db is damaged" in ran.stdout + ran.stderr
    assert "docs/backup.md" in ran.stdout + ran.stderr
    assert "Traceback" not in ran.stdout + ran.stderr


def test_a_file_that_another_process_holds(lived: Lived, tmp_path: Path) -> None:
    there = deployment(lived, tmp_path)
    with closing(sqlite3.connect(there.data / "keys.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        refused(there.run("up"), "keys.db is locked by another process")


def test_a_folder_where_a_file_should_be(lived: Lived, tmp_path: Path) -> None:
    there = deployment(lived, tmp_path)
    for name, other in (("events.db", "events.db is no file"), ("views/status.db", "status.db is no file")):
        (there.data / name).rename(tmp_path / "away")
        (there.data / name).mkdir()
        refused(there.run("up"), other)
        (there.data / name).rmdir()
        (tmp_path / "away").rename(there.data / name)
    (there.data / "blobs").rename(tmp_path / "away")
    (there.data / "blobs").touch()
    refused(there.run("up"), "blobs is no folder")
    (tmp_path / "file").touch()
    refused(Deployment(tmp_path / "file", settings=ENVIRONMENT).run("up"), "The data folder", "cannot be made")


@contextmanager
def mounted(folder: Path, *options: str) -> Iterator[None]:
    """A file system of its own; where none can be mounted, the test says why, and CI takes that for a failure."""
    tried = subprocess.run(["mount", *options, str(folder)], capture_output=True, text=True, check=False)
    if tried.returncode:
        if os.environ.get("CI"):
            pytest.fail(f"nothing can be mounted here: {tried.stderr}")
        pytest.skip(f"nothing can be mounted here: {tried.stderr}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("kibibytes", [300, 1500, 2500, 4000])
def test_a_disk_that_is_full(tmp_path: Path, kibibytes: int) -> None:
    """While the site is made, or while its sample catalogue is."""
    disk = tmp_path / "disk"
    disk.mkdir()
    with mounted(disk, "-t", "tmpfs", "-o", f"size={kibibytes}k", "tmpfs"):
        ran = Deployment(disk / "data").run("up")
        refused(ran, "Is there room on the disk")
        assert "full" in ran.stderr or "No space left" in ran.stderr


def test_a_folder_that_cannot_be_written(lived: Lived, tmp_path: Path) -> None:
    there = deployment(lived, tmp_path)
    (tmp_path / "seen").mkdir()
    with mounted(tmp_path / "seen", "--bind", str(there.data)):
        subprocess.run(["mount", "-o", "remount,ro,bind", str(tmp_path / "seen")], check=True)
        refused(Deployment(tmp_path / "seen", settings=ENVIRONMENT).run("up"), "Read-only file system")


def test_a_running_site_whose_log_is_taken_away_ends_and_does_not_start_again(lived: Lived, tmp_path: Path) -> None:
    there = deployment(lived, tmp_path)
    there.start()
    said = there.run("up")
    refused(said, "is in use by another running platform")
    (there.data / "events.db").rename(tmp_path / "away")
    assert there._process
    eventually(lambda: there._process and there._process.poll() is not None)
    assert there._process.returncode == 1
    assert "events.db was removed or replaced while the site ran, and the site was stopped" in there.output()
    assert "Traceback" not in there.output()
    refused(there.run("up"), "events.db is empty or missing")


def test_a_damaged_view_is_set_aside_by_the_start(lived: Lived, tmp_path: Path) -> None:
    there = deployment(lived, tmp_path)
    with (there.data / "views" / "status.db").open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(4096))
    there.start()
    there.stop()
    assert "status.db is damaged" in there.output()
    assert "folded anew from the log" in there.output()
    assert list((there.data / "views").glob("status.db.damaged-*"))
    # A clean stop leaves nothing beside the files.
    assert list(there.data.rglob("*.db-wal")) == []


def test_a_start_can_be_interrupted(lived: Lived, tmp_path: Path) -> None:
    """Also while it waits for what never comes."""
    there = deployment(lived, tmp_path)
    with closing(sqlite3.connect(there.data / "keys.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        (there.data / "lock").unlink(missing_ok=True)
        there.launch()
        eventually((there.data / "lock").exists)
        os.kill(there.pid, signal.SIGINT)
        assert there._process
        assert there._process.wait(30) in (0, 1, 130)
    assert "Traceback" not in there.output()
