"""Accounts, the officials among them, other systems, and the platform's signing keys: three deciders."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum
from typing import assert_never

from services.chassis.decider import Decider, Rejected, Sealed, Words
from services.law.days import is_birth

PERSONAL_NUMBER = re.compile(r"[0-9]{12}")
TAX_CODE = re.compile(r"[0-9]{10}(?:[0-9]{3})?")
CLIENT_ID = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
PURPOSE = re.compile(r"[a-z]+(?:-[a-z]+)*")
PROVINCE = re.compile(r"[0-9]{2}")
OF_A_PROVINCE = re.compile(r"P([0-9]{2})(?:\.|$)")
# An act by its kind and name, with the provision before it or not: "Khoản 2 Điều 10 Luật Căn cước 2023".
CITATION = re.compile(
    r"(?:(?:điểm|khoản|điều)\s+[\w.]+,?\s+)*"
    r"(?:Hiến pháp|Bộ luật|Luật|Pháp lệnh|Nghị quyết|Nghị định|Thông tư(?: liên tịch)?|Quyết định)\s+\w[\w\s/.,()-]{2,}",
    re.IGNORECASE,
)
MAX_KEY_OVERLAP = timedelta(days=30)
# Verifiers' clocks may be this far behind ours.
CLOCK_SKEW = timedelta(minutes=1)


class AccountKind(Enum):
    CITIZEN = 1
    ORGANISATION = 2


class Language(Enum):
    UNSPECIFIED = 0
    VIETNAMESE = 1
    ENGLISH = 2


class LookupOutcome(Enum):
    FOUND = 1
    NOT_FOUND = 2
    NAME_MISMATCH = 3
    NO_MATCH = 4
    NOT_ENOUGH_BASIS = 5


class LookupGap(Enum):
    UNSPECIFIED = 0
    BIRTH_DATE = 1
    RECORD_INCOMPLETE = 2
    RECORD_DISPUTED = 3
    REQUEST = 4
    OTHER = 5


class PersonField(Enum):
    GENDER = 1
    NATIONALITY = 2
    RESIDENCE = 3
    MARITAL_STATUS = 4


class ErasureOutcome(Enum):
    REFUSED = 1
    RESTRICTED = 2
    SHREDDED = 3


class Role(Enum):
    CITIZEN = 2
    ORGANISATION = 3
    RECEPTIONIST = 4
    PROCESSOR = 5
    APPROVER = 6
    CASHIER = 7
    EDITOR = 8
    ADMINISTRATOR = 9
    SYSTEM = 10
    SERVICE = 11


APPOINTABLE = frozenset(
    {Role.RECEPTIONIST, Role.PROCESSOR, Role.APPROVER, Role.CASHIER, Role.EDITOR, Role.ADMINISTRATOR}
)


# Accounts: events


NOTHING = Sealed()


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class LoginSucceeded:
    account_id: str
    at: datetime
    by: str
    level_of_assurance: int
    appointment_id: str


@dataclass(frozen=True, slots=True)
class ProfileChanged:
    account_id: str
    at: datetime
    by: str
    email: Sealed
    phone: Sealed
    language: Language


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class AppointmentEnded:
    account_id: str
    at: datetime
    by: str
    appointment_id: str
    reason: Sealed


@dataclass(frozen=True, slots=True)
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
    full_name: Sealed = NOTHING


@dataclass(frozen=True, slots=True)
class IdentityVerified:
    account_id: str
    at: datetime
    by: str
    component_kind: str
    data: Sealed
    valid_until: datetime


@dataclass(frozen=True, slots=True)
class RepresentationNoted:
    account_id: str
    at: datetime
    by: str
    organisation_id: str


@dataclass(frozen=True, slots=True)
class AccountRead:
    account_id: str
    at: datetime
    by: str
    agency: str
    purpose: str


@dataclass(frozen=True, slots=True)
class ErasureRequested:
    account_id: str
    at: datetime
    by: str


@dataclass(frozen=True, slots=True)
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


# Who may appoint whom


@dataclass(frozen=True, slots=True)
class Office:
    """An agency that exists. `province` is empty for one of the nation."""

    code: str
    province: str


@dataclass(frozen=True, slots=True)
class Reach:
    """Of an administrator: the own agency with all below it, in the own territory; `everywhere` is the platform itself."""

    agency: str = ""
    province: str = ""
    everywhere: bool = False

    def has(self, office: Office) -> bool:
        below = bool(self.agency) and f"{office.code}.".startswith(f"{self.agency}.")
        return self.everywhere or (below and self.province in ("", office.province))

    def has_code(self, code: str) -> bool:
        """Whether it is open or closed. A code without a province's number, as H26.1, is judged by what it lies below."""
        home = OF_A_PROVINCE.match(code)
        return self.has(Office(code, home[1] if home else self.province))


