"""Calendars, in streams calendar-<id>: working hours and days off, by version."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import assert_never
from zoneinfo import ZoneInfo

from services.catalogue.commands import (
    CalendarCommand,
    PublishCalendar,
    WithdrawCalendarVersion,
)
from services.catalogue.domain.versions import (
    require_day,
    require_next,
    require_not_past,
    require_reason,
    require_to_come,
    without,
)
from services.catalogue.events import (
    CalendarEvent,
    CalendarPublished,
    CalendarVersionWithdrawn,
)
from services.catalogue.refusals import Refused
from services.catalogue.values import Version
from services.chassis.decider import Decider, Words
from services.law.days import local_day
from services.law.definitions import (
    CalendarVersion,
    calendar_of,
)
from services.law.validity import Validity

_CALENDAR = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*", re.ASCII)


@dataclass(frozen=True, slots=True)
class CalendarState:
    last_version: int = 0
    # Oldest first. One without a first day is in force since its publication.
    versions: tuple[Version[CalendarVersion], ...] = ()


def decide_calendar(command: CalendarCommand, state: CalendarState) -> Sequence[CalendarEvent]:
    match command:
        case PublishCalendar(calendar=calendar, at=at, by=by, replaces=replaces):
            return _published(calendar, at, by, replaces, state)
        case WithdrawCalendarVersion(calendar_id=calendar_id, version=version, reason=reason, at=at, by=by):
            require_to_come(state.versions, version, calendar_id, local_day(at))
            require_reason(reason)
            return [CalendarVersionWithdrawn(calendar_id=calendar_id, version=version, reason=reason, at=at, by=by)]
        case _:
            assert_never(command)


def _published(
    calendar: CalendarVersion, at: datetime, by: str, replaces: bool, state: CalendarState
) -> list[CalendarEvent]:
    if not _CALENDAR.fullmatch(calendar.calendar_id):
        raise Refused(
            "CALENDAR_FAULTY",
            why=Words.of(
                "calendar_id chỉ gồm chữ thường, chữ số và gạch nối",
                "calendar_id has lower-case letters, digits and hyphens only",
                f"calendar_id {calendar.calendar_id!r}",
            ),
        )
    require_next(calendar.version, state.last_version)
    try:
        ZoneInfo(calendar_of(calendar).zone)
    except (ValueError, KeyError, OSError) as error:
        raise Refused("CALENDAR_FAULTY", why=_calendar_fault(error)) from error
    for day in (calendar.known_until, *calendar.closed, *calendar.worked):
        require_day(day)
    for day in filter(None, (calendar.announced_on, calendar.valid_from)):
        require_day(day)
    now = local_day(at)
    if calendar.valid_from and state.versions:
        require_not_past(calendar.valid_from, now)
    later = [
        each
        for each in state.versions
        if each.validity.since >= (calendar.valid_from or now) and each.validity.since > now
    ]
    if later and not replaces:
        raise Refused("VALIDITY_OVERLAPS", valid_from=later[0].validity.since, valid_until="")
    kept = [each for each in state.versions if each not in later]
    if kept:
        before = _exceptions(kept[-1].definition)
        # Of days before the first that it named, the calendar said nothing.
        began = min((day for day, _ in before), default="")
        for day, _ in sorted(before ^ _exceptions(calendar)):
            if day >= began:
                require_not_past(day, now)
    withdrawn = [
        CalendarVersionWithdrawn(
            calendar_id=calendar.calendar_id, version=each.number, reason=f"v{calendar.version}", at=at, by=by
        )
        for each in later
    ]
    return [*withdrawn, CalendarPublished(calendar=calendar, at=at, by=by)]


def evolve_calendar(state: CalendarState, event: CalendarEvent) -> CalendarState:
    match event:
        case CalendarPublished(calendar=calendar):
            new = Version(calendar.version, Validity(calendar.valid_from), calendar)
            return CalendarState(calendar.version, (*state.versions, new))
        case CalendarVersionWithdrawn(version=version):
            return replace(state, versions=without(state.versions, version))
        case _:
            assert_never(event)


def _exceptions(calendar: CalendarVersion) -> frozenset[tuple[str, bool]]:
    return frozenset((day, False) for day in calendar.closed) | {(day, True) for day in calendar.worked}


def _calendar_fault(error: Exception) -> Words:
    if error.args and isinstance(error.args[0], Words):
        return error.args[0]
    return Words.of(
        "múi giờ, giờ hay ngày không đọc được; viết Asia/Ho_Chi_Minh, 07:30, 2026-11-24",
        "a time zone, hour or day cannot be read; write Asia/Ho_Chi_Minh, 07:30, 2026-11-24",
        str(error),
    )


calendars: Decider[CalendarCommand, CalendarState, CalendarEvent] = Decider(
    CalendarState(), decide_calendar, evolve_calendar
)
