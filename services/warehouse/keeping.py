"""Facts of other services as commands: what is kept, and what was reused. Pure."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time
from typing import Any

from motcua.dossier.events.v1 import events_pb2 as d
from motcua.identity.events.v1 import events_pb2 as i
from services.chassis.deciding.codec import from_timestamp
from services.chassis.deciding.facts import Fact
from services.law.days import ZONE, is_day
from services.warehouse.commands import KeepDocument, ReuseDocument
from services.warehouse.procedures import Lifetime, Rules
from services.warehouse.values import DocumentSource, document_id, person_id

BY = "service:warehouse"
# The Ministry of Public Security keeps the population database.
POPULATION_AGENCY = "G01"


def last_moment(since: datetime, months: int) -> datetime | None:
    """The end of the day that has the same number so many months later, or of that month's last. None: good for ever."""
    if not months:
        return None
    first = since.astimezone(ZONE)
    year, month = divmod(first.year * 12 + first.month - 1 + months, 12)
    day = min(first.day, monthrange(year, month + 1)[1])
    return datetime(year, month + 1, day, 23, 59, 59, tzinfo=ZONE)


def _begin(day: str) -> datetime:
    return datetime.combine(date.fromisoformat(day), time(), ZONE)


def _holders(applicant_id: str, code: str, rule: Lifetime) -> tuple[str, str]:
    """Whose document it is, and who holds it for that person."""
    return (person_id(code), applicant_id) if rule.about_another else (applicant_id, "")


def of_result(issued: d.ResultIssued, rule: Lifetime, now: datetime) -> KeepDocument:
    account_id, guardian_id = _holders(issued.applicant_id, issued.code, rule)
    return KeepDocument(
        document_id=document_id(DocumentSource.RESULT, issued.code, issued.document_kind),
        account_id=account_id,
        guardian_id=guardian_id,
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
        valid_until=last_moment(from_timestamp(issued.at), rule.valid_months),
    )


def of_components(
    received: d.DossierReceived, held: Sequence[d.Component], rules: Rules, now: datetime
) -> Iterator[KeepDocument]:
    """The files among the components that are of a kind: the receiving official compared them with their originals.

    A paper is as old as it says: its time begins with the day that the official read, else with the one that was stated.
    """
    read = {each.component_code: each.issued_on for each in received.paper_days}
    for component in held:
        rule = rules.get(component.component_code)
        if component.source != d.COMPONENT_SOURCE_ATTACHMENT or rule is None or not rule.document_kind:
            continue
        account_id, guardian_id = _holders(received.applicant_id, received.code, rule.kept)
        day = read.get(component.component_code, component.issued_on)
        since = _begin(day) if is_day(day) else from_timestamp(received.at)
        yield KeepDocument(
            document_id=document_id(DocumentSource.COMPONENT, received.code, component.component_code),
            account_id=account_id,
            guardian_id=guardian_id,
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
            valid_from=since,
            valid_until=last_moment(since, rule.kept.valid_months),
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
    """Of a submission, a correction or a supplement. Who names a document in their own dossier agrees to its reuse."""
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


def version_of(history: Sequence[Fact[Any]]) -> int:
    """Of the procedure that the dossier keeps."""
    versions = [
        f.event.procedure_version for f in history if isinstance(f.event, d.DossierSubmitted | d.DossierReceived)
    ]
    return versions[-1] if versions else 0


def serves(history: Sequence[Fact[Any]], document_id: str) -> bool:
    """Whether the document stands for a component of the dossier."""
    return any(
        component.source == d.COMPONENT_SOURCE_WAREHOUSE and component.document_id == document_id
        for component in held(history)
    )


def held(history: Sequence[Fact[Any]]) -> list[d.Component]:
    """A dossier's components: what was supplied later replaces what was there."""
    found: dict[str, d.Component] = {}
    for fact in history:
        if isinstance(fact.event, d.DossierSubmitted | d.FormCorrected | d.SupplementSupplied):
            found |= {component.component_code: component for component in fact.event.components}
    return list(found.values())
