"""Signing in: the ports of web.py over the accounts' and the systems' streams."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from services.chassis.deciding.caller import Origin
from services.chassis.deciding.handler import Handler
from services.chassis.machine import chance
from services.chassis.telemetry import telemetry
from services.identity.accounts.commands import AccountCommand, NoteRepresentation, RecordLogin
from services.identity.accounts.domain import Account
from services.identity.accounts.events import AccountEvent
from services.identity.accounts.values import PERSONAL_NUMBER, AccountKind
from services.identity.identifiers import Identifiers
from services.identity.systems.commands import SystemCommand
from services.identity.systems.domain import System
from services.identity.systems.events import SystemEvent
from services.identity.tokens import Person

AccountHistory = Handler[AccountCommand, Account, AccountEvent]
SystemHistory = Handler[SystemCommand, System, SystemEvent]


@dataclass(frozen=True, slots=True)
class Accounts:
    history: AccountHistory
    identifiers: Identifiers

    async def sign_in(self, person: Person, appointment_id: str, at: datetime) -> tuple[str, Account]:
        account_id, request_id = await self.account_id(person), str(chance.new_id())
        origin = Origin.outermost(request_id, "login", account_id, telemetry.traceparent())
        await self.history.execute(account_id, login_of(person, account_id, appointment_id, at), origin)
        if person.kind is AccountKind.ORGANISATION:
            await self._note_representative(account_id, person.personal_number, at)
        account, _ = await self.history.load(account_id)
        return account_id, account

    async def _note_representative(self, organisation_id: str, number: str, at: datetime) -> None:
        """So that the person, as an official, stays out of the organisation's affairs."""
        if not PERSONAL_NUMBER.fullmatch(number):
            return
        account_id = await self.identifiers.claim(AccountKind.CITIZEN, number, str(chance.new_id()))
        command = NoteRepresentation(account_id=account_id, at=at, by=organisation_id, organisation_id=organisation_id)
        origin = Origin.of_clock(f"{organisation_id} is represented by {account_id}", "identity")
        await self.history.execute(account_id, command, origin)

    async def account_id(self, person: Person) -> str:
        """The account that the person has, or will have."""
        number = person.personal_number if person.kind is AccountKind.CITIZEN else person.tax_code
        return await self.identifiers.claim(person.kind, number, str(chance.new_id()))


def login_of(person: Person, account_id: str, appointment_id: str, at: datetime) -> RecordLogin:
    return RecordLogin(
        account_id=account_id,
        at=at,
        kind=person.kind,
        full_name=person.full_name,
        personal_number=person.personal_number,
        tax_code=person.tax_code,
        email=person.email,
        phone=person.phone,
        level_of_assurance=person.level_of_assurance,
        appointment_id=appointment_id,
    )


@dataclass(frozen=True, slots=True)
class Systems:
    history: SystemHistory

    async def system(self, client_id: str) -> System:
        state, _ = await self.history.load(client_id)
        return state
