"""Who administrates the site first, as its operator says: one decider, on one stream."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from services.chassis.decider import Decider, Rejected


@dataclass(frozen=True, slots=True)
class AdministratorNamed:
    account_id: str
    at: datetime
    by: str
    appointment_id: str
    agency: str


@dataclass(frozen=True, slots=True)
class NameAdministrator:
    account_id: str
    at: datetime
    by: str
    appointment_id: str
    agency: str
    # Whether the log has an administrator of this site whom nobody named: a trial's.
    appointed: bool
    # The operator says that nobody can appoint anybody any more.
    none_is_left: bool
    # Of an administrator of the site's own authority.
    in_force: str = ""


@dataclass(frozen=True, slots=True)
class Administration:
    newest: AdministratorNamed | None = None


def decide_administration(command: NameAdministrator, state: Administration) -> Sequence[AdministratorNamed]:
    if (state.newest or command.appointed) and not command.none_is_left:
        raise Rejected("ADMINISTRATOR_EXISTS")
    if command.in_force:
        raise Rejected("ADMINISTRATOR_IN_FORCE", appointment_id=command.in_force)
    return (AdministratorNamed(command.account_id, command.at, command.by, command.appointment_id, command.agency),)


def evolve_administration(state: Administration, event: AdministratorNamed) -> Administration:
    return Administration(event)


administration: Decider[NameAdministrator, Administration, AdministratorNamed] = Decider(
    Administration(), decide_administration, evolve_administration
)
