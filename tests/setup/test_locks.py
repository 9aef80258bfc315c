"""The set-up takes what the locks list, whatever the registry offers meanwhile."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from scripts import images
from tests.setup.registry import Registry, listed

ROOT = Path(__file__).resolve().parent.parent.parent
# The set-up calls these.
WHOLE = {"setuptools", "uv"}
LOCKS = ("requirements.lock", "requirements-dev.lock")


def without_pip(versions: dict[str, str]) -> dict[str, str]:
    """Where the base has none, the environment is given one before its lock is read."""
    return {name: version for name, version in versions.items() if name != "pip"}


@dataclass(frozen=True)
class Tomorrow:
    """A copy of the project whose locks hold the registry's wheels, and the environment in which it is set up."""

    project: Path
    environment: dict[str, str]

    def make(self, target: str) -> subprocess.CompletedProcess[str]:
        command = ["make", target, f"PYTHON={sys.executable}"]
        return subprocess.run(
            command, cwd=self.project, env=self.environment, capture_output=True, text=True, check=False
        )

    def installed(self) -> dict[str, str]:
        [folder] = self.project.glob(".venv/lib/python3*/site-packages")
        found = {canonicalize_name(each.name): each.version for each in distributions(path=[str(folder)])}
        # The tool before it, and the project itself.
        return without_pip({name: found[name] for name in found.keys() - {"uv", "motcua", "motcua-api"}})


@pytest.fixture(scope="module")
def tomorrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tomorrow]:
    folder = tmp_path_factory.mktemp("tomorrow")
    project, registry = folder / "project", Registry(folder / "simple")
    for name in listed(ROOT / LOCKS[1]) | listed(ROOT / "scripts" / "uv.txt"):
        registry.offer(name, whole=name in WHOLE)
    for file in (
        "Makefile",
        "pyproject.toml",
        "README.md",
        "protos/pyproject.toml",
        "protos/README.md",
        "scripts/install",
    ):
        (project / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, project / file)
    for lock in (*LOCKS, "scripts/uv.txt"):
        (project / lock).write_text(registry.lock(listed(ROOT / lock)))
    with registry.serving() as address:
        ours = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_", "MAKE"))}
        cache = {"UV_CACHE_DIR": str(folder / "cache"), "PIP_NO_CACHE_DIR": "1"}
        # What this machine's own pip is told does not count.
        index = {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": address}
        yield Tomorrow(project, ours | cache | index)


@pytest.mark.long
def test_the_set_up_takes_what_the_locks_list(tomorrow: Tomorrow) -> None:
    """Given newer versions and extras of everything, when the project is set up, then what is listed is there, and no more."""
    done = tomorrow.make(".venv/run")
    assert done.returncode == 0, done.stdout + done.stderr
    assert tomorrow.installed() == without_pip(listed(ROOT / LOCKS[0]))

    done = tomorrow.make(".venv/dev")
    assert done.returncode == 0, done.stdout + done.stderr
    assert tomorrow.installed() == without_pip(listed(ROOT / LOCKS[1]))


@pytest.mark.long
def test_the_images_take_what_the_lock_lists(
    tomorrow: Tomorrow, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tool = tmp_path / "tool.txt"
    tool.write_text((tomorrow.project / "scripts" / "uv.txt").read_text())
    for name, value in tomorrow.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    monkeypatch.setattr(images, "LOCK", tomorrow.project / LOCKS[0])
    monkeypatch.setattr(images, "PIP", tool)
    wheels = {
        wheel.name.split("-")[0].replace("_", "-") for wheel in images.wheelhouse(tmp_path / "wheels").glob("*.whl")
    }
    assert wheels == set(listed(ROOT / LOCKS[0]))


@pytest.mark.long
def test_a_lock_that_lacks_something_is_noticed(tomorrow: Tomorrow) -> None:
    """Nothing is resolved, so what nobody listed would be missing at the first import."""
    lock = tomorrow.project / LOCKS[0]
    whole = lock.read_text()
    try:
        lock.write_text(re.sub(r"^protobuf==.*\n", "", whole, flags=re.MULTILINE))
        shutil.rmtree(tomorrow.project / ".venv", ignore_errors=True)
        done = tomorrow.make(".venv/run")
        assert done.returncode
        assert "protobuf" in done.stdout + done.stderr
        assert not (tomorrow.project / ".venv" / "run").exists()
    finally:
        lock.write_text(whole)
        shutil.rmtree(tomorrow.project / ".venv")


def test_nobody_resolves() -> None:
    """Every command that installs, downloads or makes wheels; what scripts/images.py downloads was seen above."""
    found = 0
    for name in ("Makefile", "images/Containerfile", "scripts/install", ".ci/run"):
        text = re.sub(r"\\\n\s*", " ", (ROOT / name).read_text())
        for command in re.findall(r"^.*\bpip\W.*\b(?:install|download|wheel)\b.*$", text, re.MULTILINE):
            found += 1
            assert "--no-deps" in command, f"{name}: {command.strip()}"
    assert found >= 7
