"""Documents that the state already holds, so that nobody is asked for them again."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from typing import assert_never
from uuid import UUID, uuid5

from services.chassis.decider import Decider, Rejected, Sealed

_DOCUMENTS = UUID("4c1f6f2d-8b0a-4d57-9d3e-2f64c7b5e810")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class DocumentSource(Enum):
    UNSPECIFIED = 0
    RESULT = 1
    COMPONENT = 2
    POPULATION = 3


def document_id(source: DocumentSource, *origin: str) -> str:
    """One per origin, whoever computes it.

    The origin of a result is its dossier and kind, of a component its dossier and component, of the population
    database's answer the event that holds it.
    """
    return str(uuid5(_DOCUMENTS, "/".join((source.name, *origin))))


def person_id(code: str) -> str:
    """Of whom a dossier's documents speak about, where that is not the applicant and has no account yet: one person per dossier."""
    return str(uuid5(_DOCUMENTS, f"person/{code}"))


# Events


@dataclass(frozen=True, slots=True)
class DocumentKept:
    document_id: str
    account_id: str
    at: datetime
    by: str
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


@dataclass(frozen=True, slots=True)
class DocumentLinked:
    document_id: str
    account_id: str
    at: datetime
    by: str
    agency: str
    person_id: str
    guardian_id: str
    reason: Sealed


@dataclass(frozen=True, slots=True)
class DocumentReused:
    document_id: str
    account_id: str
    at: datetime
    by: str
    code: str
    component_code: str


@dataclass(frozen=True, slots=True)
class DocumentRead:
    document_id: str
    account_id: str
    at: datetime
    by: str
    agency: str
    purpose: str


@dataclass(frozen=True, slots=True)
class DocumentRevoked:
    document_id: str
    account_id: str
    at: datetime
    by: str
    agency: str
    reason: Sealed


@dataclass(frozen=True, slots=True)
class DocumentErased:
    document_id: str
    account_id: str
    at: datetime
    by: str


Event = DocumentKept | DocumentLinked | DocumentReused | DocumentRead | DocumentRevoked | DocumentErased


# Commands


@dataclass(frozen=True, slots=True)
class KeepDocument:
    document_id: str
    account_id: str
    at: datetime
    by: str
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


@dataclass(frozen=True, slots=True)
class ReuseDocument:
    document_id: str
    # Who hands in the dossier.
    applicant_id: str
    at: datetime
    by: str
    code: str
    component_code: str
    # The applicant agreed in this dossier.
    consent: bool
    # The component accepts nothing but data: the procedure itself replaced the paper.
    data_only: bool


@dataclass(frozen=True, slots=True)
class LinkDocument:
    """`account_id` is a citizen's who is known; it is that of whom the document speaks about."""

    document_id: str
    account_id: str
    at: datetime
    by: str
    agency: str
    reason: str
    guardian_stays: bool


@dataclass(frozen=True, slots=True)
class RevokeDocument:
    document_id: str
    at: datetime
    by: str
    agency: str
    reason: str


@dataclass(frozen=True, slots=True)
class EraseDocument:
    document_id: str
    at: datetime
    by: str


Command = KeepDocument | LinkDocument | ReuseDocument | RevokeDocument | EraseDocument


# State


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


# Decisions


def _decide(command: Command, state: Document) -> Sequence[Event]:
    if isinstance(command, KeepDocument):
        return _keep(command, state)
    if not state.account_id:
        raise Rejected("NOT_FOUND", document_id=command.document_id)
    if state.erased:
        raise Rejected("ERASED", document_id=command.document_id)
    match command:
        case ReuseDocument():
            return _reuse(command, state)
        case LinkDocument():
            return _link(command, state)
        case RevokeDocument():
            return _revoke(command, state)
        case EraseDocument():
            return [DocumentErased(command.document_id, state.account_id, command.at, command.by)]
        case _:
            assert_never(command)


def _keep(c: KeepDocument, state: Document) -> Sequence[Event]:
    if state.account_id:
        raise Rejected("ALREADY_KEPT", document_id=c.document_id)
    match c.source:
        case DocumentSource.UNSPECIFIED:
            raise Rejected("SOURCE_MISSING")
        case DocumentSource.POPULATION:
            if c.sha256 or c.media_type or c.size:
                raise Rejected("CONTENT_NOT_ALLOWED")
        case DocumentSource.RESULT | DocumentSource.COMPONENT:
            _check_content(c)
        case _:
            assert_never(c.source)
    if c.valid_until is not None and c.valid_until < c.valid_from:
        raise Rejected("VALIDITY_INVERTED", valid_from=c.valid_from.isoformat(), valid_until=c.valid_until.isoformat())
    return [
        DocumentKept(
            c.document_id,
            c.account_id,
            c.at,
            c.by,
            c.document_kind,
            c.source,
            c.agency,
            c.code,
            c.document_number,
            c.sha256,
            c.media_type,
            c.size,
            c.valid_from,
            c.valid_until,
            c.guardian_id,
        )
    ]


def _check_content(c: KeepDocument) -> None:
    given = {"sha256": _SHA256.fullmatch(c.sha256), "media_type": c.media_type, "size": c.size > 0}
    for field, good in given.items():
        if not good:
            raise Rejected("CONTENT_MISSING", field=field)


def _reuse(c: ReuseDocument, state: Document) -> Sequence[Event]:
    if c.applicant_id not in (state.account_id, state.guardian_id):
        raise Rejected("NOT_THE_SUBJECT", document_id=c.document_id)
    if (c.code, c.component_code) in state.uses:
        raise Rejected("ALREADY_REUSED", code=c.code, component_code=c.component_code)
    if not (c.consent or c.data_only):
        raise Rejected("CONSENT_MISSING", code=c.code)
    if state.revoked:
        raise Rejected("REVOKED", document_id=c.document_id)
    if state.valid_from is not None and c.at < state.valid_from:
        raise Rejected("NOT_YET_VALID", document_id=c.document_id, valid_from=state.valid_from.isoformat())
    if state.valid_until is not None and c.at > state.valid_until:
        raise Rejected("EXPIRED", document_id=c.document_id, valid_until=state.valid_until.isoformat())
    return [DocumentReused(c.document_id, state.account_id, c.at, c.by, c.code, c.component_code)]


def _link(c: LinkDocument, state: Document) -> Sequence[Event]:
    _require_issuer(c.agency, state)
    if not state.unlinked:
        raise Rejected("NOT_HELD_FOR_ANOTHER", document_id=c.document_id)
    if c.account_id == state.guardian_id:
        raise Rejected("IS_THE_GUARDIAN", account_id=c.account_id)
    if not c.reason.strip():
        raise Rejected("REASON_MISSING")
    guardian = state.guardian_id if c.guardian_stays else ""
    reason = Sealed(c.reason)
    return [DocumentLinked(c.document_id, c.account_id, c.at, c.by, c.agency, state.account_id, guardian, reason)]


def _require_issuer(agency: str, state: Document) -> None:
    """That it is the issuing agency, or one above."""
    if not agency or not f"{state.agency}.".startswith(f"{agency}."):
        raise Rejected("NOT_THE_ISSUER", issuer=state.agency)


def _revoke(c: RevokeDocument, state: Document) -> Sequence[Event]:
    _require_issuer(c.agency, state)
    if state.revoked:
        raise Rejected("REVOKED", document_id=c.document_id)
    if not c.reason.strip():
        raise Rejected("REASON_MISSING")
    return [DocumentRevoked(c.document_id, state.account_id, c.at, c.by, c.agency, Sealed(c.reason))]


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
