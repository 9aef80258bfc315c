"""Who may know of a dossier: one rule, for a dossier and for lists of them.

Its applicant, by the person's own login; officials and systems as services/chassis/grounds/concern.py has it. Whoever else
asks learns nothing: not even whether it exists.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, false, or_

from services.chassis.deciding.caller import Caller
from services.chassis.following.standing import Standing, unrestricted
from services.chassis.grounds.concern import may_know, mine, office, own_affair, require_impartial
from services.dossier.domain.state import Dossier
from services.dossier.law import Law
from services.dossier.refusals import Refused
from services.dossier.views import dossiers
from services.law.course import Settlement

_PERSONS = frozenset({"citizen", "organisation"})


def office_of(caller: Caller, law: Law) -> str:
    """The agency that an official acts for; empty for who is none, and for an agency outside of the official's territory."""
    own = office(caller)
    return own if law.lies_in(own, caller.province) else ""


def is_party(caller: Caller, state: Dossier, law: Law) -> bool:
    if state.settlement is Settlement.ABSENT:
        return False
    if caller.kind in _PERSONS:
        return caller.account_id == state.applicant_id
    return (caller.kind == "system" or bool(office_of(caller, law))) and may_know(caller, state)


def require_party(caller: Caller, state: Dossier, law: Law, standing: Standing, code: str) -> None:
    """Refuses a caller who may not read the dossier and act on it. Raises Rejected NOT_FOUND, OWN_AFFAIR, ACCOUNT_RESTRICTED."""
    if not is_party(caller, state, law):
        raise Refused("NOT_FOUND", code=code)
    require_impartial(caller, state.applicant_id)
    if caller.kind not in _PERSONS and state.applicant_id in standing.restricted:
        raise Refused("ACCOUNT_RESTRICTED")


def may_act(caller: Caller, state: Dossier, law: Law, standing: Standing) -> bool:
    restricted = caller.kind not in _PERSONS and state.applicant_id in standing.restricted
    return is_party(caller, state, law) and not own_affair(caller, state.applicant_id) and not restricted


def names(caller: Caller, law: Law) -> ColumnElement[bool]:
    """The condition on rows of dossiers that an official may know of, as require_party has it."""
    t, own = dossiers.c, office_of(caller, law)
    if not own:
        return false()
    named = or_(t.holder == own, t.reception_agency == own, t.competent_agency == own, t.place_of_submission == own)
    return named & t.applicant_id.not_in(sorted(mine(caller))) & unrestricted(t.applicant_id)
