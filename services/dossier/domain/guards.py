"""What several rules ask first: that the dossier is in a state, and who commands."""

from __future__ import annotations

from services.dossier.commands import Command
from services.dossier.domain.settlements import wrong_state
from services.dossier.domain.state import Dossier
from services.dossier.events import Stamp
from services.dossier.refusals import Refused
from services.dossier.values import Actor, Channel
from services.law.course import FeeCondition, Finance, Settlement


def stamp_of(command: Command, dossier: Dossier) -> Stamp:
    return Stamp(code=dossier.code, at=command.at, by=command.by.actor_id, applicant_id=dossier.applicant_id)


def require_exists(dossier: Dossier) -> None:
    if dossier.settlement is Settlement.ABSENT:
        raise wrong_state(Settlement.ABSENT)


def require_state(dossier: Dossier, *allowed: Settlement) -> None:
    if dossier.settlement not in allowed:
        raise wrong_state(dossier.settlement)


def require_holder(by: Actor, dossier: Dossier) -> None:
    if by.agency != dossier.holder:
        raise Refused("WRONG_AGENCY", agency=dossier.holder)


def require_applicant(by: Actor, dossier: Dossier) -> None:
    if by.actor_id != dossier.applicant_id:
        raise Refused("NOT_APPLICANT")


def require_on_behalf(by: Actor, dossier: Dossier) -> None:
    """Refuses all but the applicant, who submitted for them, and a receptionist of the holder for whom stands at the counter."""
    if "receptionist" in by.roles:
        require_holder(by, dossier)
    elif by.actor_id != dossier.submitted_by:
        require_applicant(by, dossier)


def require_author(by: Actor, dossier: Dossier) -> None:
    """Refuses all but the applicant and who wrote the form down for the applicant, at the counter an official of that agency."""
    at_counter = dossier.channel is not Channel.ONLINE and by.agency == dossier.place_of_submission
    if not (at_counter and "receptionist" in by.roles) and by.actor_id != dossier.submitted_by:
        require_applicant(by, dossier)


def require_paid(dossier: Dossier, *conditions: FeeCondition) -> None:
    owed = sum(fee.amount for fee in dossier.fees if fee.finance is Finance.DUE and fee.condition in conditions)
    if owed:
        raise Refused("FEE_UNPAID", amount=str(owed))
