"""What the definitions say for a case: its fee, its due date."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from motcua.catalogue.v1 import catalogue_pb2
from motcua.catalogue.v1 import catalogue_service_pb2 as pb
from motcua.dossier.events.v1 import events_pb2 as dossier
from motcua.types.v1.types_pb2 import LocalizedText
from services.catalogue.counterparts import CHANNEL, FEE_CONDITION, TERM
from services.catalogue.refusals import Refused
from services.catalogue.views import Definitions
from services.chassis.calls.answers import form_answers
from services.chassis.deciding.codec import Shape, to_timestamp
from services.law.cases import Eligibility, case_of
from services.law.days import local_day
from services.law.deadlines import Term, due_at, is_provisional
from services.law.definitions import Channel, ChannelRule, Procedure, Text, calendar_of
from services.law.fees import QuotedItem, exemptions_on, quote
from services.law.forms import FormUnusable

_TERM = Shape(Term, dossier.Term)


def fee(known: Definitions, request: pb.QuoteFeeRequest, day: str) -> pb.QuoteFeeResponse:
    """What SubmitDossier assesses for the same. Raises the reasons of `quote`, PROCEDURE_UNKNOWN, PROCEDURE_NOT_IN_FORCE,
    PROVINCE_UNKNOWN, PROVINCE_MERGED.
    """
    found = known.procedure(request.procedure_code, day)
    procedure: Procedure = found.value
    answers, eligibility = (
        form_answers(request.form),
        Eligibility(request.account_level, frozenset(request.document_kinds)),
    )
    channel = _rule(procedure, CHANNEL.stored(request.channel)).channel
    try:
        case = case_of(procedure, known.province(request.province, day).key, channel, day, answers, eligibility)
    except FormUnusable as unusable:  # published before it was checked
        raise Refused("PROCEDURE_FAULTY", code=procedure.code, count="1", faults=str(unusable)) from unusable
    # What the form says counts; the rest is as it is stated.
    case = replace(
        case,
        counts={**request.counts, **case.counts},
        circumstances=frozenset({*request.circumstances, *case.circumstances}),
    )
    overlays = known.fee_overlays(day)
    items = quote(procedure, overlays, case)
    confirmed = quote(procedure, overlays, replace(case, exemptions=frozenset({*case.exemptions, *request.exemptions})))
    return pb.QuoteFeeResponse(
        items=map(_item, items),
        total=sum(item.amount for item in items),
        condition=FEE_CONDITION.shown(found.message.fee.condition),
        total_if_confirmed=sum(item.amount for item in confirmed),
        exemptions=[
            catalogue_pb2.QuotedExemption(
                code=exemption.code,
                name=_text(exemption.name),
                percent=exemption.percent,
                legal_basis=exemption.legal_basis,
                follows=exemption.code in case.exemptions,
                by_official=not exemption.grounds,
            )
            for exemption in exemptions_on(procedure, day)
        ],
    )


def _item(item: QuotedItem) -> catalogue_pb2.QuotedItem:
    return catalogue_pb2.QuotedItem(
        charge_code=item.charge_code,
        name=_text(item.name),
        amount=item.amount,
        resolution=item.resolution,
        waived=item.waived,
        exemption_code=item.exemption_code,
    )


def _text(text: Text) -> LocalizedText:
    return LocalizedText(vi=text.vi, en=text.en)


def deadline(
    known: Definitions, request: pb.PreviewDeadlineRequest, received_at: datetime
) -> pb.PreviewDeadlineResponse:
    """Raises PROCEDURE_UNKNOWN, PROCEDURE_NOT_IN_FORCE, CHANNEL_NOT_OFFERED, TERM_NOT_LISTED, AGENCY_UNKNOWN, AGENCY_CLOSED."""
    day = local_day(received_at)
    procedure: Procedure = known.procedure(request.procedure_code, day).value
    term = _rule(procedure, CHANNEL.stored(request.channel)).term
    if term is None:
        raise Refused("TERM_NOT_LISTED", code=procedure.code)
    calendar = known.calendar(known.agency(request.agency, day).value.calendar_id, day).value
    written: Any = _TERM.write(term)
    counting = calendar_of(calendar)
    due = due_at(counting, term, received_at)
    return pb.PreviewDeadlineResponse(
        due_at=to_timestamp(due),
        term=TERM.shown(written),
        calendar_id=calendar.calendar_id,
        calendar_version=calendar.version,
        provisional=is_provisional(counting, due),
    )


def _rule(procedure: Procedure, channel: int) -> ChannelRule:
    for rule in procedure.channels:
        if rule.channel.value == channel:
            return rule
    name = next((known.name for known in Channel if known.value == channel), str(channel))
    raise Refused("CHANNEL_NOT_OFFERED", code=procedure.code, channel=name)
