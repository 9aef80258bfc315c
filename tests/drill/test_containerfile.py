"""What can be said of images/Containerfile without building it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.images import CONTAINERFILE, IMAGES, ROOT, ImagesError, engine


def test_hadolint_has_nothing_to_say() -> None:
    linter = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([linter, "--no-color", CONTAINERFILE], capture_output=True, text=True, check=False)
    assert done.stdout == ""
    assert done.returncode == 0, done.stderr


def test_the_context_is_what_is_copied() -> None:
    """A file that is copied and not let in fails the build; one that is let in and not copied does nothing but change layers."""
    text = CONTAINERFILE.read_text()
    copied = {word for line in re.findall(r"^COPY (?!--from)(.*) \S+$", text, re.MULTILINE) for word in line.split()}
    mounted = set(re.findall(r"--mount=type=bind,source=([^,]+)", text))
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert copied | mounted == let_in


def test_every_image_has_a_target() -> None:
    stages = set(re.findall(r"^FROM \S+ AS (\w+)$", CONTAINERFILE.read_text(), re.MULTILINE))
    assert set(IMAGES.values()) <= stages


def test_without_an_engine_there_is_advice(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ImagesError, match="Neither podman nor docker is installed"):
        engine()
