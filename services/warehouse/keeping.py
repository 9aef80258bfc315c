"""Facts of other services as commands: what is kept, and what was reused. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from motcua.dossier.events.v1 import events_pb2 as d
from motcua.identity.events.v1 import events_pb2 as i
from services.chassis.codec import from_timestamp
from services.chassis.facts import Fact
from services.warehouse.domain import DocumentSource, KeepDocument, ReuseDocument, document_id
from services.warehouse.procedures import Rules

BY = "service:warehouse"
# The Ministry of Public Security keeps the population database.
POPULATION_AGENCY = "G01"


def of_result(issued: d.ResultIssued, now: datetime) -> KeepDocument:
    return KeepDocument(
        document_id=document_id(DocumentSource.RESULT, issued.code, issued.document_kind),
        account_id=issued.applicant_id,
        at=now,
        by=BY,
        document_kind=issued.document_kind,
        source=DocumentSource.RESULT,
        agency=issued.agency,
        code=issued.code,
        document_number=issued.result_number,
        sha256=issued.sha256,
        media_type=issued.media_type,
        size=issued.size,
        valid_from=from_timestamp(issued.at),
        valid_until=None,
    )


def of_components(
    received: d.DossierReceived, held: Sequence[d.Component], rules: Rules, now: datetime
) -> Iterator[KeepDocument]:
    """The files among the components that are of a kind: the receiving official compared them with their originals."""
    for component in held:
        rule = rules.get(component.component_code)
        if component.source != d.COMPONENT_SOURCE_ATTACHMENT or rule is None or not rule.document_kind:
            continue
        yield KeepDocument(
            document_id=document_id(DocumentSource.COMPONENT, received.code, component.component_code),
            account_id=received.applicant_id,
            at=now,
            by=BY,
            document_kind=rule.document_kind,
            source=DocumentSource.COMPONENT,
            agency=received.agency,
            code=received.code,
            document_number="",
            sha256=component.sha256,
            media_type=component.media_type,
            size=component.size,
            valid_from=from_timestamp(received.at),
            valid_until=None,
        )


def of_population(verified: i.IdentityVerified, event_id: str, now: datetime) -> KeepDocument:
    return KeepDocument(
        document_id=document_id(DocumentSource.POPULATION, event_id),
        account_id=verified.account_id,
        at=now,
        by=BY,
        document_kind=verified.component_kind,
        source=DocumentSource.POPULATION,
        agency=POPULATION_AGENCY,
        code="",
        document_number="",
        sha256="",
        media_type="",
        size=0,
        valid_from=from_timestamp(verified.at),
        valid_until=from_timestamp(verified.valid_until) if verified.HasField("valid_until") else None,
    )


def reuses(fact: Fact[Any], submitted: d.DossierSubmitted, rules: Rules) -> Iterator[ReuseDocument]:
    """Of a submission or a supplement. Who names a document in their own dossier agrees to its reuse."""
    event = fact.event
    consent = submitted.reuse_consent or event.by == event.applicant_id
    for component in event.components:
        if component.source == d.COMPONENT_SOURCE_WAREHOUSE:
            rule = rules.get(component.component_code)
            yield ReuseDocument(
                document_id=component.document_id,
                applicant_id=event.applicant_id,
                at=from_timestamp(event.at),
                by=BY,
                code=event.code,
                component_code=component.component_code,
                consent=consent,
                data_only=rule is not None and rule.data_only,
            )


def held(history: Sequence[Fact[Any]]) -> list[d.Component]:
    """A dossier's components: what was supplied later replaces what was there."""
    found: dict[str, d.Component] = {}
    for fact in history:
        if isinstance(fact.event, d.DossierSubmitted | d.SupplementSupplied):
            found |= {component.component_code: component for component in fact.event.components}
    return list(found.values())
