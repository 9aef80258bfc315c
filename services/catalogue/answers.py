"""What the definitions say for a case: its fee, its due date."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from motcua.catalogue.events.v1 import definitions_pb2
from motcua.catalogue.v1 import catalogue_pb2
from motcua.catalogue.v1 import catalogue_service_pb2 as pb
from motcua.dossier.events.v1 import events_pb2 as dossier
from services.catalogue.domain import today
from services.catalogue.views import Definitions
from services.chassis.codec import Shape, to_timestamp
from services.chassis.deadlines import Term, due_at, is_provisional
from services.chassis.decider import Rejected
from services.chassis.law.definitions import Channel, ChannelRule, Procedure, calendar_of
from services.chassis.law.fees import Case, quote

_TERM = Shape(Term, dossier.Term)


def fee(known: Definitions, request: pb.QuoteFeeRequest, day: str) -> pb.QuoteFeeResponse:
    """Raises the reasons of `quote`, PROCEDURE_UNKNOWN, PROCEDURE_NOT_IN_FORCE, PROVINCE_UNKNOWN, PROVINCE_MERGED."""
    found = known.procedure(request.procedure_code, day)
    case = Case(
        known.province(request.province, day).key,
        _rule(found.value, request.channel).channel,
        day,
        request.counts,
        request.circumstances,
        request.exemptions,
    )
    items = [
        catalogue_pb2.QuotedItem(
            charge_code=item.charge_code,
            name=definitions_pb2.Text(vi=item.name.vi, en=item.name.en),
            amount=item.amount,
            resolution=item.resolution,
        )
        for item in quote(found.value, known.fee_overlays(day), case)
    ]
    total, condition = sum(item.amount for item in items), found.message.fee.condition
    return pb.QuoteFeeResponse(items=items, total=total, condition=condition)


def deadline(
    known: Definitions, request: pb.PreviewDeadlineRequest, received_at: datetime
) -> pb.PreviewDeadlineResponse:
    """Raises PROCEDURE_UNKNOWN, PROCEDURE_NOT_IN_FORCE, CHANNEL_NOT_OFFERED, TERM_NOT_LISTED, AGENCY_UNKNOWN, AGENCY_CLOSED."""
    day = today(received_at)
    procedure: Procedure = known.procedure(request.procedure_code, day).value
    term = _rule(procedure, request.channel).term
    if term is None:
        raise Rejected("TERM_NOT_LISTED", code=procedure.code)
    calendar = known.calendar(known.agency(request.agency, day).value.calendar_id).value
    written: Any = _TERM.write(term)
    counting = calendar_of(calendar)
    due = due_at(counting, term, received_at)
    return pb.PreviewDeadlineResponse(
        due_at=to_timestamp(due),
        term=written,
        calendar_id=calendar.calendar_id,
        calendar_version=calendar.version,
        provisional=is_provisional(counting, due),
    )


def _rule(procedure: Procedure, channel: int) -> ChannelRule:
    for rule in procedure.channels:
        if rule.channel.value == channel:
            return rule
    name = next((known.name for known in Channel if known.value == channel), str(channel))
    raise Rejected("CHANNEL_NOT_OFFERED", code=procedure.code, channel=name)
