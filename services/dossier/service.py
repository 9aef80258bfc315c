"""The dossier service's entry points.

The way of a mutation, for example ReceiveDossier:

    receive_dossier, here          hands the call and a builder to
    Casework.change                which has the law, and gives a function to
    Handler.execute                which loads the state and calls, at every attempt:
      require_party                  the caller is a party, or hears of no dossier
      requests.receive_dossier       builds the command from call, state and law
      domain.decide                  gives events, or raises Rejected
    replies.received               makes the reply of what was appended

A request that the dossier remembers is answered by Handler.execute with what it led to: nothing is asked again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from motcua.dossier.events.v1 import events_pb2 as facts
from motcua.dossier.v1 import dossier_service_pb2 as pb
from motcua.dossier.v1 import errors_pb2
from motcua.identity.events.v1 import events_pb2 as identity
from motcua.payment.events.v1 import events_pb2 as payment
from services.chassis.blobs.signed import UNVERIFIED
from services.chassis.calls.call import Call
from services.chassis.database.database import utc
from services.chassis.deciding.caller import Origin
from services.chassis.deciding.facts import Fact, fact_of
from services.chassis.following.erasures import shreds
from services.chassis.following.in_force import definitions_view
from services.chassis.following.standing import restricted
from services.chassis.frame import dependencies
from services.chassis.frame.entrypoints import api, every, observed, on
from services.chassis.frame.replies import replied, told
from services.chassis.frame.watching import Happened, watching
from services.chassis.telemetry.gauges import Sample
from services.dossier import gauges, replies, requests
from services.dossier.accounts import known_accounts
from services.dossier.benefits import Benefits, Turns, benefits
from services.dossier.casework import Casework
from services.dossier.codec import dossier_codec, draft_codec
from services.dossier.codes import allocate, codes
from services.dossier.correcting import Corrections
from services.dossier.domain import dossier
from services.dossier.draft.commands import CloseDraft
from services.dossier.draft.domain import draft
from services.dossier.drafts import Drafts
from services.dossier.entries import entry_of, public_entry_of
from services.dossier.events import ResultIssued, StepCompleted
from services.dossier.forms import Forms
from services.dossier.holdings import holdings
from services.dossier.intake import Intake
from services.dossier.law import Law
from services.dossier.money import noted
from services.dossier.officials import officials, roles_of
from services.dossier.parties import names, office_of
from services.dossier.queries import mine, oldest_due_query, search, summaries, work
from services.dossier.reading import content_of, shown
from services.dossier.refusals import Refused
from services.dossier.registry import Registry
from services.dossier.submissions import Submissions
from services.dossier.timekeeping import Timekeeping
from services.dossier.uploads import Uploads, owner_of
from services.dossier.views import lists
from services.law.dated import site_terms


class DossierService:
    """Takes applications from draft to returned result."""

    name = "dossier"
    rpcs = pb.DESCRIPTOR.services_by_name["DossierService"]
    errors = errors_pb2.DossierError.DESCRIPTOR

    dossiers = dependencies.decisions("dossier", dossier, dossier_codec)
    draft_streams = dependencies.decisions("draft", draft, draft_codec)
    lists = dependencies.view(lists)
    codes = dependencies.view(codes)
    allocation = dependencies.batched(allocate, writes=True)
    people = dependencies.batched(known_accounts)
    holdings = dependencies.view(holdings)
    waivers = dependencies.view(benefits)
    turns = dependencies.part(lambda _: Turns())
    officials = dependencies.view(officials)
    restricted = dependencies.view(restricted)
    law = dependencies.snapshot(definitions_view, Law)
    uploads = dependencies.part(Uploads.of, Uploads.close)
    forms = dependencies.part(lambda _: Forms(), Forms.close)
    watchers = watching("motcua.dossier.events.v1.")
    blobs = dependencies.blobs()
    keys = dependencies.keys()
    clock = dependencies.clock()
    platform = dependencies.platform()

    @property
    def casework(self) -> Casework:
        standing, site = self.platform.verifier.standing, self.platform.settings.site
        return Casework(self.dossiers, self.law, self.people, self.uploads, standing, site)

    @property
    def drafts(self) -> Drafts:
        return Drafts(
            drafts=self.draft_streams,
            dossiers=self.dossiers,
            lists=self.lists,
            law=self.law,
            people=self.people,
            uploads=self.uploads,
            keys=self.keys,
            site=self.platform.settings.site,
        )

    @property
    def benefits(self) -> Benefits:
        return Benefits(self.waivers, self.platform.store, self.dossiers, self.law, self.keys, self.turns)

    @property
    def corrections(self) -> Corrections:
        return Corrections(self.casework, self.benefits, self.forms, self.keys)

    @property
    def submissions(self) -> Submissions:
        settings = self.platform.settings
        intake = Intake(
            settings=settings,
            people=self.people,
            registry=Registry(self.platform.store, self.platform.verifier.standing),
            uploads=self.uploads,
            keys=self.keys,
            forms=self.forms,
            benefits=self.benefits,
            reply_terms=site_terms(settings.reception_terms),
        )
        return Submissions(self.dossiers, self.drafts, intake, self.benefits, self.law, self.codes, self.allocation)

    @property
    def timekeeping(self) -> Timekeeping:
        return Timekeeping(self.dossiers, self.lists, self.name)

    # Drafts and uploads

    @api
    async def save_draft(self, call: Call[pb.SaveDraftRequest]) -> pb.SaveDraftResponse:
        draft_id, outcome = await self.drafts.save(call)
        return replied(pb.SaveDraftResponse, outcome, draft_id=draft_id)

    @api
    async def get_draft(self, call: Call[pb.GetDraftRequest]) -> pb.GetDraftResponse:
        return pb.GetDraftResponse(draft=await self.drafts.get(call))

    @api
    async def list_drafts(self, call: Call[pb.ListDraftsRequest]) -> pb.ListDraftsResponse:
        page = await self.drafts.list(call)
        return pb.ListDraftsResponse(drafts=page.rows, next_page_token=page.token)

    @api
    async def discard_draft(self, call: Call[pb.DiscardDraftRequest]) -> pb.DiscardDraftResponse:
        return replied(pb.DiscardDraftResponse, await self.drafts.discard(call))

    @api
    async def create_upload(self, call: Call[pb.CreateUploadRequest]) -> pb.CreateUploadResponse:
        asked = call.request
        upload = await self.uploads.create(owner_of(call.caller), asked.media_type, asked.size, asked.sha256)
        return pb.CreateUploadResponse(upload=upload)

    @api
    async def upload_chunk(self, call: Call[pb.UploadChunkRequest]) -> pb.UploadChunkResponse:
        chunk = call.request
        upload = await self.uploads.add(owner_of(call.caller), chunk.upload_id, chunk.offset, chunk.data)
        return pb.UploadChunkResponse(upload=upload)

    @api
    async def get_upload(self, call: Call[pb.GetUploadRequest]) -> pb.GetUploadResponse:
        return pb.GetUploadResponse(upload=await self.uploads.get(owner_of(call.caller), call.request.upload_id))

    @api
    async def read_upload(self, call: Call[pb.ReadUploadRequest]) -> AsyncIterator[pb.ReadUploadResponse]:
        media_type, content = await self.uploads.read(owner_of(call.caller), call.request.upload_id)
        async for data in content:
            yield pb.ReadUploadResponse(media_type=media_type, data=data, signature_unverified=media_type in UNVERIFIED)

    # Submission and reading

    @api
    async def submit_dossier(self, call: Call[pb.SubmitDossierRequest]) -> pb.SubmitDossierResponse:
        return replies.submitted(await self.submissions.submit(call))

    @api
    async def get_dossier(self, call: Call[pb.GetDossierRequest]) -> pb.GetDossierResponse:
        history, state = await self.casework.history(call)
        return pb.GetDossierResponse(dossier=await shown(history, state, self.keys, call.now))

    @api
    async def list_my_dossiers(self, call: Call[pb.ListMyDossiersRequest]) -> pb.ListMyDossiersResponse:
        page = await call.page(self.lists, mine(call.caller.account_id, call.request.settlement))
        found = await summaries(page.rows, call.now, await self.law.get(), self.keys)
        return pb.ListMyDossiersResponse(dossiers=found, next_page_token=page.token)

    @api
    async def list_work(self, call: Call[pb.ListWorkRequest]) -> pb.ListWorkResponse:
        caller, law = call.caller, await self.law.get()
        listing = work(names(caller, law), office_of(caller, law), caller.account_id, call.request, call.now)
        page = await call.page(self.lists, listing)
        found = await summaries(page.rows, call.now, law, self.keys)
        return pb.ListWorkResponse(dossiers=found, next_page_token=page.token)

    @api
    async def search_dossiers(self, call: Call[pb.SearchDossiersRequest]) -> pb.SearchDossiersResponse:
        law = await self.law.get()
        page = await call.page(self.lists, search(names(call.caller, law), call.request))
        found = await summaries(page.rows, call.now, law, self.keys)
        return pb.SearchDossiersResponse(dossiers=found, next_page_token=page.token)

    @api
    async def list_history(self, call: Call[pb.ListHistoryRequest]) -> pb.ListHistoryResponse:
        await self.casework.require_party(call)
        code = call.request.code
        page = await call.follow(lambda after: self.dossiers.read(code, after), lambda event: event.revision)
        entries = [await entry_of(fact_of(event), self.keys) for event in page.rows]
        return pb.ListHistoryResponse(entries=entries, next_page_token=page.token)

    @api
    async def watch_dossier(self, call: Call[pb.WatchDossierRequest]) -> AsyncIterator[pb.WatchDossierResponse]:
        await self.casework.history(call)
        async for news in self.watchers.watch(f"dossier-{call.request.code}", call.request.resume_token):
            entry = None
            if isinstance(news, Happened):
                await self.casework.require_party(call)
                entry = await entry_of(fact_of(news.event), self.keys)
            yield told(pb.WatchDossierResponse, news, entry)

    @api
    async def track_dossier(self, call: Call[pb.TrackDossierRequest]) -> AsyncIterator[pb.TrackDossierResponse]:
        if not await self.dossiers.read(call.request.code):
            raise Refused("NOT_FOUND", code=call.request.code)
        async for news in self.watchers.watch(f"dossier-{call.request.code}", call.request.resume_token):
            entry = public_entry_of(fact_of(news.event)) if isinstance(news, Happened) else None
            yield told(pb.TrackDossierResponse, news, entry)

    @api
    async def get_attachment(self, call: Call[pb.GetAttachmentRequest]) -> AsyncIterator[pb.GetAttachmentResponse]:
        history, state = await self.casework.history(call)
        async for piece in content_of(history, state, call.request.sha256.lower(), self.blobs):
            yield piece

    # Settlement

    @api
    async def receive_dossier(self, call: Call[pb.ReceiveDossierRequest]) -> pb.ReceiveDossierResponse:
        return replies.received(await self.casework.change(call, requests.receive_dossier))

    @api
    async def refuse_dossier(self, call: Call[pb.RefuseDossierRequest]) -> pb.RefuseDossierResponse:
        return replied(pb.RefuseDossierResponse, await self.casework.change(call, requests.refuse_dossier))

    @api
    async def correct_form(self, call: Call[pb.CorrectFormRequest]) -> pb.CorrectFormResponse:
        outcome = await self.casework.change_prepared(
            call, lambda: self.corrections.supply(call, form=True), requests.correct_form
        )
        return replied(pb.CorrectFormResponse, outcome)

    @api
    async def request_supplement(self, call: Call[pb.RequestSupplementRequest]) -> pb.RequestSupplementResponse:
        return replied(pb.RequestSupplementResponse, await self.casework.change(call, requests.request_supplement))

    @api
    async def supply_supplement(self, call: Call[pb.SupplySupplementRequest]) -> pb.SupplySupplementResponse:
        form = call.request.HasField("form")
        outcome = await self.casework.change_prepared(
            call, lambda: self.corrections.supply(call, form=form), requests.supply_supplement
        )
        return replies.supplied(outcome)

    @api
    async def assign_step(self, call: Call[pb.AssignStepRequest]) -> pb.AssignStepResponse:
        assignee_id, agency = call.request.assignee_id, call.caller.agency
        outcome = await self.casework.change_prepared(
            call,
            lambda: self.officials.read(lambda db: roles_of(db, assignee_id, agency, call.now)),
            requests.assign_step,
        )
        return replied(pb.AssignStepResponse, outcome)

    @api
    async def complete_step(self, call: Call[pb.CompleteStepRequest]) -> pb.CompleteStepResponse:
        outcome = await self.casework.change(call, requests.complete_step)
        following = outcome.one(StepCompleted).next_step_code
        return replied(pb.CompleteStepResponse, outcome, next_step_code=following)

    @api
    async def transfer_dossier(self, call: Call[pb.TransferDossierRequest]) -> pb.TransferDossierResponse:
        return replied(pb.TransferDossierResponse, await self.casework.change(call, requests.transfer_dossier))

    @api
    async def assess_fee(self, call: Call[pb.AssessFeeRequest]) -> pb.AssessFeeResponse:
        return replies.assessed(await self.casework.change(call, requests.assess_fee))

    @api
    async def waive_fee(self, call: Call[pb.WaiveFeeRequest]) -> pb.WaiveFeeResponse:
        async def used() -> frozenset[str]:
            _, state = await self.casework.history(call)
            return await self.benefits.used_by_others(state, call.now)

        async with await self.benefits.turn_of(call.request.code):
            return replies.waived(await self.casework.change_prepared(call, used, requests.waive_fee))

    @api
    async def cancel_fee(self, call: Call[pb.CancelFeeRequest]) -> pb.CancelFeeResponse:
        return replied(pb.CancelFeeResponse, await self.casework.change(call, requests.cancel_fee))

    @api
    async def request_withdrawal(self, call: Call[pb.RequestWithdrawalRequest]) -> pb.RequestWithdrawalResponse:
        return replied(pb.RequestWithdrawalResponse, await self.casework.change(call, requests.request_withdrawal))

    @api
    async def grant_withdrawal(self, call: Call[pb.GrantWithdrawalRequest]) -> pb.GrantWithdrawalResponse:
        return replied(pb.GrantWithdrawalResponse, await self.casework.change(call, requests.grant_withdrawal))

    @api
    async def decline_withdrawal(self, call: Call[pb.DeclineWithdrawalRequest]) -> pb.DeclineWithdrawalResponse:
        return replied(pb.DeclineWithdrawalResponse, await self.casework.change(call, requests.decline_withdrawal))

    @api
    async def stop_processing(self, call: Call[pb.StopProcessingRequest]) -> pb.StopProcessingResponse:
        return replied(pb.StopProcessingResponse, await self.casework.change(call, requests.stop_processing))

    @api
    async def approve_dossier(self, call: Call[pb.ApproveDossierRequest]) -> pb.ApproveDossierResponse:
        return replied(pb.ApproveDossierResponse, await self.casework.change(call, requests.approve_dossier))

    @api
    async def issue_result(self, call: Call[pb.IssueResultRequest]) -> pb.IssueResultResponse:
        sha256 = call.request.sha256.lower()
        outcome = await self.casework.change_prepared(
            call, lambda: self.casework.take_files(call, [sha256]), requests.issue_result
        )
        return replied(pb.IssueResultResponse, outcome, on_time=outcome.one(ResultIssued).on_time)

    @api
    async def return_result(self, call: Call[pb.ReturnResultRequest]) -> pb.ReturnResultResponse:
        return replied(pb.ReturnResultResponse, await self.casework.change(call, requests.return_result))

    @api
    async def extend_deadline(self, call: Call[pb.ExtendDeadlineRequest]) -> pb.ExtendDeadlineResponse:
        return replies.extended(await self.casework.change(call, requests.extend_deadline))

    @api
    async def rate_dossier(self, call: Call[pb.RateDossierRequest]) -> pb.RateDossierResponse:
        return replied(pb.RateDossierResponse, await self.casework.change(call, requests.rate_dossier))

    @api
    async def confirm_synchronisation(
        self, call: Call[pb.ConfirmSynchronisationRequest]
    ) -> pb.ConfirmSynchronisationResponse:
        outcome = await self.casework.change(call, requests.confirm_synchronisation)
        return replied(pb.ConfirmSynchronisationResponse, outcome)

    # Facts of other services, and time

    @on(payment.PaymentConfirmed, payment.RefundConfirmed)
    async def note_money(self, fact: Fact[Any]) -> None:
        """One reaction for both, so that a refund is noted after its payment."""
        command = noted(fact.event, self.clock.now(), await self.law.get())
        if command is not None:
            await self.dossiers.execute(fact.event.code, command, Origin.of_fact(fact, "note_money", self.name))

    @on(facts.DossierSubmitted, when=lambda event: bool(event.draft_id))
    async def close_draft(self, fact: Fact[facts.DossierSubmitted]) -> None:
        submitted, now = fact.event, self.clock.now()
        command = CloseDraft(by=fact.actor, at=now, applicant_id=submitted.applicant_id, code=submitted.code)
        await self.draft_streams.execute(submitted.draft_id, command, Origin.of_fact(fact, "close_draft", self.name))

    @on(identity.ErasureDecided, when=shreds)
    async def forget_uploads(self, fact: Fact[identity.ErasureDecided]) -> None:
        await self.uploads.forget(fact.event.account_id)

    @every(seconds=15)
    async def note_deadlines(self) -> None:
        await self.timekeeping.note_deadlines(self.clock.now())

    @every(seconds=15)
    async def stop_unpaid(self) -> None:
        """The dossiers whose fee was not paid in time, where the law says that they end then."""
        await self.timekeeping.stop_unpaid(self.clock.now())

    @every(seconds=60)
    async def recount_deadlines(self) -> None:
        """What was counted by an older version of a calendar that the newest counts differently, or makes certain."""
        await self.timekeeping.recount_deadlines(self.clock.now(), await self.law.get())

    @every(seconds=15)
    async def forward_dossiers(self) -> None:
        """What was received for another agency passes to it when the law says at the latest."""
        await self.timekeeping.forward_dossiers(self.clock.now(), await self.law.get())

    @every(seconds=60)
    async def rehome_dossiers(self) -> None:
        """The open dossiers of closed agencies pass to the successors; nothing else about them changes."""
        await self.timekeeping.rehome_dossiers(self.clock.now(), await self.law.get())

    @every(seconds=3600)
    async def drop_unfinished_uploads(self) -> None:
        await self.uploads.sweep(self.clock.now())

    @observed
    async def known_days(self) -> list[Sample]:
        known = (await self.law.get()).days_known(self.clock.now())
        return [gauges.CALENDAR_DAYS.of(calendar_id).at(days) for calendar_id, days in known.items()]

    @observed
    async def unnoted_deadlines(self) -> list[Sample]:
        now = self.clock.now()
        oldest = await self.lists.read(lambda db: db.execute(oldest_due_query(now)).scalar())
        return [gauges.DEADLINES.at((now - utc(oldest)).total_seconds() if oldest else 0.0)]
