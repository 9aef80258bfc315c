"""From what a request led to, to its reply."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from motcua.dossier.v1 import dossier_service_pb2 as pb
from services.chassis.calls.money import to_money
from services.chassis.deciding.codec import to_timestamp
from services.chassis.deciding.handler import Outcome
from services.chassis.frame.replies import replied
from services.dossier.counterparts import CONDITION
from services.dossier.events import (
    DeadlineExtended,
    DossierReceived,
    DossierSubmitted,
    Event,
    FeeAssessed,
    FeeWaived,
    SupplementSupplied,
)
from services.dossier.values import ComponentSource


def submitted(outcome: Outcome[Event]) -> pb.SubmitDossierResponse:
    event = outcome.one(DossierSubmitted)
    reused = [x.component_code for x in event.components if x.source is ComponentSource.WAREHOUSE]
    reply = replied(pb.SubmitDossierResponse, outcome, code=event.code, reused_component_codes=reused)
    if owed := outcome.first(FeeAssessed):
        reply.fee.CopyFrom(to_money(owed.amount))
        reply.fee_condition = CONDITION.shown(owed.condition)
    return reply


def received(outcome: Outcome[Event]) -> pb.ReceiveDossierResponse:
    event = outcome.one(DossierReceived)
    due: dict[str, Any] = {"due_at": _due(event.due_at), "provisional": event.provisional}
    return replied(pb.ReceiveDossierResponse, outcome, receipt_number=event.receipt_number, **due)


def supplied(outcome: Outcome[Event]) -> pb.SupplySupplementResponse:
    """The reply with the due date: a supplement that makes a dossier complete which was not received before receives it as well."""
    event = outcome.first(DossierReceived) or outcome.one(SupplementSupplied)
    due: dict[str, Any] = {"due_at": _due(event.due_at), "provisional": event.provisional}
    return replied(pb.SupplySupplementResponse, outcome, **due)


def assessed(outcome: Outcome[Event]) -> pb.AssessFeeResponse:
    event = outcome.one(FeeAssessed)
    return replied(pb.AssessFeeResponse, outcome, fee_id=event.fee_id, amount=event.amount)


def waived(outcome: Outcome[Event]) -> pb.WaiveFeeResponse:
    """The reply with the fee that is left, if one is."""
    reply = replied(pb.WaiveFeeResponse, outcome, waived=outcome.one(FeeWaived).amount)
    if left := outcome.first(FeeAssessed):
        reply.fee_id, reply.amount = left.fee_id, left.amount
    return reply


def extended(outcome: Outcome[Event]) -> pb.ExtendDeadlineResponse:
    original = to_timestamp(outcome.one(DeadlineExtended).original_due_at)
    return replied(pb.ExtendDeadlineResponse, outcome, original_due_at=original)


def _due(at: datetime | None) -> Timestamp | None:
    return to_timestamp(at) if at else None
