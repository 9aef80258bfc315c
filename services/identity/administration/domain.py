"""Who administrates the site first, as its operator says: on one stream."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from services.chassis.decider import Decider
from services.identity.administration.commands import NameAdministrator
from services.identity.administration.events import AdministratorNamed
from services.identity.refusals import Refused


@dataclass(frozen=True, slots=True)
class Administration:
    newest: AdministratorNamed | None = None


def decide_administration(command: NameAdministrator, state: Administration) -> Sequence[AdministratorNamed]:
    if (state.newest or command.appointed) and not command.none_is_left:
        raise Refused("ADMINISTRATOR_EXISTS")
    if command.in_force:
        raise Refused("ADMINISTRATOR_IN_FORCE", appointment_id=command.in_force)
    return (
        AdministratorNamed(
            account_id=command.account_id,
            at=command.at,
            by=command.by,
            appointment_id=command.appointment_id,
            agency=command.agency,
        ),
    )


def evolve_administration(state: Administration, event: AdministratorNamed) -> Administration:
    return Administration(event)


administration: Decider[NameAdministrator, Administration, AdministratorNamed] = Decider(
    Administration(), decide_administration, evolve_administration
)
