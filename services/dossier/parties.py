"""Who may know of a dossier: one rule, for a dossier and for lists of them.

Its applicant, by the person's own login; officials of the agencies that it names, within their territory; systems for their
purpose, which their tokens state. Whoever else asks learns nothing: not even whether it exists.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, false, or_

from services.chassis.caller import Caller
from services.dossier.domain import Dossier
from services.dossier.law import Law
from services.dossier.reception import ONLINE
from services.dossier.values import Settlement
from services.dossier.views import dossiers

_PERSONS = frozenset({"citizen", "organisation"})


def office_of(caller: Caller, law: Law) -> str:
    """The agency that an official acts for; empty for who is none, and for an agency outside of the official's territory."""
    if caller.kind != "official" or caller.agency == ONLINE:
        return ""
    return caller.agency if law.lies_in(caller.agency, caller.province) else ""


def is_party(caller: Caller, state: Dossier, law: Law) -> bool:
    if state.settlement is Settlement.ABSENT:
        return False
    if caller.kind in _PERSONS:
        return caller.account_id == state.applicant_id
    if caller.kind == "system":
        return True
    named = (state.place_of_submission, state.reception_agency, state.competent_agency, state.holder)
    return bool(office := office_of(caller, law)) and office in named


def names(office: str) -> ColumnElement[bool]:
    """The same of rows, for an official."""
    t = dossiers.c
    if not office:
        return false()
    return or_(
        t.holder == office, t.reception_agency == office, t.competent_agency == office, t.place_of_submission == office
    )
