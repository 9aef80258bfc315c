"""What an operator sees of the ledger, beside the metrics of every service."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

from services.chassis.machine import moments
from services.chassis.telemetry.gauges import Observed

SEQUENCED = Observed("motcua_ledger_sequenced_size", "Leaves of the newest checkpoint, published or not")
SIZE = Observed("motcua_ledger_size", "Leaves of the published checkpoint")
LAG = Observed("motcua_ledger_lag_seconds", "Age of the oldest event that waits to be sequenced, 0 when there is none")
FAILURES = Counter("motcua_ledger_failures_total", "Attempts to sequence or to publish that failed", ["step"])
CHECKPOINT_AGE = Gauge("motcua_ledger_checkpoint_age_seconds", "Since this replica last published a checkpoint")
COSIGNATURES = Observed("motcua_ledger_cosignatures", "Witnesses that cosigned the published checkpoint")
WITNESSES = Gauge("motcua_ledger_witnesses", "Witnesses that should cosign")
WITNESS_FAILURES = Counter("motcua_ledger_witness_failures_total", "Cosignatures that did not come", ["witness"])
WITNESSED = Counter("motcua_ledger_witnessed_total", "Checkpoints of other logs that were sent here", ["status"])

for _step in ("sequence", "publish"):
    FAILURES.labels(_step)


def published() -> None:
    began = moments.monotonic()
    CHECKPOINT_AGE.set_function(lambda: moments.monotonic() - began)
