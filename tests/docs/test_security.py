"""docs/security.md says what is so: its tests exist, its limits have the values that it names."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import re
from pathlib import Path
from typing import Any

import pytest

from gateway.edge.envoy import Edge
from services.chassis.platform.settings import Settings

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "security.md").read_text()
UNITS = {"": 1, "KiB": 1024, "MiB": 1024 * 1024}
# What Envoy itself counts in KiB.
IN_KIB = {"Edge.max_headers_kib"}


def rows(heading: str) -> list[list[str]]:
    section = TEXT.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|") and not line.startswith("|---")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


LIMITS = {row[0]: row for row in rows("Limits")[1:]}
ATTACKS = [row for row in rows("Who could attack what") if row[0] != "they try"]
TESTS = sorted(set(re.findall(r"`(tests/[\w/.]+)(?:::(\w+))?`", TEXT)))


@pytest.mark.parametrize(("path", "name"), TESTS, ids=lambda value: value or "all")
def test_a_test_that_is_named_exists(path: str, name: str) -> None:
    tree = ast.parse((ROOT / path).read_text())
    found = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    assert any(test.startswith("test_") for test in found)
    assert name in found or not name


def test_every_attack_is_answered_by_a_test_or_a_command() -> None:
    assert len(ATTACKS) > 20
    assert [row[0] for row in ATTACKS if len(row) != 3 or not re.search(r"`(tests/|make |requirements)", row[2])] == []


@pytest.mark.parametrize("what", LIMITS)
def test_a_limit_has_the_value_that_it_names(what: str) -> None:
    _, said, setting, sees, shown = LIMITS[what]
    number, _, unit = said.partition(" ")
    value = int(number.replace(",", "")) * UNITS[unit]
    name = setting.strip("`")
    assert set_to(name) * (1024 if name in IN_KIB else 1) == value
    assert sees
    assert "`tests/" in shown


def set_to(name: str) -> Any:
    if name.startswith("MOTCUA_"):
        return Settings.model_fields[name.removeprefix("MOTCUA_").lower()].default
    if name.startswith("Edge."):
        fields = {field.name: field.default for field in dataclasses.fields(Edge)}
        return fields[name.removeprefix("Edge.")]
    module, _, constant = name.rpartition(".")
    return getattr(importlib.import_module(module), constant)
