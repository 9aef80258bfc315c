"""A form's schema fetches nothing, and costs no more than its bound, whatever it says."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from services.law import faults, forms
from services.law.forms import FormUnusable, compiled, light
from tests.support.shipped import shipped
from tests.support.spending import spending

SECRET = "a-key-that-nobody-reads"
BRANCHES = ("items", "not", "if", "then", "else", "contains", "propertyNames", "additionalProperties", "contentSchema")
LISTS = ("allOf", "anyOf", "oneOf", "prefixItems")
MAPS = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies")
REFERRING = ("$ref", "$dynamicRef", "$recursiveRef", "$schema", "$id", "id", "$anchor", "$dynamicAnchor", "$vocabulary")


class Outside:
    """Whatever a schema could be led to: a file, and a port on which somebody listens."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "secret.json"
        self.file.write_text(json.dumps({"d": SECRET, "type": SECRET}))
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.socket.setblocking(False)
        self.port = self.socket.getsockname()[1]

    @property
    def addresses(self) -> list[str]:
        host, file = f"127.0.0.1:{self.port}", str(self.file)
        return [
            *(f"file://{file}{end}" for end in ("", "#", "#/d", "#/$defs/x", "?x#/d")),
            *(f"FILE://{file}", f"file:{file}", f"file://localhost{file}#/d", f"%66ile://{file}", file, f"..{file}#/d"),
            *(
                f"http://{host}/x#/d",
                f"HTTP://{host}",
                f"https://{host}/#",
                f"//{host}/x",
                f"http:/{host}",
                f"///{host}",
            ),
            *(f"http://json-schema.org@{host}/draft-07/schema", f"http://{host}/draft-07/schema#"),
            *(
                "data:application/json,{}",
                "urn:x:y",
                "json-schema:///form#/$defs/x",
                "json-schema:",
                "x.json#/d",
                "?#/d",
            ),
            *(
                "%23/$defs/x",
                " #/d",
                "#d",
                "#%2F..",
                "#/../d",
                "/#/d",
                "https://json-schema.org/draft/2020-12/schema%23x",
            ),
            *(f"jar:file://{file}!/d", f"ftp://{host}/", f"\\\\{host}\\x", f"http://[::ffff:127.0.0.1]:{self.port}/"),
        ]

    def is_asked(self) -> bool:
        try:
            self.socket.accept()[0].close()
        except BlockingIOError:
            return False
        return True


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    found = Outside(tmp_path_factory.mktemp("outside"))
    yield found
    found.socket.close()


def said(schema: Any) -> str:
    """What is wrong with it, as an editor reads it."""
    text = schema if isinstance(schema, str) else json.dumps(schema)
    told = []
    for compile_ in (light, compiled):
        try:
            compile_(text)
        except FormUnusable as unusable:
            told += [unusable.vi, unusable.en]
    return " ".join(told)


def wrapped(inner: Any, way: str) -> Any:
    if way in LISTS:
        return {way: [{"type": "string"}, inner]}
    return {way: {"x": inner}} if way in MAPS else {way: inner}


@pytest.mark.parametrize("keyword", REFERRING)
def test_no_spelling_of_a_reference_leaves_the_form(outside: Outside, keyword: str) -> None:
    for address in outside.addresses:
        for way in ("", *BRANCHES, *LISTS, *MAPS):
            inner: Any = {keyword: address, "type": "string"}
            told = said({"type": "object"} | (wrapped(inner, way) if way else inner))
            assert SECRET not in told
            assert told or keyword == "id", (keyword, address, way)
    assert not outside.is_asked()


@pytest.mark.parametrize("dialect", [*sorted(forms.DIALECTS), *(f"{each}#" for each in sorted(forms.DIALECTS))])
def test_a_base_that_is_moved_leads_nowhere(outside: Outside, dialect: str) -> None:
    """`$id` would make `#/d`, and what is relative, another document's."""
    for address in outside.addresses:
        for schema in (
            {"$schema": dialect, "$id": address, "$ref": "#/d", "d": {}},
            {"$schema": dialect, "$defs": {"x": {"$id": address, "$ref": "#/d"}}, "$ref": "#/$defs/x"},
            {"$schema": dialect, "properties": {"$id": address}, "$ref": "#/properties"},
            {"$schema": dialect, "id": address, "$ref": "#/d"},
        ):
            told = said(schema)
            assert told
            assert SECRET not in told
        assert SECRET not in said({"$schema": dialect, "id": address, "$ref": "#/d", "d": {}})
    assert not outside.is_asked()


