"""YAML read as typed definitions. Every fault is kept, with its file and line; nothing is guessed, nothing is dropped."""

from __future__ import annotations

import codecs
import dataclasses
import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from enum import Enum
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

import yaml

from services.catalogue import typed
from services.law.deadlines import Term, Unit
from services.law.definitions import Json

T = TypeVar("T")
Node = yaml.Node
# libyaml's loader where PyYAML was built with it: a tenth of the time.
Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

# A list for anchors that others refer to.
SHARED = "shared"
DEEPEST = 64
_TAG = "tag:yaml.org,2002:"
_INT = re.compile(r"-?(0|[1-9]\d{0,14})", re.ASCII)
_FLOAT = re.compile(r"-?(0|[1-9]\d{0,14})(\.\d{1,15})?", re.ASCII)
_TERM = re.compile(r"(?P<amount>\d{1,9})(?: (?P<unit>[a-z-]+))?", re.ASCII)
_SPOKEN = {"bool": "yes or no", "null": "nothing", "timestamp": "a date", "int": "a number", "float": "a number"}
# Fields of text that are a day, and such as are a time of day.
DAYS = frozenset({"valid_from", "valid_until", "announced_on", "known_until", "closed", "worked"})
TIMES = frozenset({"start", "end"})
# Đồng; other numbers have 32 bits where they are stored.
_AMOUNTS = frozenset({"amount", "maximum"})
LARGEST, LARGEST_AMOUNT = 2**31 - 1, 10**15 - 1
# What a line of YAML, or of a table, may be made of.
_IMPOSSIBLE = re.compile("[^\\t\\n\\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
NOT_UTF8 = "it is not UTF-8: save it as UTF-8 (in a spreadsheet: CSV UTF-8)"


class FileUnreadable(Exception):
    """A node that cannot be read; the reader has written down why."""


def text_of(path: Path) -> str:
    """A file as editors and spreadsheets save it: UTF-8, or UTF-16 that says so. In NFC.

    Raises FileUnreadable with the line and what it is.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise FileUnreadable("1: there is no such file") from error
    except OSError as error:
        raise FileUnreadable(f"1: it cannot be opened: {error.strerror}") from error
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = 1 if wide else data[: error.start].count(b"\n") + 1
        raise FileUnreadable(f"{line}: {NOT_UTF8}") from error
    if found := _IMPOSSIBLE.search(text):
        line = text[: found.start()].count("\n") + 1
        raise FileUnreadable(f"{line}: it holds U+{ord(found[0]):04X}, which is no text: save it as UTF-8")
    return unicodedata.normalize("NFC", text)


def name_of(path: Path) -> str:
    """Of a file, for people: one from another system may be no UTF-8."""
    return path.name.encode(errors="replace").decode()


class Reader:
    """A file with lists under these keys, and perhaps what they share."""

    def __init__(self, path: Path, keys: Sequence[str]) -> None:
        self.name = name_of(path)
        self.faults: list[str] = []
        self.root: dict[str, yaml.Node] = {}
        text = ""
        try:
            text = text_of(path)
            root = yaml.compose(text, Loader=Loader)
        except FileUnreadable as error:
            self.faults.append(f"{self.name}:{error}")
            return
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            what = getattr(error, "problem", None) or getattr(error, "reason", None) or "no YAML"
            line = mark.line + 1 if mark else 1
            if "\t" in "".join(text.split("\n")[line - 1 : line]):
                what = f"{what}; there is a tab: write blanks"
            self.faults.append(f"{self.name}:{line}: it is no YAML: {what}")
            return
        except RecursionError:
            self.faults.append(f"{self.name}:1: it is nested too deep")
            return
        if not isinstance(root, yaml.MappingNode):
            self.faults.append(f"{self.name}:1: expected the list {' or '.join(keys)}, as in `{keys[0]}:`")
            return
        for key, value in root.value:
            name = self._key(key)
            if name is None:
                continue
            if name in self.root:
                self._note(key, f"{name!r} twice")
            elif name != SHARED and name not in keys:
                self._note(key, typed.listed_fault(name, keys))
            else:
                self.root[name] = value

    def items(self, key: str, kind: type[T] | Mapping[str, type[T]]) -> list[tuple[T, yaml.Node]]:
        """The readable entries of a top-level list, with their nodes. Of several kinds each has a field that tells it."""
        listed = self.root.get(key)
        if not isinstance(listed, yaml.SequenceNode):
            if listed is not None or not self.faults:
                line = listed.start_mark.line + 1 if listed else 1
                self.faults.append(f"{self.name}:{line}: expected a list {key!r}; with nothing in it, `{key}: []`")
            return []
        read = []
        for node in listed.value:
            try:
                one = self._told(node, kind) if isinstance(kind, Mapping) else kind
                read.append((cast(T, self._read(node, one)), node))
            except FileUnreadable:
                continue
            except RecursionError:
                self._note(node, "it is nested too deep")
        return read

    def _told(self, node: yaml.Node, kinds: Mapping[str, type[T]]) -> type[T]:
        named = [key.value for key, _ in node.value] if isinstance(node, yaml.MappingNode) else []
        found = [name for name in kinds if name in named]
        if len(found) != 1:
            choices = ", or ".join(f"{name!r} ({_a(kind)})" for name, kind in kinds.items())
            raise self._refuse(node, f"one of them says what it is: {choices}")
        return kinds[found[0]]

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
        """Once, however often it is referred to."""
        if (fault := f"{self.where(node)}: {text}") not in self.faults:
            self.faults.append(fault)

    def _refuse(self, node: yaml.Node, text: str) -> FileUnreadable:
        self._note(node, text)
        return FileUnreadable(text)

    def _read(self, node: yaml.Node, kind: Any, name: str = "", *, optional: bool = False) -> Any:
        """`name` is its field's; one that is optional may be empty."""
        if isinstance(kind, UnionType):
            (kind,) = (option for option in get_args(kind) if option is not NoneType)
            return None if node.tag == f"{_TAG}null" else self._read(node, kind, name, optional=optional)
        if kind is Json:
            return self._json(node)
        if kind is Term:
            return self._term(node)
        if get_origin(kind) is tuple:
            return self._tuple(node, get_args(kind)[0], name)
        if dataclasses.is_dataclass(kind):
            return self._dataclass(node, cast(type, kind))
        return self._scalar(node, kind, name, optional)

    def _scalar(self, node: yaml.Node, kind: Any, name: str = "", optional: bool = False) -> Any:
        if not isinstance(node, yaml.ScalarNode):
            raise self._refuse(node, "expected a single value")
        if fault := typed.letters_fault(node.value):
            raise self._refuse(node, fault)
        text = typed.settled(node.value)
        if kind is str:
            if text and node.tag == f"{_TAG}null":
                raise self._refuse(node, f"{text!r} is read as nothing: put it in quotes")
            fault = typed.day_fault(text) if name in DAYS else typed.time_fault(text) if name in TIMES else ""
            value: Any = text
            if optional and not text:
                fault = ""
        elif kind is bool:
            fault, value = typed.truth_fault(text), text == "true"
        elif kind is int:
            fault = typed.number_fault(text, LARGEST_AMOUNT if name in _AMOUNTS else LARGEST)
            value = None if fault else int(text)
        else:
            names = _names(kind)
            value = names.get(text.casefold())
            fault = "" if value else typed.listed_fault(text, names)
        if fault:
            raise self._refuse(node, fault)
        return value

    def _term(self, node: yaml.Node) -> Term:
        """`same-day`, `3 working-days`; a number alone is a term without a unit, which the linter reports."""
        text = str(self._scalar(node, str))
        if text == "same-day":
            return Term(0, Unit.SAME_DAY)
        units = {unit.name.lower().replace("_", "-"): unit for unit in Unit}
        if not (match := _TERM.fullmatch(text)) or (unit := match["unit"] or "unspecified") not in units:
            units_named = ", ".join(name for name in units if name not in ("unspecified", "same-day"))
            raise self._refuse(
                node, f"{text!r} is no time such as '3 working-days' or 'same-day'; units are {units_named}"
            )
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
        if fault := typed.letters_fault(node.value):
            raise self._refuse(node, fault)
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
        """Of a value of JSON."""
        name = self._key(key)
        if name is None:
            raise FileUnreadable
        tag = key.tag.removeprefix(_TAG)
        if tag not in ("str", "int"):
            raise self._refuse(key, f"the name {name!r} is read as {_SPOKEN.get(tag, tag)}: put it in quotes")
        return name

    def _key(self, key: yaml.Node) -> str | None:
        if not isinstance(key, yaml.ScalarNode):
            self._note(key, "expected a name before the colon")
            return None
        if fault := typed.letters_fault(key.value):
            self._note(key, fault)
            return None
        return str(key.value)

    def _tuple(self, node: yaml.Node, kind: Any, name: str) -> tuple[Any, ...]:
        if not isinstance(node, yaml.SequenceNode):
            raise self._refuse(node, "expected a list, as [one, another]")
        read, faulty = [], False
        for child in node.value:
            try:
                read.append(self._read(child, kind, name))
            except FileUnreadable:
                faulty = True
        if faulty:
            raise FileUnreadable
        return tuple(read)

    def _dataclass(self, node: yaml.Node, kind: type) -> Any:
        kinds, fields = _fields(kind)
        if not isinstance(node, yaml.MappingNode):
            raise self._refuse(node, f"expected {_a(kind)}: {', '.join(fields)}")
        values: dict[str, Any] = {}
        faulty = False
        for key, child in node.value:
            name = self._key(key)
            if name is None or name not in fields:
                if name is not None:
                    self._note(key, f"{_a(kind)} has no field {name!r}{typed.perhaps(name, fields)}")
                faulty = True
                continue
            if name in values:
                self._note(key, f"{name!r} twice")
                faulty = True
            try:
                values[name] = self._read(child, kinds[name], name, optional=is_optional(fields[name]))
            except FileUnreadable:
                values[name] = None
                faulty = True
        for name, field in fields.items():
            if name not in values and field.default is dataclasses.MISSING:
                self._note(node, f"{_a(kind)} needs the field {name!r}")
                faulty = True
        if faulty:
            raise FileUnreadable
        return kind(**values)


@cache
def _fields(kind: type) -> tuple[dict[str, Any], dict[str, dataclasses.Field[Any]]]:
    return get_type_hints(kind), {field.name: field for field in dataclasses.fields(kind)}


def is_optional(field: dataclasses.Field[Any]) -> bool:
    """May be written and empty."""
    return field.default == "" or field.name == "valid_until"


def _names(kind: type[Enum]) -> dict[str, Enum]:
    return {member.name.lower().replace("_", "-"): member for member in kind if member.value}


def _a(kind: type) -> str:
    spoken = re.sub(r"(?<!^)(?=[A-Z])", " ", kind.__name__).lower()
    return f"{'an' if spoken[0] in 'aeo' else 'a'} {spoken}"


def _child(node: yaml.Node, part: str) -> yaml.Node | None:
    if isinstance(node, yaml.SequenceNode) and part.startswith("["):
        index = int(part[1:-1])
        return cast(yaml.Node, node.value[index]) if index < len(node.value) else None
    if isinstance(node, yaml.MappingNode):
        return next((value for key, value in node.value if key.value == part), None)
    return None
