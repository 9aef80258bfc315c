"""Answers to an e-form, drawn from its JSON Schema."""

from __future__ import annotations

import random
from datetime import date, timedelta
from typing import Any

import jsonschema_rs
import rstr

ROUNDS = 6
WORDS = ("Nguyễn", "Thị", "Minh", "Trần", "Hòa", "Lê", "Bình", "Phạm", "Hạnh", "Đường", "Hoàng", "Lan")
LATEST = date(2024, 12, 31)


def answers(schema: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    """A valid filling-in. Raises ValueError where none was found: the form asks for what cannot be drawn."""
    validator = jsonschema_rs.validator_for(schema, validate_formats=True)
    for _ in range(ROUNDS):
        drawn = _conditioned(schema, _object(schema, rng), rng)
        if validator.is_valid(drawn):
            return drawn
    faults = "; ".join(error.message for error in validator.iter_errors(drawn))
    raise ValueError(f"no answers found: {faults}")


def _conditioned(schema: dict[str, Any], drawn: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    """What `if` and `then` ask for in addition."""
    known = schema.get("properties", {})
    for rule in [*schema.get("allOf", []), *([schema] if "if" in schema else [])]:
        if "if" not in rule:
            continue
        branch = rule.get("then", {}) if jsonschema_rs.is_valid(rule["if"], drawn) else rule.get("else", {})
        for name in branch.get("required", []):
            if name not in drawn:
                drawn[name] = _value(known.get(name, {}) | branch.get("properties", {}).get(name, {}), rng)
        for name, narrowed in branch.get("properties", {}).items():
            if name in drawn and not jsonschema_rs.is_valid(narrowed, drawn[name]):
                drawn[name] = _value(known.get(name, {}) | narrowed, rng)
    return drawn


def _object(schema: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    known = schema.get("properties", {})
    return {name: _value(known[name], rng) for name in schema.get("required", []) if name in known}


def _value(schema: dict[str, Any], rng: random.Random) -> Any:
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return rng.choice(schema["enum"])
    kind = schema.get("type", "string")
    match kind[0] if isinstance(kind, list) else kind:
        case "object":
            return _conditioned(schema, _object(schema, rng), rng)
        case "array":
            count = max(1, schema.get("minItems", 1))
            return [_value(schema.get("items", {}), rng) for _ in range(count)]
        case "boolean":
            return rng.random() < 0.5
        case "integer" | "number":
            low = schema.get("minimum", 1)
            return rng.randint(int(low), int(min(schema.get("maximum", low + 5), low + 5)))
        case _:
            return _text(schema, rng)


def _text(schema: dict[str, Any], rng: random.Random) -> str:
    if "pattern" in schema:
        return rstr.Rstr(rng).xeger(schema["pattern"])
    match schema.get("format"):
        case "date" | "past-date" | "birth-date":
            return (LATEST - timedelta(days=rng.randrange(7000))).isoformat()
        case "date-time":
            return f"{(LATEST - timedelta(days=rng.randrange(300))).isoformat()}T08:00:00+07:00"
        case "phone":
            return f"09012{rng.randrange(100_000):05d}"
        case "place-code":
            return f"{rng.randrange(10**12):012d}"
        case "email":
            return f"nguoi.dan{rng.randrange(10_000)}@example.vn"
        case _:
            text = " ".join(rng.choices(WORDS, k=4))
            return text[: schema.get("maxLength", 100)].ljust(schema.get("minLength", 0), "a")