EVERYWHERE = Reach(everywhere=True)


# Accounts: commands


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class ChangeProfile:
    account_id: str
    at: datetime
    by: str
    email: str
    phone: str
    language: Language


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class EndAppointment:
    account_id: str
    at: datetime
    by: str
    appointment_id: str
    reason: str
    reach: Reach


@dataclass(frozen=True, slots=True)
class VerifiedData:
    component_kind: str
    data: str
    valid_until: datetime


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class NoteRepresentation:
    """The organisation logged in; the person whom it named need not have an account yet."""

    account_id: str
    at: datetime
    by: str
    organisation_id: str


@dataclass(frozen=True, slots=True)
class RequestErasure:
    account_id: str
    at: datetime
    by: str


@dataclass(frozen=True, slots=True)
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


# Accounts: state


@dataclass(frozen=True, slots=True)
class Appointment:
    appointment_id: str
    roles: tuple[Role, ...]
    agency: str
    province: str
    starts_at: datetime
    # The term's end, or the moment it was ended, whichever is earlier.
    ends_at: datetime | None

    def over(self, at: datetime) -> bool:
        return self.ends_at is not None and self.ends_at <= at

    def overlaps(self, starts_at: datetime, ends_at: datetime | None) -> bool:
        return (ends_at is None or self.starts_at < ends_at) and (self.ends_at is None or starts_at < self.ends_at)


@dataclass(frozen=True, slots=True)
class Account:
    kind: AccountKind | None = None
    appointments: tuple[Appointment, ...] = ()
    erasure_pending: bool = False
    restricted: bool = False
    erased: bool = False
    # Organisations.
    represents: frozenset[str] = frozenset()

    def appointment(self, appointment_id: str) -> Appointment:
        for appointment in self.appointments:
            if appointment.appointment_id == appointment_id:
                return appointment
        raise Rejected("APPOINTMENT_UNKNOWN", appointment_id=appointment_id)

    def acting(self, appointment_id: str, at: datetime) -> Appointment:
        """The appointment, if its holder may act for it now."""
        appointment = self.appointment(appointment_id)
        if at < appointment.starts_at:
            raise Rejected(
                "APPOINTMENT_NOT_STARTED", appointment_id=appointment_id, starts_at=appointment.starts_at.isoformat()
            )
        if appointment.ends_at is not None and appointment.ends_at <= at:
            raise Rejected("APPOINTMENT_OVER", appointment_id=appointment_id, since=appointment.ends_at.isoformat())
        return appointment


def require(**fields: str) -> None:
    for field, value in fields.items():
        if not value.strip():
            raise Rejected("FIELD_MISSING", field=field)


def require_personal_number(number: str) -> None:
    if not PERSONAL_NUMBER.fullmatch(number):
        raise Rejected("IDENTIFIER_MALFORMED", field="personal_number")


def require_birth_date(text: str, today: str) -> None:
    """A day, or a month or year where no more is known. Raises Rejected BIRTH_DATE_INVALID."""
    if not is_birth(text, today):
        raise Rejected("BIRTH_DATE_INVALID", field="birth_date")


def require_tax_code(code: str) -> None:
    """Ten digits, the last a check digit, and three more for a branch."""
    weights = (31, 29, 23, 19, 17, 13, 7, 5, 3)
    if TAX_CODE.fullmatch(code) and not code.endswith("000", 10):
        total = sum(weight * int(digit) for weight, digit in zip(weights, code, strict=False))
        if int(code[9]) == 10 - total % 11:
            return
    raise Rejected("IDENTIFIER_MALFORMED", field="tax_code")


