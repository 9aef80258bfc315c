"""Documents that the state already holds, so that nobody is asked for them again."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import assert_never

from services.chassis.decider import Decider, Sealed
from services.warehouse.commands import (
    Command,
    EraseDocument,
    KeepDocument,
    LinkDocument,
    ReuseDocument,
    RevokeDocument,
)
from services.warehouse.events import (
    DocumentErased,
    DocumentKept,
    DocumentLinked,
    DocumentRead,
    DocumentReused,
    DocumentRevoked,
    Event,
)
from services.warehouse.refusals import Refused
from services.warehouse.values import DocumentSource

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Document:
    # Empty: not kept.
    account_id: str = ""
    agency: str = ""
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    revoked: bool = False
    erased: bool = False
    guardian_id: str = ""
    # Whom it speaks about has no account yet.
    unlinked: bool = False
    sha256: str = ""
    # Dossier code and component code.
    uses: frozenset[tuple[str, str]] = frozenset()


def _decide(command: Command, state: Document) -> Sequence[Event]:
    if isinstance(command, KeepDocument):
        return _keep(command, state)
    if not state.account_id:
        raise Refused("NOT_FOUND", document_id=command.document_id)
    if state.erased:
        raise Refused("ERASED", document_id=command.document_id)
    match command:
        case ReuseDocument():
            return _reuse(command, state)
        case LinkDocument():
            return _link(command, state)
        case RevokeDocument():
            return _revoke(command, state)
        case EraseDocument():
            return [
                DocumentErased(
                    document_id=command.document_id, account_id=state.account_id, at=command.at, by=command.by
                )
            ]
        case _:
            assert_never(command)


def _keep(c: KeepDocument, state: Document) -> Sequence[Event]:
    if state.account_id:
        raise Refused("ALREADY_KEPT", document_id=c.document_id)
    match c.source:
        case DocumentSource.UNSPECIFIED:
            raise Refused("SOURCE_MISSING")
        case DocumentSource.POPULATION:
            if c.sha256 or c.media_type or c.size:
                raise Refused("CONTENT_NOT_ALLOWED")
        case DocumentSource.RESULT | DocumentSource.COMPONENT:
            _check_content(c)
        case _:
            assert_never(c.source)
    if c.valid_until is not None and c.valid_until < c.valid_from:
        raise Refused("VALIDITY_INVERTED", valid_from=c.valid_from.isoformat(), valid_until=c.valid_until.isoformat())
    return [
        DocumentKept(
            document_id=c.document_id,
            account_id=c.account_id,
            at=c.at,
            by=c.by,
            document_kind=c.document_kind,
            source=c.source,
            agency=c.agency,
            code=c.code,
            document_number=c.document_number,
            sha256=c.sha256,
            media_type=c.media_type,
            size=c.size,
            valid_from=c.valid_from,
            valid_until=c.valid_until,
            guardian_id=c.guardian_id,
        )
    ]


def _check_content(c: KeepDocument) -> None:
    given = {"sha256": _SHA256.fullmatch(c.sha256), "media_type": c.media_type, "size": c.size > 0}
    for field, good in given.items():
        if not good:
            raise Refused("CONTENT_MISSING", field=field)


def _reuse(c: ReuseDocument, state: Document) -> Sequence[Event]:
    if c.applicant_id not in (state.account_id, state.guardian_id):
        raise Refused("NOT_THE_SUBJECT", document_id=c.document_id)
    if (c.code, c.component_code) in state.uses:
        raise Refused("ALREADY_REUSED", code=c.code, component_code=c.component_code)
    if not (c.consent or c.data_only):
        raise Refused("CONSENT_MISSING", code=c.code)
    if state.revoked:
        raise Refused("REVOKED", document_id=c.document_id)
    if state.valid_from is not None and c.at < state.valid_from:
        raise Refused("NOT_YET_VALID", document_id=c.document_id, valid_from=state.valid_from.isoformat())
    if state.valid_until is not None and c.at > state.valid_until:
        raise Refused("EXPIRED", document_id=c.document_id, valid_until=state.valid_until.isoformat())
    return [
        DocumentReused(
            document_id=c.document_id,
            account_id=state.account_id,
            at=c.at,
            by=c.by,
            code=c.code,
            component_code=c.component_code,
        )
    ]


def _link(c: LinkDocument, state: Document) -> Sequence[Event]:
    _require_issuer(c.agency, state)
    if not state.unlinked:
        raise Refused("NOT_HELD_FOR_ANOTHER", document_id=c.document_id)
    if c.account_id == state.guardian_id:
        raise Refused("IS_THE_GUARDIAN", account_id=c.account_id)
    if not c.reason.strip():
        raise Refused("REASON_MISSING")
    guardian = state.guardian_id if c.guardian_stays else ""
    reason = Sealed(c.reason)
    return [
        DocumentLinked(
            document_id=c.document_id,
            account_id=c.account_id,
            at=c.at,
            by=c.by,
            agency=c.agency,
            person_id=state.account_id,
            guardian_id=guardian,
            reason=reason,
        )
    ]


def _require_issuer(agency: str, state: Document) -> None:
    """That it is the issuing agency, or one above."""
    if not agency or not f"{state.agency}.".startswith(f"{agency}."):
        raise Refused("NOT_THE_ISSUER", issuer=state.agency)


def _revoke(c: RevokeDocument, state: Document) -> Sequence[Event]:
    _require_issuer(c.agency, state)
    if state.revoked:
        raise Refused("REVOKED", document_id=c.document_id)
    if not c.reason.strip():
        raise Refused("REASON_MISSING")
    return [
        DocumentRevoked(
            document_id=c.document_id,
            account_id=state.account_id,
            at=c.at,
            by=c.by,
            agency=c.agency,
            reason=Sealed(c.reason),
        )
    ]


def _evolve(state: Document, event: Event) -> Document:
    match event:
        case DocumentKept():
            return Document(
                event.account_id,
                event.agency,
                event.valid_from,
                event.valid_until,
                guardian_id=event.guardian_id,
                unlinked=bool(event.guardian_id),
                sha256=event.sha256,
            )
        case DocumentLinked():
            return replace(state, account_id=event.account_id, guardian_id=event.guardian_id, unlinked=False)
        case DocumentReused():
            return replace(state, uses=state.uses | {(event.code, event.component_code)})
        case DocumentRead():
            return state
        case DocumentRevoked():
            return replace(state, revoked=True)
        case DocumentErased():
            return replace(state, erased=True)
        case _:
            assert_never(event)


document = Decider[Command, Document, Event](Document(), _decide, _evolve)
