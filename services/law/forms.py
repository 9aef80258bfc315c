"""A procedure's form: which JSON Schemas it may be, and answers held against it.

A form stands by itself: what it names lies in it, and nothing is fetched. What it costs has a bound before it is compiled.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NoReturn

import jsonschema_rs

from services.chassis.text.contact import is_email, is_phone
from services.law.days import is_birth, is_day, is_past
from services.law.faults import Faults, Wrong
from services.law.places import is_place_code

# Without draft-04: there a plain `id` moves the base of references.
DIALECTS = frozenset(
    {
        "https://json-schema.org/draft/2020-12/schema",
        "https://json-schema.org/draft/2019-09/schema",
        "http://json-schema.org/draft-07/schema",
        "http://json-schema.org/draft-06/schema",
    }
)
LONGEST = 200_000
# References followed.
DEEPEST = 32
# Every value in the schema's JSON; what is referred to counts at each reference.
MOST_VALUES = 20_000
MOST_PATTERNS = 64
LONGEST_PATTERN = 500
# Of one compiled pattern. The engine is linear: it knows no look-around and no back-references.
PATTERN_BYTES = 4 * 1024 * 1024
# What stays below these compiles at once.
LIGHT_PATTERN_BYTES = 16 * 1024
LIGHT_CHARACTERS = 16_000
# Beyond it numbers are not exact (RFC 7493, 2.2).
LARGEST_NUMBER = 2**53
# A pattern reads an answer about as long as so many other rules do.
PATTERN_WEIGHT = 20

# Whoever decodes before or after splitting reads the same. An index has no leading zeros (RFC 6901, 4).
_PLAIN_POINTER = re.compile(r"#(?:/(?:[A-Za-z0-9._$\-]|~[01])*)*")
_INDEX = re.compile(r"0|[1-9][0-9]{0,5}")

_today: ContextVar[str] = ContextVar("_today", default="")

# What `format` asks beyond JSON Schema's own words, or more strictly.
OWN_FORMATS: Mapping[str, Callable[[str], bool]] = {
    "date": is_day,
    # Today or before.
    "past-date": lambda text: is_past(text, _today.get()),
    # The same, or a year or month where no more is known.
    "birth-date": lambda text: is_birth(text, _today.get()),
    "email": is_email,
    "phone": is_phone,
    "place-code": is_place_code,
}

_KEYWORDS = frozenset({"$schema", "$ref", "$defs", "$comment"})
# Each evaluates what stands beside it once more.
_REPEATING = frozenset({"unevaluatedProperties", "unevaluatedItems"})


class FormUnusable(ValueError):
    """It is no form's schema. The text never holds more of it than a name."""

    def __init__(self, vi: str, en: str) -> None:
        super().__init__(en)
        self.vi = f"{vi}."
        self.en = f"{en[0].upper()}{en[1:]}."


@dataclass(frozen=True, slots=True)
class Form:
    schema: Any
    validator: jsonschema_rs.Validator
    # How much of an answer's byte it reads, in rules.
    weight: int

    def takes(self, answers: Any, today: str = "") -> bool:
        """Much cheaper than to name what is wrong."""
        _today.set(today)
        return bool(self.validator.is_valid(answers))

    def wrong(self, answers: Any, today: str = "") -> list[Wrong]:
        """The first of them. `today`: by which past-date and birth-date are judged; without it they are dates."""
        _today.set(today)
        return Faults(self.schema).of(self.validator.iter_errors(answers))


@lru_cache(maxsize=512)
def light(schema: str) -> Form | None:
    """Compiled at once; None where that may take a moment. Raises FormUnusable."""
    root = parsed(schema)
    weight, repeats = _measured(root)
    if repeats or len(schema) > LIGHT_CHARACTERS:
        return None
    try:
        return Form(root, _validator(root, LIGHT_PATTERN_BYTES), weight)
    except FormUnusable:  # or a pattern is larger
        return None


@lru_cache(maxsize=64)
def compiled(schema: str) -> Form:
    """For a process that may be ended: it takes up to a second. Raises FormUnusable."""
    root = parsed(schema)
    weight, _ = _measured(root)
    return Form(root, _validator(root, PATTERN_BYTES), weight)


