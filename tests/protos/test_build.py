"""The scripts that build, check and pack the protos."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.build_protos import ROOT, build
from scripts.check_protos import BASELINE, breaking, build_baseline, lint
from tests.support.spending import least_spent

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
    assert least_spent(build, 0.1) < 0.1


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


@pytest.fixture
def promised(tmp_path: Path) -> Path:
    """A repository whose protos are the baseline."""
    copy_protos(tmp_path)
    assert build_baseline(tmp_path)
    commit(tmp_path)
    return tmp_path


def change(root: Path, file: str, before: str, after: str) -> None:
    proto = root / "protos/motcua" / file
    text = proto.read_text()
    assert before in text
    proto.write_text(text.replace(before, after, 1))


def test_a_fact_may_not_be_renumbered(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Whether or not it is in a baseline yet."""
    copy_protos(tmp_path)
    commit(tmp_path)
    change(tmp_path, "dossier/events/v1/events.proto", "string by = 4;", "string by = 40;")
    assert not breaking(tmp_path)
    said = capfd.readouterr().out
    assert 'field "4" with name "by" on message "DraftSaved" was deleted' in said
    assert "there is no protos/baseline.binpb yet" in said


@pytest.mark.parametrize(
    ("file", "before", "after", "kept"),
    [
        ("operations/v1/operations_service.proto", "string reaction = 1", "string reaction_name = 1", False),
        ("dossier/events/v1/events.proto", "string by = 4;", "string by = 40;", False),
        ("operations/v1/errors.proto", "\n}\n", "\n  OPERATIONS_ERROR_NEW = 99;\n}\n", True),
        ("options/v1/errors.proto", "\n}\n", "\n  COMMON_ERROR_NEW = 99;\n}\n", True),
    ],
    ids=["a renamed field", "a renumbered fact", "an added value", "an added common value"],
)
def test_what_is_promised_may_only_be_added_to(promised: Path, file: str, before: str, after: str, kept: bool) -> None:
    change(promised, file, before, after)
    commit(promised)  # the last commit hides nothing
    commit(promised, empty=True)
    assert breaking(promised) is kept
    baseline = (promised / BASELINE).read_bytes()
    assert build_baseline(promised) is kept
    assert ((promised / BASELINE).read_bytes() != baseline) is kept


def test_a_baseline_is_the_same_however_often_it_is_built(promised: Path) -> None:
    baseline = (promised / BASELINE).read_bytes()
    assert build_baseline(promised)
    assert (promised / BASELINE).read_bytes() == baseline


def test_a_baseline_that_lacks_what_was_released_is_told(promised: Path, capfd: pytest.CaptureFixture[str]) -> None:
    change(promised, "operations/v1/errors.proto", "\n}\n", "\n  OPERATIONS_ERROR_NEW = 99;\n}\n")
    commit(promised)
    subprocess.run(("git", "tag", "v0.1.0"), cwd=promised, check=True)
    commit(promised, empty=True)
    assert not breaking(promised)
    assert "protos/baseline.binpb is older than v0.1.0: build it anew (make baseline)" in capfd.readouterr().out
    assert build_baseline(promised)
    assert breaking(promised)


def commit(folder: Path, *, empty: bool = False) -> None:
    identity = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    more = ("--allow-empty",) if empty else ()
    for arguments in (("init", "-q"), ("add", "."), (*identity, "commit", "-qm", "before", *more)):
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
