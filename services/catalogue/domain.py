"""Procedures, fee overlays, agencies, calendars and territory: what may be published, and when it is in force.

Nothing that was in force is changed. Dates are days in Vietnam.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import assert_never
from zoneinfo import ZoneInfo

from services.chassis.decider import Decider, Rejected
from services.chassis.law.definitions import (
    Agency,
    CalendarVersion,
    Channel,
    ChargeBasis,
    FeeOverlay,
    Level,
    Procedure,
    Territory,
    UnitKind,
    calendar_of,
)
from services.chassis.law.validity import Validity

_ZONE = ZoneInfo("Asia/Ho_Chi_Minh")
_ORGANISATION = re.compile(r"\d{3}(\.\d{2}){2}\.[A-Z]\d{2}|[A-Z]\d{2}(\.\d{1,3}){0,4}", re.ASCII)
_PROVINCE = re.compile(r"\d{2}", re.ASCII)
_OF_PROVINCE = re.compile(r"P(\d{2})(?:\.|$)", re.ASCII)
_COMMUNE = re.compile(r"\d{5}", re.ASCII)
_CALENDAR = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*", re.ASCII)
LEAST_AMOUNT = 1_000
# Of one charge, in đồng.
LARGEST_AMOUNT = 1_000_000_000_000


def today(at: datetime) -> str:
    return at.astimezone(_ZONE).date().isoformat()


def is_date(value: str) -> bool:
    try:
        return date.fromisoformat(value).isoformat() == value
    except ValueError:
        return False


# Procedures: procedure-<code>


@dataclass(frozen=True, slots=True)
class PublishProcedure:
    procedure: Procedure
    # What the linter finds in it.
    faults: tuple[str, ...]
    at: datetime
    by: str


@dataclass(frozen=True, slots=True)
class WithdrawProcedure:
    code: str
    valid_until: str
    legal_basis: str
    at: datetime
    by: str


@dataclass(frozen=True, slots=True)
class ProcedurePublished:
    procedure: Procedure
    at: datetime
    by: str


@dataclass(frozen=True, slots=True)
class ProcedureWithdrawn:
    code: str
    valid_until: str
    legal_basis: str
    at: datetime
    by: str


ProcedureCommand = PublishProcedure | WithdrawProcedure
ProcedureEvent = ProcedurePublished | ProcedureWithdrawn


@dataclass(frozen=True, slots=True)
class ProcedureState:
    last_version: int = 0
    validities: tuple[Validity, ...] = ()
    # Of every version, the charges that the Council sets.
    council: frozenset[str] = frozenset()


def decide_procedure(command: ProcedureCommand, state: ProcedureState) -> Sequence[ProcedureEvent]:
    match command:
        case PublishProcedure(procedure, faults, at, by):
            if faults:
                raise Rejected(
                    "PROCEDURE_FAULTY", code=procedure.code, count=str(len(faults)), faults=", ".join(faults)
                )
            _next_version(procedure.version, state.last_version)
            _admit(_validity(procedure.valid_from, procedure.valid_until), state.validities, today(at))
            return [ProcedurePublished(procedure, at, by)]
        case WithdrawProcedure(code, valid_until, legal_basis, at, by):
            if not state.validities:
                raise Rejected("PROCEDURE_UNKNOWN", code=code)
            _dated(valid_until)
            _based(legal_basis)
            ends = [validity.until for validity in state.validities]
            if all(ends) and max(ends) <= valid_until:
                raise Rejected("PROCEDURE_WITHDRAWN", code=code, valid_until=max(ends))
            _not_past(valid_until, today(at))
            return [ProcedureWithdrawn(code, valid_until, legal_basis, at, by)]
        case _:
            assert_never(command)


def evolve_procedure(state: ProcedureState, event: ProcedureEvent) -> ProcedureState:
    match event:
        case ProcedurePublished(procedure):
            validity = Validity(procedure.valid_from, procedure.valid_until)
            validities = (*_superseded(state.validities, validity), validity)
            return ProcedureState(procedure.version, validities, state.council | _council(procedure))
        case ProcedureWithdrawn(valid_until=valid_until):
            kept = (validity for validity in state.validities if validity.since <= valid_until)
            return replace(state, validities=tuple(validity.ended(valid_until) for validity in kept))
        case _:
            assert_never(event)


def _council(procedure: Procedure) -> frozenset[str]:
    charges = procedure.fee.charges if procedure.fee else ()
    return frozenset(charge.code for charge in charges if charge.basis is ChargeBasis.COUNCIL)


# Fee overlays: overlay-<province>-<procedure code, or "all">


@dataclass(frozen=True, slots=True)
class AdoptFeeOverlay:
    overlay: FeeOverlay
    province_known: bool
    procedure_known: bool
    # The procedure's charges that the Council sets.
    charges: frozenset[str]
    at: datetime
    by: str


@dataclass(frozen=True, slots=True)
class FeeOverlayAdopted:
    overlay: FeeOverlay
    at: datetime
    by: str


@dataclass(frozen=True, slots=True)
class AdoptedOverlay:
    charge_code: str
    channels: frozenset[Channel]
    validity: Validity


@dataclass(frozen=True, slots=True)
class OverlayState:
    adopted: tuple[AdoptedOverlay, ...] = ()


def decide_overlay(command: AdoptFeeOverlay, state: OverlayState) -> Sequence[FeeOverlayAdopted]:
    overlay = command.overlay
    if not command.province_known:
        raise Rejected("PROVINCE_UNKNOWN", province=overlay.province)
    if not command.procedure_known:
        raise Rejected("PROCEDURE_UNKNOWN", code=overlay.procedure_code)
    # A charge's code means something within its procedure only.
    if overlay.charge_code and overlay.charge_code not in command.charges:
        raise Rejected("CHARGE_UNKNOWN", code=overlay.procedure_code or "-", charge=overlay.charge_code)
    if overlay.amount and overlay.amount < LEAST_AMOUNT:
        raise Rejected("AMOUNT_INVALID", amount=str(overlay.amount))
    _based(overlay.resolution)
    validity = _validity(overlay.valid_from, overlay.valid_until)
    channels = frozenset(overlay.channels)
    for other in state.adopted:
        # Two that name some of the same channels would both fit one dossier.
        shared = other.channels != channels and other.channels & channels
        if other.charge_code == overlay.charge_code and shared and other.validity.meets(validity):
            raise Rejected("VALIDITY_OVERLAPS", valid_from=other.validity.since, valid_until=other.validity.until)
    same = (other.validity for other in state.adopted if _same_scope(other, overlay))
    _admit(validity, tuple(same), today(command.at))
    return [FeeOverlayAdopted(overlay, command.at, command.by)]


def evolve_overlay(state: OverlayState, event: FeeOverlayAdopted) -> OverlayState:
    overlay = event.overlay
    validity = Validity(overlay.valid_from, overlay.valid_until)
    adopted = tuple(
        replace(other, validity=_superseded((other.validity,), validity)[0]) if _same_scope(other, overlay) else other
        for other in state.adopted
    )
    return OverlayState((*adopted, AdoptedOverlay(overlay.charge_code, frozenset(overlay.channels), validity)))


def _same_scope(adopted: AdoptedOverlay, overlay: FeeOverlay) -> bool:
    return (adopted.charge_code, adopted.channels) == (overlay.charge_code, frozenset(overlay.channels))


# Agencies: agency-<code>


@dataclass(frozen=True, slots=True)
class OpenAgency:
    """`territory`: of its province, if it names one."""

    agency: Agency
    calendar_known: bool
    parent_known: bool
    at: datetime
    by: str
    territory: TerritoryState | None = None


@dataclass(frozen=True, slots=True)
class CloseAgency:
    code: str
    successor: str
    successor_open: bool
    valid_until: str
    legal_basis: str
    at: datetime
    by: str


@dataclass(frozen=True, slots=True)
class AgencyOpened:
    agency: Agency
    at: datetime
    by: str


@dataclass(frozen=True, slots=True)
class AgencyClosed:
    code: str
    successor: str
    valid_until: str
    legal_basis: str
    at: datetime
    by: str


AgencyCommand = OpenAgency | CloseAgency
AgencyEvent = AgencyOpened | AgencyClosed


@dataclass(frozen=True, slots=True)
class AgencyState:
    validity: Validity | None = None


def decide_agency(command: AgencyCommand, state: AgencyState) -> Sequence[AgencyEvent]:
    match command:
        case OpenAgency(agency, calendar_known, parent_known, at, by, territory):
            if state.validity:
                raise Rejected("AGENCY_EXISTS", code=agency.code)
            if not _ORGANISATION.fullmatch(agency.code):
                raise Rejected("AGENCY_CODE_INVALID", code=agency.code)
            _dated(agency.valid_from)
            if not calendar_known:
                raise Rejected("CALENDAR_UNKNOWN", calendar_id=agency.calendar_id)
            if agency.parent and not parent_known:
                raise Rejected("AGENCY_UNKNOWN", code=agency.parent)
            _lies_there(agency, territory or TerritoryState())
            return [AgencyOpened(agency, at, by)]
        case CloseAgency(code, successor, successor_open, valid_until, legal_basis, at, by):
            if not state.validity:
                raise Rejected("AGENCY_UNKNOWN", code=code)
            if state.validity.until:
                raise Rejected("AGENCY_CLOSED", code=code, valid_until=state.validity.until)
            if successor == code:
                raise Rejected("SUCCESSOR_IS_ITSELF", code=code)
            if not successor_open:
                raise Rejected("SUCCESSOR_UNKNOWN", successor=successor)
            _dated(valid_until)
            _based(legal_basis)
            _not_past(valid_until, today(at))
            _validity(state.validity.since, valid_until)
            return [AgencyClosed(code, successor, valid_until, legal_basis, at, by)]
        case _:
            assert_never(command)


def _lies_there(agency: Agency, territory: TerritoryState) -> None:
    """In a province and a commune that there are from its first day on, and where its code says."""
    local = agency.level in (Level.PROVINCE, Level.COMMUNE)
    if (local and not agency.province) or (agency.level is Level.COMMUNE and not agency.commune):
        raise Rejected("AGENCY_PLACE_MISSING", level=agency.level.name)
    if agency.province or agency.commune:
        if not territory.has(agency.valid_from):
            raise Rejected("PROVINCE_UNKNOWN", province=agency.province)
        if agency.commune and agency.commune not in territory.communes_since(agency.valid_from):
            raise Rejected("COMMUNE_UNKNOWN", commune=agency.commune, province=agency.province)
    home = _OF_PROVINCE.match(agency.code)
    if home and home[1] != agency.province:
        raise Rejected("AGENCY_ELSEWHERE", code=agency.code, province=agency.province or "-")


def evolve_agency(state: AgencyState, event: AgencyEvent) -> AgencyState:
    match event:
        case AgencyOpened(agency):
            return AgencyState(Validity(agency.valid_from))
        case AgencyClosed(valid_until=valid_until):
            return AgencyState(state.validity and state.validity.ended(valid_until))
        case _:
            assert_never(event)


# Calendars: calendar-<id>


@dataclass(frozen=True, slots=True)
class PublishCalendar:
    calendar: CalendarVersion
    at: datetime
    by: str


@dataclass(frozen=True, slots=True)
class CalendarPublished:
    calendar: CalendarVersion
    at: datetime
    by: str


@dataclass(frozen=True, slots=True)
class CalendarState:
    last_version: int = 0
    # Days and how they differ from the week.
    exceptions: frozenset[tuple[str, bool]] = frozenset()


def decide_calendar(command: PublishCalendar, state: CalendarState) -> Sequence[CalendarPublished]:
    calendar = command.calendar
    if not _CALENDAR.fullmatch(calendar.calendar_id):
        raise Rejected("CALENDAR_FAULTY", why=f"calendar_id {calendar.calendar_id!r}")
    _next_version(calendar.version, state.last_version)
    try:
        ZoneInfo(calendar_of(calendar).zone)
    except (ValueError, KeyError, OSError) as error:
        raise Rejected("CALENDAR_FAULTY", why=str(error)) from error
    for day in (calendar.known_until, *calendar.closed, *calendar.worked):
        _dated(day)
    if calendar.announced_on:
        _dated(calendar.announced_on)
    if state.last_version:
        # Of days before the first that it named, the calendar said nothing.
        began = min((day for day, _ in state.exceptions), default="")
        for day, _ in sorted(state.exceptions ^ _exceptions(calendar)):
            if day >= began:
                _not_past(day, today(command.at))
    return [CalendarPublished(calendar, command.at, command.by)]


def evolve_calendar(_: CalendarState, event: CalendarPublished) -> CalendarState:
    return CalendarState(event.calendar.version, _exceptions(event.calendar))


def _exceptions(calendar: CalendarVersion) -> frozenset[tuple[str, bool]]:
    return frozenset((day, False) for day in calendar.closed) | {(day, True) for day in calendar.worked}


# Territory: province-<code>


@dataclass(frozen=True, slots=True)
class PublishTerritory:
    territory: Territory
    at: datetime
    by: str


@dataclass(frozen=True, slots=True)
class MergeProvince:
    code: str
    successor: str
    successor_known: bool
    valid_until: str
    legal_basis: str
    at: datetime
    by: str


@dataclass(frozen=True, slots=True)
class TerritoryPublished:
    territory: Territory
    at: datetime
    by: str


@dataclass(frozen=True, slots=True)
class ProvinceMerged:
    code: str
    successor: str
    valid_until: str
    legal_basis: str
    at: datetime
    by: str


TerritoryCommand = PublishTerritory | MergeProvince
TerritoryEvent = TerritoryPublished | ProvinceMerged


@dataclass(frozen=True, slots=True)
class TerritoryState:
    last_version: int = 0
    validities: tuple[Validity, ...] = ()
    merged_until: str = ""
    # Of each of the versions in `validities`.
    communes: tuple[frozenset[str], ...] = ()

    def has(self, day: str) -> bool:
        """Whether there is the province on that day or later."""
        return self.last_version > 0 and (not self.merged_until or day <= self.merged_until)

    def communes_since(self, day: str) -> frozenset[str]:
        """Those that there are on that day or later."""
        versions = zip(self.validities, self.communes, strict=True)
        return frozenset().union(
            *(codes for validity, codes in versions if not validity.until or day <= validity.until)
        )


def decide_territory(command: TerritoryCommand, state: TerritoryState) -> Sequence[TerritoryEvent]:
    match command:
        case PublishTerritory(territory, at, by):
            if state.merged_until:
                raise Rejected("PROVINCE_MERGED", province=territory.province.code, valid_until=state.merged_until)
            if fault := territory_fault(territory):
                raise Rejected("TERRITORY_FAULTY", why=fault)
            _next_version(territory.version, state.last_version)
            _based(territory.legal_basis)
            _admit(_validity(territory.valid_from, ""), state.validities, today(at))
            return [TerritoryPublished(territory, at, by)]
        case MergeProvince(code, successor, successor_known, valid_until, legal_basis, at, by):
            if not state.last_version:
                raise Rejected("PROVINCE_UNKNOWN", province=code)
            if state.merged_until:
                raise Rejected("PROVINCE_MERGED", province=code, valid_until=state.merged_until)
            if successor == code:
                raise Rejected("SUCCESSOR_IS_ITSELF", code=code)
            if not successor_known:
                raise Rejected("SUCCESSOR_UNKNOWN", successor=successor)
            _dated(valid_until)
            _based(legal_basis)
            _not_past(valid_until, today(at))
            return [ProvinceMerged(code, successor, valid_until, legal_basis, at, by)]
        case _:
            assert_never(command)


def evolve_territory(state: TerritoryState, event: TerritoryEvent) -> TerritoryState:
    match event:
        case TerritoryPublished(territory):
            validity = Validity(territory.valid_from)
            return TerritoryState(
                territory.version,
                (*_superseded(state.validities, validity), validity),
                communes=(*state.communes, frozenset(commune.code for commune in territory.communes)),
            )
        case ProvinceMerged(valid_until=valid_until):
            return replace(state, merged_until=valid_until)
        case _:
            assert_never(event)


def territory_fault(territory: Territory) -> str:
    province, communes = territory.province, territory.communes
    if not _PROVINCE.fullmatch(province.code) or province.kind not in (UnitKind.PROVINCE, UnitKind.CITY):
        return f"{province.code} {province.kind.name}"
    codes = [commune.code for commune in communes]
    if len(codes) != len(set(codes)):
        return f"twice: {next(code for code in codes if codes.count(code) > 1)}"
    for commune in communes:
        local = (UnitKind.COMMUNE, UnitKind.WARD, UnitKind.SPECIAL_ZONE)
        if not _COMMUNE.fullmatch(commune.code) or commune.kind not in local:
            return f"{commune.code} {commune.kind.name}"
    return "" if communes else "0 communes"


# Rules in common


def _next_version(version: int, last: int) -> None:
    if version != last + 1:
        raise Rejected("VERSION_NOT_NEXT", version=str(version), expected=str(last + 1))


def _dated(value: str) -> None:
    if not is_date(value):
        raise Rejected("DATE_INVALID", value=value)


def _based(legal_basis: str) -> None:
    if not legal_basis:
        raise Rejected("LEGAL_BASIS_MISSING")


def _not_past(day: str, today: str) -> None:
    """The law of today is what dossiers received today were promised: the earliest change is its end."""
    if day < today:
        raise Rejected("CHANGES_THE_PAST", day=day, today=today)


def _validity(since: str, until: str) -> Validity:
    _dated(since)
    if until:
        _dated(until)
        if until < since:
            raise Rejected("VALIDITY_BACKWARDS", valid_from=since, valid_until=until)
    return Validity(since, until)


def _admit(new: Validity, known: tuple[Validity, ...], today: str) -> None:
    for other in known:
        if not other.meets(new):
            continue
        if other.until or other.since >= new.since:
            raise Rejected("VALIDITY_OVERLAPS", valid_from=other.since, valid_until=other.until)
        _not_past(_eve(new.since), today)


def _superseded(known: tuple[Validity, ...], new: Validity) -> tuple[Validity, ...]:
    """Those that are open-ended end on the eve of the new one."""
    return tuple(
        other.ended(_eve(new.since)) if not other.until and other.since < new.since else other for other in known
    )


def _eve(day: str) -> str:
    return (date.fromisoformat(day) - timedelta(days=1)).isoformat()


procedures: Decider[ProcedureCommand, ProcedureState, ProcedureEvent] = Decider(
    ProcedureState(), decide_procedure, evolve_procedure
)
overlays: Decider[AdoptFeeOverlay, OverlayState, FeeOverlayAdopted] = Decider(
    OverlayState(), decide_overlay, evolve_overlay
)
agencies: Decider[AgencyCommand, AgencyState, AgencyEvent] = Decider(AgencyState(), decide_agency, evolve_agency)
calendars: Decider[PublishCalendar, CalendarState, CalendarPublished] = Decider(
    CalendarState(), decide_calendar, evolve_calendar
)
territories: Decider[TerritoryCommand, TerritoryState, TerritoryEvent] = Decider(
    TerritoryState(), decide_territory, evolve_territory
)
