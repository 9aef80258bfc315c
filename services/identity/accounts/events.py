"""The facts of accounts. Each has its protobuf twin in motcua.identity.events.v1."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from services.chassis.decider import Sealed
from services.identity.accounts.values import (
    AccountKind,
    ErasureOutcome,
    Language,
    LookupGap,
    LookupOutcome,
    PersonField,
    Role,
)

NO_TEXT = Sealed()


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountRegistered:
    account_id: str
    at: datetime
    by: str
    kind: AccountKind
    full_name: Sealed
    personal_number: Sealed
    tax_code: Sealed
    email: Sealed
    phone: Sealed
    level_of_assurance: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginSucceeded:
    account_id: str
    at: datetime
    by: str
    level_of_assurance: int
    appointment_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileChanged:
    account_id: str
    at: datetime
    by: str
    email: Sealed
    phone: Sealed
    language: Language


@dataclass(frozen=True, slots=True, kw_only=True)
class OfficialAppointed:
    account_id: str
    at: datetime
    by: str
    appointment_id: str
    roles: tuple[Role, ...]
    agency: str
    province: str
    starts_at: datetime
    ends_at: datetime | None
    title: str
    decision_number: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AppointmentEnded:
    account_id: str
    at: datetime
    by: str
    appointment_id: str
    reason: Sealed


@dataclass(frozen=True, slots=True, kw_only=True)
class PopulationLookedUp:
    account_id: str
    at: datetime
    by: str
    agency: str
    purpose: str
    legal_basis: str
    outcome: LookupOutcome
    personal_number: Sealed
    dossier_code: str
    wanted: tuple[PersonField, ...] = ()
    gap: LookupGap = LookupGap.UNSPECIFIED
    full_name: Sealed = NO_TEXT


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityVerified:
    account_id: str
    at: datetime
    by: str
    component_kind: str
    data: Sealed
    valid_until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RepresentationNoted:
    account_id: str
    at: datetime
    by: str
    organisation_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountRead:
    account_id: str
    at: datetime
    by: str
    agency: str
    purpose: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasureRequested:
    account_id: str
    at: datetime
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasureDecided:
    account_id: str
    at: datetime
    by: str
    outcome: ErasureOutcome
    legal_basis: str


AccountEvent = (
    AccountRegistered
    | LoginSucceeded
    | ProfileChanged
    | OfficialAppointed
    | AppointmentEnded
    | PopulationLookedUp
    | IdentityVerified
    | AccountRead
    | RepresentationNoted
    | ErasureRequested
    | ErasureDecided
)