def test_nothing_is_fetched_even_past_the_first_door(outside: Outside) -> None:
    with patch.object(forms._Measure, "_target", lambda self, reference: 0):
        for address in outside.addresses:
            assert SECRET not in said({"$ref": address, "$comment": "past the door"})
    assert not outside.is_asked()


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
COMMON = ("type", "enum", "const", "pattern", "format", "required", "default", "contentMediaType")
COUNTING = ("minLength", "maxItems", "multipleOf", "uniqueItems")
REPEATING = ("unevaluatedProperties", "unevaluatedItems")
keywords = st.sampled_from((*BRANCHES, *LISTS, *MAPS, *REFERRING, *COMMON, *COUNTING, *REPEATING))
json_values = st.recursive(
    scalars | st.sampled_from(["object", "array", "string", "#", "#/$defs/x", "#/allOf/0", "regex", "date", "base64"]),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(keywords | st.sampled_from(["x", "y"]), inner, max_size=5)
    ),
    max_leaves=30,
)


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    schema=json_values, answers=json_values, lead=st.integers(0, 60), way=st.sampled_from((*BRANCHES, *LISTS, *MAPS))
)
@example({"format": "regex"}, "(", 0, "items")
@example({"properties": {"format": {"type": "string"}}}, {"format": 1}, 0, "items")
@example({"multipleOf": 5e-324}, 1e300, 0, "not")
@example({"pattern": "\ud800"}, "\ud800", 0, "not")
def test_any_json_is_a_form_or_is_refused(outside: Outside, schema: Any, answers: Any, lead: int, way: str) -> None:
    addresses = outside.addresses
    leading = {"allOf": [schema, {"$ref": addresses[lead]}]} if lead < len(addresses) else schema
    for each in (leading, wrapped(leading, way), {"type": "object"} | wrapped(leading, way)):
        text = json.dumps(each)
        assert SECRET not in said(text)
        try:
            found = compiled(text).wrong(answers)
        except FormUnusable:
            continue
        assert lead >= len(addresses)
        assert len(found) <= faults.MOST_FAULTS
    assert not outside.is_asked()


atoms = st.sampled_from(
    [
        r"\w",
        r"\d",
        r"\p{L}",
        ".",
        "a",
        "[^x]",
        r"\b",
        "^",
        "$",
        "(?=a)",
        "(?!a)",
        "(?<=a)",
        r"\1",
        "(?i)",
        "(",
        ")",
        "|",
        "[",
        "]",
    ]
)
counted = st.sampled_from(["", "*", "+", "?", "{3}", "{0,200}", "{200}", "{9999}", "{1000000}", "*?", "{,5}", "{5"])
patterns = st.recursive(
    st.tuples(atoms, counted).map("".join),
    lambda inner: st.lists(inner, min_size=1, max_size=4).map(
        lambda parts: f"({'|'.join(parts)})*{''.join(parts)}{{50}}"
    ),
    max_leaves=8,
)


@settings(max_examples=80)
@given(patterns, st.sampled_from(["a", "đ", "0", "_a"]))
@example(r"((a*)*)*b", "a")
@example(r"(\w{200}){200}", "a")
def test_a_pattern_is_linear_or_refused(pattern: str, letter: str) -> None:
    text, form = json.dumps({"items": {"pattern": pattern}}), None
    with spending() as spent, suppress(FormUnusable):
        form = compiled(text)
    assert spent.seconds < 0.5
    if form:
        with spending() as spent:
            form.wrong([letter * 2_000 + "!"])
        assert spent.seconds < 1.5


