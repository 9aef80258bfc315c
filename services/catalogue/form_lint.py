"""What a form says of itself: readable by everybody who shows or checks it, and possible to answer."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from math import ceil, floor
from typing import Any

from services.catalogue.form_sense import Sense
from services.law import forms
from services.law.dated import first_day
from services.law.definitions import Circumstance, Form, Ground, Procedure

# A code, a path, and the text in Vietnamese and English.
Found = tuple[str, str, str, str]

_SAID = frozenset({"title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly"})
_ANY = frozenset(
    {"$schema", "$ref", "$defs", "$comment", "definitions", "type", "enum", "const", "allOf", "anyOf", "oneOf", "not"}
    | {"if", "then", "else"}
)
_OF_TYPE = {
    "string": frozenset({"minLength", "maxLength", "pattern", "format"}),
    "number": frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}),
    "array": frozenset(
        {"items", "prefixItems", "additionalItems", "unevaluatedItems", "minItems", "maxItems", "uniqueItems"}
        | {"contains", "minContains", "maxContains"}
    ),
    "object": frozenset(
        {"properties", "required", "additionalProperties", "patternProperties", "propertyNames", "minProperties"}
        | {"maxProperties", "dependentRequired", "dependentSchemas", "dependencies", "unevaluatedProperties"}
    ),
}
_OF_TYPE["integer"] = _OF_TYPE["number"]
KEYWORDS = _SAID.union(_ANY, *_OF_TYPE.values())
FORMATS = forms.OWN_FORMATS.keys() | {"date", "time", "date-time", "duration", "email", "idn-email", "uri", "uuid"}
WIDGETS = frozenset({"checkbox", "commune", "date", "number", "radio", "select", "text", "textarea"})
PREFILLED = frozenset({"birth_date", "email", "gender", "name", "personal_number", "phone", "place_code", "residence"})
_HINTS = frozenset({"en", "help", "widget", "options", "prefill", "when", "count", "place"})
_BOUNDS = (
    ("minLength", "maxLength"),
    ("minItems", "maxItems"),
    ("minProperties", "maxProperties"),
    ("minContains", "maxContains"),
)
_LISTS = ("allOf", "anyOf", "oneOf", "prefixItems")
_MAPS = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
_ONE = ("items", "additionalProperties", "propertyNames", "contains", "not", "if", "then", "else")
# Of grown-ups: a child's day is known.
_BIRTH = re.compile(r"(?!child_)(.*_)?(birth_date|born_on|date_of_birth)")
_ADDRESS = re.compile(r"(.*_)?(?<!email_)(address|residence)")
_PLACE_CODE = re.compile(r"(.*_)?place_code")
# What an agency did or a database holds is looked up, or decided by an official.
_OTHERS_KNOW = re.compile(r"cơ sở dữ liệu|ký số|database|\b(has|have|been) signed", re.IGNORECASE)


def found(form: Form, procedure: Procedure) -> Iterator[Found]:
    """Of a form whose schema compiles, is an object and asks for something."""
    root, ui = forms.parsed(form.schema), forms.parsed(form.ui)
    faults = list(_Schema(root).found())
    yield from faults
    for path, choice in Sense(root).never() if not faults else ():
        where = f"form.schema{path}"
        yield _never(where, path.split(".")[2].partition("[")[0], choice[0]) if choice else _unanswerable(where)
    yield from _places(root["properties"], procedure)
    yield from _hints(root, ui if isinstance(ui, dict) else {})
    for path, one in _conditions(procedure):
        rule = root["properties"].get(one.form_field)
        if rule is not None and forms.is_plain(one.form_value):
            value = forms.parsed(one.form_value)
            if not _possible(root, rule, value):
                yield _never(f"{path}.form_value", one.form_field, value)


def _places(fields: Mapping[str, Any], procedure: Procedure) -> Iterator[Found]:
    """Beside an address stands the field for its place's code, which may stay empty; Nghị định 326/2026/NĐ-CP."""
    for name in filter(_PLACE_CODE.fullmatch, fields):
        rule = fields[name]
        if _types(rule) != {"string", "null"} or rule.get("format") != "place-code":
            yield (
                "PLACE_CODE",
                f"form.schema.properties.{name}",
                'Mã địa điểm: type [string, "null"], format place-code.',
                'A place code has the type [string, "null"] and the format place-code.',
            )
    if procedure.valid_from < first_day("place_codes"):
        return
    for name in filter(_ADDRESS.fullmatch, fields):
        if f"{name}_place_code" not in fields:
            yield (
                "PLACE_CODE_MISSING",
                f"form.schema.properties.{name}",
                f"Địa chỉ thiếu trường mã địa điểm {name}_place_code.",
                f"The address lacks the field of its place's code, {name}_place_code.",
            )


