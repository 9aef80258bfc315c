"""Who administrates the site first. It has its protobuf twin in motcua.identity.events.v1."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class AdministratorNamed:
    account_id: str
    at: datetime
    by: str
    appointment_id: str
    agency: str
