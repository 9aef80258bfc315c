"""Which facts of dossiers are told to the applicant, and what the templates learn from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from typing import Any

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from motcua.dossier.events.v1 import events_pb2 as dossier
from motcua.options.v1 import options_pb2
from services.law.dated import holds
from services.notification.values import MessageKind


@dataclass(frozen=True, slots=True)
class Letter:
    template: str
    kind: MessageKind
    # The fact's own fields.
    fields: Mapping[str, Any]


_LETTERS: dict[type[Message], tuple[str, MessageKind]] = {
    dossier.DossierSubmitted: ("submitted", MessageKind.PROGRESS),
    dossier.DossierReceived: ("received", MessageKind.PROGRESS),
    dossier.DossierRefused: ("refused", MessageKind.OUTCOME),
    dossier.SupplementRequested: ("supplement_requested", MessageKind.ACTION),
    dossier.SupplementSupplied: ("supplement_supplied", MessageKind.PROGRESS),
    dossier.FeeAssessed: ("fee_assessed", MessageKind.FEE),
    dossier.FeeCancelled: ("fee_cancelled", MessageKind.FEE),
    dossier.FeePaid: ("fee_paid", MessageKind.FEE),
    dossier.FeeRefunded: ("fee_refunded", MessageKind.FEE),
    dossier.WithdrawalDeclined: ("withdrawal_declined", MessageKind.OUTCOME),
    dossier.ProcessingStopped: ("stopped", MessageKind.OUTCOME),
    dossier.DeadlinePassed: ("overdue", MessageKind.DELAY),
    dossier.DeadlineRecounted: ("deadline_recounted", MessageKind.DELAY),
    dossier.DeadlineExtended: ("deadline_extended", MessageKind.DELAY),
    dossier.ResultIssued: ("result_issued", MessageKind.OUTCOME),
    dossier.ResultReturned: ("result_returned", MessageKind.OUTCOME),
}

# Told too where the law asks for every change.
_EVERY_CHANGE: dict[type[Message], tuple[str, MessageKind]] = {
    dossier.ProcessingStarted: ("processing_started", MessageKind.PROGRESS),
    dossier.DossierTransferred: ("transferred", MessageKind.PROGRESS),
    dossier.WithdrawalRequested: ("withdrawal_requested", MessageKind.PROGRESS),
}

# No letter, on purpose: what the applicant does or is told otherwise, and steps inside the agency.
UNTOLD: tuple[type[Message], ...] = (
    dossier.FeeWaived,
    dossier.FormCorrected,
    dossier.StepAssigned,
    dossier.StepCompleted,
    dossier.DossierApproved,
    dossier.ReceptionDeadlinePassed,
    dossier.DossierRated,
    dossier.DossierSynchronised,
)
# The facts to react to.
TOLD = (*_LETTERS, *_EVERY_CHANGE)


def is_told(fact: Any) -> bool:
    """A recount that leaves everything as it was is not."""
    if isinstance(fact, dossier.DeadlineRecounted):
        return not fact.provisional or fact.due_at != fact.original_due_at
    return type(fact) in _LETTERS or holds("full_notices", fact.at.ToDatetime(tzinfo=UTC))


def letter(fact: Message, opened: Mapping[str, str]) -> Letter:
    """`opened` holds the clear text of the fact's sealed fields; one that was erased is missing."""
    template, kind = (_LETTERS | _EVERY_CHANGE)[type(fact)]
    if isinstance(fact, dossier.ProcessingStopped) and fact.cause == dossier.STOP_CAUSE_WITHDRAWN:
        template = "withdrawn"
    return Letter(template, kind, {name: _value(fact, name, opened) for name in fact.DESCRIPTOR.fields_by_name})


def _value(fact: Message, name: str, opened: Mapping[str, str]) -> Any:
    field = fact.DESCRIPTOR.fields_by_name[name]
    if field.GetOptions().HasExtension(options_pb2.sealed):
        return opened.get(name, "")
    value = getattr(fact, name)
    if field.is_repeated and field.message_type:
        return tuple({name: _value(each, name, {}) for name in each.DESCRIPTOR.fields_by_name} for each in value)
    if field.is_repeated:
        return tuple(value)
    if isinstance(value, Timestamp):
        return value.ToDatetime(tzinfo=UTC) if fact.HasField(name) else None
    if field.enum_type is not None:
        return field.enum_type.values_by_number[value].name
    return value