def require_citation(legal_basis: str) -> None:
    """Raises Rejected LEGAL_BASIS_UNKNOWN."""
    if not CITATION.fullmatch(" ".join(legal_basis.split())):
        raise Rejected("LEGAL_BASIS_UNKNOWN", why=Words.of("không dẫn tên văn bản nào", "it cites no act by its name"))


def require_reach(reach: Reach, office: Office | None, agency: str) -> None:
    """Raises Rejected AGENCY_UNKNOWN, BEYOND_REACH."""
    if office is None:
        raise Rejected("AGENCY_UNKNOWN", agency=agency)
    if not reach.has(office):
        raise Rejected("BEYOND_REACH", agency=agency, own=reach.agency)


def decide_account(command: AccountCommand, state: Account) -> Sequence[AccountEvent]:
    if state.erased:
        raise Rejected("ACCOUNT_ERASED")
    if state.kind is None and not _before_the_first_login(command, state):
        raise Rejected("ACCOUNT_UNKNOWN", account_id=command.account_id)
    match command:
        case RecordLogin():
            return _log_in(command, state)
        case ChangeProfile():
            if command.language is Language.UNSPECIFIED:
                raise Rejected("LANGUAGE_MISSING")
            return (
                ProfileChanged(
                    command.account_id,
                    command.at,
                    command.by,
                    Sealed(command.email),
                    Sealed(command.phone),
                    command.language,
                ),
            )
        case AppointOfficial():
            return _appoint(command, state)
        case EndAppointment():
            if command.by == command.account_id:
                raise Rejected("SELF_APPOINTMENT")
            require(reason=command.reason)
            appointment = state.appointment(command.appointment_id)
            # Also of an agency that was closed since.
            require_reach(command.reach, Office(appointment.agency, appointment.province), appointment.agency)
            if appointment.ends_at is not None and appointment.over(command.at):
                raise Rejected(
                    "APPOINTMENT_OVER", appointment_id=command.appointment_id, since=appointment.ends_at.isoformat()
                )
            return (
                AppointmentEnded(
                    command.account_id, command.at, command.by, command.appointment_id, Sealed(command.reason)
                ),
            )
        case RecordLookup():
            return _look_up(command)
        case NoteRepresentation():
            if command.organisation_id in state.represents:
                return ()
            return (RepresentationNoted(command.account_id, command.at, command.by, command.organisation_id),)
        case RequestErasure():
            if state.erasure_pending:
                raise Rejected("ERASURE_PENDING")
            return (ErasureRequested(command.account_id, command.at, command.by),)
        case DecideErasure():
            return _decide_erasure(command, state)
        case _:
            assert_never(command)


def _before_the_first_login(command: AccountCommand, state: Account) -> bool:
    """Whether it may come before: the platform itself appoints by the person's number alone, and what it gave may be ended."""
    if isinstance(command, AppointOfficial):
        return command.reach.everywhere
    if isinstance(command, EndAppointment):
        return bool(state.appointments)
    return isinstance(command, RecordLogin | RecordLookup | NoteRepresentation)


def _log_in(command: RecordLogin, state: Account) -> Sequence[AccountEvent]:
    if command.level_of_assurance not in (1, 2):
        raise Rejected("LEVEL_OF_ASSURANCE_UNKNOWN", level=str(command.level_of_assurance))
    if command.appointment_id:
        state.acting(command.appointment_id, command.at)
    login = LoginSucceeded(
        command.account_id, command.at, command.account_id, command.level_of_assurance, command.appointment_id
    )
    if state.kind is not None:
        return (login,)
    require(full_name=command.full_name)
    match command.kind:
        case AccountKind.CITIZEN:
            require_personal_number(command.personal_number)
        case AccountKind.ORGANISATION:
            require_tax_code(command.tax_code)
        case _:
            assert_never(command.kind)
    return (
        AccountRegistered(
            command.account_id,
            command.at,
            command.account_id,
            command.kind,
            Sealed(command.full_name),
            Sealed(command.personal_number),
            Sealed(command.tax_code),
            Sealed(command.email),
            Sealed(command.phone),
            command.level_of_assurance,
        ),
        login,
    )


