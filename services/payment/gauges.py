"""Gauges of checkouts and refunds."""

from __future__ import annotations

from services.chassis.telemetry.gauges import Observed

CHECKOUTS_OVERDUE = Observed(
    "motcua_checkouts_overdue_seconds", "How long ago the oldest checkout ended of which the provider said nothing yet"
)
REFUNDS_OLDEST = Observed(
    "motcua_refunds_oldest_seconds", "Age of the oldest refund that the provider has not confirmed"
)