def test_a_form_of_many_patterns_has_a_price() -> None:
    """Twelve kilobytes took fifteen seconds and two gigabytes."""
    fields = {f"f{i}": {"type": "string", "pattern": rf"\w{{200}}(?=a){i}"} for i in range(200)}
    few = {name: fields[name] for name in list(fields)[: forms.MOST_PATTERNS]}
    with spending() as spent:
        assert f"{forms.MOST_PATTERNS} patterns" in said({"type": "object", "properties": fields})
        assert "look around" in said({"type": "object", "properties": few})
    assert spent.seconds < 0.2


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ("[" * 90_000, "nested"),
        ('{"a":' * 40_000, "nested"),
        ('{"a":' + "[" * 100 + "]" * 100 + "}", "nested"),
        ("[]", "an object is expected"),
        ("true", "an object is expected"),
        ('{"a": NaN}', "NaN"),
        ('{"a": 1e999}', "a number exceeds"),
        ('{"a": %s}' % ("9" * 5_000), "a number exceeds"),
        ('{"a": %s}' % ("9" * 20), "a number exceeds"),
        (" " * 200_001, "200000 characters"),
        ({"$ref": "#"}, "back to itself"),
        ({"$defs": {"a": {"items": {"$ref": "#/$defs/b"}}, "b": {"not": {"$ref": "#/$defs/a"}}}}, "back to itself"),
        ({"$ref": "#/none"}, "leads to nothing"),
        ({"enum": [1] * 20_001}, "20000 values"),
        ({"pattern": "a" * 501}, "500 characters"),
        ({"patternProperties": {"a" * 501: {}}}, "500 characters"),
        ({"type": 7}, "no valid JSON Schema at type"),
        ({"properties": {"x": {"pattern": "("}}}, "no valid JSON Schema at properties.x.pattern"),
        ({"format": "regex"}, "format regex"),
    ],
)
def test_a_bound_that_is_passed(schema: Any, why: str) -> None:
    assert why.lower() in said(schema).lower()


def test_references_count_where_they_lead() -> None:
    doubling: dict[str, Any] = {f"d{i}": {"allOf": [{"$ref": f"#/$defs/d{i + 1}"}] * 2} for i in range(9)}
    assert not said({"$defs": doubling | {"d9": {"type": "object"}}})
    deeper: dict[str, Any] = {f"d{i}": {"allOf": [{"$ref": f"#/$defs/d{i + 1}"}] * 9} for i in range(9)}
    assert "20000 values" in said({"$defs": deeper | {"d9": {"type": "object"}}, "$ref": "#/$defs/d0"})
    one = {"$defs": {"number": {"pattern": "^[0-9]{12}$"}}, "allOf": [{"$ref": "#/$defs/number"}] * 65}
    assert "64 patterns" in said(one)


def test_every_form_of_the_sample_is_light() -> None:
    schemas = [str(each.form.schema) for each in shipped().procedures if each.form]
    assert len(schemas) > 20
    assert all(light(schema) for schema in schemas)


def test_what_is_written_within_the_form_holds() -> None:
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "$defs": {"number": {"type": "string", "pattern": r"^\d{12}$"}, "a/b": {"minLength": 3}},
        "properties": {"id": {"$ref": "#/$defs/number"}, "name": {"$ref": "#/$defs/a~1b"}},
    }
    form = light(json.dumps(schema))
    assert form
    assert form.wrong({"id": "012345678901", "name": "Lan"}) == []
    assert [each.path for each in form.wrong({"id": "1", "name": "L"})] == [("id",), ("name",)]


@pytest.mark.parametrize("slash", ["%2F", "%2f", "%252F", "~1", "/"])
def test_what_is_referred_to_counts_however_it_is_written(slash: str) -> None:
    """A pointer is split before it is decoded, or after (RFC 6901, 6): both must lead to the same."""
    below: dict[str, Any] = {str(level): {"allOf": [{"$ref": f"#/a{slash}{level + 1}"}] * 2} for level in range(24)}
    below["24"] = {"type": "string", "pattern": "a"}
    beside: dict[str, Any] = {f"a/{level}": {} for level in range(25)} | {f"a%2F{level}": {} for level in range(25)}
    schema = {"type": "object", "properties": {"x": {"$ref": f"#/a{slash}0"}}, "a": below} | beside
    if slash == "~1":
        light(json.dumps(schema))
    else:
        assert said(schema)


