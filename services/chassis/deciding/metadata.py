"""The metadata of a stored event: JSON, which Handler writes, and Handler and Fact read. For example

{"$correlationId": "5f0c…", "$causationId": "5f0c…", "actor": "system:vn", "site": "vn-56",
 "recorded_at": "2026-03-02T02:00:00.000045+00:00", "request_id": "5f0c…", "traceparent": "00-…-01", "request_hash": "9a41…"}

The names with $ are those that KurrentDB's own projections follow.
"""

from __future__ import annotations

import json
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    correlation_id: str = ""
    causation_id: str = ""
    actor: str = ""
    """As Caller.actor."""
    site: str = ""
    """Whose service decided, for example "vn-56"."""
    recorded_at: str = ""
    """ISO 8601, UTC."""
    request_id: str = ""
    traceparent: str = ""
    """W3C Trace Context; empty where the call had none."""
    request_hash: str = ""
    """Origin.digest; in the first event of a request alone."""

    def write(self) -> bytes:
        optional = {"traceparent": self.traceparent, "request_hash": self.request_hash}
        return json.dumps(
            {
                "$correlationId": self.correlation_id,
                "$causationId": self.causation_id,
                "actor": self.actor,
                "site": self.site,
                "recorded_at": self.recorded_at,
                "request_id": self.request_id,
                **{name: value for name, value in optional.items() if value},
            }
        ).encode()

    @classmethod
    def read(cls, stored: bytes) -> Metadata:
        """What is missing is empty: another writer's event has what that writer gave it."""
        fields = json.loads(stored or b"{}")
        return cls(
            correlation_id=str(fields.get("$correlationId", "")),
            causation_id=str(fields.get("$causationId", "")),
            actor=str(fields.get("actor", "")),
            site=str(fields.get("site", "")),
            recorded_at=str(fields.get("recorded_at", "")),
            request_id=str(fields.get("request_id", "")),
            traceparent=str(fields.get("traceparent", "")),
            request_hash=str(fields.get("request_hash", "")),
        )
