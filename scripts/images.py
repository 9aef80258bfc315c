"""Builds the images `motcua` and `motcua-edge` with podman or docker, and writes what is in each into build/images.

A build sees no network: the wheels of requirements.lock are downloaded before, into build/wheelhouse, and checked against their
hashes then and again inside.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WHEELHOUSE = ROOT / "build" / "wheelhouse"
LOCK = ROOT / "requirements.lock"
PIP = ROOT / "images" / "pip.txt"
CONTAINERFILE = ROOT / "images" / "Containerfile"
# Of the base image; the wheels must be for it.
PYTHON = (3, 11)
# Image, target.
IMAGES = {"motcua": "services", "motcua-edge": "edge"}


class ImagesError(RuntimeError):
    """Says why no image can be built, and what to do."""


@dataclass(frozen=True)
class Engine:
    """podman or docker; `environment` is added to ours."""

    program: str
    environment: Mapping[str, str] = field(default_factory=dict)

    def run(self, *arguments: str, seconds: float | None = None) -> str:
        """What it printed. Raises ImagesError, also when it is not done within `seconds`."""
        try:
            done = subprocess.run(
                [self.program, *arguments],
                env=self.whole_environment,
                capture_output=True,
                text=True,
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise ImagesError(f"{self.program} {' '.join(arguments[:2])} is not done after {seconds} s") from None
        if done.returncode:
            said = (done.stderr or done.stdout).strip()[-3000:]
            raise ImagesError(f"{self.program} {arguments[0]} failed ({done.returncode}):\n{said}")
        return done.stdout

    @property
    def whole_environment(self) -> dict[str, str]:
        return {**os.environ, **self.environment}

    @property
    def is_podman(self) -> bool:
        return Path(self.program).name == "podman"


def engine() -> Engine:
    """Raises ImagesError."""
    for program in ("podman", "docker"):
        if shutil.which(program):
            return Engine(program)
    raise ImagesError("Neither podman nor docker is installed. On Debian: apt-get install podman buildah runc uidmap")


def wheelhouse(folder: Path = WHEELHOUSE) -> Path:
    """The wheels of requirements.lock, below tools/ the pip that installs them, and nothing else. Raises ImagesError."""
    stamp = hashlib.sha256(LOCK.read_bytes() + PIP.read_bytes()).hexdigest()
    if (folder / "locks.sha256").exists() and (folder / "locks.sha256").read_text() == stamp:
        return folder
    if sys.platform != "linux" or sys.version_info[:2] != PYTHON:
        wanted, here = ".".join(map(str, PYTHON)), f"{platform.python_version()} on {sys.platform}"
        raise ImagesError(f"The wheels are downloaded by Python {wanted} on Linux, as in the base; this is {here}.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".wheelhouse-", dir=folder.parent) as temporary:
        fresh = Path(temporary, "wheels")
        _download(LOCK, fresh)
        _download(PIP, fresh / "tools")
        (fresh / "locks.sha256").write_text(stamp)
        shutil.rmtree(folder, ignore_errors=True)
        fresh.replace(folder)
    return folder


def _download(lock: Path, folder: Path) -> None:
    command = [sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--only-binary", ":all:"]
    given = ["--no-deps", "--require-hashes", "-r", str(lock), "-d", str(folder)]
    done = subprocess.run([*command, *given], capture_output=True, text=True, check=False)
    if done.returncode:
        raise ImagesError(f"The wheels of {lock.name} cannot be downloaded:\n{done.stderr.strip()[-2000:]}")


@dataclass(frozen=True)
class Origin:
    """What the images are labelled with; the time of everything in them is that of the commit."""

    version: str
    revision: str
    epoch: str


def origin() -> Origin:
    """Raises ImagesError."""
    version = str(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"])
    changed = "-changed" if _git("status", "--porcelain", "--untracked-files=no") else ""
    return Origin(version, _git("rev-parse", "HEAD") + changed, _git("log", "-1", "--format=%ct"))


def _git(*arguments: str) -> str:
    done = subprocess.run(("git", *arguments), cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ImagesError(f"The images are labelled with their commit, and git says: {done.stderr.strip()}")
    return done.stdout.strip()


def build_all(engine: Engine, origin: Origin, *, base: str = "", tag: str = "", repository: str = "") -> dict[str, str]:
    """Each image's reference by its name. Raises ImagesError."""
    built: dict[str, str] = {}
    for name, target in IMAGES.items():
        reference = f"{repository}{name}:{tag or origin.version}"
        _build(engine, target, reference, origin, base, built.get("motcua", ""))
        built[name] = reference
    return built


def _build(engine: Engine, target: str, reference: str, origin: Origin, base: str, services: str) -> None:
    """`services` is the image that the edge adds to: it shares all of its layers, whatever was edited meanwhile."""
    arguments = {"VERSION": origin.version, "REVISION": origin.revision, "SOURCE_DATE_EPOCH": origin.epoch}
    arguments |= {"BASE": base} if base else {}
    arguments |= {"SERVICES": services} if services else {}
    options = [f"--build-arg={key}={value}" for key, value in arguments.items()]
    if engine.is_podman:
        options += [f"--timestamp={origin.epoch}"]
    place = ["--network=none", "--file", str(CONTAINERFILE), "--target", target, "--tag", reference, str(ROOT)]
    engine.run("build", *options, *place)


def main(arguments: Sequence[str] | None = None) -> None:
    from scripts import sbom

    parser = argparse.ArgumentParser(prog="make images", description=__doc__)
    parser.add_argument("--base", default="", help="the base image, by digest for a release")
    parser.add_argument("--tag", default="", help="the project's version if left out")
    parser.add_argument("--repository", default="", help="what stands before the images' names, with its slash")
    parser.add_argument("--wheels", action="store_true", help="fill build/wheelhouse and end, for another builder")
    given = parser.parse_args(arguments)
    try:
        wheelhouse()
        if given.wheels:
            return
        found, here = engine(), origin()
        built = build_all(found, here, base=given.base, tag=given.tag, repository=given.repository)
        for name, reference in built.items():
            listed = sbom.write(found, reference, ROOT / "build" / "images" / f"{name}.cdx.json")
            print(f"{reference}, its parts in {listed.relative_to(ROOT)}")
    except ImagesError as error:
        sys.exit(f"images: {error}")


if __name__ == "__main__":
    main()
