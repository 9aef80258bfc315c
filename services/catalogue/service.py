"""The catalogue's entry points."""

from __future__ import annotations

from typing import Any

from motcua.catalogue.v1 import catalogue_service_pb2 as pb
from motcua.catalogue.v1 import errors_pb2
from services.catalogue import answers, codec, queries
from services.catalogue.codec import received
from services.catalogue.commands import (
    ChangeAgency,
    CloseAgency,
    ConfirmProcedureRepair,
    MergeProvince,
    WithdrawAgencyVersion,
    WithdrawCalendarVersion,
    WithdrawFeeOverlay,
    WithdrawProcedure,
    WithdrawProcedureVersion,
)
from services.catalogue.domain import agencies, calendars, overlays, procedures, territories
from services.catalogue.forms import Forms
from services.catalogue.linting import Linting
from services.catalogue.publisher import Publisher, overlay_id
from services.catalogue.refusals import Refused
from services.catalogue.views import Definitions
from services.chassis.calls.answers import form_answers
from services.chassis.deciding.caller import Caller, Origin
from services.chassis.deciding.codec import from_timestamp
from services.chassis.following.in_force import law
from services.chassis.frame import dependencies
from services.chassis.frame.entrypoints import api
from services.chassis.frame.replies import replied
from services.chassis.telemetry import telemetry
from services.law.days import is_day, local_day
from services.law.definitions import Text


