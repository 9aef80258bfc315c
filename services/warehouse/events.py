"""The facts of kept documents, each with its protobuf twin in motcua.warehouse.events.v1."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from services.chassis.decider import Sealed
from services.warehouse.values import DocumentSource


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentKept:
    document_id: str
    at: datetime
    by: str
    account_id: str
    document_kind: str
    source: DocumentSource
    agency: str
    code: str
    document_number: str
    sha256: str
    media_type: str
    size: int
    valid_from: datetime
    valid_until: datetime | None
    guardian_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentLinked:
    document_id: str
    at: datetime
    by: str
    account_id: str
    agency: str
    person_id: str
    guardian_id: str
    reason: Sealed


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentReused:
    document_id: str
    at: datetime
    by: str
    account_id: str
    code: str
    component_code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentRead:
    document_id: str
    at: datetime
    by: str
    account_id: str
    agency: str
    purpose: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentRevoked:
    document_id: str
    at: datetime
    by: str
    account_id: str
    agency: str
    reason: Sealed


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentErased:
    document_id: str
    at: datetime
    by: str
    account_id: str


Event = DocumentKept | DocumentLinked | DocumentReused | DocumentRead | DocumentRevoked | DocumentErased
