"""Drafts as their applicants save, read and submit them."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID, uuid5

from motcua.dossier.events.v1 import events_pb2 as facts
from motcua.dossier.v1 import dossier_pb2
from motcua.dossier.v1 import dossier_service_pb2 as pb
from services.chassis.calls.answers import form_answers
from services.chassis.calls.call import Call
from services.chassis.calls.paging import Page
from services.chassis.decider import Sealed
from services.chassis.deciding.caller import Origin
from services.chassis.deciding.facts import fact_of
from services.chassis.deciding.handler import Handler, Outcome
from services.chassis.following.views import RunningView, Snapshot
from services.chassis.privacy.sealing import KeyRing
from services.chassis.store.port import NO_STREAM
from services.chassis.work.batching import Batched
from services.dossier import commands as c
from services.dossier.accounts import KnownAccount
from services.dossier.domain.components import named
from services.dossier.domain.state import Dossier
from services.dossier.draft import commands as d
from services.dossier.draft.domain import Draft, require_usable
from services.dossier.draft.events import Event as DraftEvent
from services.dossier.events import Event
from services.dossier.law import Law
from services.dossier.queries import begun, draft_of, drafts_of
from services.dossier.reading import form_text
from services.dossier.refusals import Refused
from services.dossier.request_parts import attached, components_of
from services.dossier.uploads import Uploads, owner_of

MOST_DRAFTS = 50


@dataclass(frozen=True, slots=True)
class Drafts:
    drafts: Handler[d.Command, Draft, DraftEvent]
    dossiers: Handler[c.Command, Dossier, Event]
    lists: RunningView
    law: Snapshot[Law]
    people: Batched[str, KnownAccount]
    uploads: Uploads
    keys: KeyRing
    site: str

    async def save(self, call: Call[pb.SaveDraftRequest]) -> tuple[str, Outcome[DraftEvent]]:
        """The draft's id, and what saving led to.

        Raises RequestInvalid, Rejected TOO_MANY_DRAFTS, COMPONENT_UNKNOWN, ...; as Law.in_force and Law.agency_here; as SaveDraft.
        """
        request, applicant_id, now = call.request, call.caller.actor, call.now
        draft_id = request.draft_id or str(uuid5(UUID(request.request_id), "draft"))
        if not request.draft_id:
            await self._require_room(call, draft_id)
        law, components = await self.law.get(), components_of(request.components, now)
        form = Sealed(form_text(form_answers(request.form)))
        there = await self.uploads.begun(owner_of(call.caller), attached(components))
        documents = (await self.people.get(applicant_id) or KnownAccount()).documents
        held = {*documents.own(applicant_id, now).values()}.union(*documents.others(applicant_id, now).values())

        # Asked within execute: a request that was answered once is answered so again, whatever the law says by now.
        def command(_: Draft) -> d.SaveDraft:
            procedure = law.in_force(request.procedure_code, now)
            if request.reception_agency:
                law.agency_here(request.reception_agency, now, self.site)
            named(components, {component.code for component in procedure.components}, there, held)
            return d.SaveDraft(
                draft_id=draft_id,
                by=applicant_id,
                at=now,
                procedure_code=request.procedure_code,
                form=form,
                components=components,
                reception_agency=request.reception_agency,
                new=not request.draft_id,
            )

        return draft_id, await self.drafts.execute(draft_id, command, call.origin, creates=not request.draft_id)

    async def _require_room(self, call: Call[pb.SaveDraftRequest], draft_id: str) -> None:
        """Raises Rejected TOO_MANY_DRAFTS."""
        full = await self.lists.read(lambda db: drafts_of(db, call.caller.actor)) >= MOST_DRAFTS
        if full and not await self.drafts.outcome_of(draft_id, call.origin):
            raise Refused("TOO_MANY_DRAFTS", limit=str(MOST_DRAFTS))

    async def get(self, call: Call[pb.GetDraftRequest]) -> dossier_pb2.Draft:
        """The caller's own draft, while it is open. Raises Rejected DRAFT_NOT_FOUND."""
        history = await self.drafts.read(call.request.draft_id)
        for recorded in reversed(history):
            event = fact_of(recorded).event
            if isinstance(event, facts.DraftClaimed):
                continue
            if isinstance(event, facts.DraftSaved) and event.applicant_id == call.caller.actor:
                revision = history[-1].revision
                return await draft_of(event.draft_id, str(recorded.id), revision, recorded.data, self.keys)
            break
        raise Refused("DRAFT_NOT_FOUND", draft_id=call.request.draft_id)

    async def list(self, call: Call[pb.ListDraftsRequest]) -> Page[dossier_pb2.Draft]:
        page = await call.page(self.lists, begun(call.caller.actor))
        found = [await draft_of(row.draft_id, row.event_id, row.revision, row.saved, self.keys) for row in page.rows]
        return Page(found, page.token)

    async def discard(self, call: Call[pb.DiscardDraftRequest]) -> Outcome[DraftEvent]:
        command = d.DiscardDraft(by=call.caller.actor, at=call.now)
        return await self.drafts.execute(call.request.draft_id, command, call.origin)

    async def require_usable(self, call: Call[pb.SubmitDossierRequest]) -> None:
        """Refuses a named draft that is not the applicant's, of another procedure or a dossier already. Raises as ClaimDraft."""
        request = call.request
        if request.draft_id:
            state, _ = await self.drafts.load(request.draft_id)
            applicant = request.applicant_id or call.caller.account_id
            require_usable(state, applicant, request.draft_id, request.procedure_code)
            if await self._is_there(state.claimed):
                raise Refused("DRAFT_CLOSED")

    async def claim(self, command: c.SubmitDossier, origin: Origin) -> None:
        """Claims the draft for this submission: of several at the same time one goes on.

        Raises Rejected DRAFT_CLOSED, DRAFT_BEING_SUBMITTED, ...
        """
        submission = command.submission
        if not submission.draft_id:
            return
        state, _ = await self.drafts.load(submission.draft_id)
        there = await self._is_there(state.claimed)
        claim = d.ClaimDraft(
            by=submission.by.actor_id,
            at=submission.at,
            draft_id=submission.draft_id,
            applicant_id=submission.applicant_id,
            procedure_code=submission.terms.procedure_code,
            code=command.code,
            found=state.claimed if there else "",
            absent="" if there else state.claimed,
        )
        await self.drafts.execute(submission.draft_id, claim, origin.named(f"claim for {command.code}"))

    async def _is_there(self, code: str) -> bool:
        return bool(code) and (await self.dossiers.load(code))[1] > NO_STREAM
