"""YAML read as typed definitions. Every fault is kept, with its file and line; nothing is guessed."""

from __future__ import annotations

import dataclasses
import json
import re
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

import yaml

from services.chassis.deadlines import Term, Unit
from services.chassis.law.definitions import Json

T = TypeVar("T")
# libyaml's loader where PyYAML was built with it: a tenth of the time.
Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_TERM = re.compile(r"(?P<amount>\d+)(?: (?P<unit>[a-z-]+))?", re.ASCII)


class UnreadableError(Exception):
    """A node that cannot be read; the reader has written down why."""


class Reader:
    def __init__(self, path: Path) -> None:
        self.name = path.name
        self.faults: list[str] = []
        try:
            self.root = yaml.compose(path.read_text(encoding="utf-8"), Loader=Loader)
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            self.faults.append(f"{self.name}:{line}: {error.problem}")
            self.root = None

    def items(self, key: str, kind: type[T]) -> list[tuple[T, yaml.Node]]:
        """The readable entries of a top-level list, with their nodes."""
        if not isinstance(self.root, yaml.MappingNode):
            if not self.faults:
                self.faults.append(f"{self.name}:1: expected a mapping with {key!r}")
            return []
        listed = next((value for name, value in self.root.value if name.value == key), None)
        if not isinstance(listed, yaml.SequenceNode):
            self.faults.append(f"{self.name}:1: expected a list {key!r}")
            return []
        read = []
        for node in listed.value:
            try:
                read.append((cast(T, self._read(node, kind)), node))
            except UnreadableError:
                continue
        return read

    def fault(self, node: yaml.Node, path: str, text: str) -> None:
        """Notes a fault at the line of `path` below `node`, or of its nearest ancestor that is written down."""
        for part in re.findall(r"[A-Za-z_-]+|\[\d+\]", path):
            child = _child(node, part)
            if child is None:
                break
            node = child
        self._note(node, f"{path}: {text}" if path else text)

    def _note(self, node: yaml.Node, text: str) -> None:
        self.faults.append(f"{self.name}:{node.start_mark.line + 1}: {text}")

    def _refuse(self, node: yaml.Node, text: str) -> UnreadableError:
        self._note(node, text)
        return UnreadableError(text)

    def _read(self, node: yaml.Node, kind: Any) -> Any:
        if isinstance(kind, UnionType):
            (kind,) = (option for option in get_args(kind) if option is not NoneType)
            return None if node.tag == "tag:yaml.org,2002:null" else self._read(node, kind)
        if kind is Json:
            return self._json(node)
        if kind is Term:
            return self._term(node)
        if get_origin(kind) is tuple:
            return self._tuple(node, get_args(kind)[0])
        if dataclasses.is_dataclass(kind):
            return self._dataclass(node, cast(type, kind))
        return self._scalar(node, kind)

    def _scalar(self, node: yaml.Node, kind: Any) -> Any:
        if not isinstance(node, yaml.ScalarNode):
            raise self._refuse(node, "expected a single value")
        text = node.value
        if kind is str:
            return text
        if kind is bool and text in ("true", "false"):
            return text == "true"
        if kind is int and re.fullmatch(r"-?[\d_]+", text, re.ASCII):
            return int(text)
        if issubclass(kind, Enum):
            names = {member.name.lower().replace("_", "-"): member for member in kind if member.value}
            if text in names:
                return names[text]
            raise self._refuse(node, f"{text!r} is none of {', '.join(names)}")
        raise self._refuse(node, f"{text!r} is no {kind.__name__}")

    def _term(self, node: yaml.Node) -> Term:
        """`same-day`, `3 working-days`; a number alone is a term without a unit, which the linter reports."""
        text = self._scalar(node, str)
        if text == "same-day":
            return Term(0, Unit.SAME_DAY)
        units = {unit.name.lower().replace("_", "-"): unit for unit in Unit}
        if not (match := _TERM.fullmatch(text)) or (unit := match["unit"] or "unspecified") not in units:
            raise self._refuse(node, f"{text!r} is no time such as '3 working-days' or 'same-day'")
        return Term(int(match["amount"]), units[unit])

    def _json(self, node: yaml.Node) -> Json:
        try:
            value = yaml.SafeLoader("").construct_document(node)
            return Json(json.dumps(value, ensure_ascii=False, separators=(",", ":")))
        except (yaml.YAMLError, TypeError, ValueError) as error:
            raise self._refuse(node, f"not expressible as JSON: {error}") from error

    def _tuple(self, node: yaml.Node, kind: Any) -> tuple[Any, ...]:
        if not isinstance(node, yaml.SequenceNode):
            raise self._refuse(node, "expected a list")
        read, faulty = [], False
        for child in node.value:
            try:
                read.append(self._read(child, kind))
            except UnreadableError:
                faulty = True
        if faulty:
            raise UnreadableError
        return tuple(read)

    def _dataclass(self, node: yaml.Node, kind: type) -> Any:
        if not isinstance(node, yaml.MappingNode):
            raise self._refuse(node, f"expected a {kind.__name__}")
        kinds = get_type_hints(kind)
        fields = {field.name: field for field in dataclasses.fields(kind)}
        values: dict[str, Any] = {}
        faulty = False
        for key, child in node.value:
            if key.value not in fields:
                self._note(key, f"{kind.__name__} has no {key.value!r}")
                faulty = True
                continue
            if key.value in values:
                self._note(key, f"{key.value!r} twice")
                faulty = True
            try:
                values[key.value] = self._read(child, kinds[key.value])
            except UnreadableError:
                values[key.value] = None
                faulty = True
        for name, field in fields.items():
            if name not in values and field.default is dataclasses.MISSING:
                self._note(node, f"{kind.__name__} lacks {name!r}")
                faulty = True
        if faulty:
            raise UnreadableError
        return kind(**values)


def _child(node: yaml.Node, part: str) -> yaml.Node | None:
    if isinstance(node, yaml.SequenceNode) and part.startswith("["):
        index = int(part[1:-1])
        return cast(yaml.Node, node.value[index]) if index < len(node.value) else None
    if isinstance(node, yaml.MappingNode):
        return next((value for key, value in node.value if key.value == part), None)
    return None