# What a part of a form that leads elsewhere may raise when an answer is held against it.
UNREADABLE = (ValueError, jsonschema_rs.ReferencingError)


def compiled_apart(part: dict[str, Any]) -> jsonschema_rs.Validator:
    """A part of a form that was compiled as a whole. Raises FormUnusable."""
    return _validator(part, PATTERN_BYTES)


def impossible(schema: dict[str, Any]) -> bool:
    """Whether it is certain that no answer satisfies it. Of a form that compiles, or a part of one with what it refers to."""
    options = jsonschema_rs.RegexOptions(size_limit=PATTERN_BYTES, dfa_size_limit=PATTERN_BYTES)
    try:
        known = jsonschema_rs.canonicalize(
            schema, pattern_options=options, retriever=_never, base_uri="json-schema:///form"
        )
    except (ValueError, jsonschema_rs.ReferencingError):
        return False
    return bool(known.satisfiability() == jsonschema_rs.canonical.Satisfiability.NO)


def parsed(text: str) -> Any:
    """JSON as RFC 8259 has it. Raises FormUnusable."""
    if len(text) > LONGEST:
        _refuse(f"Dài quá {LONGEST} ký tự", f"it exceeds {LONGEST} characters")
    try:
        return json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_once)
    except RecursionError:
        _refuse(f"Lồng quá {DEEPEST} cấp", f"it is nested more than {DEEPEST} levels deep")
    except json.JSONDecodeError as error:
        _refuse(f"Không phải JSON, dòng {error.lineno}", f"it is not JSON at line {error.lineno}")
    except ValueError as error:
        if isinstance(error, FormUnusable):
            raise
        _refuse("Có số quá lớn", f"a number exceeds ±{LARGEST_NUMBER}")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose names are different (RFC 8259, 4), so that all readers see one."""
    found = dict(pairs)
    if len(found) < len(pairs):
        _refuse("Một tên xuất hiện hai lần trong một đối tượng", "an object has a name twice")
    return found


def _refuse_constant(name: str) -> NoReturn:
    _refuse(f"{name} không phải JSON", f"{name} is not JSON")


def _refuse(vi: str, en: str) -> NoReturn:
    raise FormUnusable(vi, en)


def _measured(schema: Any) -> tuple[int, bool]:
    """Its weight, and whether rules repeat others. Raises FormUnusable for what no form may hold.

    Wherever they stand, also in what is no schema but data: no reader of JSON Schema can then take one for the other.
    """
    if not isinstance(schema, dict):
        _refuse("Phải là một đối tượng JSON", "an object is expected")
    measure = _Measure(schema)
    values, patterns, _ = measure.of(schema, 0)
    if values > MOST_VALUES:
        _refuse(
            f"Quá {MOST_VALUES} giá trị, kể cả qua $ref",
            f"it holds more than {MOST_VALUES} values, references followed",
        )
    if patterns > MOST_PATTERNS:
        _refuse(
            f"Quá {MOST_PATTERNS} mẫu (pattern), kể cả qua $ref",
            f"it holds more than {MOST_PATTERNS} patterns, references followed",
        )
    return values + patterns * PATTERN_WEIGHT, measure.repeats


class _Measure:
    def __init__(self, root: dict[str, Any]) -> None:
        self._root = root
        self._known: dict[int, tuple[int, int, int]] = {}
        self._open: set[int] = set()
        self.repeats = False

    def of(self, value: Any, depth: int) -> tuple[int, int, int]:
        """Values, patterns and levels of it with what it refers to."""
        if isinstance(value, int | float) and not abs(value) <= LARGEST_NUMBER:
            _refuse("Có số quá lớn", f"a number exceeds ±{LARGEST_NUMBER}")
        if not isinstance(value, dict | list):
            return 1, 0, 0
        known = self._known.get(id(value))
        if depth + (known[2] if known else 0) > DEEPEST:
            _refuse(f"Lồng quá {DEEPEST} cấp, kể cả qua $ref", f"it is nested more than {DEEPEST} levels deep")
        if known:
            return known
        if id(value) in self._open:
            _refuse("$ref dẫn về chính nó", "a $ref leads back to itself")
        self._open.add(id(value))
        values, patterns, levels = 1, 0, 0
        for part in self._parts(value):
            more = self.of(part, depth + 1)
            values, patterns, levels = values + more[0], patterns + more[1], max(levels, more[2])
        if isinstance(value, dict):
            patterns += self._patterns(value)
        self._open.discard(id(value))
        self._known[id(value)] = found = (values, patterns, levels + 1)
        return found

    def _parts(self, value: Any) -> list[Any]:
        if isinstance(value, list):
            return value
        parts = list(value.values())
        for name in value:
            if name.startswith("$") and name not in _KEYWORDS:
                _refuse(
                    "Chỉ được dùng $schema, $ref, $defs, $comment", "only $schema, $ref, $defs and $comment may be used"
                )
        if "$schema" in value and not (value is self._root and _is_dialect(value["$schema"])):
            _refuse(
                "$schema phải là một phiên bản JSON Schema đã biết, ở đầu biểu mẫu",
                "$schema must be a known version of JSON Schema, at the form's root",
            )
        if "$ref" in value:
            parts.append(self._target(value["$ref"]))
        if value.get("format") == "regex":  # it would compile what the person answers
            _refuse("Không được dùng format regex", "the format regex may not be used")
        self.repeats |= not _REPEATING.isdisjoint(value)
        return parts

    def _target(self, reference: Any) -> Any:
        """Raises FormUnusable for what is no JSON Pointer (RFC 6901) into this form."""
        found: Any = self._root
        if not isinstance(reference, str) or reference[:2] not in ("#", "#/"):
            _refuse("$ref chỉ được dẫn tới #/… trong chính biểu mẫu", "a $ref leads to #/… within the form")
        if not _PLAIN_POINTER.fullmatch(reference):
            _refuse(
                "$ref chỉ có chữ cái không dấu, chữ số và . _ - $ ~ /, không mã hóa phần trăm",
                "a $ref has letters of ASCII, digits and . _ - $ ~ / only, none of them percent-encoded",
            )
        for part in reference.split("/")[1:]:
            name = part.replace("~1", "/").replace("~0", "~")
            if isinstance(found, dict) and name in found:
                found = found[name]
            elif isinstance(found, list) and _INDEX.fullmatch(name) and int(name) < len(found):
                found = found[int(name)]
            else:
                _refuse("$ref dẫn tới chỗ không có", "a $ref leads to nothing")
        return found

    def _patterns(self, value: dict[str, Any]) -> int:
        named = value.get("patternProperties")
        patterns = [*named] if isinstance(named, dict) else []
        if isinstance(value.get("pattern"), str):
            patterns.append(value["pattern"])
        if any(len(pattern) > LONGEST_PATTERN for pattern in patterns):
            _refuse(f"Mẫu (pattern) dài quá {LONGEST_PATTERN} ký tự", f"a pattern exceeds {LONGEST_PATTERN} characters")
        return len(patterns)


def _is_dialect(named: Any) -> bool:
    return isinstance(named, str) and named.removesuffix("#") in DIALECTS


def _validator(schema: dict[str, Any], pattern_bytes: int) -> jsonschema_rs.Validator:
    """The one place that compiles. Raises FormUnusable."""
    options = jsonschema_rs.RegexOptions(size_limit=pattern_bytes, dfa_size_limit=pattern_bytes)
    try:
        return jsonschema_rs.validator_for(
            schema,
            validate_formats=True,
            formats=dict(OWN_FORMATS),
            pattern_options=options,
            retriever=_never,
            base_uri="json-schema:///form",
        )
    except jsonschema_rs.ValidationError as error:
        # Its text quotes the schema, and whatever a retriever says.
        where = ".".join(map(str, error.instance_path))
    except (ValueError, jsonschema_rs.ReferencingError):
        where = ""
    _refuse(
        f"Không phải JSON Schema hợp lệ tại {where or 'gốc'}; mẫu (pattern) không được quá lớn (dùng maxLength thay cho lặp lại) "
        "hay dùng look-around",
        f"it is no valid JSON Schema at {where or 'its root'}; a pattern may not be too large (use maxLength in place of "
        "repetition) nor look around",
    )


def _never(address: str) -> NoReturn:
    raise LookupError("a form stands by itself")


def is_plain(text: str) -> bool:
    """Whether it is one value of JSON that holds no others."""
    try:
        return isinstance(parsed(text), str | int | float)
    except FormUnusable:
        return False