def _appoint(command: AppointOfficial, state: Account) -> Sequence[AccountEvent]:
    if state.kind is AccountKind.ORGANISATION:
        raise Rejected("CITIZEN_REQUIRED")
    if state.restricted:
        raise Rejected("ACCOUNT_RESTRICTED")
    if command.by == command.account_id:
        raise Rejected("SELF_APPOINTMENT")
    if not command.roles:
        raise Rejected("ROLES_MISSING")
    for role in command.roles:
        if role not in APPOINTABLE:
            raise Rejected("ROLE_NOT_APPOINTABLE", role=role.name.lower())
    require(agency=command.agency, title=command.title, decision_number=command.decision_number)
    if command.province and not PROVINCE.fullmatch(command.province):
        raise Rejected("PROVINCE_MALFORMED", province=command.province)
    require_reach(command.reach, command.office, command.agency)
    if command.office is not None and command.province != command.office.province:
        raise Rejected(
            "PROVINCE_MISMATCH",
            agency=command.agency,
            expected=command.office.province or "-",
            province=command.province or "-",
        )
    if command.ends_at is not None:
        if command.ends_at <= command.starts_at:
            raise Rejected(
                "TERM_INVERTED", starts_at=command.starts_at.isoformat(), ends_at=command.ends_at.isoformat()
            )
        if command.ends_at <= command.at:
            raise Rejected("TERM_OVER", ends_at=command.ends_at.isoformat())
    for held in state.appointments:
        if held.agency == command.agency and held.overlaps(command.starts_at, command.ends_at):
            for role in command.roles:
                if role in held.roles:
                    raise Rejected("APPOINTMENT_EXISTS", appointment_id=held.appointment_id, role=role.name.lower())
    return (
        OfficialAppointed(
            command.account_id,
            command.at,
            command.by,
            command.appointment_id,
            tuple(dict.fromkeys(command.roles)),
            command.agency,
            command.province,
            command.starts_at,
            command.ends_at,
            command.title,
            command.decision_number,
        ),
    )


def require_lawful(personal_number: str, purpose: str, legal_basis: str) -> None:
    """What a look-up must state, checked before the population database is asked and again when the fact is stored."""
    require_personal_number(personal_number)
    require(purpose=purpose, legal_basis=legal_basis)


def _look_up(command: RecordLookup) -> Sequence[AccountEvent]:
    require_lawful(command.personal_number, command.purpose, command.legal_basis)
    looked_up = PopulationLookedUp(
        command.account_id,
        command.at,
        command.by,
        command.agency,
        command.purpose,
        command.legal_basis,
        command.outcome,
        Sealed(command.personal_number),
        command.dossier_code,
        command.wanted,
        command.gap,
        Sealed(command.full_name if command.outcome is LookupOutcome.FOUND else ""),
    )
    if command.outcome is not LookupOutcome.FOUND:
        return (looked_up,)
    for item in command.verified:
        if item.valid_until <= command.at:
            raise Rejected("VERIFICATION_EXPIRED", component_kind=item.component_kind)
    return (
        looked_up,
        *(
            IdentityVerified(
                command.account_id, command.at, command.by, item.component_kind, Sealed(item.data), item.valid_until
            )
            for item in command.verified
        ),
    )


def _decide_erasure(command: DecideErasure, state: Account) -> Sequence[AccountEvent]:
    if command.by == command.account_id:
        raise Rejected("OWN_AFFAIR")
    if not state.erasure_pending:
        raise Rejected("ERASURE_NOT_REQUESTED")
    match command.outcome:
        case ErasureOutcome.REFUSED | ErasureOutcome.RESTRICTED:
            require(legal_basis=command.legal_basis)
            require_citation(command.legal_basis)
        case ErasureOutcome.SHREDDED:
            for appointment in state.appointments:
                if not appointment.over(command.at):
                    raise Rejected("OFFICIAL_IN_OFFICE", appointment_id=appointment.appointment_id)
        case _:
            assert_never(command.outcome)
    return (ErasureDecided(command.account_id, command.at, command.by, command.outcome, command.legal_basis),)


