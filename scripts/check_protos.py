"""buf lint, and buf breaking against the last release; without a network. protos/README.md says what may change."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from scripts.build_protos import ROOT, googleapis

BUF = Path(sys.executable).parent / "buf"


def lint(root: Path = ROOT) -> bool:
    with tempfile.TemporaryDirectory(prefix="buf-") as temporary:
        complete(Path(temporary, "now"), root / "protos" / "motcua")
        return buf(Path(temporary, "now"), "lint", "--path", "motcua")


def breaking(root: Path = ROOT) -> bool:
    """Whether nothing broke."""
    with tempfile.TemporaryDirectory(prefix="buf-") as temporary:
        now, before = Path(temporary, "now"), Path(temporary, "before")
        complete(now, root / "protos" / "motcua")
        if not buf(now, "build", "-o", "image.binpb"):
            return False
        released, base = baseline(root)
        with tarfile.open(fileobj=io.BytesIO(git(root, "archive", base, "protos/motcua"))) as tar:
            tar.extractall(Path(temporary, base), filter="data")
        complete(before, Path(temporary, base, "protos", "motcua"))
        print(f"compared with {base}")
        stored, api = split(before)
        good = buf(before, "build", "-o", "image.binpb")
        return good and compare(before, now, stored + api if released else stored)


def compare(before: Path, now: Path, packages: list[Path]) -> bool:
    gone = [package for package in packages if not (now / package).exists()]
    for package in gone:
        print(f"protos/{package} was deleted")
    paths = [f"--path={package}" for package in packages if package not in gone]
    arguments = ["breaking", "image.binpb", "--against", str(before / "image.binpb"), *paths]
    return not gone and (not paths or buf(now, *arguments))


def complete(workspace: Path, protos: Path) -> None:
    """A workspace of its own with what the protos import, because buf would fetch that from its registry."""
    shutil.copytree(
        protos, workspace / "motcua", ignore=lambda at, names: {n for n in names if n.endswith((".py", ".pyi"))}
    )
    for package in ("google/api", "google/rpc", "google/type"):
        (workspace / package).mkdir(parents=True)
        for proto in (googleapis() / package).glob("*.proto"):
            shutil.copy(proto, workspace / package)
    shutil.copy(ROOT / "protos" / "buf.yaml", workspace)


def split(before: Path) -> tuple[list[Path], list[Path]]:
    """The packages of what is stored for ever, and those of the API."""
    packages = sorted({proto.parent.relative_to(before) for proto in (before / "motcua").rglob("*.proto")})
    stored = [p for p in packages if {"events", "options"} & set(p.parts)]
    return stored, [p for p in packages if p not in stored]


def baseline(root: Path) -> tuple[bool, str]:
    if tags := git(root, "tag", "--list", "v*", "--sort=-version:refname").decode().split():
        return True, tags[0]
    changed = git(root, "status", "--porcelain", "--untracked-files=no", "--", "protos/motcua")
    return False, "HEAD" if changed else "HEAD~1"


def git(root: Path, *arguments: str) -> bytes:
    done = subprocess.run(("git", *arguments), cwd=root, stdout=subprocess.PIPE)
    if done.returncode:
        raise SystemExit("the protos are compared with an earlier commit: this needs a git checkout with history")
    return done.stdout


def buf(workspace: Path, *arguments: str) -> bool:
    done = subprocess.run((BUF, *arguments), cwd=workspace, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    print(done.stdout, end="")
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(not (lint() and breaking()))
