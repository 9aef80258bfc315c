"""The vectors of the law's calendars for 2025 to 2027, and every rule against a slow count that is obviously right."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from itertools import count, islice
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given as forall
from hypothesis import settings
from hypothesis import strategies as st

from services.law.deadlines import (
    Calendar,
    Hours,
    Term,
    Unit,
    due_at,
    first_change,
    is_provisional,
    is_working_day,
    resumed_due_at,
)
from services.law.definitions import calendar_of
from tests.support.shipped import shipped as law

ZONE = ZoneInfo("Asia/Ho_Chi_Minh")
MORNING, AFTERNOON = (time(7, 30), time(11, 30)), (time(13), time(17))
FULL: Hours = (MORNING, AFTERNOON)
OFF: Hours = ()
CLOSED = frozenset(
    {date(2026, 1, 1), date(2026, 1, 2), date(2026, 4, 27), date(2026, 4, 30), date(2026, 5, 1), date(2026, 8, 31)}
    | {date(2026, 9, 1), date(2026, 9, 2), date(2026, 11, 24)}
    | {date(2026, 2, day) for day in range(14, 23)}
)
WORKED = frozenset({date(2026, 1, 10), date(2026, 8, 22)})
OFFICE = Calendar("general", 1, "Asia/Ho_Chi_Minh", (FULL, FULL, FULL, FULL, FULL, OFF, OFF), CLOSED, WORKED)
POLICE = Calendar("police", 1, "Asia/Ho_Chi_Minh", (FULL, FULL, FULL, FULL, FULL, (MORNING,), OFF), CLOSED, WORKED)


def at(month: int, day: int, hour: int = 9, minute: int = 0) -> datetime:
    return datetime(2026, month, day, hour, minute, tzinfo=ZONE)


def working_days(amount: int) -> Term:
    return Term(amount, Unit.WORKING_DAYS)


@pytest.mark.parametrize(
    ("received", "amount", "due"),
    [
        (at(2, 13), 1, at(2, 23, 17)),
        (at(2, 13), 3, at(2, 25, 17)),
        (at(4, 29), 1, at(5, 4, 17)),
        (at(11, 23), 1, at(11, 25, 17)),
        (at(3, 2), 5, at(3, 9, 17)),
        (at(1, 9), 1, at(1, 10, 17)),
        (at(8, 21), 1, at(8, 22, 17)),
    ],
)
def test_working_days_skip_what_is_closed(received: datetime, amount: int, due: datetime) -> None:
    assert due_at(OFFICE, working_days(amount), received) == due


def test_a_supplement_stops_the_clock() -> None:
    term = working_days(5)
    due = due_at(OFFICE, term, at(3, 2))
    assert resumed_due_at(OFFICE, term, due, at(3, 4), at(3, 10)) == at(3, 13, 17)


def test_a_worked_saturday_is_a_full_day_for_the_police_too() -> None:
    assert due_at(POLICE, working_days(1), at(3, 6)) == at(3, 7, 11, 30)
    assert due_at(POLICE, working_days(1), at(1, 9)) == at(1, 10, 17)


@pytest.mark.parametrize(
    ("received", "due"),
    [
        (at(3, 2, 7), at(3, 2, 17)),
        (at(3, 2, 15), at(3, 2, 17)),
        (at(3, 2, 15, 1), at(3, 3, 17)),
        (at(3, 6, 15, 1), at(3, 9, 17)),
        (at(3, 7, 9), at(3, 9, 17)),
        (at(11, 23, 16), at(11, 25, 17)),
    ],
)
def test_same_day_until_fifteen_hundred(received: datetime, due: datetime) -> None:
    assert due_at(OFFICE, Term(0, Unit.SAME_DAY), received) == due


def test_same_day_after_a_short_day_is_the_next_one() -> None:
    assert due_at(POLICE, Term(0, Unit.SAME_DAY), at(3, 7, 13)) == at(3, 9, 17)


@pytest.mark.parametrize(
    ("received", "hours", "due"),
    [
        (at(3, 2, 9), 1, at(3, 2, 10)),
        (at(3, 2, 11), 1, at(3, 2, 13, 30)),
        (at(3, 2, 10, 30), 1, at(3, 2, 11, 30)),
        (at(3, 6, 16, 30), 1, at(3, 9, 8)),
        (at(3, 7, 23), 1, at(3, 9, 8, 30)),
        (at(3, 2, 6), 8, at(3, 2, 17)),
    ],
)
def test_hours_are_office_hours(received: datetime, hours: int, due: datetime) -> None:
    assert due_at(OFFICE, Term(hours, Unit.HOURS), received) == due


@pytest.mark.parametrize(
    ("received", "days", "due"),
    [
        (at(3, 2), 10, at(3, 12, 17)),
        (at(3, 2), 5, at(3, 9, 17)),  # Saturday
        (at(3, 6), 1, at(3, 9, 17)),  # counted from Monday
        (at(2, 13), 1, at(2, 23, 17)),
    ],
)
def test_days_end_on_a_working_day(received: datetime, days: int, due: datetime) -> None:
    assert due_at(OFFICE, Term(days, Unit.DAYS), received) == due


@pytest.mark.parametrize(
    ("received", "months", "due"),
    [(at(3, 3), 1, at(4, 3, 17)), (at(1, 30), 1, at(3, 2, 17)), (at(10, 30), 4, datetime(2027, 3, 1, 17, tzinfo=ZONE))],
)
def test_months_end_on_a_working_day(received: datetime, months: int, due: datetime) -> None:
    assert due_at(OFFICE, Term(months, Unit.MONTHS), received) == due


def test_reception_is_read_in_the_calendars_zone() -> None:
    assert due_at(OFFICE, working_days(1), datetime(2026, 3, 2, 18, tzinfo=UTC)) == at(3, 4, 17)


@pytest.mark.parametrize(
    ("term", "due", "paused", "resumed", "expected"),
    [
        (working_days(5), at(3, 9, 17), at(3, 4), at(3, 4, 16), at(3, 9, 17)),
        (working_days(5), at(3, 9, 17), at(3, 10), at(3, 20), at(3, 9, 17)),  # overdue already
        (working_days(5), at(3, 9, 17), at(3, 9), at(3, 12, 14), at(3, 12, 17)),
        (working_days(5), at(3, 9, 17), at(3, 9), at(3, 12, 16), at(3, 13, 17)),
        (Term(10, Unit.DAYS), at(3, 12, 17), at(3, 4), at(3, 10), at(3, 18, 17)),
        (Term(10, Unit.DAYS), at(3, 12, 17), at(3, 4), at(3, 13), at(3, 23, 17)),
        (Term(10, Unit.DAYS), at(3, 12, 17), at(3, 12), at(3, 13, 16), at(3, 16, 17)),
        (Term(1, Unit.MONTHS), at(4, 3, 17), at(4, 1), at(4, 7), at(4, 9, 17)),
        (Term(4, Unit.HOURS), at(3, 2, 14, 30), at(3, 2, 11), at(3, 3, 16), at(3, 4, 8, 30)),
        (Term(0, Unit.SAME_DAY), at(3, 2, 17), at(3, 2, 14), at(3, 3, 15), at(3, 3, 17)),
        (Term(0, Unit.SAME_DAY), at(3, 2, 17), at(3, 2, 14), at(3, 3, 16), at(3, 4, 17)),
    ],
)
def test_after_a_pause_what_is_left_is_counted_again(
    term: Term, due: datetime, paused: datetime, resumed: datetime, expected: datetime
) -> None:
    assert resumed_due_at(OFFICE, term, due, paused, resumed) == expected


@pytest.mark.parametrize("unit", [unit for unit in Unit if unit is not Unit.SAME_DAY])
def test_a_term_needs_an_amount(unit: Unit) -> None:
    with pytest.raises(ValueError, match="a term of 0"):
        due_at(OFFICE, Term(0, unit), at(3, 2))


def test_a_term_needs_a_unit() -> None:
    with pytest.raises(ValueError, match="without a unit"):
        due_at(OFFICE, Term(3, Unit.UNSPECIFIED), at(3, 2))
    with pytest.raises(ValueError, match="without a unit"):
        resumed_due_at(OFFICE, Term(3, Unit.UNSPECIFIED), at(3, 9), at(3, 4), at(3, 5))


def test_a_moment_needs_a_zone() -> None:
    with pytest.raises(ValueError, match="without a time zone"):
        due_at(OFFICE, working_days(1), datetime(2026, 3, 2))


def test_time_runs_forward() -> None:
    with pytest.raises(ValueError, match="before it was paused"):
        resumed_due_at(OFFICE, working_days(5), at(3, 9), at(3, 5), at(3, 4))


@pytest.mark.parametrize(
    ("hours", "closed", "worked", "why"),
    [
        ((OFF,) * 7, frozenset(), frozenset(), "at least one"),
        (((AFTERNOON, MORNING),) + (FULL,) * 6, frozenset(), frozenset(), "run forward"),
        ((FULL,) * 7, {date(2026, 1, 1)}, {date(2026, 1, 1)}, "at once: 2026-01-01"),
    ],
)
def test_a_calendar_makes_sense(hours: tuple[Hours, ...], closed: set[date], worked: set[date], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Calendar("x", 1, "Asia/Ho_Chi_Minh", hours, frozenset(closed), frozenset(worked))  # type: ignore[arg-type]


dates = st.dates(date(2025, 12, 1), date(2026, 12, 31))
moments = st.datetimes(datetime(2025, 12, 1), datetime(2026, 12, 31), timezones=st.just(ZONE))
hours = st.sampled_from([OFF, FULL, (MORNING,), (AFTERNOON,)])


@st.composite
def calendars(draw: st.DrawFn) -> Calendar:
    week = draw(st.tuples(*[hours] * 7).filter(any))
    closed = draw(st.frozensets(dates, max_size=80))
    return Calendar("any", 1, "Asia/Ho_Chi_Minh", week, closed, draw(st.frozensets(dates, max_size=20)) - closed)


def slowly(calendar: Calendar, first: date) -> list[date]:
    """Two years and more of working days, one by one."""
    every = (first + timedelta(days=offset) for offset in count())
    return [day for day in islice(every, 1500) if is_working_day(calendar, day)]


def minutes_slowly(calendar: Calendar, since: datetime, until: datetime) -> int:
    steps = int((until - since) / timedelta(minutes=1))
    return sum(
        any(start <= moment.time() < end for start, end in calendar.hours(moment.date()))
        for moment in (since + timedelta(minutes=step) for step in range(steps))
    )


@forall(calendars(), moments, st.integers(1, 150))
def test_working_days_count_as_slowly(calendar: Calendar, received: datetime, amount: int) -> None:
    due = due_at(calendar, working_days(amount), received)
    day = slowly(calendar, received.date() + timedelta(days=1))[amount - 1]
    assert (due.date(), due.time()) == (day, calendar.hours(day)[-1][1])


@forall(calendars(), moments, st.integers(1, 150))
def test_days_count_as_slowly(calendar: Calendar, received: datetime, amount: int) -> None:
    due = due_at(calendar, Term(amount, Unit.DAYS), received)
    open_days = slowly(calendar, received.date() + timedelta(days=1))
    last = open_days[0] + timedelta(days=amount - 1)
    assert due.date() == next(day for day in open_days if day >= last)


@settings(max_examples=30)
@forall(calendars(), moments.map(lambda moment: moment.replace(second=0, microsecond=0)), st.integers(1, 12))
def test_hours_count_as_slowly(calendar: Calendar, received: datetime, amount: int) -> None:
    due = due_at(calendar, Term(amount, Unit.HOURS), received)
    if due - received < timedelta(days=40):
        assert minutes_slowly(calendar, received, due) == amount * 60


@forall(
    calendars(),
    moments,
    st.integers(1, 60),
    st.sampled_from([Unit.WORKING_DAYS, Unit.DAYS, Unit.MONTHS, Unit.SAME_DAY, Unit.HOURS]),
    st.timedeltas(timedelta(), timedelta(days=90)),
    st.timedeltas(timedelta(), timedelta(days=90)),
)
def test_a_pause_never_shortens_and_never_takes_what_is_left(
    calendar: Calendar, received: datetime, amount: int, unit: Unit, until_pause: timedelta, pause: timedelta
) -> None:
    term = Term(amount, unit)
    due = due_at(calendar, term, received)
    paused, resumed = received + until_pause, received + until_pause + pause
    again = resumed_due_at(calendar, term, due, paused, resumed)
    if paused > due:
        assert again == due
        return
    assert again >= max(due, resumed)
    left = [day for day in slowly(calendar, paused.date() + timedelta(days=1)) if day <= due.date()]
    if unit is Unit.WORKING_DAYS and left:
        assert again.date() == slowly(calendar, resumed.date() + timedelta(days=1))[len(left) - 1]


@cache
def shipped(calendar_id: str = "general", version: int = 2) -> Calendar:
    found = (each for each in law().calendars if (each.calendar_id, each.version) == (calendar_id, version))
    return calendar_of(next(found))


def day(text: str, hour: int = 9) -> datetime:
    return datetime.fromisoformat(text).replace(hour=hour, tzinfo=ZONE)


@pytest.mark.parametrize(
    ("received", "amount", "due"),
    [
        ("2024-12-31", 1, "2025-01-02"),
        ("2025-01-24", 1, "2025-02-03"),
        ("2025-04-04", 1, "2025-04-08"),
        ("2025-04-25", 1, "2025-04-26"),
        ("2025-04-29", 1, "2025-05-05"),
        ("2025-08-29", 1, "2025-09-03"),
        ("2026-12-31", 1, "2027-01-04"),
        ("2027-01-29", 17, "2027-03-02"),
        ("2027-02-03", 1, "2027-02-11"),
        ("2027-02-03", 3, "2027-02-15"),
        ("2027-04-15", 1, "2027-04-19"),
        ("2027-04-29", 1, "2027-05-04"),
        ("2027-09-01", 1, "2027-09-06"),
        ("2027-11-23", 1, "2027-11-25"),
        ("2027-12-31", 1, "2028-01-04"),
    ],
)
def test_the_announced_days_of_2025_and_2027(received: str, amount: int, due: str) -> None:
    assert due_at(shipped(), working_days(amount), day(received)) == day(due, 17)


def test_the_police_work_on_no_holiday_s_saturday() -> None:
    assert due_at(shipped("police"), working_days(1), day("2027-02-05")) == day("2027-02-11", 17)
    assert due_at(shipped("police"), working_days(2), day("2027-02-11")) == datetime(2027, 2, 13, 11, 30, tzinfo=ZONE)


@pytest.mark.parametrize(
    ("version", "due", "provisional"),
    [(1, "2026-12-31", False), (1, "2027-01-04", True), (2, "2027-12-31", False), (2, "2028-01-04", True)],
)
def test_what_rests_on_days_nobody_announced_is_provisional(version: int, due: str, provisional: bool) -> None:
    assert is_provisional(shipped(version=version), day(due, 17)) is provisional


def test_the_first_day_that_versions_count_differently() -> None:
    assert first_change(shipped(version=1), shipped(version=2)) == date(2027, 1, 2)
    assert first_change(OFFICE, replace(OFFICE, closed=CLOSED | {date(2027, 2, 4)})) == date(2027, 2, 4)
    assert first_change(OFFICE, replace(OFFICE, worked=WORKED - {date(2026, 8, 22)})) == date(2026, 8, 22)
    assert first_change(OFFICE, replace(OFFICE, version=2)) == date.max
    assert first_change(OFFICE, replace(OFFICE, office_hours=(FULL,) * 7)) == date.min
