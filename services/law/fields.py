"""Which answers a form asks for, by the paths that violations name: "mother_name", "children.0.name"."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from services.law.forms import FormUnusable, parsed

# Words whose schemas judge the same answer as the one that they stand in.
_BESIDE = ("allOf", "anyOf", "oneOf")
_BRANCHES = ("if", "then", "else")


def has(schema: str, path: str) -> bool:
    """False of a schema that is unusable."""
    root = _parsed(schema)
    found = [root] if isinstance(root, dict) else []
    for name in path.split("."):
        found = [below for one in found for below in _below(root, one, name)]
    return bool(found)


@lru_cache(maxsize=64)
def _parsed(schema: str) -> Any:
    try:
        return parsed(schema)
    except FormUnusable:
        return None


def _below(root: Any, schema: dict[str, Any], name: str) -> Iterator[dict[str, Any]]:
    for one in _same(root, schema):
        properties, items = one.get("properties"), one.get("items")
        if isinstance(properties, dict) and isinstance(properties.get(name), dict):
            yield properties[name]
        if isinstance(items, dict) and name.isascii() and name.isdigit():
            yield items


def _same(root: Any, schema: dict[str, Any]) -> list[dict[str, Any]]:
    """It, and what judges the same answer."""
    found: dict[int, dict[str, Any]] = {}
    waiting: list[Any] = [schema]
    while waiting:
        one = waiting.pop()
        if not isinstance(one, dict) or id(one) in found:
            continue
        found[id(one)] = one
        for word in _BESIDE:
            waiting += one[word] if isinstance(one.get(word), list) else []
        waiting += [one[word] for word in _BRANCHES if word in one]
        if isinstance(reference := one.get("$ref"), str):
            waiting.append(_target(root, reference))
    return list(found.values())


def _target(root: Any, reference: str) -> Any:
    """None where it leads to nothing."""
    found = root
    for part in reference.removeprefix("#").split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        found = found.get(name) if isinstance(found, dict) else None
    return found
