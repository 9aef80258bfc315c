"""A fault names the answer, wherever in a form its rule stands."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.law import faults
from services.law.forms import compiled, light
from tests.support.spending import spending

PERSON = {
    "type": "object",
    "required": ["name", "age"],
    "properties": {"name": {"type": "string", "maxLength": 5}, "age": {"type": "integer"}, "note": {"type": "string"}},
    "additionalProperties": False,
}
RIGHT = {"name": "Lan", "age": 30}
FAULTY: list[tuple[dict[str, Any], str, str]] = [
    ({"age": 30}, "name", "required"),
    ({"name": "Lan"}, "age", "required"),
    ({"name": "Nguyễn", "age": 30}, "name", "maxLength"),
    ({"name": "Lan", "age": "30"}, "age", "type"),
    ({"name": "Lan", "age": 30, "nmae": "Lan"}, "nmae", "additionalProperties"),
]
OTHERS: list[dict[str, Any]] = [
    {"type": "null"},
    {"type": "string"},
    {"type": "object", "required": ["company", "tax_code", "seat"]},
    {"type": "object", "required": ["kind", "name"], "properties": {"kind": {"const": "company"}, "name": False}},
    {"enum": [None, "none"]},
]
# A rule around a rule, answers around answers, and the path to them.
Wrapped = tuple[dict[str, Any], Any, tuple[str, ...]]
others = st.lists(st.sampled_from(OTHERS), min_size=1, max_size=3)


def ways(word: str) -> Callable[[Wrapped, st.DataObject], Wrapped]:
    def wrap(inner: Wrapped, data: st.DataObject) -> Wrapped:
        rules = data.draw(others)
        place = data.draw(st.integers(0, len(rules)))
        return {word: [*rules[:place], inner[0], *rules[place:]]}, inner[1], inner[2]

    return wrap


def conditional(inner: Wrapped, data: st.DataObject) -> Wrapped:
    rule, answers, path = inner
    return data.draw(st.sampled_from([{"if": {}, "then": rule}, {"if": False, "else": rule}])), answers, path


def everything(inner: Wrapped, data: st.DataObject) -> Wrapped:
    return {"allOf": [{}, inner[0]]}, inner[1], inner[2]


def referred(inner: Wrapped, data: st.DataObject) -> Wrapped:
    return {"$ref": inner[0]}, inner[1], inner[2]


def listed(inner: Wrapped, data: st.DataObject) -> Wrapped:
    return {"type": "array", "items": inner[0]}, [inner[1]], ("0", *inner[2])


def within(inner: Wrapped, data: st.DataObject) -> Wrapped:
    rule = {"type": "object", "required": ["person"], "properties": {"person": inner[0]}}
    return rule, {"person": inner[1]}, ("person", *inner[2])


WRAPPINGS = [ways("anyOf"), ways("oneOf"), conditional, everything, referred, listed, within]


def schema_of(rule: Any, known: dict[str, Any]) -> Any:
    """With what references lead to among the definitions."""
    if isinstance(rule, list):
        return [schema_of(each, known) for each in rule]
    if not isinstance(rule, dict):
        return rule
    if isinstance(rule.get("$ref"), dict):
        name = f"d{len(known)}"
        known[name] = {}
        known[name] = schema_of(rule["$ref"], known)
        return {"$ref": f"#/$defs/{name}"}
    return {word: schema_of(each, known) for word, each in rule.items()}


@settings(max_examples=200, deadline=None)
@given(
    data=st.data(), fault=st.sampled_from([(RIGHT, "", ""), *FAULTY]), wrappings=st.lists(st.sampled_from(WRAPPINGS), max_size=5)
)  # fmt: skip
def test_the_answer_is_named_however_its_rule_is_wrapped(data: Any, fault: Any, wrappings: Any) -> None:
    answers, name, rule = fault
    wrapped: Wrapped = (PERSON, answers, (name,) if name else ())
    for wrap in [*wrappings, within]:
        wrapped = wrap(wrapped, data)
    known: dict[str, Any] = {}
    form = compiled(json.dumps(schema_of(wrapped[0], known) | {"$defs": known}))
    expected = [(wrapped[2], rule)] if rule else []
    assert [(each.path, each.rule) for each in form.wrong(wrapped[1])] == expected
    assert form.takes(wrapped[1]) is not bool(expected)


BY_KIND = {
    "oneOf": [
        {"required": ["kind", "name"], "properties": {"kind": {"const": "person"}, "name": {"type": "string"}}},
        {"required": ["kind", "tax_code"], "properties": {"kind": {"const": "company"}, "tax_code": {"minLength": 10}}},
    ]
}
CHOICES = {"properties": {"x": {"oneOf": [{"const": "a", "title": "A"}, {"const": "b", "title": "B"}]}}}
EITHER = {"oneOf": [{"required": ["phone"]}, {"required": ["email"]}]}


@pytest.mark.parametrize(
    ("schema", "answers", "expected"),
    [
        (BY_KIND, {"kind": "company"}, [("tax_code", "required")]),
        (BY_KIND, {"kind": "company", "tax_code": "1"}, [("tax_code", "minLength")]),
        (BY_KIND, {"kind": "person"}, [("name", "required")]),
        (BY_KIND, {"tax_code": "0123456789"}, [("kind", "required")]),
        (CHOICES, {"x": "c"}, [("x", "enum")]),
        (EITHER, {"phone": "1", "email": "2", "name": "L"}, [("email", "oneOf"), ("phone", "oneOf")]),
        ({"oneOf": [{}, {}]}, {"a": 1}, [("", "oneOf")]),
        ({"not": {"required": ["a"]}}, {"a": 1, "b": 1}, [("a", "not")]),
        ({"properties": {"a": {"not": {"const": 1}}}}, {"a": 1}, [("a", "not")]),
        ({"if": {"required": ["a"]}, "then": {"properties": {"b": False}}}, {"a": 1, "b": 1}, [("b", "not")]),
        ({"dependentSchemas": {"a": {"anyOf": [{"required": ["b"]}]}}}, {"a": 1}, [("b", "required")]),
        ({"$schema": "http://json-schema.org/draft-07/schema", "dependencies": {"a": ["b"]}}, {"a": 1}, [("b", "required")]),
        ({"properties": {"type": {"minProperties": 1}}}, {"type": {}}, [("type", "minProperties")]),
        ({"allOf": [EITHER], "unevaluatedProperties": False}, {"fax": 1},
         [("fax", "additionalProperties"), ("phone", "required")]),
        ({"anyOf": [{"required": ["a", "b"], "properties": {"a": {}, "b": {}}}], "unevaluatedProperties": False}, {"a": 1},
         [("b", "required")]),
    ],
)  # fmt: skip
def test_of_several_ways_it_is_the_one_that_was_meant(
    schema: Any, answers: Any, expected: list[tuple[str, str]]
) -> None:
    found = compiled(json.dumps(schema)).wrong(answers)
    assert sorted((".".join(each.path), each.rule) for each in found) == expected


def test_faults_have_an_end() -> None:
    items = {"anyOf": [{"required": [f"a{i}", f"b{i}"]} for i in range(20)]}
    form = light(json.dumps({"properties": {"l": {"items": items}}}))
    assert form
    with spending() as spent:
        found = form.wrong({"l": [{}] * 300})
    assert [(each.path, each.rule) for each in found] == [
        (("l", str(i), name), "required") for i in range(faults.MOST_FAULTS // 2) for name in ("a0", "b0")
    ]
    assert spent.seconds < 2
