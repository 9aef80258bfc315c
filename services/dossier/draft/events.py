"""The facts of drafts. Each has its protobuf twin in motcua.dossier.events.v1."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from services.chassis.decider import Sealed
from services.dossier.values import Component


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftSaved:
    draft_id: str
    at: datetime
    by: str
    applicant_id: str
    procedure_code: str
    form: Sealed
    components: tuple[Component, ...]
    reception_agency: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftDiscarded:
    draft_id: str
    at: datetime
    by: str
    applicant_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftClaimed:
    draft_id: str
    at: datetime
    by: str
    applicant_id: str
    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftSubmitted:
    draft_id: str
    at: datetime
    by: str
    applicant_id: str
    code: str


Event = DraftSaved | DraftDiscarded | DraftClaimed | DraftSubmitted
