"""What is asked about the platform's signing keys."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class RotateSigningKey:
    kid: str
    at: datetime
    by: str
    public_jwk: str
    # How long the new key is published before it signs: longer than any verifier keeps its copy of the key set.
    lead: timedelta
    token_lifetime: timedelta
    compromised: bool = False
