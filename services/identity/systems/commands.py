"""What is asked about other systems."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from services.identity.systems.values import PurposeScope
from services.identity.values import Reach


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterSystem:
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
class UpdateSystem:
    client_id: str
    at: datetime
    by: str
    purposes: tuple[str, ...]
    certificate_required: bool
    reach: Reach
    scopes: tuple[PurposeScope, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RotateSystemKey:
    client_id: str
    at: datetime
    by: str
    kid: str
    public_jwk: str
    previous_until: datetime | None
    reach: Reach


@dataclass(frozen=True, slots=True, kw_only=True)
class SuspendSystem:
    client_id: str
    at: datetime
    by: str
    reason: str
    reach: Reach


@dataclass(frozen=True, slots=True, kw_only=True)
class ReinstateSystem:
    client_id: str
    at: datetime
    by: str
    reason: str
    reach: Reach


SystemCommand = RegisterSystem | UpdateSystem | RotateSystemKey | SuspendSystem | ReinstateSystem
