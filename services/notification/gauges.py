"""Gauges of e-mails that wait."""

from __future__ import annotations

from services.chassis.telemetry.gauges import Observed

EMAILS_WAITING = Observed("motcua_emails_waiting", "E-mails to be sent, also those that are tried again later")
EMAILS_OLDEST = Observed("motcua_emails_oldest_seconds", "Age of the oldest e-mail that waits, 0 when there is none")
