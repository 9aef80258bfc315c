"""From the answers that are to take the place of others to the correction that a decision reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from motcua.dossier.events.v1 import events_pb2 as facts
from services.chassis.codec import from_timestamp
from services.chassis.comparing import changes
from services.chassis.decider import Sealed
from services.chassis.facts import fact_of
from services.chassis.law import fields
from services.chassis.law.cases import form_answers
from services.chassis.law.definitions import Procedure
from services.chassis.privacy import ERASED, LOST, KeyLost, KeyRing, SubjectErased, open_message, unshown
from services.chassis.store.port import RecordedEvent
from services.dossier.commands import Correction
from services.dossier.domain import Dossier
from services.dossier.forms import Forms
from services.dossier.law import Law
from services.dossier.reading import form_of, form_text
from services.dossier.values import Channel


async def correction_of(
    history: Sequence[RecordedEvent], state: Dossier, given: Any, at: datetime, law: Law, forms: Forms, keys: KeyRing
) -> Correction:
    """`state`: of this history. Raises Invalid FORM_INVALID, Rejected FORM_UNCHECKABLE, OVERLOADED; SubjectErased, KeyLost."""
    procedure = law.version(state.procedure_code, state.procedure_version)
    answers = form_answers(given)
    await forms.check(procedure, answers, at, required=state.channel is Channel.ONLINE)
    before, submitted_at = await _held(history, keys), from_timestamp(fact_of(history[0]).event.at)
    agency = law.known_agency(state.competent_agency, submitted_at)
    # The price is that of the day of submission, as it was when the fee was assessed.
    now, then = (law.terms(procedure, state.channel, agency, one, submitted_at) for one in (answers, before))
    return Correction(
        form=Sealed(form_text(answers)),
        changed=tuple(change.path for change in changes(before, answers)),
        version=state.corrections,
        terms=now,
        price=sum(item.amount for item in then.fee_items),
    )


async def _held(history: Sequence[RecordedEvent], keys: KeyRing) -> Mapping[str, Any]:
    """The newest answers. They are compared, and nothing of them leaves."""
    for recorded in reversed(history):
        fact = fact_of(recorded)
        if not isinstance(fact.event, facts.DossierSubmitted | facts.FormCorrected):
            continue
        only = type(fact.event)(code=fact.event.code, applicant_id=fact.event.applicant_id, form=fact.event.form)
        with unshown():
            text = (await open_message(only, UUID(str(fact.event_id)), keys)).get("form", "")
        if text == ERASED:
            raise SubjectErased(only.applicant_id)
        if text == LOST:
            raise KeyLost(only.applicant_id)
        return form_answers(form_of(text))
    return {}


def unknown_fields(procedure: Procedure, wanted: Sequence[str]) -> tuple[str, ...]:
    """Those that the procedure's form does not ask for."""
    schema = str(procedure.form.schema) if procedure.form else ""
    return tuple(path for path in wanted if not fields.has(schema, path))