def evolve_account(state: Account, event: AccountEvent) -> Account:
    match event:
        case AccountRegistered():
            return replace(state, kind=event.kind)
        case OfficialAppointed():
            appointment = Appointment(
                event.appointment_id, event.roles, event.agency, event.province, event.starts_at, event.ends_at
            )
            return replace(state, appointments=(*state.appointments, appointment))
        case AppointmentEnded():
            return replace(
                state,
                appointments=tuple(
                    replace(held, ends_at=event.at) if held.appointment_id == event.appointment_id else held
                    for held in state.appointments
                ),
            )
        case ErasureRequested():
            return replace(state, erasure_pending=True)
        case ErasureDecided():
            restricted, erased = (event.outcome is end for end in (ErasureOutcome.RESTRICTED, ErasureOutcome.SHREDDED))
            return replace(state, erasure_pending=False, restricted=restricted, erased=erased)
        case RepresentationNoted():
            return replace(state, represents=state.represents | {event.organisation_id})
        case LoginSucceeded() | ProfileChanged() | PopulationLookedUp() | IdentityVerified() | AccountRead():
            return state
        case _:
            assert_never(event)


account: Decider[AccountCommand, Account, AccountEvent] = Decider(Account(), decide_account, evolve_account)


# Systems: events


@dataclass(frozen=True, slots=True)
class PurposeScope:
    """`agencies`: each with those below it."""

    purpose: str
    agencies: tuple[str, ...]
    procedures: tuple[str, ...] = ()
    all_procedures: bool = False


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class SystemChanged:
    client_id: str
    at: datetime
    by: str
    purposes: tuple[str, ...]
    certificate_required: bool
    scopes: tuple[PurposeScope, ...] = ()


@dataclass(frozen=True, slots=True)
class SystemKeyRotated:
    client_id: str
    at: datetime
    by: str
    kid: str
    public_jwk: str
    previous_until: datetime | None


@dataclass(frozen=True, slots=True)
class SystemSuspended:
    client_id: str
    at: datetime
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class SystemReinstated:
    client_id: str
    at: datetime
    by: str
    reason: str


SystemEvent = SystemRegistered | SystemChanged | SystemKeyRotated | SystemSuspended | SystemReinstated


# Systems: commands


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class ChangeSystem:
    client_id: str
    at: datetime
    by: str
    purposes: tuple[str, ...]
    certificate_required: bool
    reach: Reach
    scopes: tuple[PurposeScope, ...] = ()


@dataclass(frozen=True, slots=True)
class RotateSystemKey:
    client_id: str
    at: datetime
    by: str
    kid: str
    public_jwk: str
    previous_until: datetime | None
    reach: Reach


@dataclass(frozen=True, slots=True)
class SuspendSystem:
    client_id: str
    at: datetime
    by: str
    reason: str
    reach: Reach


@dataclass(frozen=True, slots=True)
class ReinstateSystem:
    client_id: str
    at: datetime
    by: str
    reason: str
    reach: Reach


SystemCommand = RegisterSystem | ChangeSystem | RotateSystemKey | SuspendSystem | ReinstateSystem


# Systems: state


@dataclass(frozen=True, slots=True)
class SystemKey:
    kid: str
    public_jwk: str
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class System:
    purposes: tuple[str, ...] = ()
    operator_agency: str = ""
    # The agencies of all its scopes.
    agencies: frozenset[str] = frozenset()
    # Every key it ever had, the newest last.
    keys: tuple[SystemKey, ...] = ()
    suspended: bool = False
    certificate_required: bool = False

    @property
    def registered(self) -> bool:
        return bool(self.keys)

    def accepted_keys(self, at: datetime) -> tuple[SystemKey, ...]:
        if self.suspended:
            return ()
        return tuple(key for key in self.keys if key.until is None or at < key.until)


