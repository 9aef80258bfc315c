"""An account as its stream tells it, with its personal data opened; and the other messages of replies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from enum import Enum
from typing import TypeVar
from uuid import UUID

from google.protobuf.timestamp_pb2 import Timestamp

from motcua.identity.events.v1 import events_pb2 as facts
from motcua.identity.v1 import identity_pb2
from services.chassis.calls.statuses import RequestInvalid, Violation
from services.chassis.deciding.codec import to_timestamp
from services.chassis.deciding.facts import fact_of
from services.chassis.privacy.sealing import KeyRing, open_message
from services.chassis.store.port import RecordedEvent
from services.identity.counterparts import ACCOUNT_KIND, LANGUAGE
from services.identity.keys import Held
from services.identity.logins import AccountHistory
from services.identity.population import Person
from services.identity.refusals import Refused
from services.identity.signing_keys.domain import SigningKey

E = TypeVar("E", bound=Enum)

Sealed = facts.AccountRegistered | facts.ProfileChanged


async def account_of(account_id: str, history: Sequence[RecordedEvent], keys: KeyRing) -> identity_pb2.Account:
    """Raises Rejected ACCOUNT_UNKNOWN."""
    shown = identity_pb2.Account(account_id=account_id)
    appointments: dict[str, identity_pb2.Appointment] = {}
    sealed: dict[type[Sealed], tuple[Sealed, UUID]] = {}
    for recorded in history:
        event = fact_of(recorded).event
        match event:
            case facts.AccountRegistered():
                shown.kind = ACCOUNT_KIND.shown(event.kind)
                shown.level_of_assurance = event.level_of_assurance
                shown.registered_at.CopyFrom(event.at)
                sealed[facts.AccountRegistered] = event, recorded.id
            case facts.ProfileChanged():
                shown.language = LANGUAGE.shown(event.language)
                sealed[facts.ProfileChanged] = event, recorded.id
            case facts.LoginSucceeded():
                shown.level_of_assurance = event.level_of_assurance
            case facts.OfficialAppointed():
                appointments[event.appointment_id] = _appointment(event)
            case facts.AppointmentEnded():
                appointments[event.appointment_id].ended_at.CopyFrom(event.at)
            case facts.ErasureRequested():
                shown.erasure_pending = True
            case facts.ErasureDecided():
                shown.erasure_pending = False
                shown.restricted = event.outcome == facts.ErasureOutcome.ERASURE_OUTCOME_RESTRICTED
                shown.erased = event.outcome == facts.ErasureOutcome.ERASURE_OUTCOME_SHREDDED
        shown.revision = recorded.revision
    if facts.AccountRegistered not in sealed:
        raise Refused("ACCOUNT_UNKNOWN", account_id=account_id)
    if facts.ProfileChanged in sealed:  # it replaces the contact data as a whole
        registered, _ = sealed[facts.AccountRegistered]
        registered.ClearField("email")
        registered.ClearField("phone")
    for message, event_id in sealed.values():
        for name, text in (await open_message(message, event_id, keys)).items():
            setattr(shown, name, text)
    shown.appointments.extend(appointments.values())
    return shown


async def own_account(account_id: str, accounts: AccountHistory, keys: KeyRing) -> identity_pb2.Account | None:
    """None once the person was erased."""
    account = await account_of(account_id, await accounts.read(account_id), keys)
    return None if account.erased else account


def _appointment(event: facts.OfficialAppointed) -> identity_pb2.Appointment:
    return identity_pb2.Appointment(
        appointment_id=event.appointment_id,
        account_id=event.account_id,
        roles=event.roles,
        agency=event.agency,
        province=event.province,
        starts_at=event.starts_at,
        ends_at=event.ends_at if event.HasField("ends_at") else None,
        title=event.title,
        decision_number=event.decision_number,
    )


def _stamp(moment: datetime | None) -> Timestamp | None:
    return to_timestamp(moment) if moment else None


def person_of(person: Person) -> identity_pb2.Person:
    return identity_pb2.Person(
        personal_number=person.personal_number,
        full_name=person.full_name,
        birth_date=person.birth_date,
        gender=person.gender or "",
        nationality=person.nationality or "",
        residence=identity_pb2.Residence(**asdict(person.residence)) if person.residence else None,
        marital_status=person.marital_status or "",
    )


def signing_key_of(key: SigningKey) -> identity_pb2.SigningKey:
    return identity_pb2.SigningKey(
        kid=key.kid,
        public_jwk=key.public_jwk,
        signs_from=to_timestamp(key.signs_from),
        signs_until=_stamp(key.signs_until),
        verifies_until=_stamp(key.verifies_until),
    )


def subject_keys_of(subjects: Sequence[str], held: Held) -> list[identity_pb2.SubjectKey]:
    return [
        identity_pb2.SubjectKey(
            subject_id=subject, key=held.get(subject) or b"", destroyed=subject in held and held[subject] is None
        )
        for subject in dict.fromkeys(subjects)
    ]


def member(kind: type[E], number: int, field: str) -> E:
    """Raises RequestInvalid for a number that the enum does not have."""
    try:
        return kind(number)
    except ValueError:
        raise RequestInvalid([Violation(field, "Giá trị không tồn tại.", "There is no such value.")]) from None
