"""Sample officials and systems for a trial, through the same rules as real ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

from services.chassis.decider import Decider
from services.chassis.deciding.caller import Origin
from services.chassis.deciding.codec import Codec
from services.chassis.deciding.handler import Handler
from services.chassis.platform.platform import Platform
from services.identity import tokens
from services.identity.accounts.commands import AppointOfficial
from services.identity.accounts.domain import account
from services.identity.accounts.values import Role
from services.identity.codec import account_codec, system_codec
from services.identity.identifiers import Identifiers
from services.identity.keys import SubjectKeys
from services.identity.logins import Accounts, login_of
from services.identity.systems.commands import RegisterSystem
from services.identity.systems.domain import system
from services.identity.systems.values import PurposeScope
from services.identity.tokens import Person
from services.identity.values import EVERYWHERE, Office
from services.identity.vault import Vault

SERVICE = "identity"
ACTOR = f"service:{SERVICE}"


@dataclass(frozen=True, slots=True)
class TrialOfficial:
    person: Person
    roles: tuple[Role, ...]
    agency: str
    # Two digits; empty for a ministry.
    province: str
    title: str


@dataclass(frozen=True, slots=True)
class TrialSystem:
    client_id: str
    name: str
    operator_agency: str
    purposes: tuple[str, ...]
    # A JWK as JSON, without the private part.
    public_jwk: str
    # Where it has its purposes, for all procedures; empty: nowhere.
    agencies: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TrialAppointment:
    """The holder gets a token for it with the scope `appointment:<appointment_id>`."""

    official: TrialOfficial
    account_id: str
    appointment_id: str


async def ensure_trial_accounts(
    platform: Platform, officials: Sequence[TrialOfficial], systems: Sequence[TrialSystem] = ()
) -> tuple[TrialAppointment, ...]:
    """Appoint and register those that are not yet. An appointment that was ended stays ended. Raises Rejected."""
    if not platform.settings.sandbox:
        raise RuntimeError("trial accounts exist only beside the sandbox")
    vault, now = Vault.of(platform), platform.clock.now()
    people = Accounts(_handler(platform, "account", account, account_codec, vault), Identifiers(vault))
    made = tuple([await _appoint(people, official, now) for official in officials])
    known = _handler(platform, "system", system, system_codec, vault)
    for trial in systems:
        kid, public_jwk = tokens.parse_public_key(trial.public_jwk)
        scopes = [PurposeScope(one, trial.agencies, all_procedures=True) for one in trial.purposes if trial.agencies]
        register = RegisterSystem(
            client_id=trial.client_id,
            at=now,
            by=ACTOR,
            name=trial.name,
            operator_agency=trial.operator_agency,
            purposes=trial.purposes,
            kid=kid,
            public_jwk=public_jwk,
            scopes=tuple(scopes),
        )
        await known.execute(trial.client_id, register, _once(f"system {trial.client_id}"))
    return made


def _handler(
    platform: Platform, category: str, decider: Decider[Any, Any, Any], codec: Codec[Any], vault: Vault
) -> Handler[Any, Any, Any]:
    site = platform.settings.site
    return Handler(category, decider, codec, platform.store, SubjectKeys(vault), site, SERVICE, platform.clock.now)


async def _appoint(people: Accounts, official: TrialOfficial, now: datetime) -> TrialAppointment:
    account_id = await people.account_id(official.person)
    known, _ = await people.history.load(account_id)
    if known.kind is None:
        login = login_of(official.person, account_id, "", now)
        await people.history.execute(account_id, login, _once(f"account {account_id}"))
    roles = ",".join(role.name for role in official.roles)
    appointment_id = str(uuid5(UUID(account_id), f"{official.agency} {roles}"))
    appoint = AppointOfficial(
        account_id=account_id,
        at=now,
        by=ACTOR,
        appointment_id=appointment_id,
        roles=official.roles,
        agency=official.agency,
        province=official.province,
        starts_at=now,
        ends_at=None,
        title=official.title,
        decision_number=f"TRIAL-{appointment_id[:8]}",
        reach=EVERYWHERE,
        office=Office(official.agency, official.province),
    )
    await people.history.execute(account_id, appoint, _once(f"appointment {appointment_id}"))
    return TrialAppointment(official, account_id, appointment_id)


def _once(what: str) -> Origin:
    """The same every time, so that only the first has an effect."""
    return Origin.of_clock(f"trial {what}", SERVICE)