@pytest.mark.parametrize("index", ["00", "01", "٠", "-1", "1.", "0x0"])
def test_an_index_is_written_in_one_way(index: str) -> None:
    assert said({"anyOf": [{}, {}], "$ref": f"#/anyOf/{index}"})


@given(st.text(alphabet="#/~01aA%2F.$-_é ", max_size=12))
def test_a_reference_is_one_that_all_read_the_same(reference: str) -> None:
    if not said({"a": {"1": {}}, "$defs": {"A": {}}, "properties": {"x": {"$ref": reference}}}):
        assert set(reference) <= set("#/~01aA.$-_2F")


def test_a_name_stands_once_in_an_object() -> None:
    assert "twice" in said('{"$ref": "#/$defs/a", "$ref": "#/$defs/a", "$defs": {"a": {}}}')


TODAY = "2026-03-02"
DATES = {"day": "date", "past": "past-date", "birth": "birth-date", "mail": "email", "phone": "phone"}


@pytest.mark.parametrize(
    ("answers", "wrong"),
    [
        ({"day": "2026-12-31", "past": TODAY, "birth": TODAY}, set()),
        ({"birth": "1950"}, set()),
        ({"birth": "1950-06"}, set()),
        ({"birth": "1950-13"}, {"birth"}),
        ({"birth": "2027"}, {"birth"}),
        ({"birth": "0950"}, {"birth"}),
        ({"birth": "1950-6"}, {"birth"}),
        ({"day": "0000-01-01", "past": "0000-12-31", "birth": "0000-01-01"}, {"day", "past", "birth"}),
        ({"day": "2026-02-29", "past": "2026-02-30"}, {"day", "past"}),
        ({"past": "2026-03-03", "birth": "2026-03-03"}, {"past", "birth"}),
        ({"day": "\uff12026-01-01"}, {"day"}),
        ({"mail": "a@ví-dụ.vn", "phone": "+84 912 345 678"}, set()),
        ({"mail": "a@b", "phone": "12"}, {"mail", "phone"}),
    ],
)
def test_a_date_is_one_that_can_be(answers: dict[str, str], wrong: set[str]) -> None:
    properties = {name: {"type": "string", "format": kind} for name, kind in DATES.items()}
    form = light(json.dumps({"type": "object", "properties": properties}))
    assert form
    assert {each.path[0] for each in form.wrong(answers, TODAY)} == wrong


@given(st.text(st.sampled_from("0123456789 -\uff10\u0660a\n"), max_size=14) | st.integers() | st.none())
@example("560000000123")
@example("\uff10" * 12)
@example("560000000123\n")
def test_a_place_code_is_twelve_digits_or_none(said: str | int | None) -> None:
    rule = {"type": ["string", "null"], "format": "place-code"}
    form = light(json.dumps({"type": "object", "properties": {"home_place_code": rule}}))
    assert form
    right = said is None or (isinstance(said, str) and len(said) == 12 and set(said) <= set("0123456789"))
    named = {each.path for each in form.wrong({"home_place_code": said}, TODAY)}
    assert named == (set() if right else {("home_place_code",)})
    assert form.wrong({}, TODAY) == []


def test_it_is_the_answer_that_is_named() -> None:
    schema = {
        "type": "object",
        "required": ["mother_name"],
        "additionalProperties": False,
        "properties": {
            "mother_name": {},
            "child": {"type": "object", "required": ["name"], "unevaluatedProperties": False},
            "father_id": {},
            "father_name": {},
            "late": {"const": True},
            "why": {},
        },
        "dependentRequired": {"father_id": ["father_name"]},
        "if": {"required": ["late"]},
        "then": {"required": ["why"]},
        "propertyNames": {"maxLength": 12},
    }
    answers = {"child": {"nmae": "Lan"}, "father_id": "1", "late": True, "mothers_name": "Bình", "a much longer one": 1}
    assert {".".join(each.path) for each in compiled(json.dumps(schema)).wrong(answers, TODAY)} == {
        "mother_name",
        "child.name",
        "child.nmae",
        "father_name",
        "why",
        "mothers_name",
        "a much longer one",
    }
