"""Gauges of signing keys."""

from __future__ import annotations

from services.chassis.telemetry.gauges import Observed

SIGNING_KEY = Observed(
    "motcua_signing_key_rotation_due_timestamp_seconds", "When the newest signing key is to be followed by another"
)
