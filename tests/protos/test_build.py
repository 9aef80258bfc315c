"""The scripts that build, check and pack the protos."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.build_protos import ROOT, build
from scripts.check_protos import breaking, lint
from tests.support.spending import spending

BUILDS = """
import sys
from pathlib import Path
from scripts.build_protos import build
print(build(*map(Path, sys.argv[1:])))
"""
IMPORTS = """
import sys
sys.path[:0] = sys.argv[1:]
from motcua.options.v1 import options_pb2
from motcua.dossier.v1 import dossier_service_pb2_grpc
print(options_pb2.__file__, dossier_service_pb2_grpc.DossierServiceStub.__name__)
"""


@pytest.fixture
def protos(tmp_path: Path) -> Path:
    copy_protos(tmp_path, "options")
    return tmp_path / "protos"


def copy_protos(folder: Path, package: str = "") -> None:
    source = ROOT / "protos/motcua" / package
    shutil.copytree(source, folder / "protos/motcua" / package, ignore=shutil.ignore_patterns("*_pb2*"))


def test_what_did_not_change_is_not_built(protos: Path, tmp_path: Path) -> None:
    assert build(protos, tmp_path / "build") > 0
    built = contents(tmp_path)
    assert build(protos, tmp_path / "build") == 0
    assert contents(tmp_path) == built


def test_it_is_quick_when_nothing_changed() -> None:
    build()
    with spending() as spent:
        build()
    assert spent.seconds < 0.1


def test_a_change_is_built_and_nothing_else_is_touched(protos: Path, tmp_path: Path) -> None:
    build(protos, tmp_path / "build")
    before = contents(tmp_path)
    errors = protos / "motcua/options/v1/errors.proto"
    errors.write_text(errors.read_text().replace("overloaded", "busy"))
    build(protos, tmp_path / "build")
    after = contents(tmp_path)
    changed = {Path(path).name for path in before if before[path] != after[path]}
    assert changed == {"errors.proto", "errors_pb2.py", "descriptors.binpb", "protos.json"}


def test_a_lost_file_is_built_again(protos: Path, tmp_path: Path) -> None:
    build(protos, tmp_path / "build")
    before = contents(tmp_path)
    (protos / "motcua/options/v1/errors_pb2.py").unlink()
    build(protos, tmp_path / "build")
    assert contents(tmp_path) == before


def test_what_a_deleted_proto_left_is_removed(protos: Path, tmp_path: Path) -> None:
    build(protos, tmp_path / "build")
    (protos / "motcua/options/v1/errors.proto").unlink()
    build(protos, tmp_path / "build")
    assert not list(protos.rglob("errors_pb2*"))


def test_two_builds_at_once_do_the_work_once(protos: Path, tmp_path: Path) -> None:
    command = (sys.executable, "-c", BUILDS, str(protos), str(tmp_path / "build"))
    running = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    built = sorted(int(process.communicate()[0]) for process in running)
    assert built[0] == 0
    assert built[1] > 0


def test_buf_finds_nothing() -> None:
    assert lint()


def test_a_fact_may_not_be_renumbered(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    copy_protos(tmp_path)
    commit(tmp_path)
    events = tmp_path / "protos/motcua/dossier/events/v1/events.proto"
    events.write_text(events.read_text().replace("string by = 4;", "string by = 40;", 1))
    assert not breaking(tmp_path)
    assert 'field "4" with name "by" on message "DraftSaved" was deleted' in capfd.readouterr().out


def test_the_api_may_be_added_to_before_a_release(tmp_path: Path) -> None:
    copy_protos(tmp_path)
    commit(tmp_path)
    errors = tmp_path / "protos/motcua/options/v1/errors.proto"
    errors.write_text(errors.read_text().replace("\n}\n", "\n  COMMON_ERROR_NEW = 99;\n}\n"))
    assert breaking(tmp_path)


def commit(folder: Path) -> None:
    identity = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    for arguments in (("init", "-q"), ("add", "."), (*identity, "commit", "-qm", "before")):
        subprocess.run(("git", *arguments), cwd=folder, check=True)


def test_the_api_installs_by_itself(tmp_path: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(ROOT / "protos", source, ignore=shutil.ignore_patterns("build", "*.egg-info", "__pycache__"))
    options = ("-q", "--no-deps", "--no-build-isolation", "-w", str(tmp_path))
    subprocess.run((sys.executable, "-m", "pip", "wheel", *options, str(source)), check=True)
    (wheel,) = tmp_path.glob("motcua_api-*.whl")
    installed = tmp_path / "installed"
    shutil.unpack_archive(wheel, installed, "zip")
    names = {path.name for path in (installed / "motcua/options/v1").iterdir()}
    assert {"options.proto", "options_pb2.py", "options_pb2.pyi"} <= names
    assert {"types.proto", "types_pb2.py", "types_pb2.pyi"} <= {
        path.name for path in (installed / "motcua/types/v1").iterdir()
    }
    assert (installed / "motcua/py.typed").exists()
    # Its dependencies, and nothing of this repository.
    site = os.path.dirname(os.path.dirname(pytest.__file__))
    command = (sys.executable, "-I", "-S", "-c", IMPORTS, str(installed), site)
    done = subprocess.run(command, check=True, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    assert done.stdout.split() == [str(installed / "motcua/options/v1/options_pb2.py"), "DossierServiceStub"]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
