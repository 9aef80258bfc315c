"""From the answers that are to take the place of others to the correction that a decision reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from motcua.dossier.events.v1 import events_pb2 as facts
from motcua.dossier.v1 import dossier_service_pb2 as pb
from services.chassis.calls.answers import form_answers
from services.chassis.calls.call import Call
from services.chassis.decider import Sealed
from services.chassis.deciding.codec import from_timestamp
from services.chassis.deciding.facts import Fact, fact_of
from services.chassis.privacy.sealing import ERASED, LOST, KeyLost, KeyRing, SubjectErased, open_message, unshown
from services.chassis.store.port import RecordedEvent
from services.dossier.benefits import Benefits
from services.dossier.casework import Casework
from services.dossier.commands import Correction
from services.dossier.comparing import changes
from services.dossier.forms import Forms
from services.dossier.law import Question
from services.dossier.reading import form_of, form_text
from services.dossier.request_parts import attached, components_of, fee_id_of
from services.dossier.values import Channel, Component, File, Terms
from services.law import fields
from services.law.cases import Eligibility, following
from services.law.days import local_day
from services.law.definitions import Procedure

CHANGED = Sealed("Nội dung tờ khai được sửa nên phí, lệ phí được tính lại.")


@dataclass(frozen=True, slots=True)
class Supply:
    """What is given later: components, and answers that take the place of others. `documents`: as a submission has them."""

    components: tuple[Component, ...]
    uploaded: Mapping[str, File]
    documents: Mapping[str, str]
    others_documents: Mapping[str, frozenset[str]]
    correction: Correction | None = None


@dataclass(frozen=True, slots=True)
class Corrections:
    casework: Casework
    benefits: Benefits
    forms: Forms
    keys: KeyRing

    async def supply(self, call: Call[pb.CorrectFormRequest | pb.SupplySupplementRequest], *, form: bool) -> Supply:
        """What a request supplies. `form`: whether answers are given, and then raises as _correction. Raises RequestInvalid."""
        components = components_of(call.request.components, call.now)
        state, _ = await self.casework.dossiers.load(call.request.code)
        correction = await self._correction(call) if form else None
        uploaded = await self.casework.take_files(call, attached(components))
        documents = (await self.casework.applicant(state)).documents
        own, others = documents.own(state.applicant_id, call.now), documents.others(state.applicant_id, call.now)
        return Supply(components, uploaded, own, others, correction)

    async def _correction(self, call: Call[pb.CorrectFormRequest | pb.SupplySupplementRequest]) -> Correction:
        """What the answers change and owe.

        Raises RequestInvalid FORM_INVALID, Rejected FORM_UNCHECKABLE, OVERLOADED; SubjectErased, KeyLost; as require_party.
        """
        request, at = call.request, call.now
        history, state = await self.casework.history(call)
        law, known = await self.casework.law.get(), await self.casework.applicant(state)
        used = await self.benefits.used_by_others(state, at)
        procedure = law.version(state.procedure_code, state.procedure_version)
        answers = form_answers(request.form)
        await self.forms.check(procedure, answers, at, required=state.channel is Channel.ONLINE)
        submitted = fact_of(history[0]).event
        submitted_at = from_timestamp(submitted.at)
        agency = law.known_agency(state.competent_agency, submitted_at)
        documents = known.documents.own(state.applicant_id, at)
        citizen = submitted.applicant_kind == facts.APPLICANT_KIND_CITIZEN
        eligibility = Eligibility(
            known.level if citizen else 0, frozenset(documents) if submitted.reuse_consent else ()
        )
        before, granted = await _held(history, procedure, local_day(submitted_at), eligibility, self.keys)
        eligibility = replace(eligibility, confirmed=granted, used=used)

        def priced(form: Mapping[str, Any]) -> Terms:
            # The price is that of the day of submission, as it was when the fee was assessed.
            return law.terms(
                Question(
                    procedure=procedure,
                    channel=state.channel,
                    agency=agency,
                    answers=form,
                    at=submitted_at,
                    eligibility=eligibility,
                )
            )

        return Correction(
            form=Sealed(form_text(answers)),
            changed=tuple(change.path for change in changes(before, answers)),
            version=state.corrections,
            terms=priced(answers),
            before=priced(before).fee_items,
            fee_id=fee_id_of(request.request_id, request.code),
            reason=CHANGED,
            documents=documents,
            reception_calendar=law.calendar_of(state.reception_agency, at),
        )


async def _held(
    history: Sequence[RecordedEvent], procedure: Procedure, day: str, eligibility: Eligibility, keys: KeyRing
) -> tuple[Mapping[str, Any], frozenset[str]]:
    """The newest answers, and the exemptions that officials granted: what followed from the answers then is none of them.

    They are compared, and nothing of them leaves.
    """
    answers: Mapping[str, Any] = {}
    granted: set[str] = set()
    for recorded in history:
        fact = fact_of(recorded)
        match fact.event:
            case facts.DossierSubmitted() | facts.FormCorrected():
                answers = form_answers(form_of(await _opened(fact, "form", keys)))
            case facts.FeeWaived() if await _opened(fact, "reason", keys):
                codes = (await _opened(fact, "exemptions", keys)).split(",")
                granted |= {*codes} - {"", *following(procedure, day, answers, eligibility)}
    return answers, frozenset(granted)


async def _opened(fact: Fact[Any], name: str, keys: KeyRing) -> str:
    event = fact.event
    only = type(event)(code=event.code, applicant_id=event.applicant_id, **{name: getattr(event, name)})
    with unshown():
        text = (await open_message(only, fact.event_id, keys)).get(name, "")
    if text == ERASED:
        raise SubjectErased(only.applicant_id)
    if text == LOST:
        raise KeyLost(only.applicant_id)
    return text


def unknown_fields(procedure: Procedure, wanted: Sequence[str]) -> tuple[str, ...]:
    """The wanted paths that the procedure's form does not ask for."""
    schema = str(procedure.form.schema) if procedure.form else ""
    return tuple(path for path in wanted if not fields.has(schema, path))
