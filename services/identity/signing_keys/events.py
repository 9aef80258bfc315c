"""The facts of the platform's signing keys, all on one stream. Each has its protobuf twin in motcua.identity.events.v1."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKeyIntroduced:
    kid: str
    at: datetime
    by: str
    public_jwk: str
    signs_from: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKeyRetired:
    kid: str
    at: datetime
    by: str
    signs_until: datetime
    verifies_until: datetime


SigningKeyEvent = SigningKeyIntroduced | SigningKeyRetired
