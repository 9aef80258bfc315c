"""Commands with what other streams know, for the service's callers and for its sample data alike."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from services.catalogue import codec
from services.catalogue.commands import (
    AdoptFeeOverlay,
    AgencyCommand,
    CalendarCommand,
    OpenAgency,
    OverlayCommand,
    ProcedureCommand,
    ProposeProcedureRepair,
    PublishCalendar,
    PublishProcedure,
    PublishTerritory,
    TerritoryCommand,
)
from services.catalogue.domain.agency import AgencyState, agencies
from services.catalogue.domain.calendar import CalendarState, calendars
from services.catalogue.domain.overlay import OverlayState, overlays
from services.catalogue.domain.procedure import ProcedureState, procedures
from services.catalogue.domain.territory import territories
from services.catalogue.events import AgencyEvent, CalendarEvent, OverlayEvent, ProcedureEvent, TerritoryEvent
from services.catalogue.linter import Fault, lint
from services.catalogue.values import TerritoryState
from services.chassis.calls.statuses import RequestInvalid, Violation
from services.chassis.decider import Rejected
from services.chassis.deciding.caller import Origin
from services.chassis.deciding.handler import Handler, Outcome
from services.chassis.machine import threads
from services.chassis.platform.platform import Platform
from services.chassis.platform.remote_keys import RemoteKeys
from services.law.definitions import Agency, CalendarVersion, FeeOverlay, Procedure, Territory

Lint = Callable[[Procedure], Awaitable[Sequence[Fault]]]
Procedures = Handler[ProcedureCommand, ProcedureState, ProcedureEvent]
Overlays = Handler[OverlayCommand, OverlayState, OverlayEvent]
Agencies = Handler[AgencyCommand, AgencyState, AgencyEvent]
Calendars = Handler[CalendarCommand, CalendarState, CalendarEvent]
Territories = Handler[TerritoryCommand, TerritoryState, TerritoryEvent]


@dataclass(frozen=True, slots=True)
class Publisher:
    procedures: Procedures
    overlays: Overlays
    agencies: Agencies
    calendars: Calendars
    territories: Territories
    lint: Lint

    @classmethod
    def of(cls, platform: Platform) -> Publisher:
        """Beside the running service, or before it."""

        def handler(category: str, decider: Any, events: Any) -> Handler[Any, Any, Any]:
            keys, site = RemoteKeys(platform, "catalogue"), platform.settings.site
            return Handler(category, decider, events, platform.store, keys, site, "catalogue", platform.clock.now)

        return cls(
            handler("procedure", procedures, codec.procedure_codec),
            handler("overlay", overlays, codec.overlay_codec),
            handler("agency", agencies, codec.agency_codec),
            handler("calendar", calendars, codec.calendar_codec),
            handler("province", territories, codec.territory_codec),
            _linted_here,
        )

    async def publish_procedure(
        self, procedure: Procedure, at: datetime, by: str, origin: Origin, *, replaces: bool = False
    ) -> Outcome[ProcedureEvent]:
        """Raises RequestInvalid PROCEDURE_FAULTY with every fault."""
        faults = await self.lint(procedure)
        command = PublishProcedure(procedure=procedure, faults=_codes(faults), at=at, by=by, replaces=replaces)
        return await self._linted(procedure.code, command, faults, origin)

    async def propose_repair(
        self, procedure: Procedure, reason: str, at: datetime, by: str, origin: Origin
    ) -> Outcome[ProcedureEvent]:
        """Raises RequestInvalid PROCEDURE_FAULTY with every fault."""
        faults = await self.lint(procedure)
        command = ProposeProcedureRepair(procedure=procedure, faults=_codes(faults), reason=reason, at=at, by=by)
        return await self._linted(procedure.code, command, faults, origin)

    async def _linted(
        self, code: str, command: ProcedureCommand, faults: Sequence[Fault], origin: Origin
    ) -> Outcome[ProcedureEvent]:
        try:
            return await self.procedures.execute(code, command, origin)
        except Rejected as rejected:
            if rejected.reason == "PROCEDURE_FAULTY":
                violations = [_violation(fault) for fault in faults]
                raise RequestInvalid(violations, rejected.reason, **rejected.facts) from rejected
            raise

    async def adopt_overlay(
        self, overlay: FeeOverlay, at: datetime, by: str, origin: Origin, *, replaces: bool = False
    ) -> Outcome[OverlayEvent]:
        territory, _ = await self.territories.load(overlay.province)
        procedure, _ = await self.procedures.load(overlay.procedure_code or "all")
        command = AdoptFeeOverlay(
            overlay=overlay,
            province_known=territory.last_version > 0,
            procedure_known=not overlay.procedure_code or procedure.last_version > 0,
            charges=procedure.council,
            at=at,
            by=by,
            replaces=replaces,
        )
        return await self.overlays.execute(overlay_id(overlay), command, origin)

    async def open_agency(self, agency: Agency, at: datetime, by: str, origin: Origin) -> Outcome[AgencyEvent]:
        calendar, _ = await self.calendars.load(agency.calendar_id)
        parent, _ = await self.agencies.load(agency.parent) if agency.parent else (AgencyState(), 0)
        territory, _ = await self.territories.load(agency.province) if agency.province else (None, 0)
        command = OpenAgency(
            agency=agency,
            calendar_known=calendar.last_version > 0,
            parent_known=parent.validity is not None,
            at=at,
            by=by,
            territory=territory,
            parent_province=parent.province,
        )
        return await self.agencies.execute(agency.code, command, origin)

    async def publish_calendar(
        self, calendar: CalendarVersion, at: datetime, by: str, origin: Origin, *, replaces: bool = False
    ) -> Outcome[CalendarEvent]:
        command = PublishCalendar(calendar=calendar, at=at, by=by, replaces=replaces)
        return await self.calendars.execute(calendar.calendar_id, command, origin)

    async def publish_territory(
        self, territory: Territory, at: datetime, by: str, origin: Origin
    ) -> Outcome[TerritoryEvent]:
        command = PublishTerritory(territory=territory, at=at, by=by)
        return await self.territories.execute(territory.province.code, command, origin)


def overlay_id(overlay: Any) -> str:
    """Of an overlay, or of a request that names one."""
    return f"{overlay.province}-{overlay.procedure_code or 'all'}"


def _codes(faults: Sequence[Fault]) -> tuple[str, ...]:
    return tuple(fault.code for fault in faults)


async def _linted_here(procedure: Procedure) -> Sequence[Fault]:
    """For definitions from this site's own files."""
    return await threads.in_thread(lambda: list(lint(procedure)))


def _violation(fault: Fault) -> Violation:
    return Violation(f"procedure.{fault.path}".rstrip("."), f"{fault.text.vi} [{fault.code}]", fault.text.en)