class CatalogueService:
    """Says what may be asked of the state, of whom, at what price and by when."""

    name = "catalogue"
    rpcs = pb.DESCRIPTOR.services_by_name["CatalogueService"]
    errors = errors_pb2.CatalogueError.DESCRIPTOR

    procedures = dependencies.decisions("procedure", procedures, codec.procedure_codec)
    overlays = dependencies.decisions("overlay", overlays, codec.overlay_codec)
    agencies = dependencies.decisions("agency", agencies, codec.agency_codec)
    calendars = dependencies.decisions("calendar", calendars, codec.calendar_codec)
    territories = dependencies.decisions("province", territories, codec.territory_codec)
    definitions = dependencies.snapshot(law, Definitions)
    pages = dependencies.pages()
    lint = dependencies.made(lambda _: Linting(), Linting.close)
    forms = dependencies.made(lambda _: Forms(), Forms.close)
    clock = dependencies.clock()

    @property
    def publisher(self) -> Publisher:
        return Publisher(self.procedures, self.overlays, self.agencies, self.calendars, self.territories, self.lint)

    def _day(self, request: Any) -> str:
        """The day asked for, or today. Raises Rejected DATE_INVALID."""
        if request.day and not is_day(request.day):
            raise Refused("DATE_INVALID", value=request.day)
        return request.day or local_day(self.clock.now())

    # Procedures

    @api
    async def publish_procedure(
        self, request: pb.PublishProcedureRequest, caller: Caller
    ) -> pb.PublishProcedureResponse:
        procedure = received("procedure", request.procedure, "procedure")
        outcome = await self.publisher.publish_procedure(
            procedure, self.clock.now(), caller.actor, _origin(request, caller), replaces=request.replaces
        )
        return replied(pb.PublishProcedureResponse, outcome)

    @api
    async def withdraw_procedure(
        self, request: pb.WithdrawProcedureRequest, caller: Caller
    ) -> pb.WithdrawProcedureResponse:
        command = WithdrawProcedure(
            code=request.code,
            valid_until=request.valid_until,
            legal_basis=request.legal_basis,
            at=self.clock.now(),
            by=caller.actor,
        )
        outcome = await self.procedures.execute(request.code, command, _origin(request, caller))
        return replied(pb.WithdrawProcedureResponse, outcome)

    @api
    async def withdraw_procedure_version(
        self, request: pb.WithdrawProcedureVersionRequest, caller: Caller
    ) -> pb.WithdrawProcedureVersionResponse:
        command = WithdrawProcedureVersion(
            code=request.code, version=request.version, reason=request.reason, at=self.clock.now(), by=caller.actor
        )
        outcome = await self.procedures.execute(request.code, command, _origin(request, caller))
        return replied(pb.WithdrawProcedureVersionResponse, outcome)

    @api
    async def propose_procedure_repair(
        self, request: pb.ProposeProcedureRepairRequest, caller: Caller
    ) -> pb.ProposeProcedureRepairResponse:
        procedure = received("procedure", request.procedure, "procedure")
        outcome = await self.publisher.propose_repair(
            procedure, request.reason, self.clock.now(), caller.actor, _origin(request, caller)
        )
        return replied(pb.ProposeProcedureRepairResponse, outcome)

    @api
    async def confirm_procedure_repair(
        self, request: pb.ConfirmProcedureRepairRequest, caller: Caller
    ) -> pb.ConfirmProcedureRepairResponse:
        command = ConfirmProcedureRepair(
            code=request.code, version=request.version, at=self.clock.now(), by=caller.actor
        )
        outcome = await self.procedures.execute(request.code, command, _origin(request, caller))
        return replied(pb.ConfirmProcedureRepairResponse, outcome)

    @api
    async def get_procedure_repair(
        self, request: pb.GetProcedureRepairRequest, caller: Caller
    ) -> pb.GetProcedureRepairResponse:
        state, revision = await self.procedures.load(request.code)
        return queries.repair_of(request.code, state, revision)

    @api
    async def lint_procedure(self, request: pb.LintProcedureRequest, caller: Caller) -> pb.LintProcedureResponse:
        found = await self.lint(received("procedure", request.procedure, "procedure"))
        return pb.LintProcedureResponse(faults=map(queries.fault_of, found))

    @api
    async def get_procedure(self, request: pb.GetProcedureRequest, caller: Caller) -> pb.GetProcedureResponse:
        known = await self.definitions.get(request.min_position)
        found = known.procedure(request.code, self._day(request), request.version)
        return pb.GetProcedureResponse(procedure=found.message, revision=found.revision)

    @api
    async def list_procedures(self, request: pb.ListProceduresRequest, caller: Caller) -> pb.ListProceduresResponse:
        known = await self.definitions.get(request.min_position)
        page = self.pages.cut(request, caller, queries.procedures(known, request, self._day(request)), queries.key)
        return pb.ListProceduresResponse(procedures=map(queries.summary_of, page.rows), next_page_token=page.token)

    @api
    async def quote_fee(self, request: pb.QuoteFeeRequest, caller: Caller) -> pb.QuoteFeeResponse:
        known = await self.definitions.get(request.min_position)
        day = self._day(request)
        await self.forms.check(known.procedure(request.procedure_code, day).value, form_answers(request.form), day)
        return answers.fee(known, request, day)

    @api
    async def preview_deadline(self, request: pb.PreviewDeadlineRequest, caller: Caller) -> pb.PreviewDeadlineResponse:
        known = await self.definitions.get(request.min_position)
        at = from_timestamp(request.received_at) if request.HasField("received_at") else self.clock.now()
        return answers.deadline(known, request, at)

    # Fee overlays

    @api
    async def adopt_fee_overlay(self, request: pb.AdoptFeeOverlayRequest, caller: Caller) -> pb.AdoptFeeOverlayResponse:
        overlay = received("overlay", request.overlay, "overlay")
        outcome = await self.publisher.adopt_overlay(
            overlay, self.clock.now(), caller.actor, _origin(request, caller), replaces=request.replaces
        )
        return replied(pb.AdoptFeeOverlayResponse, outcome)

    @api
    async def withdraw_fee_overlay(
        self, request: pb.WithdrawFeeOverlayRequest, caller: Caller
    ) -> pb.WithdrawFeeOverlayResponse:
        command = WithdrawFeeOverlay(
            province=request.province,
            procedure_code=request.procedure_code,
            charge_code=request.charge_code,
            channels=codec.channels(request.channels),
            valid_from=request.valid_from,
            reason=request.reason,
            at=self.clock.now(),
            by=caller.actor,
        )
        outcome = await self.overlays.execute(overlay_id(request), command, _origin(request, caller))
        return replied(pb.WithdrawFeeOverlayResponse, outcome)

    @api
    async def list_fee_overlays(self, request: pb.ListFeeOverlaysRequest, caller: Caller) -> pb.ListFeeOverlaysResponse:
        known = await self.definitions.get(request.min_position)
        page = self.pages.cut(request, caller, queries.overlays(known, request, self._day(request)), queries.key)
        return pb.ListFeeOverlaysResponse(overlays=(each.message for each in page.rows), next_page_token=page.token)

    # Agencies

    @api
    async def open_agency(self, request: pb.OpenAgencyRequest, caller: Caller) -> pb.OpenAgencyResponse:
        agency = received("agency", request.agency, "agency")
        outcome = await self.publisher.open_agency(agency, self.clock.now(), caller.actor, _origin(request, caller))
        return replied(pb.OpenAgencyResponse, outcome)

    @api
    async def change_agency(self, request: pb.ChangeAgencyRequest, caller: Caller) -> pb.ChangeAgencyResponse:
        calendar, _ = await self.calendars.load(request.calendar_id or "none")
        command = ChangeAgency(
            code=request.code,
            name=Text(request.name.vi, request.name.en) if request.HasField("name") else None,
            calendar_id=request.calendar_id,
            calendar_known=bool(calendar.versions),
            valid_from=request.valid_from,
            legal_basis=request.legal_basis,
            at=self.clock.now(),
            by=caller.actor,
            replaces=request.replaces,
        )
        outcome = await self.agencies.execute(request.code, command, _origin(request, caller))
        return replied(pb.ChangeAgencyResponse, outcome)

    @api
    async def withdraw_agency_version(
        self, request: pb.WithdrawAgencyVersionRequest, caller: Caller
    ) -> pb.WithdrawAgencyVersionResponse:
        command = WithdrawAgencyVersion(
            code=request.code, version=request.version, reason=request.reason, at=self.clock.now(), by=caller.actor
        )
        outcome = await self.agencies.execute(request.code, command, _origin(request, caller))
        return replied(pb.WithdrawAgencyVersionResponse, outcome)

    @api
    async def close_agency(self, request: pb.CloseAgencyRequest, caller: Caller) -> pb.CloseAgencyResponse:
        successor, _ = await self.agencies.load(request.successor)
        closing, _ = await self.agencies.load(request.code)
        territory, _ = await self.territories.load(closing.province or "none")
        command = CloseAgency(
            code=request.code,
            successor=request.successor,
            # It must still be there on the day after.
            successor_open=successor.validity is not None and not successor.validity.until,
            valid_until=request.valid_until,
            legal_basis=request.legal_basis,
            at=self.clock.now(),
            by=caller.actor,
            successor_province=successor.province,
            merged_into=territory.merged_into,
        )
        outcome = await self.agencies.execute(request.code, command, _origin(request, caller))
        return replied(pb.CloseAgencyResponse, outcome)

    @api
    async def get_agency(self, request: pb.GetAgencyRequest, caller: Caller) -> pb.GetAgencyResponse:
        found = (await self.definitions.get(request.min_position)).known_agency(
            request.code, local_day(self.clock.now())
        )
        return pb.GetAgencyResponse(agency=queries.agency_of(found), revision=found.revision)

    @api
    async def list_agencies(self, request: pb.ListAgenciesRequest, caller: Caller) -> pb.ListAgenciesResponse:
        known = await self.definitions.get(request.min_position)
        page = self.pages.cut(
            request, caller, queries.agencies(known, request, local_day(self.clock.now())), queries.key
        )
        return pb.ListAgenciesResponse(agencies=map(queries.agency_of, page.rows), next_page_token=page.token)

    # Calendars

    @api
    async def publish_calendar(self, request: pb.PublishCalendarRequest, caller: Caller) -> pb.PublishCalendarResponse:
        calendar = received("calendar", request.calendar, "calendar")
        outcome = await self.publisher.publish_calendar(
            calendar, self.clock.now(), caller.actor, _origin(request, caller), replaces=request.replaces
        )
        return replied(pb.PublishCalendarResponse, outcome)

    @api
    async def withdraw_calendar_version(
        self, request: pb.WithdrawCalendarVersionRequest, caller: Caller
    ) -> pb.WithdrawCalendarVersionResponse:
        command = WithdrawCalendarVersion(
            calendar_id=request.calendar_id,
            version=request.version,
            reason=request.reason,
            at=self.clock.now(),
            by=caller.actor,
        )
        outcome = await self.calendars.execute(request.calendar_id, command, _origin(request, caller))
        return replied(pb.WithdrawCalendarVersionResponse, outcome)

    @api
    async def get_calendar(self, request: pb.GetCalendarRequest, caller: Caller) -> pb.GetCalendarResponse:
        known = await self.definitions.get(request.min_position)
        found = known.calendar(request.calendar_id, local_day(self.clock.now()), request.version)
        return pb.GetCalendarResponse(calendar=found.message, revision=found.revision)

    # Territory

    @api
    async def publish_territory(
        self, request: pb.PublishTerritoryRequest, caller: Caller
    ) -> pb.PublishTerritoryResponse:
        territory = received("territory", request.territory, "territory")
        outcome = await self.publisher.publish_territory(
            territory, self.clock.now(), caller.actor, _origin(request, caller)
        )
        return replied(pb.PublishTerritoryResponse, outcome)

    @api
    async def merge_province(self, request: pb.MergeProvinceRequest, caller: Caller) -> pb.MergeProvinceResponse:
        successor, _ = await self.territories.load(request.successor)
        command = MergeProvince(
            code=request.code,
            successor=request.successor,
            successor_known=successor.last_version > 0 and not successor.merged_until,
            valid_until=request.valid_until,
            legal_basis=request.legal_basis,
            at=self.clock.now(),
            by=caller.actor,
        )
        outcome = await self.territories.execute(request.code, command, _origin(request, caller))
        return replied(pb.MergeProvinceResponse, outcome)

    @api
    async def list_provinces(self, request: pb.ListProvincesRequest, caller: Caller) -> pb.ListProvincesResponse:
        known = await self.definitions.get(request.min_position)
        page = self.pages.cut(request, caller, known.provinces(self._day(request)), queries.key)
        return pb.ListProvincesResponse(provinces=map(queries.province_of, page.rows), next_page_token=page.token)

    @api
    async def list_communes(self, request: pb.ListCommunesRequest, caller: Caller) -> pb.ListCommunesResponse:
        known = await self.definitions.get(request.min_position)
        province = known.province(request.province, self._day(request))
        found = queries.communes(province, request.search)
        page = self.pages.cut(request, caller, found, lambda unit: (unit.code,))
        return pb.ListCommunesResponse(communes=page.rows, next_page_token=page.token)


def _origin(request: Any, caller: Caller) -> Origin:
    return Origin.of_request(request, caller, telemetry.traceparent())
