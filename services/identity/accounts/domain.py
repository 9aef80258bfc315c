"""Accounts, and the officials among them: who is registered, appointed, looked up and erased."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import assert_never

from services.chassis.decider import Decider, Sealed, Words
from services.identity.accounts.commands import (
    AccountCommand,
    AppointOfficial,
    ChangeProfile,
    DecideErasure,
    EndAppointment,
    NoteRepresentation,
    RecordLogin,
    RecordLookup,
    RequestErasure,
)
from services.identity.accounts.events import (
    AccountEvent,
    AccountRead,
    AccountRegistered,
    AppointmentEnded,
    ErasureDecided,
    ErasureRequested,
    IdentityVerified,
    LoginSucceeded,
    OfficialAppointed,
    PopulationLookedUp,
    ProfileChanged,
    RepresentationNoted,
)
from services.identity.accounts.values import (
    APPOINTABLE,
    CITATION,
    PERSONAL_NUMBER,
    PROVINCE,
    TAX_CODE,
    AccountKind,
    ErasureOutcome,
    Language,
    LookupOutcome,
    Role,
)
from services.identity.refusals import Refused
from services.identity.values import Office, require, require_reach
from services.law.days import is_birth


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
        raise Refused("APPOINTMENT_UNKNOWN", appointment_id=appointment_id)

    def acting(self, appointment_id: str, at: datetime) -> Appointment:
        """The appointment, if its holder may act for it now."""
        appointment = self.appointment(appointment_id)
        if at < appointment.starts_at:
            raise Refused(
                "APPOINTMENT_NOT_STARTED", appointment_id=appointment_id, starts_at=appointment.starts_at.isoformat()
            )
        if appointment.ends_at is not None and appointment.ends_at <= at:
            raise Refused("APPOINTMENT_OVER", appointment_id=appointment_id, since=appointment.ends_at.isoformat())
        return appointment


def require_personal_number(number: str) -> None:
    if not PERSONAL_NUMBER.fullmatch(number):
        raise Refused("IDENTIFIER_MALFORMED", field="personal_number")


def require_birth_date(text: str, today: str) -> None:
    """A day, or a month or year where no more is known. Raises Rejected BIRTH_DATE_INVALID."""
    if not is_birth(text, today):
        raise Refused("BIRTH_DATE_INVALID", field="birth_date")


def require_tax_code(code: str) -> None:
    """Ten digits, the last a check digit, and three more for a branch."""
    weights = (31, 29, 23, 19, 17, 13, 7, 5, 3)
    if TAX_CODE.fullmatch(code) and not code.endswith("000", 10):
        total = sum(weight * int(digit) for weight, digit in zip(weights, code, strict=False))
        if int(code[9]) == 10 - total % 11:
            return
    raise Refused("IDENTIFIER_MALFORMED", field="tax_code")


def require_citation(legal_basis: str) -> None:
    """Raises Rejected LEGAL_BASIS_UNKNOWN."""
    if not CITATION.fullmatch(" ".join(legal_basis.split())):
        raise Refused("LEGAL_BASIS_UNKNOWN", why=Words.of("không dẫn tên văn bản nào", "it cites no act by its name"))


def decide_account(command: AccountCommand, state: Account) -> Sequence[AccountEvent]:
    if state.erased:
        raise Refused("ACCOUNT_ERASED")
    if state.kind is None and not _before_the_first_login(command, state):
        raise Refused("ACCOUNT_UNKNOWN", account_id=command.account_id)
    match command:
        case RecordLogin():
            return _log_in(command, state)
        case ChangeProfile():
            if command.language is Language.UNSPECIFIED:
                raise Refused("LANGUAGE_MISSING")
            return (
                ProfileChanged(
                    account_id=command.account_id,
                    at=command.at,
                    by=command.by,
                    email=Sealed(command.email),
                    phone=Sealed(command.phone),
                    language=command.language,
                ),
            )
        case AppointOfficial():
            return _appoint(command, state)
        case EndAppointment():
            if command.by == command.account_id:
                raise Refused("SELF_APPOINTMENT")
            require(reason=command.reason)
            appointment = state.appointment(command.appointment_id)
            # Also of an agency that was closed since.
            require_reach(command.reach, Office(appointment.agency, appointment.province), appointment.agency)
            if appointment.ends_at is not None and appointment.over(command.at):
                raise Refused(
                    "APPOINTMENT_OVER", appointment_id=command.appointment_id, since=appointment.ends_at.isoformat()
                )
            return (
                AppointmentEnded(
                    account_id=command.account_id,
                    at=command.at,
                    by=command.by,
                    appointment_id=command.appointment_id,
                    reason=Sealed(command.reason),
                ),
            )
        case RecordLookup():
            return _look_up(command)
        case NoteRepresentation():
            if command.organisation_id in state.represents:
                return ()
            return (
                RepresentationNoted(
                    account_id=command.account_id, at=command.at, by=command.by, organisation_id=command.organisation_id
                ),
            )
        case RequestErasure():
            if state.erasure_pending:
                raise Refused("ERASURE_PENDING")
            return (ErasureRequested(account_id=command.account_id, at=command.at, by=command.by),)
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
        raise Refused("LEVEL_OF_ASSURANCE_UNKNOWN", level=str(command.level_of_assurance))
    if command.appointment_id:
        state.acting(command.appointment_id, command.at)
    login = LoginSucceeded(
        account_id=command.account_id,
        at=command.at,
        by=command.account_id,
        level_of_assurance=command.level_of_assurance,
        appointment_id=command.appointment_id,
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
            account_id=command.account_id,
            at=command.at,
            by=command.account_id,
            kind=command.kind,
            full_name=Sealed(command.full_name),
            personal_number=Sealed(command.personal_number),
            tax_code=Sealed(command.tax_code),
            email=Sealed(command.email),
            phone=Sealed(command.phone),
            level_of_assurance=command.level_of_assurance,
        ),
        login,
    )


def _appoint(command: AppointOfficial, state: Account) -> Sequence[AccountEvent]:
    if state.kind is AccountKind.ORGANISATION:
        raise Refused("CITIZEN_REQUIRED")
    if state.restricted:
        raise Refused("ACCOUNT_RESTRICTED")
    if command.by == command.account_id:
        raise Refused("SELF_APPOINTMENT")
    if not command.roles:
        raise Refused("ROLES_MISSING")
    for role in command.roles:
        if role not in APPOINTABLE:
            raise Refused("ROLE_NOT_APPOINTABLE", role=role.name.lower())
    require(agency=command.agency, title=command.title, decision_number=command.decision_number)
    if command.province and not PROVINCE.fullmatch(command.province):
        raise Refused("PROVINCE_MALFORMED", province=command.province)
    require_reach(command.reach, command.office, command.agency)
    if command.office is not None and command.province != command.office.province:
        raise Refused(
            "PROVINCE_MISMATCH",
            agency=command.agency,
            expected=command.office.province or "-",
            province=command.province or "-",
        )
    if command.ends_at is not None:
        if command.ends_at <= command.starts_at:
            raise Refused("TERM_INVERTED", starts_at=command.starts_at.isoformat(), ends_at=command.ends_at.isoformat())
        if command.ends_at <= command.at:
            raise Refused("TERM_OVER", ends_at=command.ends_at.isoformat())
    for held in state.appointments:
        if held.agency == command.agency and held.overlaps(command.starts_at, command.ends_at):
            for role in command.roles:
                if role in held.roles:
                    raise Refused("APPOINTMENT_EXISTS", appointment_id=held.appointment_id, role=role.name.lower())
    return (
        OfficialAppointed(
            account_id=command.account_id,
            at=command.at,
            by=command.by,
            appointment_id=command.appointment_id,
            roles=tuple(dict.fromkeys(command.roles)),
            agency=command.agency,
            province=command.province,
            starts_at=command.starts_at,
            ends_at=command.ends_at,
            title=command.title,
            decision_number=command.decision_number,
        ),
    )


def require_lawful(personal_number: str, purpose: str, legal_basis: str) -> None:
    """What a look-up must state, checked before the population database is asked and again when the fact is stored."""
    require_personal_number(personal_number)
    require(purpose=purpose, legal_basis=legal_basis)


def _look_up(command: RecordLookup) -> Sequence[AccountEvent]:
    require_lawful(command.personal_number, command.purpose, command.legal_basis)
    looked_up = PopulationLookedUp(
        account_id=command.account_id,
        at=command.at,
        by=command.by,
        agency=command.agency,
        purpose=command.purpose,
        legal_basis=command.legal_basis,
        outcome=command.outcome,
        personal_number=Sealed(command.personal_number),
        dossier_code=command.dossier_code,
        wanted=command.wanted,
        gap=command.gap,
        full_name=Sealed(command.full_name if command.outcome is LookupOutcome.FOUND else ""),
    )
    if command.outcome is not LookupOutcome.FOUND:
        return (looked_up,)
    for item in command.verified:
        if item.valid_until <= command.at:
            raise Refused("VERIFICATION_EXPIRED", component_kind=item.component_kind)
    return (
        looked_up,
        *(
            IdentityVerified(
                account_id=command.account_id,
                at=command.at,
                by=command.by,
                component_kind=item.component_kind,
                data=Sealed(item.data),
                valid_until=item.valid_until,
            )
            for item in command.verified
        ),
    )


def _decide_erasure(command: DecideErasure, state: Account) -> Sequence[AccountEvent]:
    if command.by == command.account_id:
        raise Refused("OWN_AFFAIR")
    if not state.erasure_pending:
        raise Refused("ERASURE_NOT_REQUESTED")
    match command.outcome:
        case ErasureOutcome.REFUSED | ErasureOutcome.RESTRICTED:
            require(legal_basis=command.legal_basis)
            require_citation(command.legal_basis)
        case ErasureOutcome.SHREDDED:
            for appointment in state.appointments:
                if not appointment.over(command.at):
                    raise Refused("OFFICIAL_IN_OFFICE", appointment_id=appointment.appointment_id)
        case _:
            assert_never(command.outcome)
    return (
        ErasureDecided(
            account_id=command.account_id,
            at=command.at,
            by=command.by,
            outcome=command.outcome,
            legal_basis=command.legal_basis,
        ),
    )


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