def decide_system(command: SystemCommand, state: System) -> Sequence[SystemEvent]:
    if not state.registered and not isinstance(command, RegisterSystem):
        raise Rejected("SYSTEM_UNKNOWN", client_id=command.client_id)
    if not isinstance(command, RegisterSystem):
        _require_mine(command.reach, state)
    match command:
        case RegisterSystem():
            return _register(command, state)
        case ChangeSystem():
            _require_purposes(command.purposes)
            _require_scopes(command.scopes, command.purposes)
            return (
                SystemChanged(
                    command.client_id,
                    command.at,
                    command.by,
                    command.purposes,
                    command.certificate_required,
                    command.scopes,
                ),
            )
        case RotateSystemKey():
            return _rotate(command, state)
        case SuspendSystem():
            require(reason=command.reason)
            if state.suspended:
                raise Rejected("SYSTEM_IS_SUSPENDED", client_id=command.client_id)
            return (SystemSuspended(command.client_id, command.at, command.by, command.reason),)
        case ReinstateSystem():
            require(reason=command.reason)
            if not state.suspended:
                raise Rejected("SYSTEM_NOT_SUSPENDED", client_id=command.client_id)
            return (SystemReinstated(command.client_id, command.at, command.by, command.reason),)
        case _:
            assert_never(command)


def _require_mine(reach: Reach, state: System) -> None:
    """Of whoever answers for the system, or for all agencies that it serves. Raises Rejected BEYOND_REACH."""
    if reach.has_code(state.operator_agency):
        return
    for agency in sorted(state.agencies):
        if not reach.has_code(agency):
            raise Rejected("BEYOND_REACH", agency=agency, own=reach.agency)


def _agencies(scopes: Sequence[PurposeScope]) -> frozenset[str]:
    return frozenset(agency for scope in scopes for agency in scope.agencies)


def _register(command: RegisterSystem, state: System) -> Sequence[SystemEvent]:
    if state.registered:
        raise Rejected("SYSTEM_EXISTS", client_id=command.client_id)
    if not CLIENT_ID.fullmatch(command.client_id):
        raise Rejected("CLIENT_ID_MALFORMED", client_id=command.client_id)
    require(name=command.name, operator_agency=command.operator_agency)
    _require_purposes(command.purposes)
    _require_scopes(command.scopes, command.purposes)
    return (
        SystemRegistered(
            command.client_id,
            command.at,
            command.by,
            command.name,
            command.operator_agency,
            command.purposes,
            command.kid,
            command.public_jwk,
            command.certificate_required,
            command.scopes,
        ),
    )


def _require_scopes(scopes: tuple[PurposeScope, ...], purposes: tuple[str, ...]) -> None:
    for index, scope in enumerate(scopes):
        why: Words | None = None
        if scope.purpose not in purposes:
            why = Words.of("hệ thống không có mục đích này", "the system has no such purpose")
        elif scope.purpose in (one.purpose for one in scopes[:index]):
            why = Words.of("nêu hai lần", "it is stated twice")
        elif not scope.agencies:
            why = Words.of("không nêu cơ quan nào", "it names no agency")
        elif bool(scope.procedures) is scope.all_procedures:
            why = Words.of("hoặc nêu các thủ tục, hoặc mọi thủ tục", "it names either procedures or all of them")
        if why:
            raise Rejected("SCOPE_MALFORMED", purpose=scope.purpose, why=why)


def _require_purposes(purposes: tuple[str, ...]) -> None:
    if not purposes:
        raise Rejected("PURPOSES_MISSING")
    for index, purpose in enumerate(purposes):
        if not PURPOSE.fullmatch(purpose) or purpose in purposes[:index]:
            raise Rejected("PURPOSE_MALFORMED", purpose=purpose)


def _rotate(command: RotateSystemKey, state: System) -> Sequence[SystemEvent]:
    if any(key.kid == command.kid for key in state.keys):
        raise Rejected("KEY_REUSED", kid=command.kid)
    if command.previous_until is not None:
        if state.suspended:
            raise Rejected("SYSTEM_IS_SUSPENDED", client_id=command.client_id)
        if command.previous_until <= command.at:
            raise Rejected("TERM_OVER", ends_at=command.previous_until.isoformat())
        if command.previous_until > command.at + MAX_KEY_OVERLAP:
            raise Rejected("OVERLAP_TOO_LONG", days=str(MAX_KEY_OVERLAP.days))
    return (
        SystemKeyRotated(
            command.client_id, command.at, command.by, command.kid, command.public_jwk, command.previous_until
        ),
    )