def _conditions(procedure: Procedure) -> Iterator[tuple[str, Circumstance | Ground]]:
    """What is so by an answer, with its path."""
    for index, circumstance in enumerate(procedure.circumstances):
        yield f"circumstances[{index}]", circumstance
    for index, exemption in enumerate(procedure.fee.exemptions if procedure.fee else ()):
        for place, ground in enumerate(exemption.grounds):
            if ground.form_value:
                yield f"fee.exemptions[{index}].grounds[{place}]", ground


def _never(path: str, field: str, value: Any) -> Found:
    text = json.dumps(value, ensure_ascii=False)[:80]
    return (
        "VALUE_IMPOSSIBLE",
        path,
        f"Trường {field!r} không bao giờ có giá trị {text}.",
        f"The field {field!r} can never have the value {text}.",
    )


class _Schema:
    def __init__(self, root: dict[str, Any]) -> None:
        self._root = root

    def found(self) -> Iterator[Found]:
        yield from self._node(self._root, "form.schema")

    def _node(self, node: Any, path: str) -> Iterator[Found]:
        if not isinstance(node, dict):
            return
        yield from self._words(node, path)
        yield from self._range(node, path)
        yield from self._values(node, path)
        yield from self._names(node, path)
        for name in _LISTS:
            for index, child in enumerate(node.get(name, ())):
                yield from self._node(child, f"{path}.{name}[{index}]")
        for name in _MAPS:
            for key, child in node.get(name, {}).items():
                if child is False:
                    yield _unanswerable(f"{path}.{name}.{key}")
                yield from self._node(child, f"{path}.{name}.{key}")
        for name in _ONE:
            yield from self._node(node.get(name), f"{path}.{name}")

    def _words(self, node: dict[str, Any], path: str) -> Iterator[Found]:
        types = _types(node)
        fitting = frozenset[str]().union(*(_OF_TYPE.get(each, frozenset()) for each in types)) if types else KEYWORDS
        for word in node:
            if word not in KEYWORDS:
                near = get_close_matches(word.lower(), {each.lower(): each for each in KEYWORDS}, 1)
                meant = next((each for each in sorted(KEYWORDS) if near and each.lower() == near[0]), "")
                hint_vi, hint_en = (f"; ý là {meant}?", f"; is {meant} meant?") if meant else ("", "")
                yield (
                    "KEYWORD_UNKNOWN",
                    f"{path}.{word}",
                    f"Biểu mẫu không biết từ khóa {word!r}{hint_vi}",
                    f"Forms know no keyword {word!r}{hint_en}",
                )
            elif word not in fitting | _SAID | _ANY:
                yield (
                    "KEYWORD_MISPLACED",
                    f"{path}.{word}",
                    f"{word} không có nghĩa với kiểu {', '.join(sorted(types))}.",
                    f"{word} means nothing for the type {', '.join(sorted(types))}.",
                )
        if "format" in node and node["format"] not in FORMATS:
            known = ", ".join(sorted(FORMATS))
            yield (
                "FORMAT_UNKNOWN",
                f"{path}.format",
                f"Không có format {node['format']!r}; chỉ có {known}.",
                f"There is no format {node['format']!r}; there are {known}.",
            )

    def _range(self, node: dict[str, Any], path: str) -> Iterator[Found]:
        for least, most in _BOUNDS:
            if least in node and most in node and node[least] > node[most]:
                yield _unanswerable(f"{path}.{least}")
        if not _some_number(node):
            yield _unanswerable(f"{path}.{next(word for word in node if word in _OF_TYPE['number'])}")
        if isinstance(node.get("pattern"), str) and not _some_text(node):
            yield _unanswerable(f"{path}.pattern")
        items = node.get("items")
        few = len(items["enum"]) if isinstance(items, dict) and isinstance(items.get("enum"), list) else None
        if few is not None and node.get("uniqueItems") is True and node.get("minItems", 0) > few:
            yield _unanswerable(f"{path}.minItems")

    def _values(self, node: dict[str, Any], path: str) -> Iterator[Found]:
        where = path.rpartition(".")[2]
        listed = node.get("enum", ())
        if "enum" in node and not listed:
            yield _unanswerable(f"{path}.enum")
        rest = {word: rule for word, rule in node.items() if word not in ("enum", "const")}
        for index, value in enumerate(listed):
            if not _fits(self._root, rest, value):
                yield _never(f"{path}.enum[{index}]", where, value)
        if "const" in node and not (_fits(self._root, rest, node["const"]) and _listed(listed, node["const"])):
            yield _never(f"{path}.const", where, node["const"])
        if "default" in node and not _fits(self._root, node, node["default"]):
            yield _never(f"{path}.default", where, node["default"])
        for index, value in enumerate(node.get("examples", ())):
            if not _fits(self._root, node, value):
                yield _never(f"{path}.examples[{index}]", where, value)

    def _names(self, node: dict[str, Any], path: str) -> Iterator[Found]:
        """What is asked for, or decided by, is a field of the same object."""
        properties = node.get("properties", {})
        if path == "form.schema":
            for index, child in enumerate(node.get("allOf", ())):
                yield from self._conditional(child, f"{path}.allOf[{index}]")
            yield from self._conditional(node, path)
        elif _types(node) == {"object"}:
            for name in node.get("required", ()):
                if name not in properties and node.get("additionalProperties") is False:
                    yield _unknown(f"{path}.required", name)
        depending = node.get("dependentRequired", {})
        for name, needed in depending.items():
            for each in (name, *needed):
                if each not in properties:
                    yield _unknown(f"{path}.dependentRequired.{name}", each)

    def _conditional(self, node: Any, path: str) -> Iterator[Found]:
        fields = self._root["properties"]
        for word in ("if", "then", "else") if isinstance(node, dict) else ():
            part = node.get(word)
            if not isinstance(part, dict):
                continue
            for name in [*part.get("properties", {}), *part.get("required", ())]:
                if name not in fields:
                    yield _unknown(f"{path}.{word}", name)
            for name, rule in part.get("properties", {}).items():
                values = [rule["const"]] if "const" in rule else rule.get("enum", ()) if isinstance(rule, dict) else ()
                for value in values:
                    if name in fields and not _possible(self._root, fields[name], value):
                        yield _never(f"{path}.{word}.properties.{name}", name, value)


