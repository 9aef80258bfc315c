"""A dossier as its parties read it, folded from its stream; always fresh."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from google.protobuf.json_format import ParseDict
from google.protobuf.struct_pb2 import Struct, Value

from motcua.dossier.events.v1 import events_pb2 as facts
from motcua.dossier.v1 import dossier_pb2
from motcua.dossier.v1 import dossier_service_pb2 as pb
from services.chassis.blobs.sealed import SealedBlobs
from services.chassis.blobs.signed import UNVERIFIED
from services.chassis.deciding.codec import to_timestamp
from services.chassis.deciding.facts import fact_of, message_of
from services.chassis.machine import threads
from services.chassis.privacy.sealing import (
    ERASED,
    LOST,
    UNREADABLE,
    KeyRing,
    SubjectErased,
    note_opening,
    open_message,
)
from services.chassis.store.port import RecordedEvent
from services.dossier import counterparts
from services.dossier.codec import dossier_codec
from services.dossier.comparing import ABSENT, changes
from services.dossier.domain import dossier
from services.dossier.domain.state import Dossier
from services.dossier.refusals import Refused
from services.dossier.values import ComponentSource


def state_of(history: Sequence[RecordedEvent]) -> Dossier:
    return dossier.fold(dossier_codec.decode(event.type, event.data) for event in history)


async def shown(history: Sequence[RecordedEvent], state: Dossier, keys: KeyRing, now: datetime) -> dossier_pb2.Dossier:
    """The dossier in `state`, with what the state does not hold from its history."""
    reply = dossier_pb2.Dossier(
        code=state.code,
        missing_component_codes=state.asked,
        wrong_form_fields=state.asked_fields,
        reception_agency=state.reception_agency,
        competent_agency=state.competent_agency,
        holder=state.holder,
        settlement=counterparts.SETTLEMENT[state.settlement],
        finance=counterparts.FINANCE.shown(state.finance),
        delivery=counterparts.DELIVERY.shown(state.delivery),
        synchronisation=counterparts.SYNCHRONISATION.shown(state.synchronisation),
        procedure_version=state.procedure_version,
        received_at=to_timestamp(state.received_at) if state.received_at else None,
        due_at=to_timestamp(state.due_at) if state.due_at else None,
        provisional=state.provisional,
        calendar=state.calendar,
        competent_received_at=to_timestamp(state.competent_received_at) if state.competent_received_at else None,
        across_boundaries=state.across_boundaries,
        forward_by=to_timestamp(state.forward_by) if state.forward_by and not state.competent_received_at else None,
        reception_due_at=to_timestamp(state.reception_due_at) if state.reception_due_at else None,
        reception_late=state.reception_passed is not None or state.reception_overdue(now),
        data_faults=[
            dossier_pb2.DataFault(
                database=fault.database,
                kind=counterparts.DATA_FAULT_KIND.shown(fault.kind),
                component_code=fault.component_code,
            )
            for fault in state.data_faults
        ],
        paused=state.paused,
        overdue=state.overdue(now),
        revision=state.revision,
    )
    versions: list[str] = []
    for recorded in history:
        fact = fact_of(recorded)
        # What an official notes at a step is for the history.
        told = not isinstance(fact.event, facts.StepCompleted)
        opened = await open_message(fact.event, fact.event_id, keys) if told else {}
        _add(reply, fact.event, opened)
        if isinstance(fact.event, facts.DossierSubmitted | facts.FormCorrected):
            versions.append(opened.get("form", ""))
    if reply.corrections:
        await threads.in_thread(_compare, reply, versions)
    reply.form.CopyFrom(form_of(versions[-1]))
    held = {component.component_code for component in state.components}
    kept = {c.component_code: c for c in reply.components if c.component_code in held}
    del reply.components[:]
    reply.components.extend(kept.values())
    for fee in reply.fees:
        finance = next(known.finance for known in state.fees if known.fee_id == fee.fee_id)
        fee.finance = counterparts.FINANCE.shown(finance)
    return reply


def files_of(history: Sequence[RecordedEvent], state: Dossier) -> dict[str, str]:
    """The media types of the dossier's attachments and its result, by their hashes."""
    attached = ComponentSource.ATTACHMENT
    files = {held.sha256: held.media_type for held in state.components if held.source is attached}
    for event in map(message_of, history):
        if isinstance(event, facts.ResultIssued) and event.sha256:
            files[event.sha256] = event.media_type
    return files


async def content_of(
    history: Sequence[RecordedEvent], state: Dossier, sha256: str, blobs: SealedBlobs
) -> AsyncIterator[pb.GetAttachmentResponse]:
    """The content of one of the dossier's files, in pieces. Raises Rejected ATTACHMENT_UNKNOWN."""
    files = files_of(history, state)
    if sha256 not in files:
        raise Refused("ATTACHMENT_UNKNOWN", sha256=sha256, component="-")
    note_opening(state.applicant_id, state.code)
    media_type = files[sha256]
    try:
        async for data in blobs.read(state.applicant_id, sha256):
            unverified = media_type in UNVERIFIED
            yield pb.GetAttachmentResponse(media_type=media_type, data=data, signature_unverified=unverified)
    except SubjectErased:
        yield pb.GetAttachmentResponse(media_type=media_type, erased=True)


