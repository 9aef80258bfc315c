"""Corrected answers of the form, and what they owe instead."""

from __future__ import annotations

from collections.abc import Sequence

from services.chassis.decider import Sealed, replace
from services.dossier.commands import CorrectForm, Correction, SupplySupplement
from services.dossier.domain.charging import left, total
from services.dossier.domain.components import component_missing, missing, supplied, with_replaced
from services.dossier.domain.deadlines import late_reception
from services.dossier.domain.fees import assessment, cancellation, waived_at_once
from services.dossier.domain.guards import require_author, require_state, stamp_of
from services.dossier.domain.settlements import wrong_state
from services.dossier.domain.state import Dossier, Fee
from services.dossier.events import Events, FeeCancelled, FormCorrected
from services.dossier.refusals import Refused
from services.dossier.values import Component, Requirement
from services.law.course import FeeCondition, Finance, Settlement

# Of one dossier's form: whoever reads the dossier is told what each changed.
MOST_CORRECTIONS = 10


def correct(command: CorrectForm, dossier: Dossier) -> Events:
    require_author(command.by, dossier)
    if dossier.received_at is not None:
        raise wrong_state(dossier.settlement)
    require_state(dossier, Settlement.NEWLY_REGISTERED, Settlement.SUPPLEMENT_REQUESTED)
    correction = command.correction
    new = supplied(
        command.components,
        components_needed(correction, dossier),
        dossier.channel,
        command.uploaded,
        correction.documents,
        dossier.reuse_consent,
        command.others_documents,
    )
    corrected = correction_of(command, correction, dossier, with_replaced(dossier.components, new))
    owed = owed_anew(command, correction, dossier)
    # A fee that is assessed now hides no lateness of before.
    return (*(late_reception(command, dossier) if owed else ()), replace(corrected, components=new), *owed)


def components_needed(correction: Correction, dossier: Dossier) -> list[Requirement]:
    """What these answers ask for and the dossier does not hold."""
    lacking = missing(dossier.components, correction.terms.requirements)
    return [rule for rule in correction.terms.requirements if rule.component_code in lacking]


def correction_of(
    command: CorrectForm | SupplySupplement, correction: Correction, dossier: Dossier, held: Sequence[Component]
) -> FormCorrected:
    if correction.version != dossier.corrections:
        raise Refused("OVERLOADED")  # it was compared with a form that was corrected meanwhile
    if not correction.changed:
        raise Refused("NOTHING_CORRECTED")
    if dossier.corrections >= MOST_CORRECTIONS:
        raise Refused("TOO_MANY_CORRECTIONS", limit=str(MOST_CORRECTIONS))
    if lacking := missing(held, correction.terms.requirements):
        raise component_missing(lacking, correction.terms.requirements)
    return FormCorrected(**stamp_of(command, dossier), form=correction.form)


def owed_anew(command: CorrectForm | SupplySupplement, correction: Correction, dossier: Dossier) -> Events:
    """What the answers owe takes the place of what those before owed. What an official decided about the fee stands."""
    terms, now = correction.terms, correction.terms.fee_items
    if now == correction.before or terms.fee_condition is FeeCondition.PROCESSING:
        return ()
    standing = [fee for fee in dossier.fees if fee.of_form and fee.finance in (Finance.DUE, Finance.PAID)]
    if not standing and total(correction.before):
        return ()
    kept, ended = _kept(standing, total(now))
    items = left(now, [item for fee in kept for item in fee.items])
    stamp, agency = stamp_of(command, dossier), dossier.competent_agency
    cancelled = [_ended(command, correction, fee, dossier, again=bool(items)) for fee in ended]
    waived = waived_at_once(stamp, correction.fee_id, terms, correction.documents, Sealed())
    if not items:
        return *waived, *cancelled
    received = dossier.received_at is not None
    condition = FeeCondition.RESULT if received else terms.fee_condition
    fee = replace(assessment(stamp, correction.fee_id, items, condition, agency, terms), of_form=True)
    before = next((one for one in ended if one.finance is Finance.DUE and one.condition is condition), None)
    # The time to pay does not begin anew.
    return *waived, *cancelled, replace(fee, pay_by=before.pay_by, stops_unpaid=before.stops_unpaid) if before else fee


def _kept(standing: Sequence[Fee], owed: int) -> tuple[list[Fee], list[Fee]]:
    """Splits the fees into those that stand and those that end.

    A paid fee stands while all that stand do not exceed what is owed; money goes back by whole fees. An unpaid fee always ends:
    what is left to pay is assessed anew.
    """
    kept: list[Fee] = []
    for fee in standing:
        if fee.finance is Finance.PAID and fee.amount + sum(one.amount for one in kept) <= owed:
            kept.append(fee)
    return kept, [fee for fee in standing if fee not in kept]


def _ended(
    command: CorrectForm | SupplySupplement, correction: Correction, fee: Fee, dossier: Dossier, *, again: bool
) -> FeeCancelled:
    waited = fee.finance is Finance.DUE and not again
    calendar = correction.reception_calendar if waited else None
    return cancellation(command, correction.reason, fee, dossier, reception_calendar=calendar)
