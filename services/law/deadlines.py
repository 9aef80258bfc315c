"""Legal times: when a dossier is due, counted by an agency's calendar."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import Enum
from itertools import pairwise
from typing import assert_never
from zoneinfo import ZoneInfo

from services.chassis.decider import Words

Hours = tuple[tuple[time, time], ...]

_DAY = timedelta(days=1)
_SAME_DAY_UNTIL = time(15)


class Unit(Enum):
    """The numbers are those of motcua.dossier.events.v1.TermUnit."""

    UNSPECIFIED = 0
    WORKING_DAYS = 1
    DAYS = 2
    HOURS = 3
    MONTHS = 4
    SAME_DAY = 5


@dataclass(frozen=True, slots=True)
class Term:
    """A legal time to settle. SAME_DAY has no amount."""

    amount: int
    unit: Unit


@dataclass(frozen=True, slots=True)
class Calendar:
    calendar_id: str
    version: int
    zone: str
    # Monday first; a day without hours is a day off.
    office_hours: tuple[Hours, Hours, Hours, Hours, Hours, Hours, Hours]
    closed: frozenset[date] = frozenset()
    # Days off that are worked in exchange for another day.
    worked: frozenset[date] = frozenset()
    # The last day whose holidays are announced.
    known_until: date = date.max

    def __post_init__(self) -> None:
        if len(self.office_hours) != 7 or not any(self.office_hours):
            raise ValueError(
                Words.of(
                    "giờ làm việc phải có bảy ngày trong tuần, ít nhất một ngày làm việc",
                    "office hours: seven weekdays, at least one of them worked",
                )
            )
        for hours in self.office_hours:
            ends = [end for interval in hours for end in interval]
            if any(later <= earlier for earlier, later in pairwise(ends)):
                raise ValueError(
                    Words.of(
                        "các khoảng giờ làm việc phải nối tiếp nhau và không chạm nhau",
                        "office hours: intervals run forward and do not touch",
                    )
                )
        if both := self.closed & self.worked:
            raise ValueError(Words.of(f"vừa nghỉ vừa làm việc: {min(both)}", f"closed and worked at once: {min(both)}"))

    @property
    def name(self) -> str:
        """With the version, as facts name it."""
        return f"{self.calendar_id}@{self.version}"

    def hours(self, day: date) -> Hours:
        """A worked day off has the hours of the week's longest day: it stands for one."""
        if day in self.closed:
            return ()
        if day in self.worked:
            return max(self.office_hours, key=_length)
        return self.office_hours[day.weekday()]


def is_working_day(calendar: Calendar, day: date) -> bool:
    return bool(calendar.hours(day))


def is_provisional(calendar: Calendar, due: datetime) -> bool:
    """Whether it rests on days whose holidays nobody has announced: another version of the calendar may move it."""
    return _local(calendar, due).date() > calendar.known_until


def first_change(old: Calendar, new: Calendar) -> date:
    """The first day that the versions count differently: due dates before it are the same by both.

    Of days before the first that the old one names nothing was counted.
    """
    if (old.zone, old.office_hours) != (new.zone, new.office_hours):
        return date.min
    began = min(old.closed | old.worked, default=date.min)
    changes = (old.closed ^ new.closed) | (old.worked ^ new.worked)
    return min((day for day in changes if day >= began), default=date.max)


def opens_at(calendar: Calendar, day: date) -> datetime:
    return datetime.combine(day, calendar.hours(day)[0][0], ZoneInfo(calendar.zone))


def next_opening(calendar: Calendar, at: datetime) -> datetime:
    """The start of the working day after `at`'s day."""
    return opens_at(calendar, _nth_working_day(calendar, _local(calendar, at).date(), 1))


def closing(calendar: Calendar, at: datetime) -> datetime | None:
    """The end of `at`'s day, if it is worked."""
    day = _local(calendar, at).date()
    return _close(calendar, day) if is_working_day(calendar, day) else None


def counted(calendar: Calendar, term: Term, since: datetime, pauses: Iterable[tuple[datetime, datetime]]) -> datetime:
    """The due date of what counts since then, the pauses taken out."""
    return moved(calendar, term, due_at(calendar, term, since), pauses)


def moved(calendar: Calendar, term: Term, due: datetime, pauses: Iterable[tuple[datetime, datetime]]) -> datetime:
    for paused_at, resumed_at in pauses:
        due = resumed_due_at(calendar, term, due, paused_at, resumed_at)
    return due


