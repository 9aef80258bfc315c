"""Whether an office takes a dossier in."""

from __future__ import annotations

from services.chassis.decider import replace
from services.dossier.commands import ReceiveDossier, RefuseDossier
from services.dossier.domain.components import BY_HAND
from services.dossier.domain.deadlines import late_reception
from services.dossier.domain.guards import require_holder, require_paid, require_state, stamp_of
from services.dossier.domain.state import Dossier
from services.dossier.domain.steps import step_after
from services.dossier.events import DossierReceived, DossierRefused, Events, Stamp
from services.dossier.refusals import Refused
from services.dossier.values import Route, Terms, require_reason
from services.law.course import FeeCondition, Settlement
from services.law.deadlines import due_at, is_provisional


def receive(command: ReceiveDossier, dossier: Dossier) -> Events:
    require_state(dossier, Settlement.NEWLY_REGISTERED)
    require_holder(command.by, dossier)
    require_paid(dossier, FeeCondition.RECEPTION)
    papers = {component.component_code for component in dossier.components if component.source in BY_HAND}
    if unknown := [each.component_code for each in command.paper_days if each.component_code not in papers]:
        raise Refused("COMPONENT_UNKNOWN", components=", ".join(unknown))
    received = valid_reception(
        stamp_of(command, dossier), command.receipt_number, command.by.agency, command.terms, command.route
    )
    received = replace(received, paper_days=command.paper_days)
    return (*late_reception(command, dossier), received)


def refuse(command: RefuseDossier, dossier: Dossier) -> Events:
    require_state(dossier, Settlement.NEWLY_REGISTERED)
    require_holder(command.by, dossier)
    require_reason(command.reason)
    return (*late_reception(command, dossier), DossierRefused(**stamp_of(command, dossier), reason=command.reason))


def valid_reception(stamp: Stamp, receipt: str, agency: str, terms: Terms, route: Route) -> DossierReceived:
    due = due_at(terms.calendar, terms.term, route.counts_from or stamp["at"]) if terms.term else None
    return DossierReceived(
        **stamp,
        receipt_number=receipt,
        due_at=due,
        term=terms.term,
        calendar=terms.calendar.name,
        agency=agency,
        procedure_version=terms.procedure_version,
        **step_after(0, terms),
        provisional=due is not None and is_provisional(terms.calendar, due),
        forward_by=route.forward_by,
        counts_from=route.counts_from,
    )
