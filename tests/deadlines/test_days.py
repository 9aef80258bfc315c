"""Days as papers state them, and the one time zone that they are counted in."""

from __future__ import annotations

import ast
from datetime import UTC, date, datetime
from pathlib import Path

import services
from services.law.days import local_date, local_day

ROOT = Path(services.__file__).parents[1]
NAME = "Asia/Ho_Chi_Minh"
HOME = "services/law/days.py"


def test_the_day_is_vietnams() -> None:
    last, first = datetime(2026, 3, 1, 16, 59, 59, tzinfo=UTC), datetime(2026, 3, 1, 17, tzinfo=UTC)
    assert (local_date(last), local_date(first)) == (date(2026, 3, 1), date(2026, 3, 2))
    assert (local_day(last), local_day(first)) == ("2026-03-01", "2026-03-02")


def makes_days(node: ast.AST) -> bool:
    """`moment.astimezone(zone).date()` of any zone but UTC, and the zone by its name."""
    match node:
        case ast.Constant(value=str(text)):
            return text == NAME
        case ast.Call(
            func=ast.Attribute(attr="date", value=ast.Call(func=ast.Attribute(attr="astimezone"), args=[zone]))
        ):
            return ast.unparse(zone) != "UTC"
    return False


def test_the_zone_and_the_day_of_a_moment_stand_once() -> None:
    modules = [
        path
        for top in ("services", "gateway", "command", "loadtests", "scripts")
        for path in (ROOT / top).rglob("*.py")
    ]
    found = {
        str(path.relative_to(ROOT))
        for path in modules
        if not path.stem.endswith(("_pb2", "_pb2_grpc"))
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if makes_days(node)
    }
    assert len(modules) > 300
    assert found == {HOME}
