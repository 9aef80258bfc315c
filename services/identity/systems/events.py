"""The facts of other systems. Each has its protobuf twin in motcua.identity.events.v1."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from services.identity.systems.values import PurposeScope


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemRegistered:
    client_id: str
    at: datetime
    by: str
    name: str
    operator_agency: str
    purposes: tuple[str, ...]
    kid: str
    public_jwk: str
    certificate_required: bool = False
    scopes: tuple[PurposeScope, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemChanged:
    client_id: str
    at: datetime
    by: str
    purposes: tuple[str, ...]
    certificate_required: bool
    scopes: tuple[PurposeScope, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemKeyRotated:
    client_id: str
    at: datetime
    by: str
    kid: str
    public_jwk: str
    previous_until: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemSuspended:
    client_id: str
    at: datetime
    by: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemReinstated:
    client_id: str
    at: datetime
    by: str
    reason: str


SystemEvent = SystemRegistered | SystemChanged | SystemKeyRotated | SystemSuspended | SystemReinstated
