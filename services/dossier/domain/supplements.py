"""What an office asks for again, and what it is given."""

from __future__ import annotations

from collections.abc import Sequence

from services.dossier.commands import RequestSupplement, SupplySupplement
from services.dossier.domain.charging import total
from services.dossier.domain.components import component_missing, supplied, with_replaced
from services.dossier.domain.corrections import components_needed, correction_of, owed_anew
from services.dossier.domain.deadlines import late_reception, resumption
from services.dossier.domain.guards import require_holder, require_on_behalf, require_paid, require_state, stamp_of
from services.dossier.domain.reception import valid_reception
from services.dossier.domain.state import Dossier, notice_of
from services.dossier.events import Events, FeeAssessed, SupplementRequested, SupplementSupplied
from services.dossier.refusals import Refused
from services.dossier.values import Component, require_reason
from services.law.course import FeeCondition, Settlement


def request_supplement(command: RequestSupplement, dossier: Dossier) -> Events:
    require_state(dossier, Settlement.NEWLY_REGISTERED, Settlement.BEING_PROCESSED)
    require_holder(command.by, dossier)
    require_reason(command.explanation)
    faults = command.data_faults
    if faults and not command.one_notice:
        raise Refused("NOTICE_NOT_IN_FORCE")
    instead = (fault.component_code for fault in faults if fault.component_code)
    codes = tuple(dict.fromkeys((*command.component_codes, *instead)))
    if not codes and not faults and not command.form_fields:
        raise Refused("NO_COMPONENTS")
    known = {rule.component_code for rule in command.terms.requirements}
    if unknown := [code for code in codes if code not in known]:
        raise Refused("COMPONENT_UNKNOWN", components=", ".join(unknown))
    if command.unknown_fields:
        raise Refused("FORM_FIELD_UNKNOWN", fields=", ".join(command.unknown_fields))
    fields = tuple(dict.fromkeys(command.form_fields))
    more = sorted(notice_of(codes, fields, faults) - dossier.notified)
    if command.one_notice and dossier.notified and more:
        raise Refused("ALREADY_NOTIFIED", more=", ".join(more))
    requested = SupplementRequested(
        **stamp_of(command, dossier),
        component_codes=codes,
        explanation=command.explanation,
        form_fields=fields,
        data_faults=faults,
    )
    return (*late_reception(command, dossier), requested)


def supply(command: SupplySupplement, dossier: Dossier) -> Events:
    require_on_behalf(command.by, dossier)
    require_state(dossier, Settlement.SUPPLEMENT_REQUESTED)
    if dossier.received_at is None:
        require_paid(dossier, FeeCondition.RECEPTION)
    needed = components_needed(command.correction, dossier) if command.correction else []
    asked = [rule for rule in command.terms.requirements if rule.component_code in dossier.asked]
    more = [rule for rule in needed if rule.component_code not in dossier.asked]
    # Asked for again means that what is there, a reused document too, does not do: nothing is filled in by itself.
    components = supplied(
        command.components,
        [*asked, *more],
        dossier.channel,
        command.uploaded,
        command.documents,
        False,
        command.others_documents,
    )
    given = {component.component_code for component in command.components}
    if lacking := [code for code in dossier.asked if code not in given]:
        raise component_missing(lacking, command.terms.requirements)
    given |= {rule.component_code for rule in more}
    new = tuple(component for component in components if component.component_code in given)
    corrected = _corrections_asked(command, dossier, new)
    stamp = stamp_of(command, dossier)
    supply = SupplementSupplied(**stamp, components=new, **resumption(dossier, command.at, command.terms))
    if dossier.received_at is not None:
        return *corrected, supply
    # The portal leads from "supplement requested" to "being processed" only: the supplement makes the reception valid.
    received = valid_reception(
        stamp, command.receipt_number, dossier.reception_agency, command.reception_terms, command.route
    )
    return *corrected, supply, received


def _corrections_asked(command: SupplySupplement, dossier: Dossier, new: Sequence[Component]) -> Events:
    correction, asked = command.correction, dossier.asked_fields
    if correction is None:
        if asked and not dossier.answered:
            raise Refused("FORM_MISSING", fields=", ".join(asked))
        return ()
    if beyond := [path for path in correction.changed if not any(_within(path, field) for field in asked)]:
        raise Refused("FORM_FIELD_NOT_ASKED", fields=", ".join(beyond), asked=", ".join(asked) or "-")
    corrected = correction_of(command, correction, dossier, with_replaced(dossier.components, new))
    owed = owed_anew(command, correction, dossier)
    if any(isinstance(event, FeeAssessed) and event.condition is FeeCondition.RECEPTION for event in owed):
        before, after = total(correction.before), total(correction.terms.fee_items)
        raise Refused("CORRECTION_CHANGES_FEE", before=str(before), after=str(after))
    return corrected, *owed


def _within(path: str, field: str) -> bool:
    """Whether the one answer is the other, or part of it."""
    return f"{path}.".startswith(f"{field}.")
