"""The stand-in for KurrentDB against what servers said; and that the comparison would notice."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.doubles.kurrentdb import Double
from tests.doubles.kurrentdb_log import Log
from tests.doubles.running import running
from tests.doubles.transcripts import FOLDER, SCRIPTS, record, written

RECORDER = (sys.executable, str(Path(__file__).parents[2] / "scripts" / "record-kurrentdb"))
RECORDED = sorted(path for path in FOLDER.iterdir() if path.is_dir())


def spoken(change: Callable[[Double], None] = lambda double: None) -> dict[str, str]:
    async def conversation() -> dict[str, str]:
        double = Double()
        change(double)
        await double.start()
        try:
            return {name: written(transcript) for name, transcript in (await record(double.uri)).items()}
        finally:
            await double.stop()

    return asyncio.run(conversation())


@pytest.fixture(scope="module")
def stand_in() -> dict[str, str]:
    return spoken()


def test_the_stand_in_answers_as_every_server_that_was_recorded(stand_in: dict[str, str]) -> None:
    for server in RECORDED:
        require_the_same(stand_in, server)


def test_the_recorder_is_faithful(stand_in: dict[str, str], tmp_path: Path) -> None:
    """What it writes of the stand-in is what the stand-in says, with other names and ids and on a log that was used before. Of a
    server it proves nothing.
    """
    with running() as here:
        here.run(record(here.double.uri))
        recorder = [*RECORDER, here.double.uri, "the stand-in", "--into", str(tmp_path)]
        subprocess.run(recorder, check=True, timeout=120, capture_output=True)
    require_the_same(stand_in, tmp_path / "the stand-in")


def require_the_same(stand_in: dict[str, str], folder: Path) -> None:
    said = {path.stem: path.read_text(encoding="utf-8") for path in folder.glob("*.json")}
    assert sorted(said) == sorted(SCRIPTS)
    for name in SCRIPTS:
        assert json.loads(stand_in[name]) == json.loads(said[name]), name


def forgetful(double: Double) -> None:
    """Appends are never known again."""

    class Forgetful(Log):
        def _earlier(self, *_: object) -> None:
            return None

    double.log = Forgetful()


def without_position(double: Double) -> None:
    double.faults.no_position = True


def strict(double: Double) -> None:
    double.largest_append = 1000


@pytest.mark.parametrize(
    ("change", "noticed"),
    [
        (forgetful, {"appending", "appending_anywhere", "reading_all", "subscribing"}),
        (without_position, {"appending", "appending_anywhere"}),
        (strict, {"too_much"}),
    ],
)
def test_a_server_that_answers_otherwise_is_noticed(
    change: Callable[[Double], None], noticed: set[str], stand_in: dict[str, str]
) -> None:
    other = spoken(change)
    differing = {name for name in SCRIPTS if other[name] != stand_in[name]}
    assert differing & noticed
    assert differing <= noticed


def test_a_version_is_not_recorded_over(tmp_path: Path) -> None:
    (tmp_path / "26.1.0").mkdir()
    recorder = [*RECORDER, "esdb://localhost:1?Tls=false", "26.1.0", "--into", str(tmp_path)]
    refused = subprocess.run(recorder, capture_output=True, text=True, timeout=120, check=False)
    assert refused.returncode == 2
    assert "is there already" in refused.stderr
