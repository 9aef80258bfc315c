"""What accounts are asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from services.identity.accounts.values import (
    AccountKind,
    ErasureOutcome,
    Language,
    LookupGap,
    LookupOutcome,
    PersonField,
    Role,
    VerifiedData,
)
from services.identity.values import Office, Reach


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordLogin:
    """VNeID vouched for the person. The first time, this registers the account."""

    account_id: str
    at: datetime
    kind: AccountKind
    full_name: str
    personal_number: str
    tax_code: str
    email: str
    phone: str
    level_of_assurance: int
    appointment_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeProfile:
    account_id: str
    at: datetime
    by: str
    email: str
    phone: str
    language: Language


@dataclass(frozen=True, slots=True, kw_only=True)
class AppointOfficial:
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
    reach: Reach
    # None: there is no such agency.
    office: Office | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EndAppointment:
    account_id: str
    at: datetime
    by: str
    appointment_id: str
    reason: str
    reach: Reach


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordLookup:
    """The population database answered; the person need not have an account yet."""

    account_id: str
    at: datetime
    by: str
    agency: str
    purpose: str
    legal_basis: str
    outcome: LookupOutcome
    personal_number: str
    dossier_code: str
    verified: tuple[VerifiedData, ...]
    wanted: tuple[PersonField, ...] = ()
    gap: LookupGap = LookupGap.UNSPECIFIED
    full_name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteRepresentation:
    """The organisation logged in; the person whom it named need not have an account yet."""

    account_id: str
    at: datetime
    by: str
    organisation_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestErasure:
    account_id: str
    at: datetime
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DecideErasure:
    account_id: str
    at: datetime
    by: str
    outcome: ErasureOutcome
    legal_basis: str


AccountCommand = (
    RecordLogin
    | ChangeProfile
    | AppointOfficial
    | EndAppointment
    | RecordLookup
    | NoteRepresentation
    | RequestErasure
    | DecideErasure
)