def due_at(calendar: Calendar, term: Term, received_at: datetime) -> datetime:
    """The last moment to settle what was validly received at `received_at`."""
    received = _local(calendar, received_at)
    if term.amount < 1 and term.unit is not Unit.SAME_DAY:
        raise ValueError(f"a term of {term.amount}")
    match term.unit:
        case Unit.SAME_DAY:
            return _same_day(calendar, received)
        case Unit.HOURS:
            return _after_office_time(calendar, received, timedelta(hours=term.amount))
        case Unit.WORKING_DAYS:
            return _close(calendar, _nth_working_day(calendar, received.date(), term.amount))
        case Unit.DAYS | Unit.MONTHS:
            # The next working day is the first that counts.
            eve = _nth_working_day(calendar, received.date(), 1) - _DAY
            last = eve + timedelta(days=term.amount) if term.unit is Unit.DAYS else _add_months(eve, term.amount)
            return _close(calendar, _working_day_from(calendar, last))
        case Unit.UNSPECIFIED:
            raise ValueError("a term without a unit")
        case _:
            assert_never(term.unit)


def resumed_due_at(
    calendar: Calendar, term: Term, due: datetime, paused_at: datetime, resumed_at: datetime
) -> datetime:
    """The due date after a pause. The day of the pause counts as used, and so does the day of the resumption.

    What was paused on its last day has that rest of a day left, and is due by the same-day rule.
    """
    due, paused, resumed = (_local(calendar, moment) for moment in (due, paused_at, resumed_at))
    if resumed < paused:
        raise ValueError("resumed before it was paused")
    if paused > due:
        return due
    match term.unit:
        case Unit.HOURS:
            return _after_office_time(calendar, resumed, _office_time(calendar, paused, due))
        case Unit.WORKING_DAYS | Unit.SAME_DAY:
            left = sum(is_working_day(calendar, day) for day in _days(paused.date() + _DAY, due.date()))
            if not left:
                return _same_day(calendar, resumed)
            return _close(calendar, _nth_working_day(calendar, resumed.date(), left))
        case Unit.DAYS | Unit.MONTHS:
            remaining = due.date() - paused.date()
            if not remaining:
                return _same_day(calendar, resumed)
            return _close(calendar, _working_day_from(calendar, resumed.date() + remaining))
        case Unit.UNSPECIFIED:
            raise ValueError("a term without a unit")
        case _:
            assert_never(term.unit)


def _local(calendar: Calendar, moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError("a moment without a time zone")
    return moment.astimezone(ZoneInfo(calendar.zone))


def _length(hours: Hours) -> timedelta:
    return sum(
        (datetime.combine(date.min, end) - datetime.combine(date.min, start) for start, end in hours), timedelta()
    )


def _days(first: date, last: date) -> Iterator[date]:
    return (first + timedelta(days=offset) for offset in range((last - first).days + 1))


def _working_day_from(calendar: Calendar, day: date) -> date:
    while not is_working_day(calendar, day):
        day += _DAY
    return day


def _nth_working_day(calendar: Calendar, after: date, nth: int) -> date:
    day = after
    for _ in range(nth):
        day = _working_day_from(calendar, day + _DAY)
    return day


def _add_months(day: date, amount: int) -> date:
    """The same day of a later month, or that month's last day."""
    years, month = divmod(day.month - 1 + amount, 12)
    year, month = day.year + years, month + 1
    return date(year, month, min(day.day, monthrange(year, month)[1]))


def _close(calendar: Calendar, day: date) -> datetime:
    return datetime.combine(day, calendar.hours(day)[-1][1], ZoneInfo(calendar.zone))


def _same_day(calendar: Calendar, received: datetime) -> datetime:
    day = received.date()
    if received.time() <= _SAME_DAY_UNTIL and is_working_day(calendar, day) and received <= _close(calendar, day):
        return _close(calendar, day)
    return _close(calendar, _nth_working_day(calendar, day, 1))


def _intervals(calendar: Calendar, since: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Office time from `since` on, for ever."""
    zone, day = since.tzinfo, since.date()
    while True:
        for start, end in calendar.hours(day):
            opens, closes = (datetime.combine(day, edge, zone) for edge in (start, end))
            if closes > since:
                yield max(opens, since), closes
        day = _working_day_from(calendar, day + _DAY)


def _after_office_time(calendar: Calendar, since: datetime, amount: timedelta) -> datetime:
    for opens, closes in _intervals(calendar, since):
        if amount <= closes - opens:
            return opens + amount
        amount -= closes - opens
    raise AssertionError("office time never ends")


def _office_time(calendar: Calendar, since: datetime, until: datetime) -> timedelta:
    total = timedelta()
    for opens, closes in _intervals(calendar, since):
        if opens >= until:
            break
        total += min(closes, until) - opens
    return total
