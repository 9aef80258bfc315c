"""Which answers break a form. Where a form leaves several ways, those of the way that was most likely meant."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from itertools import islice
from typing import Any

from jsonschema_rs import ValidationError
from jsonschema_rs import ValidationErrorKind as Kind

MOST_FAULTS = 200
# A field that says which way is meant: a wrong value in it speaks against the way more than a missing answer.
_CHOICE_WEIGHT = 3
_CHOICES = frozenset({"const", "enum"})
_WAYS = ("allOf", "anyOf", "oneOf")
_CONDITIONAL = ("then", "else")
_OF_ANOTHER_WAY = "known"


@dataclass(frozen=True, slots=True)
class Wrong:
    """An answer that breaks a rule: where, and the keyword of JSON Schema that says so."""

    path: tuple[str, ...]
    rule: str
    # What the rule asks for, as the schema has it: a format's name, the choices, a limit. Nothing of the answer.
    asked: str = ""


class Faults:
    """Of one form."""

    def __init__(self, root: Any) -> None:
        self._root = root
        self._known: dict[int, frozenset[str]] = {}

    def of(self, errors: Iterable[ValidationError]) -> list[Wrong]:
        """The first of them."""
        named = list(islice((wrong for error in errors for wrong in self._named(error)), MOST_FAULTS))
        # What only a way evaluates that is not gone is no answer too many.
        others = [each for each in named if each.rule != _OF_ANOTHER_WAY]
        return others or [Wrong(each.path, "additionalProperties") for each in named]

    def _named(self, error: ValidationError) -> Iterator[Wrong]:
        """Where an answer is missing, or is one too many, it is that answer that is named, not what it would stand in."""
        path = tuple(map(str, error.instance_path))
        match error.kind:
            case Kind.Required(property=name):
                yield Wrong((*path, name), "required")
            case Kind.AdditionalProperties(unexpected=names):
                for name in names:
                    yield Wrong((*path, name), "additionalProperties")
            case Kind.UnevaluatedProperties(unexpected=names):
                known = self._names(_at(self._root, error.schema_path[:-1]))
                for name in names:
                    yield Wrong((*path, name), _OF_ANOTHER_WAY if name in known else "additionalProperties")
            case Kind.PropertyNames(error=inner):
                yield Wrong((*path, str(inner.instance)), "additionalProperties")
            case Kind.AnyOf(context=ways) | Kind.OneOfNotValid(context=ways):
                yield from self._nearest(error, path, ways)
            case Kind.OneOfMultipleValid(context=ways):
                rules = _at(self._root, error.schema_path)
                taken = [self._names(rule) for rule, faults in zip(rules, ways, strict=True) if not faults]
                telling = frozenset().union(*taken) - frozenset.intersection(*taken)
                yield from _those(path, error.instance, telling, "oneOf")
            case Kind.Not(schema=schema):
                # It is a copy, which nothing may be remembered of.
                yield from _those(path, error.instance, Faults(self._root)._names(schema), "not")
            case Kind.FalseSchema():
                yield Wrong(path, "not")
            case _:
                yield Wrong(path, str(error.schema_path[-1]) if error.schema_path else "", _asked(error.kind))

    def _nearest(
        self, error: ValidationError, path: tuple[str, ...], ways: Sequence[Sequence[ValidationError]]
    ) -> list[Wrong]:
        faults = [self.of(way) for way in ways]
        if len(ways) > 1 and all(each.path == path and each.rule in _CHOICES for way in faults for each in way):
            return [Wrong(path, "enum", _joined(each.asked for way in faults for each in way))]
        given = set(error.instance) if isinstance(error.instance, dict) else set()
        rules = _at(self._root, error.schema_path)

        def distance(index: int) -> tuple[bool, int]:
            of_other_type = any(each.path == path and each.rule == "type" for each in faults[index])
            cost = sum(
                _CHOICE_WEIGHT if each.rule in _CHOICES and len(each.path) <= len(path) + 1 else 1
                for each in faults[index]
            )
            return of_other_type, cost - len(self._names(rules[index]) & given)

        return faults[min(range(len(ways)), key=distance)]

    def _names(self, rule: Any) -> frozenset[str]:
        """Of the answers that an object of this rule may have, whichever way it goes. References lead to no circle."""
        if not isinstance(rule, dict):
            return frozenset()
        known = self._known.get(id(rule))
        if known is None:
            inner = [part for word in _WAYS for part in rule.get(word, ())]
            inner += [rule[word] for word in _CONDITIONAL if word in rule]
            if "$ref" in rule:
                inner.append(target(self._root, rule["$ref"]))
            own = {*rule.get("properties", ()), *rule.get("required", ())}
            self._known[id(rule)] = known = frozenset(own).union(*map(self._names, inner))
        return known


def _asked(kind: Any) -> str:
    match kind:
        case Kind.Enum(options=options):
            return _joined(options)
        case Kind.Constant(expected_value=value):
            return _joined([value])
        case Kind.Type(types=types):
            return _joined(types)
        case Kind.Format(format=name):
            return str(name)
        case Kind.Pattern(pattern=pattern):
            return str(pattern)
        case _:
            limit = getattr(kind, "limit", None)
            return "" if limit is None else str(limit)


def _joined(values: Iterable[Any]) -> str:
    return ", ".join(value if isinstance(value, str) else json.dumps(value) for value in values)


def target(root: Any, reference: str) -> Any:
    """Where a pointer into the form leads (RFC 6901)."""
    return _at(root, [part.replace("~1", "/").replace("~0", "~") for part in reference.split("/")[1:]])


def _at(root: Any, path: Iterable[str | int]) -> Any:
    for part in path:
        root = root[int(part)] if isinstance(root, list) else root[str(part)]
    return root


def _those(path: tuple[str, ...], answers: Any, names: Set[str], rule: str) -> Iterator[Wrong]:
    """The given ones of these names, or what they stand in where there is none."""
    given = [name for name in answers if name in names] if isinstance(answers, dict) else []
    for name in given:
        yield Wrong((*path, name), rule)
    if not given:
        yield Wrong(path, rule)
