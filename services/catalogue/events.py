"""The facts of the catalogue, each with its protobuf twin in motcua.catalogue.events.v1."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from services.law.definitions import Agency, CalendarVersion, Channel, FeeOverlay, Procedure, Territory


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


@dataclass(frozen=True, slots=True)
class ProcedureVersionWithdrawn:
    code: str
    version: int
    reason: str
    at: datetime
    by: str


@dataclass(frozen=True, slots=True)
class ProcedureRepairProposed:
    procedure: Procedure
    reason: str
    at: datetime
    by: str


@dataclass(frozen=True, slots=True)
class ProcedureRepaired:
    procedure: Procedure
    reason: str
    proposed_by: str
    at: datetime
    by: str


ProcedureEvent = (
    ProcedurePublished | ProcedureWithdrawn | ProcedureVersionWithdrawn | ProcedureRepairProposed | ProcedureRepaired
)


@dataclass(frozen=True, slots=True)
class FeeOverlayAdopted:
    overlay: FeeOverlay
    at: datetime
    by: str


@dataclass(frozen=True, slots=True)
class FeeOverlayWithdrawn:
    province: str
    procedure_code: str
    charge_code: str
    channels: tuple[Channel, ...]
    valid_from: str
    reason: str
    at: datetime
    by: str


OverlayEvent = FeeOverlayAdopted | FeeOverlayWithdrawn


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


@dataclass(frozen=True, slots=True)
class AgencyChanged:
    agency: Agency
    legal_basis: str
    at: datetime
    by: str


@dataclass(frozen=True, slots=True)
class AgencyVersionWithdrawn:
    code: str
    version: int
    reason: str
    at: datetime
    by: str


AgencyEvent = AgencyOpened | AgencyChanged | AgencyVersionWithdrawn | AgencyClosed


@dataclass(frozen=True, slots=True)
class CalendarPublished:
    calendar: CalendarVersion
    at: datetime
    by: str


@dataclass(frozen=True, slots=True)
class CalendarVersionWithdrawn:
    calendar_id: str
    version: int
    reason: str
    at: datetime
    by: str


CalendarEvent = CalendarPublished | CalendarVersionWithdrawn


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


TerritoryEvent = TerritoryPublished | ProvinceMerged
