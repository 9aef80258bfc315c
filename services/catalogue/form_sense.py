"""Rules of a form that are possible each by itself, and not together."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

from services.law import forms

MOST_QUESTIONS = 400
# What a question costs grows by the power of these: a form of more is asked nothing.
MOST_FORKS = 3
_FORKS = ('"if":', '"anyOf":', '"oneOf":', '"not":', '"dependentSchemas":', '"dependencies":')
SECONDS = 1.0
_WAYS = ("anyOf", "oneOf")
_LISTS = ("allOf", *_WAYS, "prefixItems")
_MAPS = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
# What is negated may well be impossible.
_ONE = ("items", "additionalProperties", "propertyNames", "contains", "if", "then", "else")
_BRANCHES = ("then", "else")


class Sense:
    def __init__(self, root: dict[str, Any]) -> None:
        self._root = root
        self._context = {name: root[name] for name in ("$schema", "$defs", "definitions") if name in root}
        written = json.dumps(root)
        forks = sum(written.count(each) for each in _FORKS)
        self._left = MOST_QUESTIONS if forks <= MOST_FORKS else 0
        self._until = time.thread_time() + SECONDS

    def never(self) -> Iterator[tuple[str, tuple[Any, ...]]]:
        """Paths of what can never be answered or taken; of a choice, with its value."""
        if self._impossible(self._root):
            yield "", ()
            return
        nodes = list(self._nodes(self._root, ""))
        barren = {path for path, node in nodes if path and self._impossible(self._alone(node))}
        ways = {each for path, node in nodes if path not in barren for each in self._ways(node, path)}
        found = barren | ways or set(self._conditions())
        yield from ((path, ()) for path in sorted(found))
        for name, rule in self._root["properties"].items() if not found else ():
            yield from self._field(name, rule)

    def _impossible(self, schema: Any) -> bool:
        """False also where too much was asked."""
        self._left -= 1
        in_time = self._left >= 0 and time.thread_time() < self._until
        return in_time and isinstance(schema, dict) and forms.impossible(schema)

    def _alone(self, node: dict[str, Any]) -> dict[str, Any] | None:
        return self._context | node if _stands_alone(node) else None

    def _with(self, *parts: Any, root: dict[str, Any] | None = None) -> dict[str, Any]:
        whole = self._root if root is None else root
        return whole | {"allOf": [*whole.get("allOf", ()), *parts]}

    def _nodes(self, node: Any, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
        if not isinstance(node, dict):
            return
        yield path, node
        for name in _LISTS:
            for index, child in enumerate(node.get(name, ())):
                yield from self._nodes(child, f"{path}.{name}[{index}]")
        for name in _MAPS:
            for key, child in node.get(name, {}).items():
                yield from self._nodes(child, f"{path}.{name}.{key}")
        for name in _ONE:
            yield from self._nodes(node.get(name), f"{path}.{name}")

    def _ways(self, node: dict[str, Any], path: str) -> Iterator[str]:
        """Those that what stands beside them forbids."""
        whole = self._root if node is self._root else self._alone(node)
        for name in _WAYS:
            for index, way in enumerate(node.get(name, ())):
                if whole and self._impossible(self._with(way, root=whole)):
                    yield f"{path}.{name}[{index}]"

    def _conditions(self) -> Iterator[str]:
        for path, node in [
            ("", self._root),
            *((f".allOf[{i}]", each) for i, each in enumerate(self._root.get("allOf", ()))),
        ]:
            if not isinstance(node, dict) or "if" not in node:
                continue
            free = self._without_branches(path)
            if self._impossible(self._with(node["if"], root=free)):
                yield f"{path}.if"
                continue
            for name, when in (("then", node["if"]), ("else", {"not": node["if"]})):
                if (
                    name in node
                    and self._impossible(self._with(when))
                    and not self._impossible(self._with(when, root=free))
                ):
                    yield f"{path}.{name}"

    def _without_branches(self, path: str) -> dict[str, Any]:
        copy: dict[str, Any] = json.loads(json.dumps(self._root))
        node = copy["allOf"][int(path[len(".allOf[") : -1])] if path else copy
        for name in _BRANCHES:
            node.pop(name, None)
        return copy

    def _field(self, name: str, rule: Any) -> Iterator[tuple[str, tuple[Any, ...]]]:
        path = f".properties.{name}"
        if self._impossible(self._with({"required": [name]})):
            yield path, ()
            return
        for index, value in enumerate(rule.get("enum", ()) if isinstance(rule, dict) else ()):
            if self._impossible(self._with({"required": [name], "properties": {name: {"const": value}}})):
                yield f"{path}.enum[{index}]", (value,)


def _stands_alone(node: dict[str, Any]) -> bool:
    """Whether all that it refers to are definitions."""
    written = json.dumps(node)
    return written.count('"$ref"') == written.count('"$ref": "#/$defs/') + written.count('"$ref": "#/definitions/')
