"""Gauges of due dates and calendars."""

from __future__ import annotations

from services.chassis.telemetry.gauges import Observed

DEADLINES = Observed("motcua_deadlines_unnoted_seconds", "How long ago the oldest due date passed that is not noted")
CALENDAR_DAYS = Observed(
    "motcua_calendar_known_days", "For how many days from now on a calendar's holidays are announced", ["calendar"]
)
