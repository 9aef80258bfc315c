"""The indicators of a period, grouped: one query, whatever the dimensions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy import Connection, Select, case, func, select

from motcua.warehouse.v1 import warehouse_pb2
from services.chassis.calls.paging import By, Listing
from services.chassis.calls.statuses import RequestInvalid, Violation
from services.chassis.database.database import utc
from services.chassis.deciding.codec import to_timestamp
from services.law.days import is_day
from services.warehouse.counters import indicators
from services.warehouse.indicators import COUNTERS, rates
from services.warehouse.refusals import Refused

_DIMENSIONS = {
    warehouse_pb2.DIMENSION_DAY: "day",
    warehouse_pb2.DIMENSION_MONTH: "month",
    warehouse_pb2.DIMENSION_PROVINCE: "province",
    warehouse_pb2.DIMENSION_AGENCY: "agency",
    warehouse_pb2.DIMENSION_PROCEDURE: "procedure_code",
}
_TIMES = ("day", "month")


@dataclass(frozen=True, slots=True)
class Period:
    from_day: str
    until_day: str


def period_of(from_day: str, until_day: str) -> Period:
    """Raises Rejected PERIOD_INVALID."""
    if not (is_day(from_day) and is_day(until_day) and from_day <= until_day):
        raise Refused("PERIOD_INVALID", from_day=from_day[:40], until_day=until_day[:40])
    return Period(from_day, until_day)


def names_of(group_by: Iterable[warehouse_pb2.Dimension.ValueType]) -> tuple[str, ...]:
    """The dimensions' columns, each once and in the order of rows. Raises RequestInvalid."""
    wanted = list(group_by)
    if any(dimension not in _DIMENSIONS for dimension in wanted):
        raise RequestInvalid(
            [Violation("group_by", "Có tiêu chí không tồn tại.", "It has a dimension that does not exist.")]
        )
    return tuple(name for dimension, name in _DIMENSIONS.items() if dimension in wanted)


def groups_query(
    period: Period, chosen: warehouse_pb2.IndicatorFilter, names: tuple[str, ...], changed_after: int = -1
) -> Select[Any]:
    """A row per group: the period's sums, `overdue_open` at its end, and `changed` (a position).

    Days and months accumulate what was overdue before them, also before the period.
    """
    t = indicators
    in_period = t.c.day >= period.from_day
    late = (t.c.overdue > 0) | (t.c.overdue_ended > 0)
    open_: Any = func.sum(t.c.overdue - t.c.overdue_ended)
    changed: Any = func.max(t.c.position)
    time = next((t.c[name] for name in _TIMES if name in names), None)
    if time is not None:
        over: dict[str, Any] = {"order_by": time}
        if places := [t.c[name] for name in names if name not in _TIMES]:
            over["partition_by"] = places
        open_, changed = func.sum(open_).over(**over), func.max(changed).over(**over)
    summed = (
        select(
            *(t.c[name] for name in names),
            *(func.coalesce(func.sum(case((in_period, t.c[name]), else_=0)), 0).label(name) for name in COUNTERS),
            func.coalesce(func.sum(case((in_period, 1), else_=0)), 0).label("facts"),
            func.coalesce(open_, 0).label("overdue_open"),
            func.coalesce(changed, 0).label("changed"),
        )
        .where(t.c.day <= period.until_day, in_period | late)
        .group_by(*(t.c[name] for name in names))
    )
    restrictions = {name: getattr(chosen, name) for name in ("province", "agency", "procedure_code")}
    for name, value in restrictions.items():
        if value:
            summed = summed.where(t.c[name] == value)
    groups = summed.subquery("grouped")
    query = select(groups).where(groups.c.changed > changed_after)
    if names:
        query = query.where((groups.c.facts > 0) | (groups.c.overdue_open != 0))
    if time is not None:
        query = query.where(groups.c[time.name] >= period.from_day[: 10 if time.name == "day" else 7])
    return query


def grouped(period: Period, chosen: warehouse_pb2.IndicatorFilter, names: tuple[str, ...]) -> Listing:
    query = groups_query(period, chosen, names)
    return Listing(query, tuple(By(query.selected_columns[name]) for name in names))


def indicators_of(row: Any, names: tuple[str, ...]) -> warehouse_pb2.Indicators:
    sums = {name: int(getattr(row, name)) for name in COUNTERS}
    open_ = int(row.overdue_open)
    measured = rates(sums, {"overdue": open_})
    found = {field: getattr(measured, field) for field in measured.__slots__}
    return warehouse_pb2.Indicators(
        **{name: getattr(row, name) for name in names},
        counters=warehouse_pb2.Counters(**sums),
        overdue_open=open_,
        rates=warehouse_pb2.Rates(**{field: float(rate) for field, rate in found.items() if rate is not None}),
    )


def as_of(db: Connection) -> Timestamp | None:
    """The time of the last fact counted."""
    latest = db.execute(select(func.max(indicators.c.as_of))).scalar()
    return to_timestamp(utc(latest)) if latest else None
