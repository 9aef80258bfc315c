"""The dossier service's entry points."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from dataclasses import replace
from datetime import date, datetime
from functools import partial
from typing import Any
from uuid import UUID, uuid5

import structlog
from sqlalchemy import Connection, Select

from motcua.dossier.events.v1 import events_pb2 as facts
from motcua.dossier.v1 import dossier_service_pb2 as pb
from motcua.dossier.v1 import errors_pb2
from motcua.identity.events.v1 import events_pb2 as identity
from motcua.payment.events.v1 import events_pb2 as payment
from services.chassis.blobs.signed import UNVERIFIED
from services.chassis.calls.answers import form_answers
from services.chassis.database.database import utc
from services.chassis.decider import Rejected, Sealed
from services.chassis.deciding.caller import Caller, Origin
from services.chassis.deciding.codec import from_timestamp, to_timestamp
from services.chassis.deciding.facts import Fact, fact_of
from services.chassis.deciding.handler import Outcome
from services.chassis.following.erasures import shreds
from services.chassis.following.in_force import law
from services.chassis.following.standing import restricted
from services.chassis.following.views import position_token
from services.chassis.frame import dependencies
from services.chassis.frame.entrypoints import api, every, observed, on
from services.chassis.frame.replies import replied, told
from services.chassis.frame.watching import Happened, watching
from services.chassis.privacy.sealing import SubjectErased, opened
from services.chassis.store.port import NO_STREAM, RecordedEvent
from services.chassis.telemetry import telemetry
from services.chassis.telemetry.gauges import Sample
from services.dossier import commands as c
from services.dossier import draft as d
from services.dossier import gauges
from services.dossier.benefits import Turns, benefits, is_limited, used_up, waived_for
from services.dossier.codec import dossier_codec, draft_codec
from services.dossier.codes import Wanted, allocate, codes, forget, given_to
from services.dossier.components import named
from services.dossier.correcting import correction_of, unknown_fields
from services.dossier.domain import Dossier, dossier
from services.dossier.draft import draft
from services.dossier.events import (
    DeadlineExtended,
    DossierReceived,
    DossierSubmitted,
    Event,
    FeeAssessed,
    FeeWaived,
    ResultIssued,
    StepCompleted,
    SupplementSupplied,
)
from services.dossier.forms import Forms
from services.dossier.holdings import holdings
from services.dossier.law import Law
from services.dossier.officials import officials, roles_of
from services.dossier.parties import may_act, names, office_of, require_party
from services.dossier.queries import (
    begun,
    draft_of,
    drafts_of,
    due_query,
    forward_query,
    homed_query,
    mine,
    oldest_due_query,
    reception_due_query,
    recount_query,
    search,
    summaries,
    unpaid_query,
    work,
)
from services.dossier.reading import entry_of, files_of, form_text, public_entry_of, shown, state_of
from services.dossier.reception import (
    Known,
    actor_of,
    attached,
    coded,
    components_of,
    data_faults_of,
    fee_id_of,
    known_accounts,
    paper_days_of,
    require_open_window,
    require_unused,
    submission,
)
from services.dossier.registry import Registry
from services.dossier.uploads import Uploads, owner_of
from services.dossier.values import (
    Actor,
    Channel,
    ComponentSource,
    DeliveryMethod,
    FeeItem,
    File,
    Route,
    StopCause,
    Terms,
)
from services.dossier.views import lists
from services.law.course import FeeCondition, Settlement
from services.law.dated import holds, site_terms
from services.law.days import ZONE, local_day
from services.law.deadlines import Term
from services.law.definitions import Procedure

log = structlog.get_logger()

CLOCK = Actor("service:dossier")
SUCCESSION = Sealed("Cơ quan đã giải thể; cơ quan kế thừa tiếp tục giải quyết.")
UNPAID = Sealed("Đã hết thời hạn nộp phí, lệ phí mà chưa nộp.")
FORWARDED = Sealed("Chuyển đến cơ quan có thẩm quyền giải quyết trong thời hạn luật định.")
CODE_ATTEMPTS = 5
MOST_DRAFTS = 50
# Refunds that leave the fee as it was.
NOT_THE_FEE = (payment.RefundCause.REFUND_CAUSE_SURPLUS, payment.RefundCause.REFUND_CAUSE_UNMATCHED)

Make = Callable[[Dossier, Actor, datetime, Law], c.Command]


class DossierService:
    """Takes applications from draft to returned result."""

    name = "dossier"
    rpcs = pb.DESCRIPTOR.services_by_name["DossierService"]
    errors = errors_pb2.DossierError.DESCRIPTOR

    dossiers = dependencies.decisions("dossier", dossier, dossier_codec)
    drafts = dependencies.decisions("draft", draft, draft_codec)
    lists = dependencies.view(lists)
    pages = dependencies.pages()
    codes = dependencies.view(codes)
    allocation = dependencies.gathered(allocate, writes=True)
    people = dependencies.gathered(known_accounts)
    holdings = dependencies.view(holdings)
    benefits = dependencies.view(benefits)
    turns = dependencies.made(lambda _: Turns())
    officials = dependencies.view(officials)
    restricted = dependencies.view(restricted)
    law = dependencies.snapshot(law, Law)
    uploads = dependencies.made(Uploads.of, Uploads.close)
    forms = dependencies.made(lambda _: Forms(), Forms.close)
    watchers = watching("motcua.dossier.events.v1.")
    blobs = dependencies.blobs()
    keys = dependencies.keys()
    clock = dependencies.clock()
    platform = dependencies.platform()

    @property
    def registry(self) -> Registry:
        return Registry(self.platform.store, self.platform.verifier.standing)

    @property
    def reception_terms(self) -> tuple[tuple[date, Term], ...]:
        return site_terms(self.platform.settings.reception_terms)

    async def _change(self, request: Any, caller: Caller, make: Make) -> Outcome[Event]:
        """Execute the command that `make` builds for the dossier's state."""
        now, known, actor = self.clock.now(), await self.law.get(), actor_of(caller)

        def command(state: Dossier) -> c.Command:
            require_party(caller, state, known, self.platform.verifier.standing, request.code)
            return make(state, actor, now, known)

        return await self.dossiers.execute(request.code, command, _origin(request, caller))

    # Drafts and uploads

    @api
    async def save_draft(self, request: pb.SaveDraftRequest, caller: Caller) -> pb.SaveDraftResponse:
        new, origin = not request.draft_id, _origin(request, caller)
        draft_id = request.draft_id or str(uuid5(UUID(request.request_id), "draft"))
        full = new and await self.lists.read(lambda db: drafts_of(db, caller.actor)) >= MOST_DRAFTS
        if full and not await self.drafts.earlier(draft_id, origin):
            raise Rejected("TOO_MANY_DRAFTS", limit=str(MOST_DRAFTS))
        now, known = self.clock.now(), await self.law.get()
        components = components_of(request.components, now)
        form = Sealed(form_text(form_answers(request.form)))
        there = await self.uploads.begun(owner_of(caller), attached(components))
        documents = (await self.people.get(caller.actor) or Known()).documents
        held = {*documents.own(caller.actor, now).values()}.union(*documents.others(caller.actor, now).values())

        def command(_: d.Draft) -> d.SaveDraft:
            procedure = known.in_force(request.procedure_code, now)
            if request.reception_agency:
                known.agency_here(request.reception_agency, now, self.platform.settings.site)
            named(components, {component.code for component in procedure.components}, there, held)
            return d.SaveDraft(
                draft_id, caller.actor, now, request.procedure_code, form, components, request.reception_agency, new
            )

        outcome = await self.drafts.execute(draft_id, command, origin, creates=new)
        return replied(pb.SaveDraftResponse, outcome, draft_id=draft_id)

    @api
    async def get_draft(self, request: pb.GetDraftRequest, caller: Caller) -> pb.GetDraftResponse:
        history = await self.drafts.read(request.draft_id)
        for recorded in reversed(history):
            event = fact_of(recorded).event
            if isinstance(event, facts.DraftClaimed):
                continue
            if isinstance(event, facts.DraftSaved) and event.applicant_id == caller.actor:
                revision = history[-1].revision
                found = await draft_of(event.draft_id, str(recorded.id), revision, recorded.data, self.keys)
                return pb.GetDraftResponse(draft=found)
            break
        raise Rejected("DRAFT_NOT_FOUND", draft_id=request.draft_id)

    @api
    async def list_drafts(self, request: pb.ListDraftsRequest, caller: Caller) -> pb.ListDraftsResponse:
        page = await self.pages.read(request, caller, self.lists, begun(caller.actor))
        found = [await draft_of(row.draft_id, row.event_id, row.revision, row.saved, self.keys) for row in page.rows]
        return pb.ListDraftsResponse(drafts=found, next_page_token=page.token)

    @api
    async def discard_draft(self, request: pb.DiscardDraftRequest, caller: Caller) -> pb.DiscardDraftResponse:
        command = d.DiscardDraft(caller.actor, self.clock.now())
        return replied(
            pb.DiscardDraftResponse, await self.drafts.execute(request.draft_id, command, _origin(request, caller))
        )

    @api
    async def create_upload(self, request: pb.CreateUploadRequest, caller: Caller) -> pb.CreateUploadResponse:
        upload = await self.uploads.create(owner_of(caller), request.media_type, request.size, request.sha256)
        return pb.CreateUploadResponse(upload=upload)

    @api
    async def upload_chunk(self, request: pb.UploadChunkRequest, caller: Caller) -> pb.UploadChunkResponse:
        upload = await self.uploads.add(owner_of(caller), request.upload_id, request.offset, request.data)
        return pb.UploadChunkResponse(upload=upload)

    @api
    async def get_upload(self, request: pb.GetUploadRequest, caller: Caller) -> pb.GetUploadResponse:
        return pb.GetUploadResponse(upload=await self.uploads.get(owner_of(caller), request.upload_id))

    @api
    async def read_upload(self, request: pb.ReadUploadRequest, caller: Caller) -> AsyncIterator[pb.ReadUploadResponse]:
        media_type, content = await self.uploads.read(owner_of(caller), request.upload_id)
        async for data in content:
            yield pb.ReadUploadResponse(media_type=media_type, data=data, signature_unverified=media_type in UNVERIFIED)

    # Submission and reading

    @api
    async def submit_dossier(self, request: pb.SubmitDossierRequest, caller: Caller) -> pb.SubmitDossierResponse:
        day, law = local_day(self.clock.now()), await self.law.get()
        procedure = law.offered(request.procedure_code, self.clock.now())
        if procedure is None or not is_limited(procedure, day):
            return await self._submit(request, caller)
        async with self.turns.turn(request.applicant_id or caller.account_id):
            return await self._submit(request, caller)

    async def _used_up(self, procedure: Procedure, applicant_id: str, day: str, own: str = "") -> frozenset[str]:
        """Raises Rejected NOT_READY while the view is behind the log."""
        if not is_limited(procedure, day):
            return frozenset()
        head = position_token(await self.platform.store.head())
        rows = await self.benefits.read(lambda db: waived_for(db, applicant_id), head)
        return await used_up(rows, procedure, day, own, self.dossiers.load, self.keys)

    async def _turn(self, code: str) -> asyncio.Lock:
        """Of the dossier's applicant."""
        state, _ = await self.dossiers.load(code)
        return self.turns.turn(state.applicant_id)

    async def _used_by_others(self, state: Dossier) -> frozenset[str]:
        law = await self.law.get()
        procedure = law.version(state.procedure_code, state.procedure_version)
        day = local_day(state.submitted_at or self.clock.now())
        return await self._used_up(procedure, state.applicant_id, day, state.code)

    async def _submit(self, request: pb.SubmitDossierRequest, caller: Caller) -> pb.SubmitDossierResponse:
        now, known, origin = self.clock.now(), await self.law.get(), _origin(request, caller)
        try:
            sender = require_open_window(self.platform.settings, Channel(request.channel), caller, now)
            await self._require_draft(request, caller)
            command = await submission(
                request,
                sender,
                now,
                known,
                self.people,
                self.registry,
                self.uploads,
                self.keys,
                self.forms,
                self.reception_terms,
                self.platform.settings.site,
                lambda procedure, applicant_id: self._used_up(procedure, applicant_id, local_day(now)),
            )
            dossier.decide(command, dossier.initial)  # what is refused takes no code
            await self.uploads.take(owner_of(caller), command.applicant_id, command.uploaded)
        except Rejected:
            # What was accepted once is answered for ever, whatever the law says by now.
            given = await self.codes.read(lambda db: given_to(db, origin.request_id))
            if earlier := await self._submitted_as(given, origin):
                return _submitted(earlier)
            raise
        wanted = Wanted(command.reception_agency, now.astimezone(ZONE).strftime("%Y%m%d"), origin.request_id)
        for _ in range(CODE_ATTEMPTS):
            found = await self.allocation.get(wanted)
            if found is None:
                raise Rejected("CODES_EXHAUSTED", organisation=wanted.organisation)
            if earlier := await self._submitted_as(found.others, origin):
                return _submitted(earlier)
            try:
                now_coded = coded(command, found.code, origin)
                await self._claim_draft(now_coded, origin)
                async with asyncio.timeout(d.CLAIMED.total_seconds() / 2):
                    return _submitted(await self.dossiers.execute(found.code, now_coded, origin, creates=True))
            except TimeoutError:
                raise Rejected("OVERLOADED") from None
            except Rejected as rejected:
                if rejected.reason != "ALREADY_SUBMITTED":
                    raise
                await self.codes.write(partial(forget, code=found.code))
        raise Rejected("OVERLOADED")

    async def _require_draft(self, request: pb.SubmitDossierRequest, caller: Caller) -> None:
        """That the draft, if one is named, is the applicant's, of this procedure and no dossier yet. Raises as ClaimDraft."""
        if request.draft_id:
            state, _ = await self.drafts.load(request.draft_id)
            applicant = request.applicant_id or caller.account_id
            d.require_usable(state, applicant, request.draft_id, request.procedure_code)
            if await self._is_there(state.claimed):
                raise Rejected("DRAFT_CLOSED")

    async def _claim_draft(self, command: c.SubmitDossier, origin: Origin) -> None:
        """Of submissions of one draft at the same time one goes on. Raises Rejected DRAFT_CLOSED, DRAFT_BEING_SUBMITTED, ..."""
        if not command.draft_id:
            return
        state, _ = await self.drafts.load(command.draft_id)
        before = {"found": state.claimed} if await self._is_there(state.claimed) else {"absent": state.claimed}
        claim = d.ClaimDraft(
            command.by.actor_id,
            command.at,
            command.draft_id,
            command.applicant_id,
            command.terms.procedure_code,
            command.code,
            **before,
        )
        await self.drafts.execute(command.draft_id, claim, origin.named(f"claim for {command.code}"))

    async def _is_there(self, code: str) -> bool:
        return bool(code) and (await self.dossiers.load(code))[1] > NO_STREAM

    async def _submitted_as(self, codes: Sequence[str], origin: Origin) -> Outcome[Event] | None:
        for code in codes:
            if earlier := await self.dossiers.earlier(code, origin):
                return earlier
        return None

    @api
    async def get_dossier(self, request: pb.GetDossierRequest, caller: Caller) -> pb.GetDossierResponse:
        history, state = await self._history(request.code, caller)
        return pb.GetDossierResponse(dossier=await shown(history, state, self.keys, self.clock.now()))

    @api
    async def list_my_dossiers(self, request: pb.ListMyDossiersRequest, caller: Caller) -> pb.ListMyDossiersResponse:
        page = await self.pages.read(request, caller, self.lists, mine(caller.account_id, request.settlement))
        found = await summaries(page.rows, self.clock.now(), await self.law.get(), self.keys)
        return pb.ListMyDossiersResponse(dossiers=found, next_page_token=page.token)

    @api
    async def list_work(self, request: pb.ListWorkRequest, caller: Caller) -> pb.ListWorkResponse:
        now = self.clock.now()
        law = await self.law.get()
        listing = work(names(caller, law), office_of(caller, law), caller.account_id, request, now)
        page = await self.pages.read(request, caller, self.lists, listing)
        found = await summaries(page.rows, now, law, self.keys)
        return pb.ListWorkResponse(dossiers=found, next_page_token=page.token)

    @api
    async def search_dossiers(self, request: pb.SearchDossiersRequest, caller: Caller) -> pb.SearchDossiersResponse:
        law = await self.law.get()
        page = await self.pages.read(request, caller, self.lists, search(names(caller, law), request))
        found = await summaries(page.rows, self.clock.now(), law, self.keys)
        return pb.SearchDossiersResponse(dossiers=found, next_page_token=page.token)

    @api
    async def list_history(self, request: pb.ListHistoryRequest, caller: Caller) -> pb.ListHistoryResponse:
        history, _ = await self._history(request.code, caller)
        page = self.pages.cut(request, caller, history, lambda event: (event.revision,))
        entries = [await entry_of(fact_of(event), self.keys) for event in page.rows]
        return pb.ListHistoryResponse(entries=entries, next_page_token=page.token)

    @api
    async def watch_dossier(
        self, request: pb.WatchDossierRequest, caller: Caller
    ) -> AsyncIterator[pb.WatchDossierResponse]:
        await self._history(request.code, caller)
        async for news in self.watchers.watch(f"dossier-{request.code}", request.resume_token):
            entry = None
            if isinstance(news, Happened):
                state, _ = await self.dossiers.load(request.code)
                require_party(caller, state, await self.law.get(), self.platform.verifier.standing, request.code)
                entry = await entry_of(fact_of(news.event), self.keys)
            yield told(pb.WatchDossierResponse, news, entry)

    @api
    async def track_dossier(
        self, request: pb.TrackDossierRequest, caller: Caller
    ) -> AsyncIterator[pb.TrackDossierResponse]:
        if not await self.dossiers.read(request.code):
            raise Rejected("NOT_FOUND", code=request.code)
        async for news in self.watchers.watch(f"dossier-{request.code}", request.resume_token):
            entry = public_entry_of(fact_of(news.event)) if isinstance(news, Happened) else None
            yield told(pb.TrackDossierResponse, news, entry)

    @api
    async def get_attachment(
        self, request: pb.GetAttachmentRequest, caller: Caller
    ) -> AsyncIterator[pb.GetAttachmentResponse]:
        history, state = await self._history(request.code, caller)
        files = files_of(history, state)
        sha256 = request.sha256.lower()
        if sha256 not in files:
            raise Rejected("ATTACHMENT_UNKNOWN", sha256=sha256, component="-")
        opened(state.applicant_id, request.code)
        media_type = files[sha256]
        try:
            async for data in self.blobs.read(state.applicant_id, sha256):
                yield pb.GetAttachmentResponse(
                    media_type=media_type, data=data, signature_unverified=media_type in UNVERIFIED
                )
        except SubjectErased:
            yield pb.GetAttachmentResponse(media_type=media_type, erased=True)

    # Settlement

    @api
    async def receive_dossier(self, request: pb.ReceiveDossierRequest, caller: Caller) -> pb.ReceiveDossierResponse:
        paper_days = paper_days_of(request.paper_days, self.clock.now())

        def make(state: Dossier, by: Actor, at: datetime, law: Law) -> c.Command:
            terms, route = _reception_terms(state, law, at), _route(state, law, at)
            return c.ReceiveDossier(by, at, _receipt(state), terms, route, paper_days)

        outcome = await self._change(request, caller, make)
        received = _one(outcome, DossierReceived)
        due = to_timestamp(received.due_at) if received.due_at else None
        return replied(
            pb.ReceiveDossierResponse,
            outcome,
            receipt_number=received.receipt_number,
            due_at=due,
            provisional=received.provisional,
        )

    @api
    async def refuse_dossier(self, request: pb.RefuseDossierRequest, caller: Caller) -> pb.RefuseDossierResponse:
        outcome = await self._change(
            request, caller, lambda _, by, at, __: c.RefuseDossier(by, at, Sealed(request.reason))
        )
        return replied(pb.RefuseDossierResponse, outcome)

    @api
    async def correct_form(self, request: pb.CorrectFormRequest, caller: Caller) -> pb.CorrectFormResponse:
        if earlier := await self.dossiers.earlier(request.code, _origin(request, caller)):
            return replied(pb.CorrectFormResponse, earlier)
        components = components_of(request.components, self.clock.now())
        correction, state = await self._correction(request, caller)
        uploaded = await self._taken(state, attached(components), caller)
        others = (await self._known(state)).documents.others(state.applicant_id, self.clock.now())
        outcome = await self._change(
            request,
            caller,
            lambda _, by, at, __: c.CorrectForm(by, at, correction, components, uploaded, others),
        )
        return replied(pb.CorrectFormResponse, outcome)

    async def _correction(self, request: Any, caller: Caller) -> tuple[c.Correction, Dossier]:
        """And the state that it corrects. Raises as require_party and correction_of."""
        history, state = await self._history(request.code, caller)
        now, law, known = self.clock.now(), await self.law.get(), await self._known(state)
        fee_id, used = fee_id_of(request.request_id, request.code), await self._used_by_others(state)
        correction = await correction_of(
            history, state, request.form, now, law, known, self.forms, self.keys, fee_id, used
        )
        return correction, state

    async def _known(self, state: Dossier) -> Known:
        return await self.people.get(state.applicant_id) or Known()

    @api
    async def request_supplement(
        self, request: pb.RequestSupplementRequest, caller: Caller
    ) -> pb.RequestSupplementResponse:
        wanted, explanation = tuple(request.component_codes), Sealed(request.explanation)
        fields, faults = tuple(request.form_fields), data_faults_of(request.data_faults)

        def make(state: Dossier, by: Actor, at: datetime, law: Law) -> c.Command:
            unknown = unknown_fields(law.version(state.procedure_code, state.procedure_version), fields)
            terms, once = _terms(state, law, at), holds("one_notice", at)
            return c.RequestSupplement(by, at, wanted, explanation, terms, fields, unknown, faults, once)

        return replied(pb.RequestSupplementResponse, await self._change(request, caller, make))

    @api
    async def supply_supplement(
        self, request: pb.SupplySupplementRequest, caller: Caller
    ) -> pb.SupplySupplementResponse:
        components = components_of(request.components, self.clock.now())
        state, _ = await self.dossiers.load(request.code)
        uploaded = await self._taken(state, attached(components), caller)
        held = (await self._known(state)).documents
        correction = (await self._correction(request, caller))[0] if request.HasField("form") else None

        def make(state: Dossier, by: Actor, at: datetime, law: Law) -> c.Command:
            kept = _terms(state, law, at)
            reception = _reception_terms(state, law, at) if state.received_at is None else kept
            own, others = held.own(state.applicant_id, at), held.others(state.applicant_id, at)
            route = _route(state, law, at)
            return c.SupplySupplement(
                by, at, components, uploaded, own, _receipt(state), kept, reception, correction, others, route
            )

        outcome = await self._change(request, caller, make)
        said = _one(outcome, SupplementSupplied)
        said = next((event for event in outcome.events if isinstance(event, DossierReceived)), said)
        due = to_timestamp(said.due_at) if said.due_at else None
        return replied(pb.SupplySupplementResponse, outcome, due_at=due, provisional=said.provisional)

    @api
    async def assign_step(self, request: pb.AssignStepRequest, caller: Caller) -> pb.AssignStepResponse:
        now = self.clock.now()
        roles = await self.officials.read(lambda db: roles_of(db, request.assignee_id, caller.agency, now))
        outcome = await self._change(
            request,
            caller,
            lambda state, by, at, law: c.AssignStep(
                by, at, request.step_code, request.assignee_id, _terms(state, law, at), roles
            ),
        )
        return replied(pb.AssignStepResponse, outcome)

    @api
    async def complete_step(self, request: pb.CompleteStepRequest, caller: Caller) -> pb.CompleteStepResponse:
        outcome = await self._change(
            request,
            caller,
            lambda state, by, at, law: c.CompleteStep(
                by, at, request.step_code, Sealed(request.note), _terms(state, law, at)
            ),
        )
        following = _one(outcome, StepCompleted).next_step_code
        return replied(pb.CompleteStepResponse, outcome, next_step_code=following)

    @api
    async def transfer_dossier(self, request: pb.TransferDossierRequest, caller: Caller) -> pb.TransferDossierResponse:
        def make(state: Dossier, by: Actor, at: datetime, law: Law) -> c.Command:
            procedure, site = law.version(state.procedure_code, state.procedure_version), self.platform.settings.site
            law.named(procedure, request.to_agency, law.known_agency(state.reception_agency, at), at, site)
            return c.TransferDossier(
                by, at, request.to_agency, Sealed(request.reason), law.calendar_of(request.to_agency, at)
            )

        return replied(pb.TransferDossierResponse, await self._change(request, caller, make))

    @api
    async def assess_fee(self, request: pb.AssessFeeRequest, caller: Caller) -> pb.AssessFeeResponse:
        items = tuple(FeeItem(item.name, item.amount, item.charge_code) for item in request.items)
        fee_id, condition = fee_id_of(request.request_id, request.code), FeeCondition(request.condition)
        outcome = await self._change(
            request,
            caller,
            lambda state, by, at, law: c.AssessFee(by, at, fee_id, items, condition, _terms(state, law, at)),
        )
        assessed = _one(outcome, FeeAssessed)
        return replied(pb.AssessFeeResponse, outcome, fee_id=assessed.fee_id, amount=assessed.amount)

    @api
    async def waive_fee(self, request: pb.WaiveFeeRequest, caller: Caller) -> pb.WaiveFeeResponse:
        left_id = fee_id_of(request.request_id, request.code)

        def make(state: Dossier, by: Actor, at: datetime, law: Law) -> c.Command:
            terms, reason = _terms(state, law, at), Sealed(request.reason)
            calendar = law.calendar_of(state.reception_agency, at)
            return c.WaiveFee(by, at, request.fee_id, left_id, request.exemption_code, reason, terms, calendar)

        async with await self._turn(request.code):
            if not await self.dossiers.earlier(request.code, _origin(request, caller)):
                _, before = await self._history(request.code, caller)
                require_unused([request.exemption_code], await self._used_by_others(before))
            outcome = await self._change(request, caller, make)
        waived = _one(outcome, FeeWaived).amount
        left = next((event for event in outcome.events if isinstance(event, FeeAssessed)), None)
        if left is None:
            return replied(pb.WaiveFeeResponse, outcome, waived=waived)
        return replied(pb.WaiveFeeResponse, outcome, fee_id=left.fee_id, amount=left.amount, waived=waived)

    @api
    async def cancel_fee(self, request: pb.CancelFeeRequest, caller: Caller) -> pb.CancelFeeResponse:
        def make(state: Dossier, by: Actor, at: datetime, law: Law) -> c.Command:
            calendar = law.calendar_of(state.reception_agency, at)
            return c.CancelFee(by, at, request.fee_id, Sealed(request.reason), _terms(state, law, at), calendar)

        return replied(pb.CancelFeeResponse, await self._change(request, caller, make))

    @api
    async def request_withdrawal(
        self, request: pb.RequestWithdrawalRequest, caller: Caller
    ) -> pb.RequestWithdrawalResponse:
        outcome = await self._change(
            request, caller, lambda _, by, at, __: c.RequestWithdrawal(by, at, Sealed(request.reason))
        )
        return replied(pb.RequestWithdrawalResponse, outcome)

    @api
    async def grant_withdrawal(self, request: pb.GrantWithdrawalRequest, caller: Caller) -> pb.GrantWithdrawalResponse:
        outcome = await self._change(request, caller, lambda _, by, at, __: c.GrantWithdrawal(by, at))
        return replied(pb.GrantWithdrawalResponse, outcome)

    @api
    async def decline_withdrawal(
        self, request: pb.DeclineWithdrawalRequest, caller: Caller
    ) -> pb.DeclineWithdrawalResponse:
        outcome = await self._change(
            request, caller, lambda _, by, at, __: c.DeclineWithdrawal(by, at, Sealed(request.explanation))
        )
        return replied(pb.DeclineWithdrawalResponse, outcome)

    @api
    async def stop_processing(self, request: pb.StopProcessingRequest, caller: Caller) -> pb.StopProcessingResponse:
        cause, explanation = StopCause(request.cause), Sealed(request.explanation)
        outcome = await self._change(
            request, caller, lambda _, by, at, __: c.StopProcessing(by, at, cause, explanation)
        )
        return replied(pb.StopProcessingResponse, outcome)

    @api
    async def approve_dossier(self, request: pb.ApproveDossierRequest, caller: Caller) -> pb.ApproveDossierResponse:
        outcome = await self._change(
            request, caller, lambda state, by, at, law: c.ApproveDossier(by, at, _terms(state, law, at))
        )
        return replied(pb.ApproveDossierResponse, outcome)

    @api
    async def issue_result(self, request: pb.IssueResultRequest, caller: Caller) -> pb.IssueResultResponse:
        state, _ = await self.dossiers.load(request.code)
        sha256 = request.sha256.lower()
        files = await self._taken(state, [sha256], caller)
        outcome = await self._change(
            request,
            caller,
            lambda state, by, at, law: c.IssueResult(
                by, at, request.result_number, sha256, files, _terms(state, law, at)
            ),
        )
        return replied(pb.IssueResultResponse, outcome, on_time=_one(outcome, ResultIssued).on_time)

    @api
    async def return_result(self, request: pb.ReturnResultRequest, caller: Caller) -> pb.ReturnResultResponse:
        method = DeliveryMethod(request.delivery_method)
        outcome = await self._change(request, caller, lambda _, by, at, __: c.ReturnResult(by, at, method))
        return replied(pb.ReturnResultResponse, outcome)

    @api
    async def extend_deadline(self, request: pb.ExtendDeadlineRequest, caller: Caller) -> pb.ExtendDeadlineResponse:
        due, reason = from_timestamp(request.due_at), Sealed(request.reason)
        outcome = await self._change(
            request, caller, lambda _, by, at, __: c.ExtendDeadline(by, at, due, reason, request.signer)
        )
        original = to_timestamp(_one(outcome, DeadlineExtended).original_due_at)
        return replied(pb.ExtendDeadlineResponse, outcome, original_due_at=original)

    @api
    async def rate_dossier(self, request: pb.RateDossierRequest, caller: Caller) -> pb.RateDossierResponse:
        outcome = await self._change(
            request, caller, lambda _, by, at, __: c.RateDossier(by, at, request.score, Sealed(request.comment))
        )
        return replied(pb.RateDossierResponse, outcome)

    @api
    async def confirm_synchronisation(
        self, request: pb.ConfirmSynchronisationRequest, caller: Caller
    ) -> pb.ConfirmSynchronisationResponse:
        outcome = await self._change(
            request, caller, lambda _, by, at, __: c.ConfirmSynchronisation(by, at, request.peer_revision)
        )
        return replied(pb.ConfirmSynchronisationResponse, outcome)

    # Facts of other services, and time

    @on(payment.PaymentConfirmed, payment.RefundConfirmed)
    async def note_money(self, fact: Fact[Any]) -> None:
        """One reaction for both, so that a refund is noted after its payment."""
        event, by, now, law = fact.event, Actor("service:payment"), self.clock.now(), await self.law.get()
        refunded = isinstance(event, payment.RefundConfirmed)
        if refunded and event.cause in NOT_THE_FEE:
            return

        def command(state: Dossier) -> c.Command:
            if state.settlement is Settlement.ABSENT:
                raise Rejected("NOT_FOUND", code=event.code)
            if refunded:
                return c.RefundFee(by, now, event.fee_id, event.amount, event.payment_id)
            calendar = law.calendar_of(state.reception_agency, now)
            return c.PayFee(by, now, event.fee_id, event.amount, event.payment_id, _terms(state, law, now), calendar)

        await self.dossiers.execute(event.code, command, Origin.of_fact(fact, "note_money", self.name))

    @on(facts.DossierSubmitted, when=lambda event: bool(event.draft_id))
    async def close_draft(self, fact: Fact[facts.DossierSubmitted]) -> None:
        command = d.CloseDraft(fact.actor, self.clock.now(), fact.event.applicant_id, fact.event.code)
        await self.drafts.execute(fact.event.draft_id, command, Origin.of_fact(fact, "close_draft", self.name))

    @every(seconds=15)
    async def note_deadlines(self) -> None:
        now = self.clock.now()
        for row in await self.lists.read(partial(_rows, due_query(now))):
            due = utc(row.due_at)
            await self._by_clock(
                row.code, f"{row.code} due {due.isoformat()}", partial(c.NoteDeadline, CLOCK, now, due)
            )
        for row in await self.lists.read(partial(_rows, reception_due_query(now))):
            due = utc(row.reception_due_at)
            occasion = f"{row.code} to be received by {due.isoformat()}"
            await self._by_clock(row.code, occasion, partial(c.NoteReceptionDeadline, CLOCK, now, due))

    @every(seconds=15)
    async def stop_unpaid(self) -> None:
        """The dossiers whose fee was not paid in time, where the law says that they end then."""
        now = self.clock.now()
        for row in await self.lists.read(partial(_rows, unpaid_query(now))):
            command = partial(c.LapseFee, CLOCK, now, row.fee_id, UNPAID)
            occasion = f"{row.fee_id} unpaid by {utc(row.pay_by).isoformat()}"
            await self._by_clock(row.code, occasion, command, sealed="explanation")

    @every(seconds=60)
    async def recount_deadlines(self) -> None:
        """What was counted by an older version of a calendar that the newest counts differently, or makes certain."""
        now, law = self.clock.now(), await self.law.get()
        for name, changed, calendar, legal_basis in law.superseded(now):
            command = partial(c.RecountDeadline, CLOCK, now, calendar, legal_basis)
            for row in await self.lists.read(partial(_rows, recount_query(name, changed, now))):
                await self._by_clock(row.code, f"{row.code} by {calendar.name}", command)

    @every(seconds=15)
    async def forward_dossiers(self) -> None:
        """What was received for another agency passes to it when the law says at the latest."""
        now, law = self.clock.now(), await self.law.get()
        for row in await self.lists.read(partial(_rows, forward_query(now))):
            command = partial(_forwarding, law, now, row.competent_agency)
            await self._by_clock(row.code, f"{row.code} to {row.competent_agency}", command, sealed="reason")

    async def _by_clock(self, code: str, occasion: str, command: Callable[[], c.Command], sealed: str = "") -> None:
        """Execute what nobody asked for. What fails comes up again, and the others go on.

        `sealed`: the command's field that is left out where the applicant was erased.
        """
        origin, without = Origin.of_clock(occasion, self.name), dict[str, Any]({sealed: Sealed()})
        try:
            made = command()
            try:
                await self.dossiers.execute(code, made, origin)
            except SubjectErased:
                if not sealed:
                    raise
                await self.dossiers.execute(code, replace(made, **without), origin)
        except Exception:
            log.exception("what the clock asks for could not be done", code=code, occasion=occasion)

    @observed
    async def known_days(self) -> list[Sample]:
        known = (await self.law.get()).days_known(self.clock.now())
        return [gauges.CALENDAR_DAYS.of(calendar_id).at(days) for calendar_id, days in known.items()]

    @observed
    async def unnoted_deadlines(self) -> list[Sample]:
        now = self.clock.now()
        oldest = await self.lists.read(lambda db: db.execute(oldest_due_query(now)).scalar())
        return [gauges.DEADLINES.at((now - utc(oldest)).total_seconds() if oldest else 0.0)]

    @on(identity.ErasureDecided, when=shreds)
    async def forget_uploads(self, fact: Fact[identity.ErasureDecided]) -> None:
        await self.uploads.forget(fact.event.account_id)

    @every(seconds=3600)
    async def drop_unfinished_uploads(self) -> None:
        await self.uploads.sweep(self.clock.now())

    @every(seconds=60)
    async def rehome_dossiers(self) -> None:
        """The open dossiers of closed agencies pass to the successors; nothing else about them changes."""
        now, successions = self.clock.now(), (await self.law.get()).successions(self.clock.now())
        if not successions:
            return
        for row in await self.lists.read(partial(_rows, homed_query(successions))):
            for closed in sorted({row.reception_agency, row.competent_agency, row.holder} & successions.keys()):
                command = partial(c.RehomeDossier, CLOCK, now, closed, successions[closed], SUCCESSION)
                await self._by_clock(row.code, f"{row.code} from {closed}", command, sealed="reason")

    async def _taken(self, state: Dossier, hashes: Collection[str], caller: Caller) -> dict[str, File]:
        """Those of the files that the caller uploaded, now the applicant's."""
        owner = owner_of(caller)
        allowed = may_act(caller, state, await self.law.get(), self.platform.verifier.standing)
        found = await self.uploads.owned(owner, hashes) if allowed else {}
        await self.uploads.take(owner, state.applicant_id, found)
        return found

    async def _history(self, code: str, caller: Caller) -> tuple[list[RecordedEvent], Dossier]:
        """The dossier's events and their state, for its parties. For others there is none. Raises as require_party."""
        history = await self.dossiers.read(code)
        state = state_of(history)
        require_party(caller, state, await self.law.get(), self.platform.verifier.standing, code)
        return history, state