def _compare(reply: dossier_pb2.Dossier, versions: Sequence[str]) -> None:
    """What each correction changed, of those that can be read."""
    answers = [None if text in UNREADABLE else json.loads(text or "{}") for text in versions]
    for correction, before, after in zip(reply.corrections, answers, answers[1:], strict=False):
        if before is not None and after is not None:
            for change in changes(before, after):
                correction.changes.add(path=change.path, before=_value(change.before), after=_value(change.after))


def _value(answer: Any) -> Value | None:
    return None if answer is ABSENT else ParseDict(answer, Value())


def _add(reply: dossier_pb2.Dossier, event: Any, opened: dict[str, str]) -> None:
    """What the state does not hold because no decision reads it."""
    match event:
        case facts.DossierSubmitted():
            reply.procedure_code = event.procedure_code
            reply.channel = counterparts.STORED_CHANNEL.shown(event.channel)
            reply.applicant.applicant_id = event.applicant_id
            reply.applicant.kind = counterparts.STORED_APPLICANT_KIND.shown(event.applicant_kind)
            reply.applicant.name = opened.get("applicant_name", "")
            reply.applicant.email = opened.get("email", "")
            reply.applicant.phone = opened.get("phone", "")
            reply.erased = ERASED in opened.values()
            reply.lost = LOST in opened.values()
            reply.components.extend(map(counterparts.COMPONENTS.shown, event.components))
            reply.place_of_submission = event.place_of_submission
            reply.province = event.province
            reply.delivery_method = counterparts.STORED_DELIVERY_METHOD.shown(event.delivery_method)
            reply.submitted_at.CopyFrom(event.at)
            reply.claimed_exemption_codes.extend(_codes(opened.get("claimed_exemptions", "")))
        case facts.DossierReceived() if event.paper_days:
            days = {each.component_code: each.issued_on for each in event.paper_days}
            for component in reply.components:
                component.issued_on = days.get(component.component_code, component.issued_on)
        case facts.DossierRefused():
            reply.refusal.reason = opened.get("reason", "")
            reply.refusal.at.CopyFrom(event.at)
        case facts.FormCorrected():
            reply.components.extend(map(counterparts.COMPONENTS.shown, event.components))
            reply.corrections.add(at=event.at, by=event.by)
        case facts.SupplementRequested():
            reply.supplements.add(
                component_codes=event.component_codes,
                form_fields=event.form_fields,
                explanation=opened.get("explanation", ""),
                requested_at=event.at,
            )
        case facts.SupplementSupplied():
            reply.components.extend(map(counterparts.COMPONENTS.shown, event.components))
            reply.supplements[-1].supplied_at.CopyFrom(event.at)
        case facts.DossierTransferred():
            reply.transfers.add(
                from_agency=event.from_agency,
                to_agency=event.to_agency,
                reason=opened.get("reason", ""),
                at=event.at,
                succession=event.succession,
            )
        case facts.WithdrawalRequested():
            reply.withdrawals.add(reason=opened.get("reason", ""), requested_at=event.at)
        case facts.WithdrawalDeclined():
            reply.withdrawals[-1].explanation = opened.get("explanation", "")
            reply.withdrawals[-1].declined_at.CopyFrom(event.at)
        case facts.ProcessingStopped():
            reply.stop.cause = counterparts.STORED_STOP_CAUSE.shown(event.cause)
            reply.stop.explanation = opened.get("explanation", "")
            reply.stop.at.CopyFrom(event.at)
        case facts.DeadlineExtended():
            reply.extensions.add(
                original_due_at=event.original_due_at,
                due_at=event.due_at,
                reason=opened.get("reason", ""),
                signer=event.signer,
                at=event.at,
            )
        case facts.FeeAssessed():
            condition = counterparts.STORED_CONDITION.shown(event.condition)
            fee = reply.fees.add(fee_id=event.fee_id, amount=event.amount, condition=condition)
            fee.items.extend(map(counterparts.FEE_ITEMS.shown, event.items))
            fee.stops_unpaid = event.stops_unpaid
            if event.HasField("pay_by"):
                fee.pay_by.CopyFrom(event.pay_by)
        case facts.FeeWaived():
            waiver = reply.waivers.add(fee_id=event.fee_id, amount=event.amount, by=event.by, at=event.at)
            waiver.exemption_codes.extend(_codes(opened.get("exemptions", "")))
            waiver.reason = opened.get("reason", "")
        case facts.DossierReceived():
            reply.receipt_number = event.receipt_number
        case facts.StepAssigned():
            reply.steps.add(
                step_code=event.step_code, role=event.role, assignee_id=event.assignee_id, assigned_at=event.at
            )
        case facts.StepCompleted():
            step = next(s for s in reversed(reply.steps) if s.step_code == event.step_code)
            step.completed_at.CopyFrom(event.at)
        case facts.ResultIssued():
            reply.results.add(
                result_number=event.result_number,
                document_kind=event.document_kind,
                sha256=event.sha256,
                media_type=event.media_type,
                size=event.size,
                issued_at=event.at,
                on_time=event.on_time,
            )
        case facts.ResultReturned():
            reply.delivery_method = counterparts.STORED_DELIVERY_METHOD.shown(event.delivery_method)
        case facts.DossierRated():
            reply.score = event.score


def _codes(text: str) -> list[str]:
    return [text] if text in UNREADABLE else list(filter(None, text.split(",")))


def form_of(text: str) -> Struct:
    if not text or text in UNREADABLE:
        return Struct()
    return ParseDict(json.loads(text), Struct())


def form_text(answers: Mapping[str, Any]) -> str:
    return json.dumps(answers, ensure_ascii=False, sort_keys=True) if answers else ""
