"""Procedures, fee overlays, agencies, calendars and territory: what may be published, and when it is in force.

Nothing that was in force is changed; what is not in force yet may be withdrawn. Dates are days in Vietnam."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import assert_never
from zoneinfo import ZoneInfo

from services.catalogue.commands import (
    AdoptFeeOverlay,
    AgencyCommand,
    CalendarCommand,
    ChangeAgency,
    CloseAgency,
    ConfirmProcedureRepair,
    MergeProvince,
    OpenAgency,
    OverlayCommand,
    ProcedureCommand,
    ProposeProcedureRepair,
    PublishCalendar,
    PublishProcedure,
    PublishTerritory,
    TerritoryCommand,
    WithdrawAgencyVersion,
    WithdrawCalendarVersion,
    WithdrawFeeOverlay,
    WithdrawProcedure,
    WithdrawProcedureVersion,
)
from services.catalogue.events import (
    AgencyChanged,
    AgencyClosed,
    AgencyEvent,
    AgencyOpened,
    AgencyVersionWithdrawn,
    CalendarEvent,
    CalendarPublished,
    CalendarVersionWithdrawn,
    FeeOverlayAdopted,
    FeeOverlayWithdrawn,
    OverlayEvent,
    ProcedureEvent,
    ProcedurePublished,
    ProcedureRepaired,
    ProcedureRepairProposed,
    ProcedureVersionWithdrawn,
    ProcedureWithdrawn,
    ProvinceMerged,
    TerritoryEvent,
    TerritoryPublished,
)
from services.catalogue.refusals import Refused
from services.catalogue.values import LARGEST_AMOUNT, LEAST_AMOUNT, ORGANISATION, D, TerritoryState, Version, in_force
from services.chassis.decider import Decider, Words
from services.law.days import eve, is_day, local_day
from services.law.definitions import (
    Agency,
    CalendarVersion,
    Channel,
    ChargeBasis,
    FeeOverlay,
    Json,
    Level,
    Procedure,
    Territory,
    UnitKind,
    calendar_of,
)
from services.law.validity import Validity

_PROVINCE = re.compile(r"\d{2}", re.ASCII)
_OF_PROVINCE = re.compile(r"P(\d{2})(?:\.|$)", re.ASCII)
_COMMUNE = re.compile(r"\d{5}", re.ASCII)
_CALENDAR = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*", re.ASCII)


# Procedures: procedure-<code>


@dataclass(frozen=True, slots=True)
class ProcedureState:
    last_version: int = 0
    versions: tuple[Version[Procedure], ...] = ()
    proposed: ProcedureRepairProposed | None = None
    # Of every version, the charges that the Council sets.
    council: frozenset[str] = frozenset()


def decide_procedure(command: ProcedureCommand, state: ProcedureState) -> Sequence[ProcedureEvent]:
    match command:
        case PublishProcedure(procedure=procedure, faults=faults, at=at, by=by, replaces=replaces):
            _faultless(procedure, faults)
            _next_version(procedure.version, state.last_version)
            validity = _validity(procedure.valid_from, procedure.valid_until)
            replaced = _admit(validity, state.versions, local_day(at), replaces)
            why = f"v{procedure.version}"
            withdrawn = [
                ProcedureVersionWithdrawn(code=procedure.code, version=each, reason=why, at=at, by=by)
                for each in replaced
            ]
            return [*withdrawn, ProcedurePublished(procedure=procedure, at=at, by=by)]
        case WithdrawProcedure(code=code, valid_until=valid_until, legal_basis=legal_basis, at=at, by=by):
            if not state.versions:
                raise Refused("PROCEDURE_UNKNOWN", code=code)
            _dated(valid_until)
            _based(legal_basis)
            ends = [validity.until for validity in in_force(state.versions)]
            if all(ends) and max(ends) <= valid_until:
                raise Refused("PROCEDURE_WITHDRAWN", code=code, valid_until=max(ends))
            _not_past(valid_until, local_day(at))
            return [ProcedureWithdrawn(code=code, valid_until=valid_until, legal_basis=legal_basis, at=at, by=by)]
        case WithdrawProcedureVersion(code=code, version=version, reason=reason, at=at, by=by):
            _to_come(state.versions, version, code, local_day(at))
            _reasoned(reason)
            return [ProcedureVersionWithdrawn(code=code, version=version, reason=reason, at=at, by=by)]
        case ProposeProcedureRepair(procedure=procedure, faults=faults, reason=reason, at=at, by=by):
            known = _version(state.versions, procedure.version, procedure.code)
            _faultless(procedure, faults)
            _reasoned(reason)
            if _but_for_the_form(procedure) != _but_for_the_form(known.definition):
                raise Refused("REPAIR_CHANGES_MORE", code=procedure.code, version=str(procedure.version))
            if procedure == known.definition:
                raise Refused("REPAIR_CHANGES_NOTHING", code=procedure.code, version=str(procedure.version))
            return [ProcedureRepairProposed(procedure=procedure, reason=reason, at=at, by=by)]
        case ConfirmProcedureRepair(code=code, version=version, at=at, by=by):
            proposed = state.proposed
            if proposed is None or proposed.procedure.version != version:
                raise Refused("REPAIR_UNKNOWN", code=code, version=str(version))
            if proposed.by == by:
                raise Refused("REPAIR_NEEDS_ANOTHER", code=code, version=str(version))
            return [
                ProcedureRepaired(
                    procedure=proposed.procedure, reason=proposed.reason, proposed_by=proposed.by, at=at, by=by
                )
            ]
        case _:
            assert_never(command)


def evolve_procedure(state: ProcedureState, event: ProcedureEvent) -> ProcedureState:
    match event:
        case ProcedurePublished(procedure=procedure):
            new = Version(procedure.version, Validity(procedure.valid_from, procedure.valid_until), procedure)
            return replace(
                state,
                last_version=procedure.version,
                versions=(*state.versions, new),
                council=state.council | _council(procedure),
            )
        case ProcedureWithdrawn(valid_until=valid_until):
            kept = (each for each in state.versions if each.validity.since <= valid_until)
            return replace(state, versions=tuple(each.ended(valid_until) for each in kept))
        case ProcedureVersionWithdrawn(version=version):
            return replace(state, versions=_without(state.versions, version))
        case ProcedureRepairProposed():
            return replace(state, proposed=event)
        case ProcedureRepaired(procedure=procedure):
            versions = (
                replace(each, definition=procedure) if each.number == procedure.version else each
                for each in state.versions
            )
            return replace(state, versions=tuple(versions), proposed=None)
        case _:
            assert_never(event)


def _council(procedure: Procedure) -> frozenset[str]:
    charges = procedure.fee.charges if procedure.fee else ()
    return frozenset(charge.code for charge in charges if charge.basis is ChargeBasis.COUNCIL)


def _faultless(procedure: Procedure, faults: tuple[str, ...]) -> None:
    if faults:
        raise Refused("PROCEDURE_FAULTY", code=procedure.code, count=str(len(faults)), faults=", ".join(faults))


def _but_for_the_form(procedure: Procedure) -> Procedure:
    """What the law says, and not how the form asks and what follows from its answers."""
    circumstances = tuple(replace(each, form_field="", form_value=Json("")) for each in procedure.circumstances)
    return replace(procedure, form=None, circumstances=circumstances)


# Fee overlays: overlay-<province>-<procedure code, or "all">


@dataclass(frozen=True, slots=True)
class OverlayState:
    # By charge and channels. An overlay's number says which it is among all of them.
    scopes: Mapping[tuple[str, frozenset[Channel]], tuple[Version[FeeOverlay], ...]] = field(default_factory=dict)
    count: int = 0


def decide_overlay(command: OverlayCommand, state: OverlayState) -> Sequence[OverlayEvent]:
    match command:
        case AdoptFeeOverlay():
            return _adopted(command, state)
        case WithdrawFeeOverlay(
            province=province,
            procedure_code=procedure_code,
            charge_code=charge_code,
            channels=channels,
            valid_from=valid_from,
            reason=reason,
            at=at,
            by=by,
        ):
            versions = state.scopes.get((charge_code, frozenset(channels)), ())
            found = next((each for each in reversed(versions) if each.validity.since == valid_from), None)
            if found is None:
                raise Refused("OVERLAY_UNKNOWN", valid_from=valid_from)
            _not_begun(found.validity.since, local_day(at))
            _reasoned(reason)
            return [
                FeeOverlayWithdrawn(
                    province=province,
                    procedure_code=procedure_code,
                    charge_code=charge_code,
                    channels=channels,
                    valid_from=valid_from,
                    reason=reason,
                    at=at,
                    by=by,
                )
            ]
        case _:
            assert_never(command)


def _adopted(command: AdoptFeeOverlay, state: OverlayState) -> list[OverlayEvent]:
    overlay = command.overlay
    if not command.province_known:
        raise Refused("PROVINCE_UNKNOWN", province=overlay.province)
    if not command.procedure_known:
        raise Refused("PROCEDURE_UNKNOWN", code=overlay.procedure_code)
    # A charge's code means something within its procedure only.
    if overlay.charge_code and overlay.charge_code not in command.charges:
        raise Refused("CHARGE_UNKNOWN", code=overlay.procedure_code or "-", charge=overlay.charge_code)
    if overlay.amount and not LEAST_AMOUNT <= overlay.amount <= LARGEST_AMOUNT:
        raise Refused("AMOUNT_INVALID", amount=str(overlay.amount))
    _based(overlay.resolution)
    validity = _validity(overlay.valid_from, overlay.valid_until)
    channels = frozenset(overlay.channels)
    for (charge_code, others), versions in state.scopes.items():
        # Two that name some of the same channels would both fit one dossier.
        if charge_code == overlay.charge_code and others != channels and others & channels:
            for other in in_force(versions):
                if other.meets(validity):
                    raise Refused("VALIDITY_OVERLAPS", valid_from=other.since, valid_until=other.until)
    known = state.scopes.get((overlay.charge_code, channels), ())
    replaced = _admit(validity, known, local_day(command.at), command.replaces)
    withdrawn = [
        FeeOverlayWithdrawn(
            province=other.province,
            procedure_code=other.procedure_code,
            charge_code=other.charge_code,
            channels=other.channels,
            valid_from=other.valid_from,
            reason=overlay.resolution,
            at=command.at,
            by=command.by,
        )
        for other in (each.definition for each in known if each.number in replaced)
    ]
    return [*withdrawn, FeeOverlayAdopted(overlay=overlay, at=command.at, by=command.by)]


def evolve_overlay(state: OverlayState, event: OverlayEvent) -> OverlayState:
    match event:
        case FeeOverlayAdopted(overlay=overlay):
            scope = overlay.charge_code, frozenset(overlay.channels)
            new = Version(state.count + 1, Validity(overlay.valid_from, overlay.valid_until), overlay)
            return OverlayState({**state.scopes, scope: (*state.scopes.get(scope, ()), new)}, state.count + 1)
        case FeeOverlayWithdrawn(charge_code=charge_code, channels=channels, valid_from=valid_from):
            scope = charge_code, frozenset(channels)
            kept = tuple(each for each in state.scopes.get(scope, ()) if each.validity.since != valid_from)
            return replace(state, scopes={**state.scopes, scope: kept})
        case _:
            assert_never(event)


# Agencies: agency-<code>


@dataclass(frozen=True, slots=True)
class AgencyState:
    versions: tuple[Version[Agency], ...] = ()
    last_version: int = 0
    # The last day.
    until: str = ""

    @property
    def validity(self) -> Validity | None:
        return Validity(self.versions[0].validity.since, self.until) if self.versions else None

    @property
    def province(self) -> str:
        """Empty for an agency of the nation; no version changes it."""
        return self.versions[0].definition.province if self.versions else ""


def decide_agency(command: AgencyCommand, state: AgencyState) -> Sequence[AgencyEvent]:
    match command:
        case OpenAgency(
            agency=agency,
            calendar_known=calendar_known,
            parent_known=parent_known,
            at=at,
            by=by,
            territory=territory,
            parent_province=parent_province,
        ):
            if state.validity:
                raise Refused("AGENCY_EXISTS", code=agency.code)
            if not ORGANISATION.fullmatch(agency.code):
                raise Refused("AGENCY_CODE_INVALID", code=agency.code)
            _dated(agency.valid_from)
            if not calendar_known:
                raise Refused("CALENDAR_UNKNOWN", calendar_id=agency.calendar_id)
            if agency.parent and not parent_known:
                raise Refused("AGENCY_UNKNOWN", code=agency.parent)
            _lies_there(agency, territory or TerritoryState())
            if parent_province not in ("", agency.province):
                raise Refused("PARENT_ELSEWHERE", parent=agency.parent, province=agency.province or "-")
            return [AgencyOpened(agency=agency, at=at, by=by)]
        case ChangeAgency(
            code=code,
            name=name,
            calendar_id=calendar_id,
            calendar_known=calendar_known,
            valid_from=valid_from,
            legal_basis=legal_basis,
            at=at,
            by=by,
            replaces=replaces,
        ):
            _open(state, code)
            _dated(valid_from)
            _based(legal_basis)
            if calendar_id and not calendar_known:
                raise Refused("CALENDAR_UNKNOWN", calendar_id=calendar_id)
            replaced = _admit(Validity(valid_from), state.versions, local_day(at), replaces)
            before = max(
                (each for each in state.versions if each.number not in replaced), key=lambda each: each.validity.since
            ).definition
            changed = replace(
                before,
                name=name or before.name,
                calendar_id=calendar_id or before.calendar_id,
                valid_from=valid_from,
                version=state.last_version + 1,
            )
            if (changed.name, changed.calendar_id) == (before.name, before.calendar_id):
                raise Refused("AGENCY_UNCHANGED", code=code)
            withdrawn = [
                AgencyVersionWithdrawn(code=code, version=each, reason=legal_basis, at=at, by=by) for each in replaced
            ]
            return [*withdrawn, AgencyChanged(agency=changed, legal_basis=legal_basis, at=at, by=by)]
        case WithdrawAgencyVersion(code=code, version=version, reason=reason, at=at, by=by):
            _open(state, code)
            _to_come(state.versions, version, code, local_day(at))
            _reasoned(reason)
            if len(state.versions) > 1 and state.versions[0].number == version:
                raise Refused("VERSION_IS_FOLLOWED", code=code, version=str(version))
            return [AgencyVersionWithdrawn(code=code, version=version, reason=reason, at=at, by=by)]
        case CloseAgency(
            code=code,
            successor=successor,
            successor_open=successor_open,
            valid_until=valid_until,
            legal_basis=legal_basis,
            at=at,
            by=by,
            successor_province=province,
            merged_into=merged_into,
        ):
            _open(state, code)
            if successor == code:
                raise Refused("SUCCESSOR_IS_ITSELF", code=code)
            if not successor_open:
                raise Refused("SUCCESSOR_UNKNOWN", successor=successor)
            if province not in ("", state.province, merged_into):
                raise Refused("SUCCESSOR_ELSEWHERE", successor=successor, province=province)
            _dated(valid_until)
            _based(legal_basis)
            _not_past(valid_until, local_day(at))
            _validity(state.versions[0].validity.since, valid_until)
            return [
                AgencyClosed(
                    code=code, successor=successor, valid_until=valid_until, legal_basis=legal_basis, at=at, by=by
                )
            ]
        case _:
            assert_never(command)


def _lies_there(agency: Agency, territory: TerritoryState) -> None:
    """In a province and a commune that there are from its first day on, and where its code says."""
    local = agency.level in (Level.PROVINCE, Level.COMMUNE)
    if (local and not agency.province) or (agency.level is Level.COMMUNE and not agency.commune):
        raise Refused("AGENCY_PLACE_MISSING", level=agency.level.name)
    if agency.province or agency.commune:
        if not territory.has(agency.valid_from):
            raise Refused("PROVINCE_UNKNOWN", province=agency.province)
        if agency.commune and agency.commune not in territory.communes_since(agency.valid_from):
            raise Refused("COMMUNE_UNKNOWN", commune=agency.commune, province=agency.province)
    home = _OF_PROVINCE.match(agency.code)
    if home and home[1] != agency.province:
        raise Refused("AGENCY_ELSEWHERE", code=agency.code, province=agency.province or "-")


def _open(state: AgencyState, code: str) -> None:
    if not state.versions:
        raise Refused("AGENCY_UNKNOWN", code=code)
    if state.until:
        raise Refused("AGENCY_CLOSED", code=code, valid_until=state.until)


def evolve_agency(state: AgencyState, event: AgencyEvent) -> AgencyState:
    match event:
        case AgencyOpened(agency=agency) | AgencyChanged(agency=agency):
            number = agency.version or 1
            new = Version(number, Validity(agency.valid_from), agency)
            return replace(state, versions=(*state.versions, new), last_version=max(number, state.last_version))
        case AgencyVersionWithdrawn(version=version):
            return replace(state, versions=_without(state.versions, version))
        case AgencyClosed(valid_until=valid_until):
            return replace(state, until=valid_until)
        case _:
            assert_never(event)


# Calendars: calendar-<id>


@dataclass(frozen=True, slots=True)
class CalendarState:
    last_version: int = 0
    # Oldest first. One without a first day is in force since its publication.
    versions: tuple[Version[CalendarVersion], ...] = ()


def decide_calendar(command: CalendarCommand, state: CalendarState) -> Sequence[CalendarEvent]:
    match command:
        case PublishCalendar(calendar=calendar, at=at, by=by, replaces=replaces):
            return _published(calendar, at, by, replaces, state)
        case WithdrawCalendarVersion(calendar_id=calendar_id, version=version, reason=reason, at=at, by=by):
            _to_come(state.versions, version, calendar_id, local_day(at))
            _reasoned(reason)
            return [CalendarVersionWithdrawn(calendar_id=calendar_id, version=version, reason=reason, at=at, by=by)]
        case _:
            assert_never(command)


def _published(
    calendar: CalendarVersion, at: datetime, by: str, replaces: bool, state: CalendarState
) -> list[CalendarEvent]:
    if not _CALENDAR.fullmatch(calendar.calendar_id):
        raise Refused(
            "CALENDAR_FAULTY",
            why=Words.of(
                "calendar_id chỉ gồm chữ thường, chữ số và gạch nối",
                "calendar_id has lower-case letters, digits and hyphens only",
                f"calendar_id {calendar.calendar_id!r}",
            ),
        )
    _next_version(calendar.version, state.last_version)
    try:
        ZoneInfo(calendar_of(calendar).zone)
    except (ValueError, KeyError, OSError) as error:
        raise Refused("CALENDAR_FAULTY", why=_calendar_fault(error)) from error
    for day in (calendar.known_until, *calendar.closed, *calendar.worked):
        _dated(day)
    for day in filter(None, (calendar.announced_on, calendar.valid_from)):
        _dated(day)
    now = local_day(at)
    if calendar.valid_from and state.versions:
        _not_past(calendar.valid_from, now)
    later = [
        each
        for each in state.versions
        if each.validity.since >= (calendar.valid_from or now) and each.validity.since > now
    ]
    if later and not replaces:
        raise Refused("VALIDITY_OVERLAPS", valid_from=later[0].validity.since, valid_until="")
    kept = [each for each in state.versions if each not in later]
    if kept:
        before = _exceptions(kept[-1].definition)
        # Of days before the first that it named, the calendar said nothing.
        began = min((day for day, _ in before), default="")
        for day, _ in sorted(before ^ _exceptions(calendar)):
            if day >= began:
                _not_past(day, now)
    withdrawn = [
        CalendarVersionWithdrawn(
            calendar_id=calendar.calendar_id, version=each.number, reason=f"v{calendar.version}", at=at, by=by
        )
        for each in later
    ]
    return [*withdrawn, CalendarPublished(calendar=calendar, at=at, by=by)]


def evolve_calendar(state: CalendarState, event: CalendarEvent) -> CalendarState:
    match event:
        case CalendarPublished(calendar=calendar):
            new = Version(calendar.version, Validity(calendar.valid_from), calendar)
            return CalendarState(calendar.version, (*state.versions, new))
        case CalendarVersionWithdrawn(version=version):
            return replace(state, versions=_without(state.versions, version))
        case _:
            assert_never(event)


def _exceptions(calendar: CalendarVersion) -> frozenset[tuple[str, bool]]:
    return frozenset((day, False) for day in calendar.closed) | {(day, True) for day in calendar.worked}


# Territory: province-<code>


def decide_territory(command: TerritoryCommand, state: TerritoryState) -> Sequence[TerritoryEvent]:
    match command:
        case PublishTerritory(territory=territory, at=at, by=by):
            if state.merged_until:
                raise Refused("PROVINCE_MERGED", province=territory.province.code, valid_until=state.merged_until)
            if fault := territory_fault(territory):
                raise Refused("TERRITORY_FAULTY", why=fault)
            _next_version(territory.version, state.last_version)
            _based(territory.legal_basis)
            _admit(_validity(territory.valid_from, ""), state.versions, local_day(at), replaces=False)
            return [TerritoryPublished(territory=territory, at=at, by=by)]
        case MergeProvince(
            code=code,
            successor=successor,
            successor_known=successor_known,
            valid_until=valid_until,
            legal_basis=legal_basis,
            at=at,
            by=by,
        ):
            if not state.last_version:
                raise Refused("PROVINCE_UNKNOWN", province=code)
            if state.merged_until:
                raise Refused("PROVINCE_MERGED", province=code, valid_until=state.merged_until)
            if successor == code:
                raise Refused("SUCCESSOR_IS_ITSELF", code=code)
            if not successor_known:
                raise Refused("SUCCESSOR_UNKNOWN", successor=successor)
            _dated(valid_until)
            _based(legal_basis)
            _not_past(valid_until, local_day(at))
            return [
                ProvinceMerged(
                    code=code, successor=successor, valid_until=valid_until, legal_basis=legal_basis, at=at, by=by
                )
            ]
        case _:
            assert_never(command)


def evolve_territory(state: TerritoryState, event: TerritoryEvent) -> TerritoryState:
    match event:
        case TerritoryPublished(territory=territory):
            codes = frozenset(commune.code for commune in territory.communes)
            new = Version(territory.version, Validity(territory.valid_from), codes)
            return replace(state, last_version=territory.version, versions=(*state.versions, new))
        case ProvinceMerged(valid_until=valid_until, successor=successor):
            return replace(state, merged_until=valid_until, merged_into=successor)
        case _:
            assert_never(event)


def _calendar_fault(error: Exception) -> Words:
    if error.args and isinstance(error.args[0], Words):
        return error.args[0]
    return Words.of(
        "múi giờ, giờ hay ngày không đọc được; viết Asia/Ho_Chi_Minh, 07:30, 2026-11-24",
        "a time zone, hour or day cannot be read; write Asia/Ho_Chi_Minh, 07:30, 2026-11-24",
        str(error),
    )


def territory_fault(territory: Territory) -> str:
    province, communes = territory.province, territory.communes
    if not _PROVINCE.fullmatch(province.code) or province.kind not in (UnitKind.PROVINCE, UnitKind.CITY):
        return Words.of(
            f"{province.code} không phải tỉnh, thành phố với mã hai chữ số",
            f"{province.code} is no province or city with a code of two digits",
            f"{province.code} {province.kind.name}",
        )
    codes = [commune.code for commune in communes]
    if len(codes) != len(set(codes)):
        twice = next(code for code in codes if codes.count(code) > 1)
        return Words.of(f"{twice} có hai lần", f"{twice} is there twice", f"twice: {twice}")
    for commune in communes:
        local = (UnitKind.COMMUNE, UnitKind.WARD, UnitKind.SPECIAL_ZONE)
        if not _COMMUNE.fullmatch(commune.code) or commune.kind not in local:
            return Words.of(
                f"{commune.code} không phải xã, phường, đặc khu với mã năm chữ số",
                f"{commune.code} is no commune, ward or special zone with a code of five digits",
                f"{commune.code} {commune.kind.name}",
            )
    return "" if communes else Words.of("không có xã, phường nào", "it has no communes", "0 communes")


# Rules in common


def _next_version(version: int, last: int) -> None:
    if version != last + 1:
        raise Refused("VERSION_NOT_NEXT", version=str(version), expected=str(last + 1))


def _dated(value: str) -> None:
    if not is_day(value):
        raise Refused("DATE_INVALID", value=value)


def _based(legal_basis: str) -> None:
    if not legal_basis:
        raise Refused("LEGAL_BASIS_MISSING")


def _not_past(day: str, today: str) -> None:
    """The law of today is what dossiers received today were promised: the earliest change is its end."""
    if day < today:
        raise Refused("CHANGES_THE_PAST", day=day, today=today)


def _validity(since: str, until: str) -> Validity:
    _dated(since)
    if until:
        _dated(until)
        if until < since:
            raise Refused("VALIDITY_BACKWARDS", valid_from=since, valid_until=until)
    return Validity(since, until)


def _reasoned(reason: str) -> None:
    if not reason.strip():
        raise Refused("REASON_REQUIRED")


def _not_begun(since: str, today: str) -> None:
    """Nobody was promised anything by what is in force from tomorrow at the earliest."""
    if since <= today:
        raise Refused("IN_FORCE_ALREADY", valid_from=since, today=today)


def _version(versions: Sequence[Version[D]], number: int, code: str) -> Version[D]:
    for each in versions:
        if each.number == number:
            return each
    raise Refused("VERSION_UNKNOWN", code=code, version=str(number))


def _to_come(versions: Sequence[Version[D]], number: int, code: str, today: str) -> None:
    _not_begun(_version(versions, number, code).validity.since, today)


def _without(versions: tuple[Version[D], ...], number: int) -> tuple[Version[D], ...]:
    return tuple(each for each in versions if each.number != number)


def _admit(new: Validity, versions: Sequence[Version[D]], today: str, replaces: bool) -> list[int]:
    """The numbers of those that it takes the place of: of such as are not in force yet, if it replaces them."""
    replaced = [
        each.number
        for each, validity in zip(versions, in_force(versions), strict=True)
        if replaces
        and each.validity.since > today
        and validity.meets(new)
        and (validity.until or validity.since >= new.since)
    ]
    for other in in_force([each for each in versions if each.number not in replaced]):
        if not other.meets(new):
            continue
        if other.until or other.since >= new.since:
            raise Refused("VALIDITY_OVERLAPS", valid_from=other.since, valid_until=other.until)
        _not_past(eve(new.since), today)
    return replaced


procedures: Decider[ProcedureCommand, ProcedureState, ProcedureEvent] = Decider(
    ProcedureState(), decide_procedure, evolve_procedure
)
overlays: Decider[OverlayCommand, OverlayState, OverlayEvent] = Decider(OverlayState(), decide_overlay, evolve_overlay)
agencies: Decider[AgencyCommand, AgencyState, AgencyEvent] = Decider(AgencyState(), decide_agency, evolve_agency)
calendars: Decider[CalendarCommand, CalendarState, CalendarEvent] = Decider(
    CalendarState(), decide_calendar, evolve_calendar
)
territories: Decider[TerritoryCommand, TerritoryState, TerritoryEvent] = Decider(
    TerritoryState(), decide_territory, evolve_territory
)
