"""Agencies, in streams agency-<code>: opened, changed from a day on, closed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import assert_never

from services.catalogue.commands import (
    AgencyCommand,
    ChangeAgency,
    CloseAgency,
    OpenAgency,
    WithdrawAgencyVersion,
)
from services.catalogue.domain.versions import (
    admit,
    require_basis,
    require_day,
    require_not_past,
    require_reason,
    require_to_come,
    validity_of,
    without,
)
from services.catalogue.events import (
    AgencyChanged,
    AgencyClosed,
    AgencyEvent,
    AgencyOpened,
    AgencyVersionWithdrawn,
)
from services.catalogue.refusals import Refused
from services.catalogue.values import ORGANISATION, TerritoryState, Version
from services.chassis.decider import Decider
from services.law.days import local_day
from services.law.definitions import (
    Agency,
    Level,
)
from services.law.validity import Validity

_OF_PROVINCE = re.compile(r"P(\d{2})(?:\.|$)", re.ASCII)


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
            require_day(agency.valid_from)
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
            require_day(valid_from)
            require_basis(legal_basis)
            if calendar_id and not calendar_known:
                raise Refused("CALENDAR_UNKNOWN", calendar_id=calendar_id)
            replaced = admit(Validity(valid_from), state.versions, local_day(at), replaces)
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
            require_to_come(state.versions, version, code, local_day(at))
            require_reason(reason)
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
            require_day(valid_until)
            require_basis(legal_basis)
            require_not_past(valid_until, local_day(at))
            validity_of(state.versions[0].validity.since, valid_until)
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
            return replace(state, versions=without(state.versions, version))
        case AgencyClosed(valid_until=valid_until):
            return replace(state, until=valid_until)
        case _:
            assert_never(event)


agencies: Decider[AgencyCommand, AgencyState, AgencyEvent] = Decider(AgencyState(), decide_agency, evolve_agency)
