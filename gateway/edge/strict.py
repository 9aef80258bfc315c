"""What the edge's Lua filter (requests.lua) knows of the API: its paths, and the names that each request has."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from gateway.edge.api import Method
from gateway.edge.replies import REPLIES

# Of a body: more than any definition has, and read in a moment.
MOST_VALUES = 200_000
DEEPEST = 100
# Under which the edge's own filters tell each other what they did with a request.
OWN = "motcua.edge"

_VARIABLE = re.compile(r"\{[^}]+\}")
_MAGIC = re.compile(r"[\^$()%.\[\]*+\-?]")
# A braced part takes no slash; what stands before a verb takes anything else.
_SEGMENT = "[^/]+"
# Their JSON is no object of their fields (https://protobuf.dev/programming-guides/json/).
_OF_THEIR_OWN = "google.protobuf."
_KINDS = {
    FieldDescriptor.TYPE_INT32: "int32",
    FieldDescriptor.TYPE_UINT32: "uint32",
    FieldDescriptor.TYPE_INT64: "int64",
    FieldDescriptor.TYPE_UINT64: "uint64",
    FieldDescriptor.TYPE_FLOAT: "float",
    FieldDescriptor.TYPE_DOUBLE: "float",
    FieldDescriptor.TYPE_BOOL: "bool",
    FieldDescriptor.TYPE_STRING: "string",
}


def script(methods: Sequence[Method]) -> str:
    templates: dict[str, dict[str, dict[str, str]]] = {"": {}}
    messages: dict[str, dict[str, object]] = {}
    kinds: dict[str, dict[str, str]] = {}
    enums: dict[str, dict[str, object]] = {}
    variables: dict[tuple[str, str], dict[str, bool]] = {}
    for method in methods:
        for verb, path, body in _bindings(method):
            named = _message(method.descriptor.input_type, body, messages)
            pattern, custom = _pattern(path)
            known = templates.setdefault(custom, {}).setdefault(pattern, {})
            known[verb] = named
            named_in_path = (each.strip("{}").partition("=")[0] for each in _VARIABLE.findall(path))
            variables[custom, pattern] = {name.replace("_", "").lower(): True for name in named_in_path}
            if method.streams:
                known["STREAM"] = named
    for method in methods:
        _note_kinds(method.descriptor.input_type, kinds, enums)
    ordered = {
        verb: [[pattern, known, variables[verb, pattern]] for pattern, known in found.items()]
        for verb, found in templates.items()
    }
    tables = {
        "TEMPLATES": ordered,
        "MESSAGES": messages,
        "KINDS": kinds,
        "ENUMS": enums,
        "REFUSALS": {str(reply.http): reply.text("@MORE@") for reply in REPLIES if reply.http in (400, 404, 405)},
        "OWN": OWN,
        "MOST_VALUES": MOST_VALUES,
        "DEEPEST": DEEPEST,
    }
    head = "\n".join(f"local {name} = {_lua(value)}" for name, value in tables.items())
    return f"{head}\n{Path(__file__).with_name('requests.lua').read_text()}"


def _bindings(method: Method) -> Iterator[tuple[str, str, str]]:
    for rule in (method.http, *method.http.additional_bindings):
        if verb := rule.WhichOneof("pattern"):
            yield verb.upper(), getattr(rule, verb), rule.body


def _pattern(path: str) -> tuple[str, str]:
    """Of Lua, and the custom verb at its end."""
    stem, colon, custom = path.rpartition(":")
    if not colon or "/" in custom or "}" in custom:
        stem, custom = path, ""
    literal = _SEGMENT.join(map(_literal, _VARIABLE.split(stem)))
    return f"^{literal}{colon}{_literal(custom)}$" if custom else f"^{literal}$", custom


def _literal(text: str) -> str:
    return _MAGIC.sub(r"%\g<0>", text)


def _message(descriptor: Descriptor, body: str, messages: dict[str, dict[str, object]]) -> str:
    """The name of the table of what the body holds."""
    if body in ("", "*"):
        _note(descriptor, messages)
        return descriptor.full_name
    field = descriptor.fields_by_name[body]
    name = f"{descriptor.full_name}.{body}"
    messages[name] = {"*": False}
    if field.message_type is not None:
        _note(field.message_type, messages)
        name = field.message_type.full_name
    return name


def _note(descriptor: Descriptor, messages: dict[str, dict[str, object]]) -> None:
    if descriptor.full_name in messages:
        return
    fields = messages[descriptor.full_name] = {}
    for field in descriptor.fields:
        for name in (field.name, field.json_name):
            fields[name] = _inside(field, messages)


def _inside(field: FieldDescriptor, messages: dict[str, dict[str, object]]) -> object:
    """The message that the field's objects are; else whether a parameter of that name may stand several times."""
    inner = field.message_type
    if inner is None or inner.full_name.startswith(_OF_THEIR_OWN):
        return bool(field.is_repeated)
    if inner.GetOptions().map_entry:
        name = inner.full_name
        messages[name] = {"*": _inside(inner.fields_by_name["value"], messages)}
        return name
    _note(inner, messages)
    return inner.full_name


def _note_kinds(descriptor: Descriptor, kinds: dict[str, dict[str, str]], enums: dict[str, dict[str, object]]) -> None:
    """Of the values of each field that is no message of fields."""
    if descriptor.full_name in kinds:
        return
    found = kinds[descriptor.full_name] = {}
    of_map = descriptor.GetOptions().map_entry
    for field in descriptor.fields:
        inner = field.message_type
        if inner is not None and not inner.full_name.startswith(_OF_THEIR_OWN):
            _note_kinds(inner, kinds, enums)
        elif kind := _kind(field, enums):
            # Of a map, every name is one.
            names = ("*" if field.name == "value" else "",) if of_map else (field.name, field.json_name)
            found |= {name: kind for name in names if name}


def _kind(field: FieldDescriptor, enums: dict[str, dict[str, object]]) -> str:
    if field.message_type is not None:
        return "time" if field.message_type.full_name == "google.protobuf.Timestamp" else ""
    if (enum := field.enum_type) is not None:
        given = {value.name: True for value in enum.values}
        names = ", ".join(value.name for value in enum.values if value.number)
        enums[enum.full_name] = {"names": names, **given}
        return enum.full_name
    return _KINDS.get(field.type, "")


def _lua(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case str():
            return json.dumps(value, ensure_ascii=False)
        case dict():
            return "{" + ", ".join(f"[{_lua(key)}] = {_lua(each)}" for key, each in value.items()) + "}"
        case list():
            return "{" + ", ".join(map(_lua, value)) + "}"
    raise TypeError(type(value))
