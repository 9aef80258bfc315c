"""A document as its subject and officials read it, folded from its stream; always fresh."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from motcua.warehouse.events.v1 import events_pb2 as w
from motcua.warehouse.v1 import warehouse_pb2
from services.chassis.decider import Rejected
from services.chassis.deciding.caller import Caller
from services.chassis.deciding.codec import from_timestamp
from services.chassis.deciding.facts import fact_of
from services.chassis.grounds.concern import require_impartial
from services.chassis.privacy.sealing import ERASED, KeyRing, open_message, require_concerned
from services.chassis.store.port import RecordedEvent
from services.warehouse.counterparts import SOURCE
from services.warehouse.domain import Document
from services.warehouse.queries import status_of
from services.warehouse.refusals import Refused

OTHERS = frozenset({"official", "system"})


def may_read(caller: Caller, state: Document) -> bool:
    """Of a document that is kept: its subject or guardian may, and officials and systems, who leave a fact."""
    return bool(state.account_id) and (owns(caller, state) or caller.kind in OTHERS)


def owns(caller: Caller, state: Document) -> bool:
    return caller.actor in (state.account_id, state.guardian_id)


def answerable(caller: Caller, state: Document, restricted: Collection[str]) -> str:
    """Whose leave counts, and who sees that it was opened: the person; or the guardian, of one who has no account, or where it is
    opened for the guardian's dossier.

    Raises Rejected NO_CONCERN, OWN_AFFAIR, ACCOUNT_RESTRICTED.
    """
    if owns(caller, state):
        return caller.actor
    if state.guardian_id and not state.unlinked:
        try:
            require_concerned(state.account_id)
        except Rejected as rejected:
            if rejected.reason != "NO_CONCERN":
                raise
        else:
            return state.account_id
        require_impartial(caller, state.account_id)
        if state.account_id in restricted:
            raise Refused("ACCOUNT_RESTRICTED")
    subject = state.guardian_id or state.account_id
    require_concerned(subject)
    return subject


async def document_of(
    history: Sequence[RecordedEvent], to_subject: bool, keys: KeyRing, now: datetime
) -> warehouse_pb2.Document:
    reply = warehouse_pb2.Document(revision=history[-1].revision)
    for recorded in history:
        fact = fact_of(recorded)
        match event := fact.event:
            case w.DocumentKept():
                for field in (
                    "document_id",
                    "account_id",
                    "document_kind",
                    "agency",
                    "document_number",
                    "sha256",
                    "media_type",
                    "size",
                    "guardian_id",
                ):
                    setattr(reply, field, getattr(event, field))
                reply.source, reply.dossier_code = SOURCE.shown(event.source), event.code
                reply.kept_at.CopyFrom(event.at)
                reply.valid_from.CopyFrom(event.valid_from)
                if event.HasField("valid_until"):
                    reply.valid_until.CopyFrom(event.valid_until)
            case w.DocumentLinked():
                reply.account_id, reply.guardian_id = event.account_id, event.guardian_id
                reply.linked_at.CopyFrom(event.at)
                reply.link_reason = (await open_message(event, fact.event_id, keys)).get("reason", "")
            case w.DocumentReused():
                reply.reuses.add(dossier_code=event.code, component_code=event.component_code, at=event.at)
            case w.DocumentRead() if to_subject:
                reply.readings.add(at=event.at, by=event.by, agency=event.agency, purpose=event.purpose)
            case w.DocumentRevoked():
                reply.revoked_at.CopyFrom(event.at)
                reply.revocation_reason = (await open_message(event, fact.event_id, keys)).get("reason", "")
    until = from_timestamp(reply.valid_until) if reply.HasField("valid_until") else None
    reply.status = status_of(reply.HasField("revoked_at"), from_timestamp(reply.valid_from), until, now)
    return reply


def erased(history: Sequence[RecordedEvent], state: Document) -> warehouse_pb2.Document:
    """What is left of it: that it was."""
    kept: w.DocumentKept = fact_of(history[0]).event
    return warehouse_pb2.Document(
        document_id=kept.document_id,
        account_id=state.account_id,
        document_kind=kept.document_kind,
        source=SOURCE.shown(kept.source),
        agency=kept.agency,
        document_number=ERASED,
        kept_at=kept.at,
        guardian_id=state.guardian_id,
        status=warehouse_pb2.DOCUMENT_STATUS_ERASED,
        revision=history[-1].revision,
    )
