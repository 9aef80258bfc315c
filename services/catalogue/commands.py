"""What the catalogue is asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from services.catalogue.values import TerritoryState
from services.law.definitions import Agency, CalendarVersion, Channel, FeeOverlay, Procedure, Territory, Text


@dataclass(frozen=True, slots=True)
class PublishProcedure:
    procedure: Procedure
    # What the linter finds in it.
    faults: tuple[str, ...]
    at: datetime
    by: str
    # Versions that are not in force yet and overlap with it are withdrawn.
    replaces: bool = False


@dataclass(frozen=True, slots=True)
class WithdrawProcedureVersion:
    code: str
    version: int
    reason: str
    at: datetime
    by: str


@dataclass(frozen=True, slots=True)
class ProposeProcedureRepair:
    procedure: Procedure
    faults: tuple[str, ...]
    reason: str
    at: datetime
    by: str


@dataclass(frozen=True, slots=True)
class ConfirmProcedureRepair:
    code: str
    version: int
    at: datetime
    by: str


@dataclass(frozen=True, slots=True)
class WithdrawProcedure:
    code: str
    valid_until: str
    legal_basis: str
    at: datetime
    by: str


ProcedureCommand = (
    PublishProcedure | WithdrawProcedure | WithdrawProcedureVersion | ProposeProcedureRepair | ConfirmProcedureRepair
)


@dataclass(frozen=True, slots=True)
class AdoptFeeOverlay:
    overlay: FeeOverlay
    province_known: bool
    procedure_known: bool
    # The procedure's charges that the Council sets.
    charges: frozenset[str]
    at: datetime
    by: str
    # Overlays of the same scope that are not in force yet and overlap with it are withdrawn.
    replaces: bool = False


@dataclass(frozen=True, slots=True)
class WithdrawFeeOverlay:
    province: str
    procedure_code: str
    charge_code: str
    channels: tuple[Channel, ...]
    valid_from: str
    reason: str
    at: datetime
    by: str


OverlayCommand = AdoptFeeOverlay | WithdrawFeeOverlay


@dataclass(frozen=True, slots=True)
class OpenAgency:
    """`territory`: of its province, if it names one."""

    agency: Agency
    calendar_known: bool
    parent_known: bool
    at: datetime
    by: str
    territory: TerritoryState | None = None
    # Of the parent; empty for one of the nation.
    parent_province: str = ""


@dataclass(frozen=True, slots=True)
class ChangeAgency:
    """What is empty stays as it is."""

    code: str
    name: Text | None
    calendar_id: str
    calendar_known: bool
    valid_from: str
    legal_basis: str
    at: datetime
    by: str
    replaces: bool = False


@dataclass(frozen=True, slots=True)
class WithdrawAgencyVersion:
    code: str
    version: int
    reason: str
    at: datetime
    by: str


@dataclass(frozen=True, slots=True)
class CloseAgency:
    code: str
    successor: str
    successor_open: bool
    valid_until: str
    legal_basis: str
    at: datetime
    by: str
    # Empty for an agency of the nation.
    successor_province: str = ""
    # What the closing agency's own province became a part of.
    merged_into: str = ""


AgencyCommand = OpenAgency | ChangeAgency | WithdrawAgencyVersion | CloseAgency


@dataclass(frozen=True, slots=True)
class PublishCalendar:
    calendar: CalendarVersion
    at: datetime
    by: str
    # Versions that are not in force yet and would follow it are withdrawn.
    replaces: bool = False


@dataclass(frozen=True, slots=True)
class WithdrawCalendarVersion:
    calendar_id: str
    version: int
    reason: str
    at: datetime
    by: str


CalendarCommand = PublishCalendar | WithdrawCalendarVersion


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


TerritoryCommand = PublishTerritory | MergeProvince
