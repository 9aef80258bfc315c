"""What is asked about a document."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from services.warehouse.values import DocumentSource


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepDocument:
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
class ReuseDocument:
    document_id: str
    at: datetime
    by: str
    # Who hands in the dossier.
    applicant_id: str
    code: str
    component_code: str
    # The applicant agreed in this dossier.
    consent: bool
    # The component accepts nothing but data: the procedure itself replaced the paper.
    data_only: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkDocument:
    """`account_id` is a citizen's who is known; it is that of whom the document speaks about."""

    document_id: str
    at: datetime
    by: str
    account_id: str
    agency: str
    reason: str
    guardian_stays: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokeDocument:
    document_id: str
    at: datetime
    by: str
    agency: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EraseDocument:
    document_id: str
    at: datetime
    by: str


Command = KeepDocument | LinkDocument | ReuseDocument | RevokeDocument | EraseDocument
