"""Queries over the documents' table, and their rows as messages."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import select

from motcua.types.v1.types_pb2 import MomentOrder
from motcua.warehouse.v1 import warehouse_pb2
from motcua.warehouse.v1 import warehouse_service_pb2 as pb
from services.chassis.calls.paging import By, Listing
from services.chassis.database.database import utc
from services.chassis.deciding.codec import from_timestamp, to_timestamp
from services.warehouse.counterparts import SOURCE
from services.warehouse.views import documents

Status = warehouse_pb2.DocumentStatus


def documents_of(account_id: str, request: pb.ListMyDocumentsRequest | pb.ListDocumentsRequest) -> Listing:
    """Of the account, and of those whose guardian it is."""
    c = documents.c
    query = select(documents).where((c.account_id == account_id) | (c.guardian_id == account_id))
    if request.document_kind:
        query = query.where(c.document_kind == request.document_kind)
    if request.source:
        query = query.where(c.source == SOURCE.stored(request.source))
    if request.agency:
        query = query.where(c.agency == request.agency)
    if request.HasField("valid_at"):
        at = from_timestamp(request.valid_at)
        query = query.where(~c.revoked, c.valid_from <= at, c.valid_until.is_(None) | (c.valid_until >= at))
    if isinstance(request, pb.ListMyDocumentsRequest) and request.dossier_code:
        query = query.where(c.code == request.dossier_code)
    newest_first = request.order != MomentOrder.MOMENT_ORDER_OLDEST_FIRST
    return Listing(query, (By(c.kept_at, newest_first), By(c.document_id)))


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
        source=SOURCE.shown(row.source),
        agency=row.agency,
        dossier_code=row.code,
        valid_from=to_timestamp(valid_from),
        valid_until=to_timestamp(valid_until) if valid_until else None,
        status=status_of(row.revoked, valid_from, valid_until, now),
        reuses=row.reuses,
        guardian_id=row.guardian_id,
    )
