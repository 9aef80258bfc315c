"""What every service class keeps: an entry point takes a Call, reads it, hands on and answers."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import services

ROOT = Path(services.__file__).parents[1]
CLASSES = sorted((ROOT / "services").glob("*/service.py"))
# Of the exemplar. A docstring counts, the decorator and the head do not.
MOST_LINES = 9
Method = ast.FunctionDef | ast.AsyncFunctionDef


def methods(path: Path) -> Iterator[Method]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ClassDef):
            yield from (each for each in node.body if isinstance(each, Method))


def decorators(method: Method) -> set[str]:
    found = (each.func if isinstance(each, ast.Call) else each for each in method.decorator_list)
    return {ast.unparse(each) for each in found}


@pytest.mark.parametrize("path", CLASSES, ids=lambda path: path.parent.name)
def test_an_rpc_s_method_takes_its_call(path: Path) -> None:
    for method in filter(lambda each: "api" in decorators(each), methods(path)):
        rpc = "".join(word.title() for word in method.name.split("_"))
        taken = [(each.arg, ast.unparse(each.annotation) if each.annotation else "") for each in method.args.args]
        assert taken == [("self", ""), ("call", f"Call[pb.{rpc}Request]")], method.name


def test_the_exemplar_is_entry_points_alone() -> None:
    found = list(methods(ROOT / "services/dossier/service.py"))
    others = {each.name for each in found if not decorators(each) & {"api", "on", "every", "observed", "property"}}
    assert others == set()
    entered = [each for each in found if "property" not in decorators(each)]
    lines = {each.name: (each.end_lineno or 0) - each.body[0].lineno + 1 for each in entered}
    assert {name: count for name, count in lines.items() if count > MOST_LINES} == {}


def test_nothing_is_taken_from_nameko_s_container_by_name() -> None:
    """Its configuration is an untyped bag: what a service shares is in Parts, what its frame shares on AsyncContainer."""
    sources = [path for top in ("services", "gateway", "command") for path in (ROOT / top).rglob("*.py")]
    assert [path for path in sources if "container.config" in path.read_text("utf-8")] == []