def _origin(request: Any, caller: Caller) -> Origin:
    return Origin.of_request(request, caller, telemetry.traceparent())


def _terms(state: Dossier, law: Law, at: datetime, version: int = 0) -> Terms:
    """The law that the dossier keeps."""
    procedure = law.version(state.procedure_code, version or state.procedure_version)
    agency, calendar_id = law.known_agency(state.competent_agency, at), state.calendar.partition("@")[0]
    return law.terms(procedure, state.channel, agency, {}, at, calendar_id, submitted_at=state.submitted_at)


def _reception_terms(state: Dossier, law: Law, at: datetime) -> Terms:
    """The law of the day of reception, which the dossier will keep."""
    return _terms(state, law, at, law.in_force(state.procedure_code, at).version)


def _rows(query: Select[Any], db: Connection) -> Sequence[Any]:
    return db.execute(query).all()


def _forwarding(law: Law, at: datetime, to: str) -> c.ForwardDossier:
    return c.ForwardDossier(CLOCK, at, FORWARDED, law.calendar_of(to, at))


def _route(state: Dossier, law: Law, at: datetime) -> Route:
    return law.route(state.reception_agency, state.competent_agency, state.channel, at)


def _receipt(state: Dossier) -> str:
    """Of the receipt and appointment, form 01: one per dossier."""
    return f"TN-{state.code}"


def _submitted(outcome: Outcome[Event]) -> pb.SubmitDossierResponse:
    submitted = _one(outcome, DossierSubmitted)
    reused = [x.component_code for x in submitted.components if x.source is ComponentSource.WAREHOUSE]
    return replied(pb.SubmitDossierResponse, outcome, code=submitted.code, reused_component_codes=reused)


def _one(outcome: Outcome[Event], kind: type[Any]) -> Any:
    return next(event for event in outcome.events if isinstance(event, kind))
