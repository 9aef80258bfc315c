"""Whatever a definition says of its own form is readable and possible, or refused with its place."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, insert

from services.catalogue import form_sense
from services.catalogue.form_sense import Sense
from services.catalogue.linter import lint
from services.chassis.decider import Rejected
from services.chassis.following.in_force import SHAPES, versions_table
from services.dossier.law import Law, Question
from services.dossier.values import Channel
from services.law import forms
from services.law.definitions import Circumstance, Form, Json, Procedure
from tests.catalogue.samples import PROCEDURE, SCHEMA, UI, catalogue, form, text
from tests.support.shipped import shipped

AT = datetime(2026, 12, 1, 2, tzinfo=UTC)


def faults(procedure: Procedure) -> list[tuple[str, str]]:
    return [(fault.code, fault.path) for fault in lint(procedure)]


def asking(rule: dict[str, Any], hints: dict[str, Any] | None = None, **more: Any) -> Procedure:
    """The sample with a field `x` of this rule."""
    schema = SCHEMA | {"properties": SCHEMA["properties"] | {"x": {"title": "X"} | rule}} | more
    return replace(PROCEDURE, form=form(schema, {"fields": UI["fields"] | {"x": {"en": "X"} | (hints or {})}}))


def so_when(field: str, value: str) -> Procedure:
    return replace(PROCEDURE, circumstances=(Circumstance("late", text(), field, Json(value)),))


X = "form.schema.properties.x"
HINTS = "form.ui.fields.x"
LABELS = {"options": {"a": {"vi": "A", "en": "A"}, "b": {"vi": "B", "en": "B"}}}


@pytest.mark.parametrize(
    ("procedure", "expected"),
    [
        (so_when("late", '"không"'), [("VALUE_IMPOSSIBLE", "circumstances[0].form_value")]),
        (so_when("late", '"false"'), [("VALUE_IMPOSSIBLE", "circumstances[0].form_value")]),
        (so_when("late", "1"), [("VALUE_IMPOSSIBLE", "circumstances[0].form_value")]),
        (so_when("late", "không"), [("CIRCUMSTANCE_VALUE", "circumstances[0].form_value")]),
        (asking({"type": "string", "enum": [True, False]}, {"options": dict.fromkeys(("true", "false"), LABELS["options"]["a"])}),
         [("VALUE_IMPOSSIBLE", f"{X}.enum[0]"), ("VALUE_IMPOSSIBLE", f"{X}.enum[1]")]),
        (asking({"type": "string", "enum": ["a", "b"], "maxLength": 0}, LABELS),
         [("VALUE_IMPOSSIBLE", f"{X}.enum[0]"), ("VALUE_IMPOSSIBLE", f"{X}.enum[1]")]),
        (asking({"type": "string", "enum": ["a", "b"]}), [("CHOICE_WITHOUT_LABEL", f"{HINTS}.options")]),
        (asking({"type": "string", "enum": ["a", "b"]}, {"options": LABELS["options"] | {"c": {"vi": "C", "en": "C"}}}),
         [("VALUE_IMPOSSIBLE", f"{HINTS}.options")]),
        (asking({"type": "array", "items": {"type": "string", "enum": ["a", "b"]}}),
         [("CHOICE_WITHOUT_LABEL", f"{HINTS}.options")]),
        (asking({"type": "string", "enum": ["a", "b"]}, LABELS), []),
        (asking({"type": "integer", "minimum": 5, "maximum": 4}), [("UNANSWERABLE", f"{X}.minimum")]),
        (asking({"type": "integer", "exclusiveMinimum": 4, "maximum": 4}), [("UNANSWERABLE", f"{X}.exclusiveMinimum")]),
        (asking({"type": "integer", "minimum": 1, "maximum": 9, "multipleOf": 10}), [("UNANSWERABLE", f"{X}.minimum")]),
        (asking({"type": "integer", "minimum": 4.2, "maximum": 4.8}), [("UNANSWERABLE", f"{X}.minimum")]),
        (asking({"type": "string", "minLength": 5, "maxLength": 4}), [("UNANSWERABLE", f"{X}.minLength")]),
        (asking({"type": "string", "pattern": "^[0-9]{12}$", "maxLength": 10}), [("UNANSWERABLE", f"{X}.pattern")]),
        (asking({"type": "string", "pattern": "^[0-9]{12}$", "minLength": 13}), [("UNANSWERABLE", f"{X}.pattern")]),
        (asking({"type": "array", "minItems": 2, "maxItems": 1}), [("UNANSWERABLE", f"{X}.minItems")]),
        (asking({"type": "array", "items": {"enum": ["a"]}, "minItems": 2, "uniqueItems": True}),
         [("UNANSWERABLE", f"{X}.minItems")]),
        (asking({"type": "boolean", "default": "false"}), [("VALUE_IMPOSSIBLE", f"{X}.default")]),
        (asking({"type": "integer", "default": "1"}), [("VALUE_IMPOSSIBLE", f"{X}.default")]),
        (asking({"type": "boolean", "const": "true"}), [("VALUE_IMPOSSIBLE", f"{X}.const")]),
        (asking({"type": "string", "examples": [1]}), [("VALUE_IMPOSSIBLE", f"{X}.examples[0]")]),
        (asking({"type": "string", "format": "dat"}), [("FORMAT_UNKNOWN", f"{X}.format")]),
        (asking({"type": "string", "maxlength": 3}), [("KEYWORD_UNKNOWN", f"{X}.maxlength")]),
        (asking({"type": "integer", "maxLength": 3}), [("KEYWORD_MISPLACED", f"{X}.maxLength")]),
        (asking({"type": "array", "items": {"type": "string", "lenght": 3}}), [("KEYWORD_UNKNOWN", f"{X}.items.lenght")]),
        (asking({"type": "object", "properties": {}, "required": ["y"], "additionalProperties": False}),
         [("FIELD_UNKNOWN", f"{X}.required")]),
        (asking({"type": "string"}, {"widgt": "date"}), [("HINT_UNKNOWN", f"{HINTS}.widgt")]),
        (asking({"type": "string"}, {"widget": "calender"}), [("HINT_UNKNOWN", f"{HINTS}.widget")]),
        (asking({"type": "string"}, {"prefill": "shoe_size"}), [("HINT_UNKNOWN", f"{HINTS}.prefill")]),
        (asking({"type": "string"}, {"when": {"late": "true"}}), [("VALUE_IMPOSSIBLE", f"{HINTS}.when")]),
        (asking({"type": "string"}, {"when": {"never": True}}), [("FIELD_UNKNOWN", f"{HINTS}.when")]),
        (asking({"type": "string"}, {"count": "page"}), [("COUNT_TYPE", f"{HINTS}.count")]),
        (asking({"type": "integer"}, {"count": "copy"}), [("COUNT_TWICE", "form.ui.fields")]),
        (asking({"type": "string"}, allOf=[{"if": {"properties": {"late": {"const": 1}}}, "then": {"required": ["x"]}}]),
         [("VALUE_IMPOSSIBLE", "form.schema.allOf[0].if.properties.late")]),
        (asking({"type": "string"}, allOf=[{"if": {"required": ["late"]}, "then": {"required": ["y"]}}]),
         [("FIELD_UNKNOWN", "form.schema.allOf[0].then")]),
        (asking({"type": "string"}, dependentRequired={"x": ["y"]}), [("FIELD_UNKNOWN", "form.schema.dependentRequired.x")]),
        (asking({"$ref": "#/$defs/y"}, **{"$defs": {"y": {"type": "integer", "maximum": 3}}}), []),
        (asking({"type": "integer", "allOf": [{"minimum": 5}, {"maximum": 4}]}), [("UNANSWERABLE", X)]),
        (asking({"type": "string", "minLength": 5, "allOf": [{"maxLength": 4}]}), [("UNANSWERABLE", X)]),
        (asking({"allOf": [{"type": "string"}, {"type": "integer"}]}), [("UNANSWERABLE", X)]),
        (asking({"type": "string", "enum": ["a", "b"], "allOf": [{"enum": ["c"]}]}, LABELS),
         [("VALUE_IMPOSSIBLE", f"{X}.enum[0]"), ("VALUE_IMPOSSIBLE", f"{X}.enum[1]")]),
        (asking({"type": "string", "not": {"type": "string"}}), [("UNANSWERABLE", X)]),
        (asking({"anyOf": [{"type": "integer"}, {"type": "string", "allOf": [{"minLength": 2}, {"maxLength": 1}]}]}),
         [("UNANSWERABLE", f"{X}.anyOf[1]")]),
        (asking({"type": "string", "anyOf": [{"minLength": 1}, {"type": "integer"}]}), [("UNANSWERABLE", f"{X}.anyOf[1]")]),
        (asking({"oneOf": [{"type": "string"}, {"type": "string"}]}), [("UNANSWERABLE", X)]),
        (asking({"type": "object", "properties": {"y": {"type": "string"}}, "required": ["y"],
                 "allOf": [{"properties": {"y": {"type": "integer"}}}]}), [("UNANSWERABLE", X)]),
        (asking({"type": "array", "items": {"type": "string", "allOf": [{"const": "a"}, {"const": "b"}]}, "minItems": 1}),
         [("UNANSWERABLE", X), ("UNANSWERABLE", f"{X}.items")]),
        (asking({"type": "string"}, allOf=[{"required": ["x"]}, {"properties": {"x": False}}]),
         [("UNANSWERABLE", "form.schema.allOf[1].properties.x")]),
        (asking({"type": "string"}, allOf=[{"properties": {"x": {"type": "integer"}}}]), [("UNANSWERABLE", X)]),
        (asking({"type": "integer", "minimum": 3},
                allOf=[{"if": {"required": ["x"]}, "then": {"properties": {"x": {"maximum": 2}}}}]),
         [("UNANSWERABLE", "form.schema.allOf[0].then")]),
        (asking({"type": "string", "enum": ["a", "b"]}, LABELS, allOf=[{"properties": {"x": {"const": "a"}}}]),
         [("VALUE_IMPOSSIBLE", f"{X}.enum[1]")]),
        (asking({"$ref": "#/$defs/y", "minimum": 4}, **{"$defs": {"y": {"type": "integer", "maximum": 3}}}),
         [("UNANSWERABLE", X)]),
        (asking({"type": "string"}, allOf=[{"if": {"required": ["x"]}, "then": {"properties": {"late": {"const": True}}}}]), []),
        (asking({"type": ["string", "null"], "anyOf": [{"type": "null"}, {"minLength": 2}]}), []),
        (asking({"type": "boolean", "title": "Cơ sở y tế đã ký số dữ liệu"}), [("ASKS_WHAT_OTHERS_KNOW", HINTS)]),
    ],
)  # fmt: skip
def test_what_a_form_says_of_itself(procedure: Procedure, expected: list[tuple[str, str]]) -> None:
    assert faults(procedure) == expected


def test_a_grown_up_s_day_of_birth_may_be_a_year_and_a_child_s_is_known() -> None:
    fields = {
        name: {"type": "string", "title": "Ngày sinh", "format": "date"}
        for name in ("bride_birth_date", "child_birth_date")
    }
    hints = {"fields": UI["fields"] | {name: {"en": "Date of birth"} for name in fields}}
    schema = SCHEMA | {"properties": SCHEMA["properties"] | fields}
    assert faults(replace(PROCEDURE, form=form(schema, hints))) == [
        ("BIRTH_DATE_EXACT", "form.schema.properties.bride_birth_date.format")
    ]


PLACE_CODE: dict[str, Any] = {"type": ["string", "null"], "title": "Mã địa điểm", "format": "place-code"}
ADDRESS = {"type": "string", "title": "Địa chỉ"}


@pytest.mark.parametrize(
    ("since", "fields", "expected"),
    [
        ("2026-09-01", {"home_address": ADDRESS, "home_address_place_code": PLACE_CODE}, []),
        ("2026-09-01", {"home_address": ADDRESS}, [("PLACE_CODE_MISSING", "form.schema.properties.home_address")]),
        ("2026-09-01", {"email_address": ADDRESS}, []),
        ("2026-08-31", {"home_address": ADDRESS}, []),
        ("2026-08-31", {"place_code": ADDRESS}, [("PLACE_CODE", "form.schema.properties.place_code")]),
        (
            "2026-08-31",
            {"place_code": PLACE_CODE | {"type": "string"}},
            [("PLACE_CODE", "form.schema.properties.place_code")],
        ),
    ],
)
def test_beside_an_address_stands_its_place_s_code(
    since: str, fields: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    hints = {"fields": UI["fields"] | {name: {"en": "x"} for name in fields}}
    schema = SCHEMA | {"properties": SCHEMA["properties"] | fields}
    assert faults(replace(PROCEDURE, form=form(schema, hints), valid_from=since)) == expected


def test_every_address_of_the_sample_has_its_place_s_code() -> None:
    """What is an address says so in its name or its title."""
    lacking = {
        (procedure.code, name)
        for procedure in shipped().procedures
        if procedure.form
        for fields in [forms.parsed(procedure.form.schema)["properties"]]
        for name, rule in fields.items()
        if re.fullmatch(r"(.*_)?(address|residence)", name) or "địa chỉ" in rule["title"].lower()
        if fields.get(f"{name}_place_code", {}).get("format") != "place-code"
    }
    assert lacking == set()


@pytest.mark.parametrize(
    ("said", "taken"),
    [
        *((said, True) for said in ("1952", "1952-03", "1952-03-31")),
        *(
            (said, False)
            for said in ("0000", "1952-13", "1952-02-30", "52", "31/03/1952", "19520331", "0000-01-01", "", "١٩٥٢")
        ),
    ],
)
def test_a_day_of_birth(said: str, taken: bool) -> None:
    checked = forms.compiled(json.dumps({"properties": {"born": {"type": "string", "format": "birth-date"}}}))
    assert (checked.wrong({"born": said}) == []) is taken


# Definitions bent at random


def law() -> Law:
    engine = create_engine("sqlite://")
    with engine.begin() as db:
        versions_table.create(db)
        for calendar in catalogue().calendars:
            row = {"kind": "calendar", "key": calendar.calendar_id, "version": calendar.version, "valid_from": ""}
            written = SHAPES["calendar"].write(calendar).SerializeToString()
            db.execute(
                insert(versions_table).values(**row, valid_until="", successor="", revision=0, definition=written)
            )
        return Law(db)


LAW = law()
AGENCY = next(catalogue().agencies("56"))
WORDS = ("", "a", "true", "false", "không", "date", "dat", "string", "boolean", "integer", "male")
SCALARS = st.sampled_from([True, False, None, 0, 1, -5, 3.5, 10**9, *WORDS])


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, child in below for place in places(child, (*path, key)))]


@st.composite
def bent(draw: st.DrawFn) -> Procedure:
    procedure = draw(st.sampled_from(catalogue().procedures))
    assert procedure.form is not None
    document: dict[str, Any] = {
        "schema": json.loads(procedure.form.schema),
        "ui": json.loads(procedure.form.ui),
        "so": {str(index): json.loads(c.form_value) for index, c in enumerate(procedure.circumstances) if c.form_value},
    }
    for _ in range(draw(st.integers(1, 3))):
        *above, last = draw(st.sampled_from([place for place in places(document) if len(place) > 1]))
        parent = document
        for key in above:
            parent = parent[key]
        match draw(st.sampled_from(["set", "set", "drop", "rename"])):
            case "set":
                parent[last] = draw(SCALARS | st.lists(SCALARS, max_size=3))
            case "drop":
                del parent[last]
            case "rename" if isinstance(parent, dict):
                parent[draw(st.sampled_from([last.lower(), last[:-1], "minimum", "pattern", "default", "const"]))] = (
                    parent.pop(last)
                )
    circumstances = tuple(
        replace(
            each,
            form_value=Json(json.dumps(document["so"][str(index)]))
            if str(index) in document["so"]
            else each.form_value,
        )
        for index, each in enumerate(procedure.circumstances)
    )
    written = Form(Json(json.dumps(document["schema"])), Json(json.dumps(document["ui"])))
    return replace(procedure, form=written, circumstances=circumstances)


def answered(draw: Any, schema: dict[str, Any]) -> dict[str, Any]:
    fields = schema["properties"]
    asked = set(schema.get("required", ())) | {name for name in fields if draw(st.booleans())}
    return {name: value(draw, rule) for name, rule in fields.items() if name in asked}


def value(draw: Any, rule: Any) -> Any:
    if not isinstance(rule, dict):
        return "a"
    if "const" in rule or rule.get("enum"):
        return rule["const"] if "const" in rule else draw(st.sampled_from(rule["enum"]))
    match rule.get("type"):
        case "boolean":
            return draw(st.booleans())
        case "integer" | "number":
            low = rule.get("minimum", rule.get("exclusiveMinimum", -1) + 1)
            return draw(st.integers(int(low), int(rule.get("maximum", 10**6))))
        case "array":
            return [value(draw, rule.get("items", {})) for _ in range(rule.get("minItems", 0))]
        case "object":
            return answered(draw, {"properties": {}} | rule)
        case _ if "pattern" in rule:
            return draw(st.from_regex(re.compile(rule["pattern"], re.ASCII), fullmatch=True))
        case _:
            dates = {
                "date": "2026-03-01",
                "birth-date": "1952",
                "past-date": "2024-03-01",
                "phone": "0901234567",
                "place-code": "560000000123",
                "email": "a@example.vn",
                "date-time": "2026-03-01T07:00:00+07:00",
            }
            return dates.get(rule.get("format", ""), "a" * max(3, rule.get("minLength", 0)))


# Forms of two fields whose answers can all be tried

NOT_GIVEN = object()
ANSWERS = [NOT_GIVEN, None, *range(-1, 5), -0.5, 0.5, 1.5, 2.5, 3.5, "", "a", "b", "ab", "abc", True, False, [], {}]
COMBINED = st.sampled_from(["allOf", "anyOf", "oneOf"])
rules = st.recursive(
    st.sampled_from(
        [
            *({"type": kind} for kind in ("integer", "string", "boolean")),
            *({word: bound} for word in ("minimum", "maximum", "exclusiveMinimum") for bound in (0, 1, 3)),
            *({"type": "string", word: length} for word in ("minLength", "maxLength") for length in (0, 1, 2)),
            *({"enum": values} for values in (["a", "b"], ["a"], [1, 2], ["b", "abc"], [True])),
            *({"const": value} for value in ("a", 2, True)),
        ]
    ),
    lambda inner: st.one_of(
        st.builds(
            lambda word, parts: {word: parts},
            st.sampled_from(["allOf", "anyOf", "oneOf"]),
            st.lists(inner, min_size=1, max_size=3),
        ),
        st.builds(lambda part: {"not": part}, inner),
        st.builds(lambda one, other: {**other, **one}, inner, inner),
    ),
    max_leaves=4,
)
objects = st.recursive(
    st.one_of(
        st.builds(lambda x, y: {"properties": {"x": x, "y": y}}, rules, rules),
        st.builds(lambda name, rule: {"required": [name], "properties": {name: rule}}, st.sampled_from("xy"), rules),
        st.builds(lambda name: {"properties": {name: False}}, st.sampled_from("xy")),
        st.sampled_from([{"required": ["x"]}, {"required": ["x", "y"]}, {"dependentRequired": {"x": ["y"]}}]),
    ),
    lambda inner: st.one_of(
        st.builds(lambda word, parts: {word: parts}, COMBINED, st.lists(inner, min_size=1, max_size=2)),
        st.builds(lambda when, then: {"if": when, "then": then}, inner, inner),
    ),
    max_leaves=4,
)  # fmt: skip


@settings(max_examples=120, deadline=None)
@given(x=rules, y=rules, more=st.lists(objects, max_size=2))
def test_a_form_whose_rules_contradict_each_other_is_refused_and_another_is_not(
    x: Any, y: Any, more: list[Any]
) -> None:
    schema = {"type": "object", "properties": {"x": x, "y": y}, "additionalProperties": False, "allOf": [{}, *more]}
    form = forms.compiled(json.dumps(schema))
    pairs = ((("x", a), ("y", b)) for a in ANSWERS for b in ANSWERS)
    tried = [{name: value for name, value in pair if value is not NOT_GIVEN} for pair in pairs]
    taken = [each for each in tried if form.takes(each)]
    with patch.multiple(form_sense, MOST_FORKS=100, SECONDS=60):
        never = {path for path, _ in Sense(schema).never()}
    if not never:
        assert all(any(name in each for each in taken) for name in ("x", "y"))
        for name, rule in (("x", x), ("y", y)):
            for value in rule.get("enum", ()):
                assert any(name in each and (each[name], type(each[name])) == (value, type(value)) for each in taken)
    if "" in never:
        assert taken == []
    for name in ("x", "y"):
        if f".properties.{name}" in never:
            assert not any(name in each for each in taken)


def reason(procedure: Procedure, channel: Channel, answers: Mapping[str, Any]) -> str:
    try:
        LAW.terms(Question(procedure=procedure, channel=channel, agency=AGENCY, answers=answers, at=AT))
    except Rejected as rejected:
        return rejected.reason
    return ""


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(procedure=bent(), data=st.data())
def test_a_bent_definition_is_refused_with_its_place_or_takes_every_answer_that_its_form_accepts(
    procedure: Procedure, data: st.DataObject
) -> None:
    assert procedure.form is not None
    found = list(lint(procedure))
    assert all(fault.path and fault.text.vi and fault.text.en for fault in found)
    if found:
        return
    try:
        answers = answered(data.draw, json.loads(procedure.form.schema))
    except (re.error, ValueError):
        assume(False)
    assume(not forms.compiled(procedure.form.schema).wrong(answers))
    for rule in procedure.channels:
        assert reason(procedure, Channel(rule.channel.value), answers) in ("", "FEE_INVALID")


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(procedure=st.sampled_from(catalogue().procedures), data=st.data())
def test_the_samples_can_be_answered(procedure: Procedure, data: st.DataObject) -> None:
    assert procedure.form is not None
    schema = json.loads(procedure.form.schema)
    assume("allOf" not in schema)
    assert forms.compiled(procedure.form.schema).wrong(answered(data.draw, schema)) == []


@pytest.mark.parametrize(
    "broken",
    [
        so_when("late", "không"),
        replace(PROCEDURE, circumstances=(Circumstance("late", text(), "late", Json("[" * 20_000)),)),
    ],
)
def test_a_broken_one_that_was_published_is_its_own_refusal(broken: Procedure) -> None:
    with pytest.raises(Rejected) as rejected:
        LAW.terms(Question(procedure=broken, channel=Channel.COUNTER, agency=AGENCY, answers={"late": True}, at=AT))
    assert (rejected.value.reason, rejected.value.facts) == (
        "DEFINITION_FAULTY",
        {"procedure_code": PROCEDURE.code, "version": "1"},
    )