def _hints(root: dict[str, Any], ui: dict[str, Any]) -> Iterator[Found]:
    fields: dict[str, Any] = root["properties"]
    for word in ui:
        if word != "fields":
            yield "HINT_UNKNOWN", f"form.ui.{word}", f"Không có gợi ý {word!r}.", f"There is no hint {word!r}."
    hinted = ui.get("fields")
    for name, hints in (hinted if isinstance(hinted, dict) else {}).items():
        path = f"form.ui.fields.{name}"
        if not isinstance(hints, dict) or not isinstance(fields.get(name), dict):
            continue
        rule = fields[name]
        for word, value in hints.items():
            known = {"widget": WIDGETS, "prefill": PREFILLED}.get(word)
            if word not in _HINTS or (known and not (isinstance(value, str) and value in known)):
                yield (
                    "HINT_UNKNOWN",
                    f"{path}.{word}",
                    f"Không có gợi ý {word}: {str(value)[:80]!r}.",
                    f"There is no hint {word}: {str(value)[:80]!r}.",
                )
        yield from _when(root, hints.get("when", {}), f"{path}.when")
        yield from _options(rule, hints.get("options"), path)
        if "count" in hints and not (_types(_resolved(root, rule)) and _types(_resolved(root, rule)) <= {"integer"}):
            yield "COUNT_TYPE", f"{path}.count", "Trường đếm phải là số nguyên.", "A field that counts is an integer."
        label = f"{rule.get('title', '')} {hints.get('en', '')}"
        if _types(rule) == {"boolean"} and _OTHERS_KNOW.search(label):
            yield (
                "ASKS_WHAT_OTHERS_KNOW",
                path,
                "Người dân không thể biết cơ quan đã làm gì hay cơ sở dữ liệu có gì: hãy tra cứu, hoặc để cán bộ xác định.",
                "Nobody can know what an agency did or a database holds: look it up, or let the official say.",
            )
    for name, rule in fields.items():
        if isinstance(rule, dict) and _BIRTH.fullmatch(name) and rule.get("format") == "date":
            yield (
                "BIRTH_DATE_EXACT",
                f"form.schema.properties.{name}.format",
                "Có người chỉ biết năm sinh: dùng format birth-date.",
                "Some know only the year: use the format birth-date.",
            )
    counted = Counter(_units(ui))
    for unit, times in counted.items():
        if times > 1:
            yield (
                "COUNT_TWICE",
                "form.ui.fields",
                f"{times} trường cùng đếm {unit!r}.",
                f"{times} fields count {unit!r}.",
            )