def evolve_system(state: System, event: SystemEvent) -> System:
    match event:
        case SystemRegistered():
            keys = (SystemKey(event.kid, event.public_jwk),)
            return System(
                event.purposes,
                event.operator_agency,
                _agencies(event.scopes),
                keys,
                certificate_required=event.certificate_required,
            )
        case SystemChanged():
            return replace(
                state,
                purposes=event.purposes,
                agencies=_agencies(event.scopes),
                certificate_required=event.certificate_required,
            )
        case SystemKeyRotated():
            until = event.previous_until or event.at
            earlier = (replace(key, until=min(key.until or until, until)) for key in state.keys)
            return replace(state, keys=(*earlier, SystemKey(event.kid, event.public_jwk)))
        case SystemSuspended():
            return replace(state, suspended=True)
        case SystemReinstated():
            return replace(state, suspended=False)
        case _:
            assert_never(event)


system: Decider[SystemCommand, System, SystemEvent] = Decider(System(), decide_system, evolve_system)


# The platform's signing keys, all on one stream


@dataclass(frozen=True, slots=True)
class SigningKeyIntroduced:
    kid: str
    at: datetime
    by: str
    public_jwk: str
    signs_from: datetime


@dataclass(frozen=True, slots=True)
class SigningKeyRetired:
    kid: str
    at: datetime
    by: str
    signs_until: datetime
    verifies_until: datetime


SigningKeyEvent = SigningKeyIntroduced | SigningKeyRetired


@dataclass(frozen=True, slots=True)
class RotateSigningKey:
    at: datetime
    by: str
    kid: str
    public_jwk: str
    # How long the new key is published before it signs: longer than any verifier keeps its copy of the key set.
    lead: timedelta
    token_lifetime: timedelta
    compromised: bool = False


@dataclass(frozen=True, slots=True)
class SigningKey:
    kid: str
    public_jwk: str
    signs_from: datetime
    signs_until: datetime | None = None
    verifies_until: datetime | None = None

    def verifies(self, at: datetime) -> bool:
        return self.verifies_until is None or at < self.verifies_until


@dataclass(frozen=True, slots=True)
class SigningKeys:
    keys: tuple[SigningKey, ...] = ()

    def signing(self, at: datetime) -> SigningKey | None:
        """The key that signs now; there is none only before the first."""
        for key in self.keys:
            if key.signs_from <= at and (key.signs_until is None or at < key.signs_until):
                return key
        return None

    def published(self, at: datetime) -> tuple[SigningKey, ...]:
        return tuple(key for key in self.keys if key.verifies(at))


def decide_signing_keys(command: RotateSigningKey, state: SigningKeys) -> Sequence[SigningKeyEvent]:
    if any(key.kid == command.kid for key in state.keys):
        raise Rejected("KEY_REUSED", kid=command.kid)
    if command.compromised or not state.keys:
        signs_from = verifies_until = command.at
        retired = state.published(command.at)
    else:
        for key in state.keys:
            if key.verifies(command.at) and key.signs_from > command.at:
                raise Rejected("ROTATION_PENDING", kid=key.kid, signs_from=key.signs_from.isoformat())
        signs_from = command.at + command.lead
        verifies_until = signs_from + command.token_lifetime + CLOCK_SKEW
        retired = tuple(key for key in state.keys if key.signs_until is None)
    return (
        SigningKeyIntroduced(command.kid, command.at, command.by, command.public_jwk, signs_from),
        *(SigningKeyRetired(key.kid, command.at, command.by, signs_from, verifies_until) for key in retired),
    )


def evolve_signing_keys(state: SigningKeys, event: SigningKeyEvent) -> SigningKeys:
    match event:
        case SigningKeyIntroduced():
            return SigningKeys((*state.keys, SigningKey(event.kid, event.public_jwk, event.signs_from)))
        case SigningKeyRetired():
            return SigningKeys(
                tuple(
                    replace(key, signs_until=event.signs_until, verifies_until=event.verifies_until)
                    if key.kid == event.kid
                    else key
                    for key in state.keys
                )
            )
        case _:
            assert_never(event)


signing_keys: Decider[RotateSigningKey, SigningKeys, SigningKeyEvent] = Decider(
    SigningKeys(), decide_signing_keys, evolve_signing_keys
)
