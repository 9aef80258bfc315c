"""The commands of README.md and of the pages to begin with run as they stand. A block that does not says why in its fence."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.platform.deployment import ROOT, Deployment

PAGES = ("README.md", "docs/trying.md", "docs/api.md")
FENCE = re.compile(r"^```(?P<language>bash|python)(?P<info>[^\n]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
NOT_RUN = re.compile(r" no-test \(reason: .+\)")
SECONDS = 120


class Block(NamedTuple):
    page: str
    line: int
    language: str
    info: str
    text: str


def blocks() -> list[Block]:
    texts = {page: (ROOT / page).read_text() for page in PAGES}
    return [
        Block(page, text.count("\n", 0, found.start()) + 1, found["language"], found["info"], found["text"])
        for page, text in texts.items()
        for found in FENCE.finditer(text)
    ]


RUN = [block for block in blocks() if not block.info]


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    deployment = Deployment(tmp_path_factory.mktemp("readme") / "data")
    deployment.start()
    yield deployment
    deployment.stop()


def test_a_block_runs_or_says_why_not() -> None:
    assert {block.page for block in RUN} == set(PAGES)
    assert [block for block in blocks() if block.info and not NOT_RUN.fullmatch(block.info)] == []


@pytest.mark.parametrize("block", RUN, ids=[f"{block.page} {block.line}" for block in RUN])
def test_the_commands_run(platform: Deployment, block: Block) -> None:
    here = block.text.replace("localhost:8080", f"localhost:{platform.port}")
    here = here.replace(".venv/bin/", f"{Path(sys.executable).parent}/")
    here = re.sub(r"\bcurl -s ", "curl -s -S --max-time 30 ", here)
    command = ["bash", "-e", "-o", "pipefail", "-c"] if block.language == "bash" else [sys.executable, "-c"]
    ran = subprocess.run(
        [*command, here], env=platform.environment, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS,
        check=False,
    )  # fmt: skip
    assert ran.returncode == 0, f"{here}\n{ran.stdout}\n{ran.stderr}"
    assert ran.stdout.strip(), f"it says nothing:\n{here}"