def _units(ui: Mapping[str, Any]) -> list[str]:
    fields = ui.get("fields")
    hints = fields.values() if isinstance(fields, dict) else ()
    return [str(each["count"]) for each in hints if isinstance(each, dict) and "count" in each]


def uncounted(form: Form | None, unit: str) -> bool:
    """Whether no field of the form counts it. Without a form an official says how many there are."""
    if form is None:
        return False
    try:
        _, ui = forms.parsed(form.schema), forms.parsed(form.ui)
    except forms.FormUnusable:
        return False
    return isinstance(ui, dict) and unit not in _units(ui)


def _when(root: dict[str, Any], when: Any, path: str) -> Iterator[Found]:
    fields = root["properties"]
    for name, value in when.items() if isinstance(when, dict) else ():
        if name not in fields:
            yield _unknown(path, name)
            continue
        for each in value if isinstance(value, list) else [value]:
            if not _possible(root, fields[name], each):
                yield _never(path, name, each)


def _options(rule: dict[str, Any], options: Any, path: str) -> Iterator[Found]:
    choices = _choices(rule)
    labels = options if isinstance(options, dict) else {}
    known = {choice if isinstance(choice, str) else json.dumps(choice) for choice in choices}
    bare = sorted(choice for choice in known if len(known) > 1 and not _labelled(labels.get(choice)))
    if bare:
        names = ", ".join(bare[:20])
        yield (
            "CHOICE_WITHOUT_LABEL",
            f"{path}.options",
            f"Lựa chọn thiếu nhãn tiếng Việt hoặc tiếng Anh: {names}.",
            f"Choices lack their Vietnamese or English labels: {names}.",
        )
    for label in labels:
        if label not in known:
            yield _never(f"{path}.options", path.rpartition(".")[2], label)


