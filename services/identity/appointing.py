"""The first administrator: appointed by the site's operator, by personal number, before anybody could appoint anybody."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID, uuid5

from sqlalchemy import Connection, select

from motcua.identity.events.v1 import events_pb2 as facts
from motcua.options.v1.options_pb2 import Role as RoleNumber
from services.chassis.decider import Decider, Rejected
from services.chassis.deciding.caller import Origin, of_site
from services.chassis.deciding.codec import Codec
from services.chassis.deciding.facts import message_of
from services.chassis.deciding.handler import Handler
from services.chassis.deciding.metadata import Metadata
from services.chassis.machine import chance
from services.chassis.platform.platform import Platform
from services.chassis.store.port import START, EventStore
from services.identity.accounts.commands import AppointOfficial, EndAppointment
from services.identity.accounts.domain import account, require_personal_number
from services.identity.accounts.values import AccountKind, Role
from services.identity.administration.commands import NameAdministrator
from services.identity.administration.domain import administration
from services.identity.codec import account_codec, administration_codec
from services.identity.identifiers import Identifiers
from services.identity.keys import SubjectKeys
from services.identity.queries import in_force
from services.identity.refusals import Refused
from services.identity.values import EVERYWHERE, Office, require_reach
from services.identity.vault import Vault
from services.identity.views import accounts, appointments

ACTOR = "operator"
APPOINTED = facts.OfficialAppointed.DESCRIPTOR.full_name
PAGE = 1000


@dataclass(frozen=True, slots=True)
class Named:
    appointment_id: str
    since: datetime
    # Whether it was so before.
    before: bool


@dataclass(frozen=True, slots=True)
class Asked:
    personal_number: str
    agency: str
    title: str
    decision_number: str
    none_is_left: bool = False
    # The appointment of an administrator who cannot act, which is ended.
    instead_of: str = ""


async def appoint_administrator(platform: Platform, asked: Asked, office: Office | None) -> Named:
    """Once; the same again changes nothing, also after a crash in between. `office`: None where there is no such agency.

    Raises Rejected ADMINISTRATOR_EXISTS, ADMINISTRATOR_IN_FORCE, SITE_AUTHORITY_REQUIRED, REVISION_CONFLICT, APPOINTMENT_UNKNOWN,
    and what refuses an appointment.
    """
    site, now, vault = platform.settings.site, platform.clock.now(), Vault.of(platform)
    require_personal_number(asked.personal_number)
    require_reach(EVERYWHERE, office, asked.agency)
    if office is None or not of_site(asked.agency, office.province, site):
        raise Refused("SITE_AUTHORITY_REQUIRED", agency=asked.agency)

    def appoint(account_id: str, appointment_id: str) -> AppointOfficial:
        return AppointOfficial(
            account_id=account_id,
            at=now,
            by=ACTOR,
            appointment_id=appointment_id,
            roles=(Role.ADMINISTRATOR,),
            agency=asked.agency,
            province=office.province,
            starts_at=now,
            ends_at=None,
            title=asked.title,
            decision_number=asked.decision_number,
            reach=EVERYWHERE,
            office=office,
        )

    naming = _handler(platform, vault, "administration", administration, administration_codec)
    people = _handler(platform, vault, "account", account, account_codec)
    identifiers = Identifiers(vault)
    known = await identifiers.find(AccountKind.CITIZEN, asked.personal_number)
    state, revision = await naming.load(site)
    newest, database, others = state.newest, platform.database("identity"), asked.none_is_left or bool(asked.instead_of)
    replaced = await database.read(partial(_held_by, appointment_id=asked.instead_of)) if asked.instead_of else ""
    if newest and known and known == newest.account_id and asked.agency == newest.agency and not asked.none_is_left:
        await _end(people, replaced, asked, now)
        await people.execute(known, appoint(known, newest.appointment_id), _origin("appoint", newest.appointment_id))
        return Named(newest.appointment_id, newest.at, before=True)

    appointed = newest is None and await _was_appointed(platform.store, site)
    holding = await database.read(partial(_holding, site=site, at=now, but=asked.instead_of)) if others else ""

    def name(account_id: str, appointment_id: str) -> NameAdministrator:
        return NameAdministrator(
            account_id=account_id,
            at=now,
            by=ACTOR,
            appointment_id=appointment_id,
            agency=asked.agency,
            appointed=appointed,
            none_is_left=others,
            in_force=holding,
        )

    # Refused before anything is stored.
    account_id = known or str(chance.new_id())
    administration.decide(name(account_id, account_id), state)
    account.decide(appoint(account_id, account_id), (await people.load(account_id))[0])
    account_id = await identifiers.claim(AccountKind.CITIZEN, asked.personal_number, account_id)
    appointment_id = str(uuid5(UUID(account_id), f"named at {revision}"))
    origin = _origin("name", appointment_id, revision if others else None)
    await _end(people, replaced, asked, now)
    await naming.execute(site, name(account_id, appointment_id), origin)
    await people.execute(account_id, appoint(account_id, appointment_id), _origin("appoint", appointment_id))
    return Named(appointment_id, now, before=False)


def _handler(
    platform: Platform, vault: Vault, category: str, decider: Decider[Any, Any, Any], codec: Codec[Any]
) -> Handler[Any, Any, Any]:
    site = platform.settings.site
    return Handler(category, decider, codec, platform.store, SubjectKeys(vault), site, "identity", platform.clock.now)


def _origin(what: str, appointment_id: str, expected: int | None = None) -> Origin:
    """The same for the same appointment, so that only the first has an effect."""
    request_id = str(uuid5(UUID(appointment_id), what))
    return Origin(
        request_id=request_id,
        digest=appointment_id,
        actor=ACTOR,
        correlation_id=appointment_id,
        causation_id=request_id,
        expected_revision=expected,
    )


async def _was_appointed(store: EventStore, site: str) -> bool:
    """Whether this site ever had an administrator. One that had is found soon: nobody else came first."""
    position = START
    while events := await store.read_all(position, (APPOINTED,), PAGE):
        for event in events:
            fact: Any = message_of(event)
            if RoleNumber.ROLE_ADMINISTRATOR in fact.roles and Metadata.read(event.metadata).site in ("", site):
                return True
        position = events[-1].position
    return False


def administrators(db: Connection, site: str, at: datetime) -> list[str]:
    """The appointments of those who may appoint everybody else of the site now, as the lists have them."""
    columns = appointments.c
    query = (
        select(columns.appointment_id, columns.roles, columns.agency, columns.province)
        .outerjoin(accounts, accounts.c.account_id == columns.account_id)
        .where(in_force(at), accounts.c.erased.isnot(True))
        .order_by(columns.starts_at, columns.appointment_id)
    )
    role = str(int(RoleNumber.ROLE_ADMINISTRATOR))
    return [
        row.appointment_id
        for row in db.execute(query)
        if role in row.roles.split() and of_site(row.agency, row.province, site)
    ]


def _holding(db: Connection, site: str, at: datetime, but: str) -> str:
    return next((each for each in administrators(db, site, at) if each != but), "")


def _held_by(db: Connection, appointment_id: str) -> str:
    """Raises Rejected."""
    query = select(appointments.c.account_id).where(appointments.c.appointment_id == appointment_id)
    account_id = db.execute(query).scalar_one_or_none()
    if account_id is None:
        raise Refused("APPOINTMENT_UNKNOWN", appointment_id=appointment_id)
    return str(account_id)


async def _end(people: Handler[Any, Any, Any], account_id: str, asked: Asked, at: datetime) -> None:
    if not account_id:
        return
    ending = EndAppointment(
        account_id=account_id,
        at=at,
        by=ACTOR,
        appointment_id=asked.instead_of,
        reason=asked.decision_number,
        reach=EVERYWHERE,
    )
    try:
        await people.execute(account_id, ending, _origin("end", asked.instead_of))
    except Rejected as rejected:
        if rejected.reason != "APPOINTMENT_OVER":
            raise
