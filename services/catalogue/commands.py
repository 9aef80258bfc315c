"""What the catalogue is asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from services.catalogue.values import TerritoryState
from services.law.definitions import Agency, CalendarVersion, Channel, FeeOverlay, Procedure, Territory, Text


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishProcedure:
    procedure: Procedure
    at: datetime
    by: str
    # What the linter finds in it.
    faults: tuple[str, ...]
    # Versions that are not in force yet and overlap with it are withdrawn.
    replaces: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class WithdrawProcedureVersion:
    code: str
    at: datetime
    by: str
    version: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposeProcedureRepair:
    procedure: Procedure
    at: datetime
    by: str
    faults: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmProcedureRepair:
    code: str
    at: datetime
    by: str
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WithdrawProcedure:
    code: str
    at: datetime
    by: str
    valid_until: str
    legal_basis: str


ProcedureCommand = (
    PublishProcedure | WithdrawProcedure | WithdrawProcedureVersion | ProposeProcedureRepair | ConfirmProcedureRepair
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AdoptFeeOverlay:
    overlay: FeeOverlay
    at: datetime
    by: str
    province_known: bool
    procedure_known: bool
    # The procedure's charges that the Council sets.
    charges: frozenset[str]
    # Overlays of the same scope that are not in force yet and overlap with it are withdrawn.
    replaces: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class WithdrawFeeOverlay:
    province: str
    at: datetime
    by: str
    procedure_code: str
    charge_code: str
    channels: tuple[Channel, ...]
    valid_from: str
    reason: str


OverlayCommand = AdoptFeeOverlay | WithdrawFeeOverlay


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAgency:
    """`territory`: of its province, if it names one."""

    agency: Agency
    at: datetime
    by: str
    calendar_known: bool
    parent_known: bool
    territory: TerritoryState | None = None
    # Of the parent; empty for one of the nation.
    parent_province: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeAgency:
    """What is empty stays as it is."""

    code: str
    at: datetime
    by: str
    name: Text | None
    calendar_id: str
    calendar_known: bool
    valid_from: str
    legal_basis: str
    replaces: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class WithdrawAgencyVersion:
    code: str
    at: datetime
    by: str
    version: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseAgency:
    code: str
    at: datetime
    by: str
    successor: str
    successor_open: bool
    valid_until: str
    legal_basis: str
    # Empty for an agency of the nation.
    successor_province: str = ""
    # What the closing agency's own province became a part of.
    merged_into: str = ""


AgencyCommand = OpenAgency | ChangeAgency | WithdrawAgencyVersion | CloseAgency


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishCalendar:
    calendar: CalendarVersion
    at: datetime
    by: str
    # Versions that are not in force yet and would follow it are withdrawn.
    replaces: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class WithdrawCalendarVersion:
    calendar_id: str
    at: datetime
    by: str
    version: int
    reason: str


CalendarCommand = PublishCalendar | WithdrawCalendarVersion


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishTerritory:
    territory: Territory
    at: datetime
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeProvince:
    code: str
    at: datetime
    by: str
    successor: str
    successor_known: bool
    valid_until: str
    legal_basis: str


TerritoryCommand = PublishTerritory | MergeProvince
