"""buf lint, and buf breaking against the last commit and the baseline; without a network. protos/README.md says what may change."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorSet

from scripts.build_protos import ROOT, googleapis

BUF = Path(sys.executable).parent / "buf"
IMAGE = "image.binpb"
# What is promised, as an image of the protos.
BASELINE = Path("protos", "baseline.binpb")


def lint(root: Path = ROOT) -> bool:
    with tempfile.TemporaryDirectory(prefix="buf-") as temporary:
        complete(Path(temporary, "now"), root / "protos" / "motcua")
        return buf(Path(temporary, "now"), "lint", "--path", "motcua")


def breaking(root: Path = ROOT) -> bool:
    """Whether nothing broke: of stored facts since the last commit, of everything since the baseline."""
    with tempfile.TemporaryDirectory(prefix="buf-") as temporary:
        now = Path(temporary, "now")
        complete(now, root / "protos" / "motcua")
        if not buf(now, "build", "-o", IMAGE):
            return False
        before = of_commit(root, last_commit(root), Path(temporary, "before"))
        stored = [package for package in packages(before) if {"events", "options"} & set(package.parts)]
        good = compare(before, now, stored)
        baseline = root / BASELINE
        if not baseline.exists():
            print(f"there is no {BASELINE} yet: only what is stored was compared")
            return good
        kept = of_image(baseline, Path(temporary, "baseline"))
        return good & compare(kept, now, packages(kept)) & covers_release(root, kept, Path(temporary, "released"))


def build_baseline(root: Path = ROOT) -> bool:
    """Write the image anew: with what was added since, and never with what broke."""
    with tempfile.TemporaryDirectory(prefix="buf-") as temporary:
        now, baseline = Path(temporary, "now"), root / BASELINE
        complete(now, root / "protos" / "motcua")
        built = buf(now, "build", "-o", IMAGE) and buf(now, "build", "--exclude-source-info", "-o", "bare.binpb")
        if built and baseline.exists():
            kept = of_image(baseline, Path(temporary, "baseline"))
            built = compare(kept, now, packages(kept))
        if built:
            shutil.copy(now / "bare.binpb", baseline)
        return built


def covers_release(root: Path, kept: Path, folder: Path) -> bool:
    """Whether the baseline holds all that the newest release promised."""
    if not (tags := git(root, "tag", "--list", "v*", "--sort=-version:refname").decode().split()):
        return True
    released = of_commit(root, tags[0], folder)
    if compare(released, kept, packages(released)):
        return True
    print(f"{BASELINE} is older than {tags[0]}: build it anew (make baseline) and commit it")
    return False


def of_commit(root: Path, commit: str, folder: Path) -> Path:
    """A workspace with the protos of a commit, and their image."""
    with tarfile.open(fileobj=io.BytesIO(git(root, "archive", commit, "protos/motcua"))) as tar:
        tar.extractall(folder / "archive", filter="data")
    workspace = folder / "protos"
    complete(workspace, folder / "archive" / "protos" / "motcua")
    if not buf(workspace, "build", "-o", IMAGE):
        raise SystemExit(f"the protos of {commit} do not build")
    return workspace


def of_image(image: Path, folder: Path) -> Path:
    """A workspace with an image alone."""
    folder.mkdir()
    shutil.copy(image, folder / IMAGE)
    shutil.copy(ROOT / "protos" / "buf.yaml", folder)
    return folder


def compare(before: Path, now: Path, wanted: list[Path]) -> bool:
    """Whether nothing of these packages broke, by their workspaces' images."""
    there = packages(now)
    gone = [package for package in wanted if package not in there]
    for package in gone:
        print(f"protos/{package} was deleted")
    paths = [f"--path={package}" for package in wanted if package in there]
    return not gone and (not paths or buf(now, "breaking", IMAGE, "--against", str(before / IMAGE), *paths))


def packages(workspace: Path) -> list[Path]:
    """Ours, as folders."""
    image = FileDescriptorSet.FromString((workspace / IMAGE).read_bytes())
    return sorted({Path(file.name).parent for file in image.file if file.name.startswith("motcua/")})


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


def last_commit(root: Path) -> str:
    """The one before what is checked."""
    changed = git(root, "status", "--porcelain", "--untracked-files=no", "--", "protos/motcua")
    return "HEAD" if changed else "HEAD~1"


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
    sys.exit(not (build_baseline() if "--baseline" in sys.argv else lint() and breaking()))
