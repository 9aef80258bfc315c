"""What a dossier owes, what is let off, and what was paid."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import assert_never

from services.chassis.decider import Sealed, replace
from services.dossier.commands import AssessFee, CancelFee, Command, PayFee, RefundFee, WaiveFee
from services.dossier.domain.deadlines import NO_RESUMPTION, late_reception, reception_deadline, resumption
from services.dossier.domain.guards import require_holder, require_state, stamp_of
from services.dossier.domain.state import OPEN, Dossier, Fee
from services.dossier.events import Events, FeeAssessed, FeeCancelled, FeePaid, FeeRefunded, FeeWaived, Stamp
from services.dossier.refusals import Refused
from services.dossier.values import FeeItem, Terms, require_reason
from services.law.course import FeeCondition, Finance, Settlement
from services.law.deadlines import Calendar, due_at

LARGEST_FEE = 10**12


def assessment(
    stamp: Stamp,
    fee_id: str,
    items: tuple[FeeItem, ...],
    condition: FeeCondition,
    agency: str,
    terms: Terms,
) -> FeeAssessed:
    total = sum(item.amount for item in items)
    if not items or any(item.amount <= 0 for item in items) or total > LARGEST_FEE:
        raise Refused("FEE_INVALID")
    if unknown := [item.charge_code for item in items if item.charge_code not in {"", *terms.charge_codes}]:
        raise Refused("CHARGE_UNKNOWN", procedure_code=terms.procedure_code, charge=", ".join(unknown))
    by = due_at(terms.calendar, terms.pay_within, stamp["at"]) if terms.pay_within else None
    # A result that waits for its fee is handed over when it is paid: there is nothing to stop.
    stops = by is not None and terms.stops_unpaid and condition is not FeeCondition.RESULT
    return FeeAssessed(
        **stamp,
        fee_id=fee_id,
        amount=total,
        items=items,
        condition=condition,
        agency=agency,
        pay_by=by,
        stops_unpaid=stops,
    )


def assess(command: AssessFee, dossier: Dossier) -> Events:
    if command.condition is FeeCondition.RECEPTION:
        require_state(dossier, Settlement.NEWLY_REGISTERED)
    else:
        require_state(dossier, Settlement.BEING_PROCESSED)
    require_holder(command.by, dossier)
    agency = dossier.competent_agency
    fee = assessment(
        stamp_of(command, dossier), command.fee_id, command.items, command.condition, agency, command.terms
    )
    return (*late_reception(command, dossier), fee)


def fee_of(fee_id: str, dossier: Dossier) -> Fee:
    for fee in dossier.fees:
        if fee.fee_id == fee_id:
            return fee
    raise Refused("FEE_UNKNOWN", fee_id=fee_id)


def _unpaid_fee(command: WaiveFee | CancelFee, dossier: Dossier) -> Fee:
    require_state(dossier, *OPEN, Settlement.PROCESSED)
    require_holder(command.by, dossier)
    require_reason(command.reason)
    fee = fee_of(command.fee_id, dossier)
    _require_due(fee)
    return fee


def _require_due(fee: Fee) -> None:
    match fee.finance:
        case Finance.CANCELLED:
            raise Refused("FEE_CANCELLED", fee_id=fee.fee_id)
        case Finance.REFUNDED:
            raise Refused("FEE_REFUNDED", fee_id=fee.fee_id)
        case Finance.PAID:
            raise Refused("FEE_SETTLED", fee_id=fee.fee_id)
        case Finance.DUE | Finance.NOTHING_DUE:
            return
        case _:
            assert_never(fee.finance)


def waive(command: WaiveFee, dossier: Dossier) -> Events:
    fee = _unpaid_fee(command, dossier)
    exempt = next((known for known in command.terms.exemptions if known.code == command.exemption_code), None)
    if exempt is None:
        raise Refused("EXEMPTION_UNKNOWN", procedure_code=dossier.procedure_code, exemption=command.exemption_code)
    items = tuple(exempt.of(item) for item in fee.items)
    owed = tuple(item for item in items if item.amount)
    waived = fee.amount - sum(item.amount for item in owed)
    if not waived:
        raise Refused("EXEMPTION_WITHOUT_GAIN", exemption=exempt.code, fee_id=fee.fee_id)
    stamp = stamp_of(command, dossier)
    granted = FeeWaived(
        **stamp, fee_id=fee.fee_id, amount=waived, exemptions=Sealed(exempt.code), reason=command.reason
    )
    calendar = None if owed else command.reception_calendar
    ended = cancellation(command, command.reason, fee, dossier, command.terms, calendar)
    if not owed:
        return granted, ended
    rest = assessment(stamp, command.left_id, owed, fee.condition, dossier.competent_agency, command.terms)
    # The time to pay does not begin anew.
    return granted, ended, replace(rest, pay_by=fee.pay_by, stops_unpaid=fee.stops_unpaid, of_form=fee.of_form)


def waived_at_once(stamp: Stamp, fee_id: str, terms: Terms, documents: Mapping[str, str], reason: Sealed) -> Events:
    """What the terms waive, with the documents (ids by kind) that prove it."""
    amount = sum(item.waived for item in terms.fee_items)
    if not amount:
        return ()
    waived = FeeWaived(
        **stamp,
        fee_id=fee_id,
        amount=amount,
        exemptions=Sealed(",".join(terms.waiver.exemption_codes)),
        reason=reason,
        document_ids=tuple(documents[kind] for kind in terms.waiver.document_kinds),
    )
    return (waived,)


def cancel(command: CancelFee, dossier: Dossier) -> Events:
    fee = _unpaid_fee(command, dossier)
    return (cancellation(command, command.reason, fee, dossier, command.terms, command.reception_calendar),)


def cancellation(
    command: Command,
    reason: Sealed,
    fee: Fee,
    dossier: Dossier,
    terms: Terms | None = None,
    reception_calendar: Calendar | None = None,
) -> FeeCancelled:
    resumed = resumption(dossier, command.at, terms) if terms and _ends_pause(fee, dossier) else NO_RESUMPTION
    return FeeCancelled(
        **stamp_of(command, dossier),
        fee_id=fee.fee_id,
        amount=fee.amount,
        condition=fee.condition,
        reason=reason,
        **resumed,
        reception_due_at=_lets_receive(fee, dossier, reception_calendar, command.at),
        paid=fee.finance is Finance.PAID,
    )


def pay(command: PayFee, dossier: Dossier) -> Events:
    fee = fee_of(command.fee_id, dossier)
    if fee.finance is Finance.CANCELLED:
        return ()  # it was being paid meanwhile: the payment service gives the money back
    _require_due(fee)
    if command.amount < fee.amount:
        raise Refused("FEE_AMOUNT_WRONG", fee_id=fee.fee_id, amount=str(fee.amount))
    resumed = resumption(dossier, command.at, command.terms) if _ends_pause(fee, dossier) else NO_RESUMPTION
    paid = FeePaid(
        **stamp_of(command, dossier),
        fee_id=fee.fee_id,
        amount=command.amount,
        payment_id=command.payment_id,
        **resumed,
        reception_due_at=_lets_receive(fee, dossier, command.reception_calendar, command.at),
    )
    return (paid,)


def _lets_receive(fee: Fee, dossier: Dossier, calendar: Calendar | None, at: datetime) -> datetime | None:
    """By when it is to be received, where nothing else must be paid before."""
    waited = dossier.settlement is Settlement.NEWLY_REGISTERED and fee.condition is FeeCondition.RECEPTION
    lets = waited and not _others_due(fee, dossier, FeeCondition.RECEPTION)
    return reception_deadline(dossier.reception_term, calendar, at) if lets else None


def _ends_pause(fee: Fee, dossier: Dossier) -> bool:
    waits = dossier.settlement is Settlement.FINANCIAL_OBLIGATION_REQUESTED
    return waits and not _others_due(fee, dossier, FeeCondition.PROCESSING)


def _others_due(fee: Fee, dossier: Dossier, condition: FeeCondition) -> bool:
    return any(
        other.finance is Finance.DUE and other.condition is condition and other.fee_id != fee.fee_id
        for other in dossier.fees
    )


def refund(command: RefundFee, dossier: Dossier) -> Events:
    fee = fee_of(command.fee_id, dossier)
    if fee.finance is Finance.CANCELLED:
        return ()
    if fee.finance is Finance.REFUNDED:
        raise Refused("FEE_REFUNDED", fee_id=fee.fee_id)
    if fee.finance is not Finance.PAID:
        raise Refused("FEE_UNPAID", amount=str(fee.amount))
    return (
        FeeRefunded(
            **stamp_of(command, dossier), fee_id=fee.fee_id, amount=command.amount, payment_id=command.payment_id
        ),
    )
