"""The facts of the catalogue, each with its protobuf twin in motcua.catalogue.events.v1."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from services.law.definitions import Agency, CalendarVersion, Channel, FeeOverlay, Procedure, Territory


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcedurePublished:
    procedure: Procedure
    at: datetime
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcedureWithdrawn:
    code: str
    at: datetime
    by: str
    valid_until: str
    legal_basis: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcedureVersionWithdrawn:
    code: str
    at: datetime
    by: str
    version: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcedureRepairProposed:
    procedure: Procedure
    at: datetime
    by: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcedureRepaired:
    procedure: Procedure
    at: datetime
    by: str
    reason: str
    proposed_by: str


ProcedureEvent = (
    ProcedurePublished | ProcedureWithdrawn | ProcedureVersionWithdrawn | ProcedureRepairProposed | ProcedureRepaired
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FeeOverlayAdopted:
    overlay: FeeOverlay
    at: datetime
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FeeOverlayWithdrawn:
    province: str
    at: datetime
    by: str
    procedure_code: str
    charge_code: str
    channels: tuple[Channel, ...]
    valid_from: str
    reason: str


OverlayEvent = FeeOverlayAdopted | FeeOverlayWithdrawn


@dataclass(frozen=True, slots=True, kw_only=True)
class AgencyOpened:
    agency: Agency
    at: datetime
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AgencyClosed:
    code: str
    at: datetime
    by: str
    successor: str
    valid_until: str
    legal_basis: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AgencyChanged:
    agency: Agency
    at: datetime
    by: str
    legal_basis: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AgencyVersionWithdrawn:
    code: str
    at: datetime
    by: str
    version: int
    reason: str


AgencyEvent = AgencyOpened | AgencyChanged | AgencyVersionWithdrawn | AgencyClosed


@dataclass(frozen=True, slots=True, kw_only=True)
class CalendarPublished:
    calendar: CalendarVersion
    at: datetime
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CalendarVersionWithdrawn:
    calendar_id: str
    at: datetime
    by: str
    version: int
    reason: str


CalendarEvent = CalendarPublished | CalendarVersionWithdrawn


@dataclass(frozen=True, slots=True, kw_only=True)
class TerritoryPublished:
    territory: Territory
    at: datetime
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvinceMerged:
    code: str
    at: datetime
    by: str
    successor: str
    valid_until: str
    legal_basis: str


TerritoryEvent = TerritoryPublished | ProvinceMerged
