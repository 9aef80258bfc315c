"""What import-linter's contracts say of the tree, held against the tree."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

import services

ROOT = Path(services.__file__).parents[1]
CONTRACTS: dict[str, dict[str, Any]] = {
    contract["name"]: contract
    for contract in tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
}


def parts(folder: Path) -> set[str]:
    """Modules and packages that lie in it."""
    inside = [path for path in folder.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()]
    return {path.stem for path in inside} - {"__init__"}


def test_every_folder_with_a_service_is_named() -> None:
    layered = {container for contract in CONTRACTS.values() for container in contract.get("containers", ())}
    found = {path.parent.parent for top in ("services", "gateway") for path in (ROOT / top).rglob("service.py")}
    assert {".".join(folder.relative_to(ROOT).parts) for folder in found} <= layered
    for contract in CONTRACTS.values():
        assert contract["type"] != "layers" or contract.get("exhaustive") or "containers" not in contract, contract


def test_the_law_knows_the_decider_and_how_text_is_read() -> None:
    forbidden = CONTRACTS["The law is values and pure functions"]["forbidden_modules"]
    rooms = {name.removeprefix("services.chassis.") for name in forbidden if name.startswith("services.chassis.")}
    assert parts(ROOT / "services/chassis") - rooms == {"decider", "text"}


def test_the_gateway_knows_no_service() -> None:
    forbidden = CONTRACTS["The gateway knows the chassis and the law, not the services"]["forbidden_modules"]
    assert {f"services.{name}" for name in parts(ROOT / "services") - {"chassis", "law", "registry"}} == set(forbidden)


def domains() -> dict[str, Path]:
    """Modules that decide, by name: every domain.py, and all that lies in a folder domain/."""
    paths = [path for top in ("services", "gateway", "command") for path in (ROOT / top).rglob("*.py")]
    rules = [path for path in paths if path.name == "domain.py" or path.parent.name == "domain"]
    return {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in rules}


def imported(path: Path) -> set[str]:
    """Full names of what a module imports: of `from a import b` it is a.b."""
    nodes = list(ast.walk(ast.parse(path.read_text("utf-8"))))
    whole = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    parts = {
        f"{node.module}.{alias.name}" for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    return whole | parts


def test_every_domain_is_pure() -> None:
    named = CONTRACTS["Rules are pure: no frame, no wire, no database"]["source_modules"]
    pattern = re.compile("(?:" + "|".join(re.escape(name).replace(r"\*", "[^.]+") for name in named) + r")(\.[^.]+)?")
    assert {name for name in domains() if not pattern.fullmatch(name)} == set()
    assert len(domains()) > 20


@pytest.mark.parametrize("name", sorted(domains()))
def test_a_domain_imports_commands_events_and_values_of_its_own_the_law_and_the_decider(name: str) -> None:
    _, service, *inside = name.split(".")
    # Of the service, and of the folder in which the rules lie.
    own = rf"services\.{service}\." + rf"(?:{inside[0]}\.)?" * (inside[0] != "domain")
    allowed = re.compile(
        r"services\.chassis\.decider\..+|services\.law\..+"
        rf"|{own}(?:commands|events|values|refusals|domain)(?:\..+)?|(?:{'|'.join(sys.stdlib_module_names)})(?:\..+)?"
    )
    assert {module for module in imported(domains()[name]) if not allowed.fullmatch(module)} == set()


def test_every_room_says_what_it_is_for() -> None:
    rooms = [
        path for top in ("services/chassis", "command", "gateway/ledger") for path in (ROOT / top).glob("*/__init__.py")
    ]
    assert [str(path) for path in rooms if not path.read_text("utf-8").startswith('"""')] == []
