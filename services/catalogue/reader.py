"""YAML read as typed definitions. Every fault is kept, with its file and line; nothing is guessed, nothing is dropped."""

from __future__ import annotations

import codecs
import dataclasses
import json
import re
import unicodedata
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

import yaml

from services.chassis.deadlines import Term, Unit
from services.chassis.law.definitions import Json

T = TypeVar("T")
Node = yaml.Node
# libyaml's loader where PyYAML was built with it: a tenth of the time.
Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

# A list for anchors that others refer to.
SHARED = "shared"
DEEPEST = 64
_TAG = "tag:yaml.org,2002:"
_INT = re.compile(r"-?(0|[1-9]\d{0,14})", re.ASCII)
_GROUPED = re.compile(r"-?(0|[1-9]\d{0,14}|[1-9]\d{0,2}(_\d{3}){1,4})", re.ASCII)
_FLOAT = re.compile(r"-?(0|[1-9]\d{0,14})(\.\d{1,15})?", re.ASCII)
_TERM = re.compile(r"(?P<amount>\d{1,9})(?: (?P<unit>[a-z-]+))?", re.ASCII)
_SPOKEN = {"bool": "yes or no", "null": "nothing", "timestamp": "a date", "int": "a number", "float": "a number"}


class UnreadableError(Exception):
    """A node that cannot be read; the reader has written down why."""


def text_of(path: Path) -> str:
    """A file as editors and spreadsheets save it: UTF-8, or UTF-16 that says so. In NFC.

    Raises UnreadableError with the line and what it is.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UnreadableError(f"1: {error.strerror}") from error
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise UnreadableError(f"{line}: it is neither UTF-8 nor UTF-16: save it as UTF-8") from error
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise UnreadableError(f"{line}: it holds U+0000: save it as UTF-8")
    return unicodedata.normalize("NFC", text)


class Reader:
    """A file with lists under these keys, and perhaps what they share."""

    def __init__(self, path: Path, keys: Sequence[str]) -> None:
        self.name = path.name
        self.faults: list[str] = []
        self.root: dict[str, yaml.Node] = {}
        try:
            root = yaml.compose(text_of(path), Loader=Loader)
        except UnreadableError as error:
            self.faults.append(f"{self.name}:{error}")
            return
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            what = getattr(error, "problem", None) or getattr(error, "reason", None) or "no YAML"
            self.faults.append(f"{self.name}:{mark.line + 1 if mark else 1}: {what}")
            return
        except RecursionError:
            self.faults.append(f"{self.name}:1: it is nested too deep")
            return
        if not isinstance(root, yaml.MappingNode):
            self.faults.append(f"{self.name}:1: expected a mapping with {' or '.join(keys)}")
            return
        for key, value in root.value:
            if key.value in self.root:
                self._note(key, f"{key.value!r} twice")
            elif key.value != SHARED and key.value not in keys:
                self._note(key, f"{key.value!r} is none of {', '.join(keys)}")
            else:
                self.root[key.value] = value

    def items(self, key: str, kind: type[T]) -> list[tuple[T, yaml.Node]]:
        """The readable entries of a top-level list, with their nodes."""
        listed = self.root.get(key)
        if not isinstance(listed, yaml.SequenceNode):
            if listed is not None or not self.faults:
                line = listed.start_mark.line + 1 if listed else 1
                self.faults.append(f"{self.name}:{line}: expected a list {key!r}")
            return []
        read = []
        for node in listed.value:
            try:
                read.append((cast(T, self._read(node, kind)), node))
            except UnreadableError:
                continue
            except RecursionError:
                self._note(node, "it is nested too deep")
        return read

    def where(self, node: yaml.Node) -> str:
        return f"{self.name}:{node.start_mark.line + 1}"

    def fault(self, node: yaml.Node, path: str, text: str) -> None:
        """Notes a fault at the line of `path` below `node`, or of its nearest ancestor that is written down."""
        for part in re.findall(r"[A-Za-z_-]+|\[\d+\]", path):
            child = _child(node, part)
            if child is None:
                break
            node = child
        self._note(node, f"{path}: {text}" if path else text)

    def _note(self, node: yaml.Node, text: str) -> None:
        self.faults.append(f"{self.where(node)}: {text}")

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
        if kind is str and not (text and node.tag == f"{_TAG}null"):
            return text
        if kind is bool and text in ("true", "false"):
            return text == "true"
        if kind is int and _GROUPED.fullmatch(text):
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
        return Json(json.dumps(self._value(node, 0), ensure_ascii=False, separators=(",", ":")))

    def _value(self, node: yaml.Node, depth: int) -> Any:
        """As JSON has it. What YAML takes for something else than it looks like is refused."""
        if depth > DEEPEST:
            raise self._refuse(node, f"it is nested more than {DEEPEST} levels deep")
        if isinstance(node, yaml.SequenceNode):
            return [self._value(child, depth + 1) for child in node.value]
        if isinstance(node, yaml.MappingNode):
            found: dict[str, Any] = {}
            for key, child in node.value:
                name = self._name(key)
                if name in found:
                    raise self._refuse(key, f"{name!r} twice")
                found[name] = self._value(child, depth + 1)
            return found
        text, tag = node.value, node.tag.removeprefix(_TAG)
        if tag == "str":
            return text
        if tag == "bool" and text in ("true", "false"):
            return text == "true"
        if tag == "null" and text == "null":
            return None
        if tag == "int" and _INT.fullmatch(text):
            return int(text)
        if tag == "float" and _FLOAT.fullmatch(text):
            return float(text)
        raise self._refuse(
            node, f"{text!r} is read as {_SPOKEN.get(tag, tag)}: put it in quotes, or write it as JSON has it"
        )

    def _name(self, key: yaml.Node) -> str:
        tag = key.tag.removeprefix(_TAG)
        if not isinstance(key, yaml.ScalarNode) or tag not in ("str", "int"):
            raise self._refuse(key, f"the name {key.value!r} is read as {_SPOKEN.get(tag, tag)}: put it in quotes")
        return str(key.value)

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
