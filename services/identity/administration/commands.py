"""What the operator says of who administrates the site first."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class NameAdministrator:
    account_id: str
    at: datetime
    by: str
    appointment_id: str
    agency: str
    # Whether the log has an administrator of this site whom nobody named: a trial's.
    appointed: bool
    # The operator says that nobody can appoint anybody any more.
    none_is_left: bool
    # Of an administrator of the site's own authority.
    in_force: str = ""