def _labelled(label: Any) -> bool:
    return isinstance(label, dict) and all(str(label.get(language) or "").strip() for language in ("vi", "en"))


def _choices(rule: Any) -> list[Any]:
    if not isinstance(rule, dict):
        return []
    if isinstance(rule.get("enum"), list):
        return [each for each in rule["enum"] if each is not None]
    constants = [each["const"] for each in rule.get("oneOf", ()) if isinstance(each, dict) and "const" in each]
    return constants or _choices(rule.get("items"))


def _types(node: Any) -> set[str]:
    named = node.get("type") if isinstance(node, dict) else None
    return set(named if isinstance(named, list) else [named] if named else ())


def _resolved(root: dict[str, Any], rule: Any) -> Any:
    """Where it is nothing but a reference, what that leads to."""
    for _ in range(forms.DEEPEST):
        if not isinstance(rule, dict) or not isinstance(rule.get("$ref"), str):
            break
        found: Any = root
        for part in rule["$ref"].split("/")[1:]:
            name = part.replace("~1", "/").replace("~0", "~")
            found = found[int(name)] if isinstance(found, list) else found[name]
        rule = found
    return rule


def _possible(root: dict[str, Any], rule: Any, value: Any) -> bool:
    return _fits(root, rule if isinstance(rule, dict) else {"not": {}} if rule is False else {}, value)


def _fits(root: dict[str, Any], rule: dict[str, Any], value: Any) -> bool:
    """Whether a field of this rule may be answered so. References lead into the whole form."""
    names = {"$schema", "$defs", "definitions"} & root.keys()
    document = {name: root[name] for name in names} | rule
    if '"$ref"' in json.dumps(rule):
        document = {
            **{word: value for word, value in root.items() if word in names},
            "properties": root["properties"],
        } | rule
    try:
        return forms.compiled_apart(document).is_valid(value)
    except forms.UNREADABLE:
        return True  # said of it elsewhere


def _listed(listed: Any, value: Any) -> bool:
    return not listed or any(type(each) is type(value) and each == value for each in listed)


def _some_number(node: dict[str, Any]) -> bool:
    lowest = [(node[word], strict) for word, strict in (("minimum", False), ("exclusiveMinimum", True)) if word in node]
    highest = [
        (node[word], strict) for word, strict in (("maximum", False), ("exclusiveMaximum", True)) if word in node
    ]
    if not lowest or not highest or not all(isinstance(bound, int | float) for bound, _ in lowest + highest):
        return True
    (low, above), (high, below) = max(lowest), min(highest, key=lambda bound: (bound[0], not bound[1]))
    step = node.get("multipleOf", 1 if _types(node) == {"integer"} else None)
    if step is None:
        return bool(low < high or (low == high and not above and not below))
    first, last = ceil(low / step) * step, floor(high / step) * step
    first, last = first + step if above and first == low else first, last - step if below and last == high else last
    return bool(first <= last)


def _some_text(node: dict[str, Any]) -> bool:
    """False where the pattern's shortest text is longer than may be, or its longest shorter."""
    try:
        shortest, longest = _width(node["pattern"])
    except (re.error, RecursionError, OverflowError):
        return True  # another engine reads it
    whole = node["pattern"].startswith("^") and node["pattern"].endswith("$") and "|" not in node["pattern"]
    return bool(shortest <= node.get("maxLength", shortest) and not (whole and longest < node.get("minLength", 0)))


def _width(pattern: str) -> tuple[int, int]:
    parser: Any = re._parser
    width: tuple[int, int] = parser.parse(pattern).getwidth()
    return width


def _unanswerable(path: str) -> Found:
    return "UNANSWERABLE", path, "Không câu trả lời nào thỏa mãn.", "No answer can satisfy it."


def _unknown(path: str, name: str) -> Found:
    return "FIELD_UNKNOWN", path, f"Không có trường {name!r}.", f"There is no field {name!r}."
