"""Queries over the documents' table, and their rows as messages."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import select

from motcua.warehouse.v1 import warehouse_pb2
from services.chassis.calls.paging import By, Listing
from services.chassis.database.database import utc
from services.chassis.deciding.codec import to_timestamp
from services.warehouse.views import documents

Status = warehouse_pb2.DocumentStatus


def documents_of(account_id: str, document_kind: str) -> Listing:
    """Of the account, and of those whose guardian it is."""
    query = select(documents).where((documents.c.account_id == account_id) | (documents.c.guardian_id == account_id))
    if document_kind:
        query = query.where(documents.c.document_kind == document_kind)
    return Listing(query, (By(documents.c.kept_at, newest_first=True), By(documents.c.document_id)))


def status_of(
    revoked: bool, valid_from: datetime, valid_until: datetime | None, now: datetime
) -> warehouse_pb2.DocumentStatus.ValueType:
    if revoked:
        return Status.DOCUMENT_STATUS_REVOKED
    if now < valid_from:
        return Status.DOCUMENT_STATUS_NOT_YET_VALID
    if valid_until is not None and valid_until < now:
        return Status.DOCUMENT_STATUS_EXPIRED
    return Status.DOCUMENT_STATUS_VALID


def summary_of(row: Any, now: datetime) -> warehouse_pb2.DocumentSummary:
    valid_from = utc(row.valid_from)
    valid_until = utc(row.valid_until) if row.valid_until else None
    return warehouse_pb2.DocumentSummary(
        document_id=row.document_id,
        account_id=row.account_id,
        document_kind=row.document_kind,
        source=row.source,
        agency=row.agency,
        code=row.code,
        valid_from=to_timestamp(valid_from),
        valid_until=to_timestamp(valid_until) if valid_until else None,
        status=status_of(row.revoked, valid_from, valid_until, now),
        reuses=row.reuses,
        guardian_id=row.guardian_id,
    )
