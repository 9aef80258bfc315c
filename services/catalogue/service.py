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
from services.catalogue.counterparts import CALENDAR, OVERLAY, PROCEDURE, UNIT
from services.catalogue.domain.agency import agencies
from services.catalogue.domain.calendar import calendars
from services.catalogue.domain.overlay import overlays
from services.catalogue.domain.procedure import procedures
from services.catalogue.domain.territory import territories
from services.catalogue.forms import Forms
from services.catalogue.linting import Linting
from services.catalogue.publisher import Publisher, overlay_id
from services.catalogue.refusals import Refused
from services.catalogue.views import Definitions
from services.chassis.calls.answers import form_answers
from services.chassis.calls.call import Call
from services.chassis.deciding.codec import from_timestamp
from services.chassis.following.in_force import definitions_view
from services.chassis.frame import dependencies
from services.chassis.frame.entrypoints import api
from services.chassis.frame.replies import replied
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
    definitions = dependencies.snapshot(definitions_view, Definitions)
    lint = dependencies.part(lambda _: Linting(), Linting.close)
    forms = dependencies.part(lambda _: Forms(), Forms.close)

    @property
    def publisher(self) -> Publisher:
        return Publisher(self.procedures, self.overlays, self.agencies, self.calendars, self.territories, self.lint)

    # Procedures

    @api
    async def publish_procedure(self, call: Call[pb.PublishProcedureRequest]) -> pb.PublishProcedureResponse:
        procedure = received("procedure", call.request.procedure, "procedure")
        outcome = await self.publisher.publish_procedure(
            procedure, call.now, call.caller.actor, call.origin, replaces=call.request.replaces
        )
        return replied(pb.PublishProcedureResponse, outcome)

    @api
    async def withdraw_procedure(self, call: Call[pb.WithdrawProcedureRequest]) -> pb.WithdrawProcedureResponse:
        request = call.request
        command = WithdrawProcedure(
            code=request.code,
            valid_until=request.valid_until,
            legal_basis=request.legal_basis,
            at=call.now,
            by=call.caller.actor,
        )
        outcome = await self.procedures.execute(request.code, command, call.origin)
        return replied(pb.WithdrawProcedureResponse, outcome)

    @api
    async def withdraw_procedure_version(
        self, call: Call[pb.WithdrawProcedureVersionRequest]
    ) -> pb.WithdrawProcedureVersionResponse:
        request = call.request
        command = WithdrawProcedureVersion(
            code=request.code, version=request.version, reason=request.reason, at=call.now, by=call.caller.actor
        )
        outcome = await self.procedures.execute(request.code, command, call.origin)
        return replied(pb.WithdrawProcedureVersionResponse, outcome)

    @api
    async def propose_procedure_repair(
        self, call: Call[pb.ProposeProcedureRepairRequest]
    ) -> pb.ProposeProcedureRepairResponse:
        procedure = received("procedure", call.request.procedure, "procedure")
        outcome = await self.publisher.propose_repair(
            procedure, call.request.reason, call.now, call.caller.actor, call.origin
        )
        return replied(pb.ProposeProcedureRepairResponse, outcome)

    @api
    async def confirm_procedure_repair(
        self, call: Call[pb.ConfirmProcedureRepairRequest]
    ) -> pb.ConfirmProcedureRepairResponse:
        command = ConfirmProcedureRepair(
            code=call.request.code, version=call.request.version, at=call.now, by=call.caller.actor
        )
        outcome = await self.procedures.execute(call.request.code, command, call.origin)
        return replied(pb.ConfirmProcedureRepairResponse, outcome)

    @api
    async def get_procedure_repair(self, call: Call[pb.GetProcedureRepairRequest]) -> pb.GetProcedureRepairResponse:
        state, revision = await self.procedures.load(call.request.code)
        return queries.repair_of(call.request.code, state, revision)

    @api
    async def lint_procedure(self, call: Call[pb.LintProcedureRequest]) -> pb.LintProcedureResponse:
        found = await self.lint(received("procedure", call.request.procedure, "procedure"))
        return pb.LintProcedureResponse(faults=map(queries.fault_of, found))

    @api
    async def get_procedure(self, call: Call[pb.GetProcedureRequest]) -> pb.GetProcedureResponse:
        request = call.request
        known = await self.definitions.get(request.min_position)
        found = known.procedure(request.code, _day(call), request.version)
        return pb.GetProcedureResponse(procedure=PROCEDURE.shown(found.message), revision=found.revision)

    @api
    async def list_procedures(self, call: Call[pb.ListProceduresRequest]) -> pb.ListProceduresResponse:
        known = await self.definitions.get(call.request.min_position)
        page = call.cut(queries.procedures(known, call.request, _day(call)), queries.key)
        return pb.ListProceduresResponse(procedures=map(queries.summary_of, page.rows), next_page_token=page.token)

    @api
    async def quote_fee(self, call: Call[pb.QuoteFeeRequest]) -> pb.QuoteFeeResponse:
        request = call.request
        known = await self.definitions.get(request.min_position)
        day = _day(call)
        await self.forms.check(known.procedure(request.procedure_code, day).value, form_answers(request.form), day)
        return answers.fee(known, request, day)

    @api
    async def preview_deadline(self, call: Call[pb.PreviewDeadlineRequest]) -> pb.PreviewDeadlineResponse:
        request = call.request
        known = await self.definitions.get(request.min_position)
        at = from_timestamp(request.received_at) if request.HasField("received_at") else call.now
        return answers.deadline(known, request, at)

    # Fee overlays

    @api
    async def adopt_fee_overlay(self, call: Call[pb.AdoptFeeOverlayRequest]) -> pb.AdoptFeeOverlayResponse:
        overlay = received("overlay", call.request.overlay, "overlay")
        outcome = await self.publisher.adopt_overlay(
            overlay, call.now, call.caller.actor, call.origin, replaces=call.request.replaces
        )
        return replied(pb.AdoptFeeOverlayResponse, outcome)

    @api
    async def withdraw_fee_overlay(self, call: Call[pb.WithdrawFeeOverlayRequest]) -> pb.WithdrawFeeOverlayResponse:
        request = call.request
        command = WithdrawFeeOverlay(
            province=request.province,
            procedure_code=request.procedure_code,
            charge_code=request.charge_code,
            channels=codec.channels(request.channels),
            valid_from=request.valid_from,
            reason=request.reason,
            at=call.now,
            by=call.caller.actor,
        )
        outcome = await self.overlays.execute(overlay_id(request), command, call.origin)
        return replied(pb.WithdrawFeeOverlayResponse, outcome)

    @api
    async def list_fee_overlays(self, call: Call[pb.ListFeeOverlaysRequest]) -> pb.ListFeeOverlaysResponse:
        known = await self.definitions.get(call.request.min_position)
        page = call.cut(queries.overlays(known, call.request, _day(call)), queries.key)
        return pb.ListFeeOverlaysResponse(
            overlays=[OVERLAY.shown(each.message) for each in page.rows], next_page_token=page.token
        )

    # Agencies

    @api
    async def open_agency(self, call: Call[pb.OpenAgencyRequest]) -> pb.OpenAgencyResponse:
        agency = received("agency", call.request.agency, "agency")
        outcome = await self.publisher.open_agency(agency, call.now, call.caller.actor, call.origin)
        return replied(pb.OpenAgencyResponse, outcome)

    @api
    async def change_agency(self, call: Call[pb.ChangeAgencyRequest]) -> pb.ChangeAgencyResponse:
        request = call.request
        calendar, _ = await self.calendars.load(request.calendar_id or "none")
        command = ChangeAgency(
            code=request.code,
            name=Text(request.name.vi, request.name.en) if request.HasField("name") else None,
            calendar_id=request.calendar_id,
            calendar_known=bool(calendar.versions),
            valid_from=request.valid_from,
            legal_basis=request.legal_basis,
            at=call.now,
            by=call.caller.actor,
            replaces=request.replaces,
        )
        outcome = await self.agencies.execute(request.code, command, call.origin)
        return replied(pb.ChangeAgencyResponse, outcome)

    @api
    async def withdraw_agency_version(
        self, call: Call[pb.WithdrawAgencyVersionRequest]
    ) -> pb.WithdrawAgencyVersionResponse:
        request = call.request
        command = WithdrawAgencyVersion(
            code=request.code, version=request.version, reason=request.reason, at=call.now, by=call.caller.actor
        )
        outcome = await self.agencies.execute(request.code, command, call.origin)
        return replied(pb.WithdrawAgencyVersionResponse, outcome)

    @api
    async def close_agency(self, call: Call[pb.CloseAgencyRequest]) -> pb.CloseAgencyResponse:
        request = call.request
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
            at=call.now,
            by=call.caller.actor,
            successor_province=successor.province,
            merged_into=territory.merged_into,
        )
        outcome = await self.agencies.execute(request.code, command, call.origin)
        return replied(pb.CloseAgencyResponse, outcome)

    @api
    async def get_agency(self, call: Call[pb.GetAgencyRequest]) -> pb.GetAgencyResponse:
        found = (await self.definitions.get(call.request.min_position)).known_agency(
            call.request.code, local_day(call.now)
        )
        return pb.GetAgencyResponse(agency=queries.agency_of(found), revision=found.revision)

    @api
    async def list_agencies(self, call: Call[pb.ListAgenciesRequest]) -> pb.ListAgenciesResponse:
        known = await self.definitions.get(call.request.min_position)
        page = call.cut(queries.agencies(known, call.request, local_day(call.now)), queries.key)
        return pb.ListAgenciesResponse(agencies=map(queries.agency_of, page.rows), next_page_token=page.token)

    # Calendars

    @api
    async def publish_calendar(self, call: Call[pb.PublishCalendarRequest]) -> pb.PublishCalendarResponse:
        calendar = received("calendar", call.request.calendar, "calendar")
        outcome = await self.publisher.publish_calendar(
            calendar, call.now, call.caller.actor, call.origin, replaces=call.request.replaces
        )
        return replied(pb.PublishCalendarResponse, outcome)

    @api
    async def withdraw_calendar_version(
        self, call: Call[pb.WithdrawCalendarVersionRequest]
    ) -> pb.WithdrawCalendarVersionResponse:
        request = call.request
        command = WithdrawCalendarVersion(
            calendar_id=request.calendar_id,
            version=request.version,
            reason=request.reason,
            at=call.now,
            by=call.caller.actor,
        )
        outcome = await self.calendars.execute(request.calendar_id, command, call.origin)
        return replied(pb.WithdrawCalendarVersionResponse, outcome)

    @api
    async def get_calendar(self, call: Call[pb.GetCalendarRequest]) -> pb.GetCalendarResponse:
        known = await self.definitions.get(call.request.min_position)
        found = known.calendar(call.request.calendar_id, local_day(call.now), call.request.version)
        return pb.GetCalendarResponse(calendar=CALENDAR.shown(found.message), revision=found.revision)

    # Territory

    @api
    async def publish_territory(self, call: Call[pb.PublishTerritoryRequest]) -> pb.PublishTerritoryResponse:
        territory = received("territory", call.request.territory, "territory")
        outcome = await self.publisher.publish_territory(territory, call.now, call.caller.actor, call.origin)
        return replied(pb.PublishTerritoryResponse, outcome)

    @api
    async def merge_province(self, call: Call[pb.MergeProvinceRequest]) -> pb.MergeProvinceResponse:
        request = call.request
        successor, _ = await self.territories.load(request.successor)
        command = MergeProvince(
            code=request.code,
            successor=request.successor,
            successor_known=successor.last_version > 0 and not successor.merged_until,
            valid_until=request.valid_until,
            legal_basis=request.legal_basis,
            at=call.now,
            by=call.caller.actor,
        )
        outcome = await self.territories.execute(request.code, command, call.origin)
        return replied(pb.MergeProvinceResponse, outcome)

    @api
    async def list_provinces(self, call: Call[pb.ListProvincesRequest]) -> pb.ListProvincesResponse:
        known = await self.definitions.get(call.request.min_position)
        page = call.cut(queries.provinces(known, call.request, _day(call)), queries.key)
        return pb.ListProvincesResponse(provinces=map(queries.province_of, page.rows), next_page_token=page.token)

    @api
    async def list_communes(self, call: Call[pb.ListCommunesRequest]) -> pb.ListCommunesResponse:
        request = call.request
        known = await self.definitions.get(request.min_position)
        province = known.province(request.province, _day(call))
        found = queries.communes(province, request.search)
        page = call.cut(found, lambda unit: (unit.code,))
        return pb.ListCommunesResponse(communes=map(UNIT.shown, page.rows), next_page_token=page.token)


def _day(call: Call[Any]) -> str:
    """The day asked for, or today. Raises Rejected DATE_INVALID."""
    if call.request.day and not is_day(call.request.day):
        raise Refused("DATE_INVALID", value=call.request.day)
    return call.request.day or local_day(call.now)
