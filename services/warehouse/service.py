"""The warehouse's entry points."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import suppress
from typing import Any

from sqlalchemy import select

from motcua.dossier.events.v1 import events_pb2 as dossier
from motcua.identity.events.v1 import events_pb2 as identity
from motcua.warehouse.events.v1 import events_pb2 as facts
from motcua.warehouse.v1 import errors_pb2
from motcua.warehouse.v1 import warehouse_service_pb2 as pb
from services.chassis.blobs.port import BlobMissing
from services.chassis.blobs.signed import UNVERIFIED
from services.chassis.calls.call import Call
from services.chassis.decider import Rejected
from services.chassis.deciding.caller import Origin
from services.chassis.deciding.facts import Fact, fact_of
from services.chassis.following.erasures import shreds
from services.chassis.following.views import position_token
from services.chassis.frame import dependencies
from services.chassis.frame.entrypoints import api, on
from services.chassis.frame.replies import replied
from services.chassis.grounds.concern import kind_of_account, office, require_impartial
from services.chassis.privacy.sealing import SubjectErased, note_opening, require_concerned
from services.warehouse.codec import document_codec
from services.warehouse.commands import Command, EraseDocument, KeepDocument, LinkDocument, RevokeDocument
from services.warehouse.counters import counters
from services.warehouse.domain import Document, document
from services.warehouse.groups import as_of, grouped, indicators_of, names_of, period_of
from services.warehouse.keeping import BY, held, of_components, of_population, of_result, reuses, serves, version_of
from services.warehouse.live import watched
from services.warehouse.procedures import Procedures, Rules, procedures
from services.warehouse.queries import documents_of, summary_of
from services.warehouse.reading import OTHERS, answerable, document_of, erased, may_read, owns
from services.warehouse.refusals import Refused
from services.warehouse.views import documents, is_erased, lists


class WarehouseService:
    """Keeps what the state already holds, and measures its work."""

    name = "warehouse"
    rpcs = pb.DESCRIPTOR.services_by_name["WarehouseService"]
    errors = errors_pb2.WarehouseError.DESCRIPTOR

    documents = dependencies.decisions("document", document, document_codec)
    lists = dependencies.view(lists)
    counters = dependencies.view(counters)
    procedures = dependencies.snapshot(procedures, Procedures)
    blobs = dependencies.blobs()
    keys = dependencies.keys()
    clock = dependencies.clock()
    platform = dependencies.platform()

    # Documents

    @api
    async def list_my_documents(self, call: Call[pb.ListMyDocumentsRequest]) -> pb.ListMyDocumentsResponse:
        listing = documents_of(call.caller.account_id, call.request)
        page = await call.page(self.lists, listing)
        now = call.now
        return pb.ListMyDocumentsResponse(
            documents=[summary_of(row, now) for row in page.rows], next_page_token=page.token
        )

    @api
    async def list_documents(self, call: Call[pb.ListDocumentsRequest]) -> pb.ListDocumentsResponse:
        request = call.request
        require_concerned(request.account_id)
        listing = documents_of(request.account_id, request)
        page = await call.page(self.lists, listing)
        note_opening(request.account_id, "")
        now = call.now
        return pb.ListDocumentsResponse(
            documents=[summary_of(row, now) for row in page.rows], next_page_token=page.token
        )

    @api
    async def get_document(self, call: Call[pb.GetDocumentRequest]) -> pb.GetDocumentResponse:
        state, _ = await self.documents.load(call.request.document_id)
        if not may_read(call.caller, state):
            raise Refused("NOT_FOUND", document_id=call.request.document_id)
        subject = answerable(call.caller, state, self.platform.verifier.standing.restricted)
        history = await self.documents.read(call.request.document_id)
        if state.erased:
            return pb.GetDocumentResponse(document=erased(history, state))
        note_opening(subject, "")
        found = await document_of(history, owns(call.caller, state), self.keys, call.now)
        return pb.GetDocumentResponse(document=found)

    @api
    async def read_document(self, call: Call[pb.ReadDocumentRequest]) -> AsyncIterator[pb.ReadDocumentResponse]:
        request = call.request
        state, _ = await self.documents.load(request.document_id)
        if not may_read(call.caller, state):
            raise Refused("NOT_FOUND", document_id=request.document_id)
        subject = answerable(call.caller, state, self.platform.verifier.standing.restricted)
        kept: facts.DocumentKept = fact_of((await self.documents.read(request.document_id))[0]).event
        if call.caller.kind in OTHERS and kept.code != call.stated.dossier:
            await self._require_reused(request.document_id, call.stated.dossier)
        if not kept.sha256:
            raise Refused("NO_CONTENT", document_id=request.document_id)
        if state.erased:
            yield pb.ReadDocumentResponse(media_type=kept.media_type, erased=True)
            return
        note_opening(subject, "")
        try:
            async for data in self.blobs.read(state.account_id, kept.sha256):
                unverified = kept.media_type in UNVERIFIED
                yield pb.ReadDocumentResponse(media_type=kept.media_type, data=data, signature_unverified=unverified)
        except SubjectErased:
            yield pb.ReadDocumentResponse(media_type=kept.media_type, erased=True)

    async def _require_reused(self, document_id: str, code: str) -> None:
        """That it takes a component's place in the dossier, as the log has it now. Raises Rejected NOT_IN_DOSSIER."""
        history = [fact_of(event) for event in await self.platform.store.read(f"dossier-{code}")]
        if not serves(history, document_id):
            raise Refused("NOT_IN_DOSSIER", document_id=document_id, code=code)

    @api
    async def revoke_document(self, call: Call[pb.RevokeDocumentRequest]) -> pb.RevokeDocumentResponse:
        now = call.now

        def command(state: Document) -> RevokeDocument:
            require_impartial(call.caller, state.account_id)
            return RevokeDocument(
                document_id=call.request.document_id,
                at=now,
                by=call.caller.actor,
                agency=office(call.caller),
                reason=call.request.reason,
            )

        return replied(
            pb.RevokeDocumentResponse, await self.documents.execute(call.request.document_id, command, call.origin)
        )

    @api
    async def link_document(self, call: Call[pb.LinkDocumentRequest]) -> pb.LinkDocumentResponse:
        request = call.request
        now, account_id = call.now, request.account_id

        def command(state: Document) -> LinkDocument:
            for person in (state.account_id, state.guardian_id, account_id):
                require_impartial(call.caller, person)
            return LinkDocument(
                document_id=request.document_id,
                account_id=account_id,
                at=now,
                by=call.caller.actor,
                agency=office(call.caller),
                reason=request.reason,
                guardian_stays=request.guardian_stays,
            )

        state, _ = await self.documents.load(request.document_id)
        if state.unlinked:
            document.decide(command(state), state)  # what is refused copies nothing
            await self._require_citizen(account_id)
            await self._give(state.account_id, account_id, state.sha256)
        return replied(pb.LinkDocumentResponse, await self.documents.execute(request.document_id, command, call.origin))

    async def _require_citizen(self, account_id: str) -> None:
        """Raises Rejected PERSON_UNKNOWN, ACCOUNT_RESTRICTED."""
        kind, standing = await kind_of_account(self.platform.store, account_id), self.platform.verifier.standing
        if kind != identity.ACCOUNT_KIND_CITIZEN or account_id in standing.erased:
            raise Refused("PERSON_UNKNOWN", account_id=account_id)
        if account_id in standing.restricted:
            raise Refused("ACCOUNT_RESTRICTED")

    # Indicators

    @api
    async def get_indicators(self, call: Call[pb.GetIndicatorsRequest]) -> pb.GetIndicatorsResponse:
        request = call.request
        names = names_of(request.group_by)
        listing = grouped(period_of(request.from_day, request.until_day), request.filter, names)
        page = await call.page(self.counters, listing)
        return pb.GetIndicatorsResponse(
            indicators=[indicators_of(row, names) for row in page.rows],
            next_page_token=page.token,
            as_of=await self.counters.read(as_of),
        )

    @api
    async def watch_indicators(
        self, call: Call[pb.WatchIndicatorsRequest]
    ) -> AsyncIterator[pb.WatchIndicatorsResponse]:
        async for news in watched(call.request, self.counters, self.clock):
            yield news

    # Facts of other services

    @on(dossier.ResultIssued)
    async def keep_result(self, fact: Fact[dossier.ResultIssued]) -> None:
        issued = fact.event
        if not issued.document_kind:  # of no kind, nobody can ask for it again
            return
        version = version_of(await self._until(fact))
        known = await self.procedures.get(position_token(fact.position))
        rule = known.result(issued.procedure_code, version, issued.document_kind)
        await self._keep(fact, "keep_result", [of_result(issued, rule, self.clock.now())])

    @on(dossier.DossierReceived)
    async def keep_components(self, fact: Fact[dossier.DossierReceived]) -> None:
        history = await self._until(fact)
        rules = await self._rules(fact, history[0].event.procedure_code, fact.event.procedure_version)
        commands = of_components(fact.event, held(history), rules, self.clock.now())
        await self._keep(fact, "keep_components", commands)

    @on(identity.IdentityVerified)
    async def keep_population_data(self, fact: Fact[identity.IdentityVerified]) -> None:
        command = of_population(fact.event, str(fact.event_id), self.clock.now())
        await self._keep(fact, "keep_population_data", [command])

    @on(dossier.DossierSubmitted, dossier.FormCorrected, dossier.SupplementSupplied)
    async def reuse_documents(self, fact: Fact[Any]) -> None:
        submitted = (await self._until(fact))[0].event
        rules = await self._rules(fact, submitted.procedure_code, submitted.procedure_version)
        origin = Origin.of_fact(fact, "reuse_documents", self.name)
        await _all(
            # A supplement may name again what the dossier holds already.
            self._execute(command.document_id, command, origin.named(command.component_code), "ALREADY_REUSED")
            for command in reuses(fact, submitted, rules)
        )

    # Erasure. A document may be kept just before or after its subject is erased: whichever fact comes second sees the other.

    @on(identity.ErasureDecided, when=shreds)
    async def erase_documents(self, fact: Fact[identity.ErasureDecided]) -> None:
        query = select(documents.c.document_id).where(documents.c.account_id == fact.event.account_id)
        found = await self.lists.read(lambda db: db.execute(query).scalars().all(), position_token(fact.position))
        await _all(self._erase(fact, "erase_documents", document_id) for document_id in found)

    @on(identity.ErasureDecided, when=shreds)
    async def delete_content(self, fact: Fact[identity.ErasureDecided]) -> None:
        """Of the person's files, in dossiers as well. What is written at this moment can be opened by nobody."""
        await self.blobs.forget(fact.event.account_id)

    @on(facts.DocumentKept, facts.DocumentLinked)
    async def erase_late_document(self, fact: Fact[Any]) -> None:
        account_id = fact.event.account_id
        if await self.lists.read(lambda db: is_erased(db, account_id), position_token(fact.position)):
            await self._erase(fact, "erase_late_document", fact.event.document_id)

    @on(facts.DocumentLinked)
    async def drop_former_content(self, fact: Fact[facts.DocumentLinked]) -> None:
        """The person has the file under a key of their own; under the one before only another document may still need it."""
        event = fact.event
        state, _ = await self.documents.load(event.document_id)
        query = select(documents.c.document_id).where(documents.c.account_id == event.person_id)
        left = await self.lists.read(lambda db: db.execute(query).scalars().all(), position_token(fact.position))
        needed = {(await self.documents.load(document_id))[0].sha256 for document_id in left}
        if state.sha256 and state.sha256 not in needed:
            await self.blobs.drop(event.person_id, state.sha256)

    async def _keep(self, fact: Fact[Any], reaction: str, commands: Iterable[KeepDocument]) -> None:
        origin = Origin.of_fact(fact, reaction, self.name)
        kept = list(commands)
        # It outlives the guardian's.
        await _all(
            self._give(command.guardian_id, command.account_id, command.sha256)
            for command in kept
            if command.guardian_id
        )
        await _all(
            self.documents.execute(command.document_id, command, origin.named(command.document_id), creates=True)
            for command in kept
        )

    async def _give(self, former: str, account_id: str, sha256: str) -> None:
        """The person whom it speaks about has the file under a key of their own."""
        if not await self.blobs.has(account_id, sha256):
            with suppress(SubjectErased, BlobMissing):  # with the former holder, at this moment
                await self.blobs.put(account_id, sha256, self.blobs.read(former, sha256))

    async def _erase(self, fact: Fact[Any], reaction: str, document_id: str) -> None:
        command = EraseDocument(document_id=document_id, at=self.clock.now(), by=BY)
        origin = Origin.of_fact(fact, reaction, self.name).named(document_id)
        await self._execute(document_id, command, origin, "ERASED")

    async def _execute(self, document_id: str, command: Command, origin: Origin, done: str) -> None:
        """Execute a command that `done` refuses because another fact had its effect."""
        try:
            await self.documents.execute(document_id, command, origin)
        except Rejected as rejected:
            if rejected.reason != done:
                raise

    async def _until(self, fact: Fact[Any]) -> list[Fact[Any]]:
        """A dossier's facts until this one."""
        history = await self.platform.store.read(fact.stream)
        return [fact_of(event) for event in history if event.revision <= fact.revision]

    async def _rules(self, fact: Fact[Any], procedure_code: str, version: int) -> Rules:
        return (await self.procedures.get(position_token(fact.position))).rules(procedure_code, version)


async def _all(commands: Iterable[Coroutine[Any, Any, Any]]) -> None:
    """One that is refused does not keep the others from being executed."""
    results = await asyncio.gather(*commands, return_exceptions=True)
    for failure in results:
        if isinstance(failure, BaseException):
            raise failure
