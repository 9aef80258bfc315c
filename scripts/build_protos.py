"""Builds every .proto under protos/: Python modules beside them, and build/descriptors.binpb for the edge
and the API document.

Does nothing when nothing changed. Type stubs are built where mypy-protobuf is installed: beside the modules, and in
build/stubs for the googleapis, whose own ones do not fit them.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ("grpcio-tools", "googleapis-common-protos", "mypy-protobuf")
PLUGINS = ("mypy", "mypy_grpc")
# What our protos import, and what errors carry: the edge needs these descriptors to write them as JSON.
OPTIONS = ("google/api/annotations.proto", "google/api/field_behavior.proto", "google/api/http.proto")
TYPES = ("google/type/date.proto", "google/type/money.proto")
DETAILS = ("google/rpc/code.proto", "google/rpc/error_details.proto", "google/rpc/status.proto")
GENERATED = ("*_pb2.py", "*_pb2.pyi", "*_pb2_grpc.py", "*_pb2_grpc.pyi")


def build(protos: Path = ROOT / "protos", target: Path = ROOT / "build") -> int:
    """Returns the number of files that changed. Processes that build at the same time wait for one another."""
    target.mkdir(parents=True, exist_ok=True)
    stamp = target / "protos.json"
    with locked(target / "protos.lock"):
        package = protos / "motcua"  # beside it lie copies that packaging makes
        sources = sorted(package.rglob("*.proto"))
        digest = digest_of(protos, sources)
        if current(stamp, digest, protos):
            return 0
        import tempfile

        with tempfile.TemporaryDirectory(prefix=".protos-", dir=target) as temporary:
            out = Path(temporary)
            descriptors = out / "descriptors.binpb"
            compile_all(protos, sources, out, descriptors)
            changed: int = place(descriptors, target / descriptors.name)
            changed += sum(place(out / "stubs" / path, target / "stubs" / path) for path in files_in(out / "stubs"))
            built = files_in(out / "code")
            changed += sum(place(out / "code" / path, protos / path) for path in built)
        keep = {protos / path for path in built}
        for stale in {p for pattern in GENERATED for p in package.rglob(pattern)} - keep:
            stale.unlink()
            changed += 1
        written = target / ".protos.json"
        written.write_text(json.dumps({"digest": digest, "built": [str(path) for path in built]}, indent=1))
        written.replace(stamp)
        return changed


@contextmanager
def locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def digest_of(protos: Path, sources: list[Path]) -> str:
    digest = hashlib.sha256(Path(__file__).read_bytes())
    for tool in TOOLS:
        digest.update(f"{found.name if (found := installed(tool)) else tool}\n".encode())
    for source in sources:
        content = source.read_bytes()
        digest.update(f"{source.relative_to(protos)} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def installed(tool: str) -> Path | None:
    """The distribution's metadata folder. importlib.metadata would take longer than everything else here."""
    pattern = f"{tool.replace('-', '_')}-*.dist-info"
    return next((found for entry in sys.path for found in Path(entry or ".").glob(pattern)), None)


def current(stamp: Path, digest: str, protos: Path) -> bool:
    try:
        last = json.loads(stamp.read_text())
    except (FileNotFoundError, ValueError):
        return False
    complete = stamp.with_name("descriptors.binpb").exists() and all((protos / path).exists() for path in last["built"])
    return bool(last["digest"] == digest and complete)


def compile_all(protos: Path, sources: list[Path], out: Path, descriptors: Path) -> None:
    import grpc_tools

    code, stubs = out / "code", out / "stubs"
    code.mkdir()
    stubs.mkdir()
    includes = [f"-I{path}" for path in (protos, Path(grpc_tools.__file__).parent / "_proto", googleapis())]
    outputs = [f"--python_out={code}", f"--grpc_python_out={code}"]
    files = [str(source) for source in sources]
    if installed("mypy-protobuf"):
        programs = {name: Path(sys.executable).parent / f"protoc-gen-{name}" for name in PLUGINS}
        plugins = [f"--plugin=protoc-gen-{name}={program}" for name, program in programs.items()]
        outputs += [*plugins, *(f"--{name}_out=quiet:{code}" for name in PLUGINS)]
        protoc([*includes, *plugins, f"--mypy_out=quiet:{stubs}", *OPTIONS, *TYPES, *DETAILS])
    protoc([*includes, *outputs, *files])
    described = [f"--descriptor_set_out={descriptors}", "--include_imports", "--include_source_info"]
    protoc([*includes, *described, *files, *DETAILS])


def protoc(arguments: list[str]) -> None:
    from grpc_tools import protoc

    if protoc.main(["protoc", *arguments]) != 0:  # type: ignore[no-untyped-call]
        raise SystemExit("protoc found faults in the protos (above)")


def googleapis() -> Path:
    """Where the googleapis-common-protos wheel keeps google/api, google/rpc and google/type."""
    if found := installed("googleapis-common-protos"):
        return found.parent
    raise SystemExit("googleapis-common-protos is not installed here: run make .venv")


def files_in(folder: Path) -> list[Path]:
    return sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())


def place(new: Path, path: Path) -> bool:
    """Moves a file into place at once, so that no reader sees half of it; an equal one keeps its time."""
    if path.exists() and path.read_bytes() == new.read_bytes():
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    os.replace(new, path)
    return True


if __name__ == "__main__":
    if changed := build():
        print(f"protos: {changed} files built")
