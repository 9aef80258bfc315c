from __future__ import annotations

from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.chassis.decider import Sealed
from services.warehouse.commands import EraseDocument, KeepDocument, LinkDocument, ReuseDocument, RevokeDocument
from services.warehouse.domain import document
from services.warehouse.events import (
    DocumentErased,
    DocumentKept,
    DocumentLinked,
    DocumentRead,
    DocumentReused,
    DocumentRevoked,
)
from services.warehouse.values import DocumentSource, document_id
from tests.support.given import given

AT = datetime(2026, 3, 2, 2, tzinfo=UTC)
UNTIL = AT + timedelta(days=180)
ME = "7d0f4a5e-0000-4000-8000-000000000001"
OFFICIAL = "7d0f4a5e-0000-4000-8000-000000000002"
SERVICE = "service:warehouse"
CODE = "P56.22.336-20260302-0000001"
OTHER = "P56.1-20260401-0000007"
ID = document_id(DocumentSource.RESULT, CODE, "birth-certificate")

KEEP = KeepDocument(
    document_id=ID,
    account_id=ME,
    at=AT,
    by=SERVICE,
    document_kind="birth-certificate",
    source=DocumentSource.RESULT,
    agency="P56.22.336",
    code=CODE,
    document_number="12/KS",
    sha256="ab" * 32,
    media_type="application/pdf",
    size=48_213,
    valid_from=AT,
    valid_until=UNTIL,
)
KEPT = DocumentKept(**asdict(KEEP))
REUSE = ReuseDocument(
    document_id=ID,
    applicant_id=ME,
    at=AT,
    by=SERVICE,
    code=OTHER,
    component_code="birth",
    consent=True,
    data_only=False,
)
REUSED = DocumentReused(document_id=ID, account_id=ME, at=AT, by=SERVICE, code=OTHER, component_code="birth")
WAS_READ = DocumentRead(document_id=ID, account_id=ME, at=AT, by=OFFICIAL, agency="P56.1", purpose="Giải quyết hồ sơ")
REVOKE = RevokeDocument(document_id=ID, at=AT, by=OFFICIAL, agency="P56.22.336", reason="Cấp sai họ tên")
REVOKED = DocumentRevoked(
    document_id=ID, account_id=ME, at=AT, by=OFFICIAL, agency="P56.22.336", reason=Sealed("Cấp sai họ tên")
)
ERASE = EraseDocument(document_id=ID, at=AT, by=SERVICE)
ERASED = DocumentErased(document_id=ID, account_id=ME, at=AT, by=SERVICE)
REFERENCE = replace(KEEP, source=DocumentSource.POPULATION, code="", sha256="", media_type="", size=0)


def test_a_result_is_kept() -> None:
    given(document).when(KEEP).then(KEPT)


def test_a_checked_component_is_kept_for_good() -> None:
    component = replace(KEEP, source=DocumentSource.COMPONENT, valid_until=None)
    given(document).when(component).then(DocumentKept(**asdict(component)))


def test_the_population_databases_answer_is_kept_as_a_reference() -> None:
    given(document).when(REFERENCE).then(DocumentKept(**asdict(REFERENCE)))


def test_a_document_is_kept_once() -> None:
    given(document, KEPT).when(KEEP).then_rejected("ALREADY_KEPT", document_id=ID)
    given(document, KEPT, ERASED).when(KEEP).then_rejected("ALREADY_KEPT", document_id=ID)


def test_the_id_follows_from_the_origin() -> None:
    assert document_id(DocumentSource.RESULT, CODE, "birth-certificate") == ID
    assert document_id(DocumentSource.COMPONENT, CODE, "birth-certificate") != ID
    assert document_id(DocumentSource.RESULT, OTHER, "birth-certificate") != ID


def test_a_document_has_a_source() -> None:
    given(document).when(replace(KEEP, source=DocumentSource.UNSPECIFIED)).then_rejected("SOURCE_MISSING")


@pytest.mark.parametrize(
    ("field", "value"),
    [("sha256", ""), ("sha256", "AB" * 32), ("sha256", "ab" * 31), ("media_type", ""), ("size", 0), ("size", -1)],
)
def test_a_document_has_content(field: str, value: object) -> None:
    for source in (DocumentSource.RESULT, DocumentSource.COMPONENT):
        command = replace(KEEP, source=source, **{field: value})  # type: ignore[arg-type]
        given(document).when(command).then_rejected("CONTENT_MISSING", field=field)


@pytest.mark.parametrize(("field", "value"), [("sha256", "ab" * 32), ("media_type", "application/json"), ("size", 1)])
def test_population_data_is_not_copied(field: str, value: object) -> None:
    command = replace(REFERENCE, **{field: value})  # type: ignore[arg-type]
    given(document).when(command).then_rejected("CONTENT_NOT_ALLOWED")


def test_validity_does_not_end_before_it_begins() -> None:
    inverted = replace(KEEP, valid_until=AT - timedelta(days=1))
    facts = {"valid_from": "2026-03-02T02:00:00+00:00", "valid_until": "2026-03-01T02:00:00+00:00"}
    given(document).when(inverted).then_rejected("VALIDITY_INVERTED", **facts)


@pytest.mark.parametrize("at", [AT, UNTIL])
def test_a_valid_document_is_reused(at: datetime) -> None:
    given(document, KEPT).when(replace(REUSE, at=at)).then(replace(REUSED, at=at))


def test_it_is_reused_in_another_dossier_and_for_another_component() -> None:
    given(document, KEPT, REUSED).when(replace(REUSE, code=CODE)).then(replace(REUSED, code=CODE))
    other = replace(REUSED, component_code="identity")
    given(document, KEPT, REUSED).when(replace(REUSE, component_code="identity")).then(other)


def test_a_document_without_an_end_does_not_expire() -> None:
    late = AT + timedelta(days=36_500)
    given(document, replace(KEPT, valid_until=None)).when(replace(REUSE, at=late)).then(replace(REUSED, at=late))


def test_a_reuse_is_recorded_once_per_dossier_and_component() -> None:
    given(document, KEPT, REUSED).when(REUSE).then_rejected("ALREADY_REUSED", code=OTHER, component_code="birth")


def test_nobody_reuses_anothers_document() -> None:
    given(document, KEPT).when(replace(REUSE, applicant_id=OFFICIAL)).then_rejected("NOT_THE_SUBJECT", document_id=ID)


def test_a_reuse_needs_consent() -> None:
    given(document, KEPT).when(replace(REUSE, consent=False)).then_rejected("CONSENT_MISSING", code=OTHER)


def test_data_only_components_need_no_consent() -> None:
    given(document, KEPT).when(replace(REUSE, consent=False, data_only=True)).then(REUSED)


def test_a_revoked_document_is_not_reused() -> None:
    given(document, KEPT, REVOKED).when(REUSE).then_rejected("REVOKED", document_id=ID)


def test_an_expired_document_is_not_reused() -> None:
    late = replace(REUSE, at=UNTIL + timedelta(seconds=1))
    given(document, KEPT).when(late).then_rejected("EXPIRED", document_id=ID, valid_until=UNTIL.isoformat())


def test_a_document_is_not_reused_before_it_is_valid() -> None:
    early = replace(REUSE, at=AT - timedelta(seconds=1))
    given(document, KEPT).when(early).then_rejected("NOT_YET_VALID", document_id=ID, valid_from=AT.isoformat())


@pytest.mark.parametrize("agency", ["P56.22.336", "P56.22", "P56"])
def test_the_issuer_or_one_above_revokes(agency: str) -> None:
    given(document, KEPT, REUSED).when(replace(REVOKE, agency=agency)).then(replace(REVOKED, agency=agency))


@pytest.mark.parametrize("agency", ["P56.22.337", "P56.22.33", "P5", "P56.22.336.1", ""])
def test_nobody_else_revokes(agency: str) -> None:
    given(document, KEPT).when(replace(REVOKE, agency=agency)).then_rejected("NOT_THE_ISSUER", issuer="P56.22.336")


def test_a_document_is_revoked_once() -> None:
    given(document, KEPT, REVOKED).when(REVOKE).then_rejected("REVOKED", document_id=ID)


@pytest.mark.parametrize("reason", ["", " \n"])
def test_a_revocation_has_a_reason(reason: str) -> None:
    given(document, KEPT).when(replace(REVOKE, reason=reason)).then_rejected("REASON_MISSING")


def test_a_document_is_erased_with_its_subject() -> None:
    given(document, KEPT, REUSED, REVOKED).when(ERASE).then(ERASED)


def test_an_erased_document_is_gone() -> None:
    for command in (REUSE, REVOKE, ERASE):
        given(document, KEPT, ERASED).when(command).then_rejected("ERASED", document_id=ID)


def test_what_is_not_kept_is_not_found() -> None:
    for command in (REUSE, REVOKE, ERASE):
        given(document).when(command).then_rejected("NOT_FOUND", document_id=ID)


CHILD, PERSON = "7d0f4a5e-0000-4000-8000-000000000003", "7d0f4a5e-0000-4000-8000-000000000004"
OF_CHILD = replace(KEPT, account_id=PERSON, guardian_id=ME)
LINK = LinkDocument(
    document_id=ID,
    account_id=CHILD,
    at=AT,
    by=OFFICIAL,
    agency="P56.22.336",
    reason="Đã đối chiếu số định danh",
    guardian_stays=False,
)
LINKED = DocumentLinked(
    document_id=ID,
    account_id=CHILD,
    at=AT,
    by=OFFICIAL,
    agency="P56.22.336",
    person_id=PERSON,
    guardian_id="",
    reason=Sealed("Đã đối chiếu số định danh"),
)


def test_a_child_that_has_an_account_gets_the_document() -> None:
    given(document, OF_CHILD).when(LINK).then(LINKED)
    given(document, OF_CHILD, LINKED).when(REUSE).then_rejected("NOT_THE_SUBJECT", document_id=ID)
    reused = replace(REUSED, account_id=CHILD)
    given(document, OF_CHILD, LINKED).when(replace(REUSE, applicant_id=CHILD)).then(reused)
    given(document, OF_CHILD).when(replace(LINK, guardian_stays=True)).then(replace(LINKED, guardian_id=ME))
    given(document, OF_CHILD, replace(LINKED, guardian_id=ME)).when(REUSE).then(reused)


@pytest.mark.parametrize(
    ("history", "change", "reason", "facts"),
    [
        ((KEPT,), {}, "NOT_HELD_FOR_ANOTHER", {"document_id": ID}),
        ((OF_CHILD, LINKED), {}, "NOT_HELD_FOR_ANOTHER", {"document_id": ID}),
        ((OF_CHILD, replace(LINKED, guardian_id=ME)), {}, "NOT_HELD_FOR_ANOTHER", {"document_id": ID}),
        ((OF_CHILD,), {"account_id": ME}, "IS_THE_GUARDIAN", {"account_id": ME}),
        ((OF_CHILD,), {"agency": "P56.1"}, "NOT_THE_ISSUER", {"issuer": "P56.22.336"}),
        ((OF_CHILD,), {"agency": ""}, "NOT_THE_ISSUER", {"issuer": "P56.22.336"}),
        ((OF_CHILD,), {"reason": " "}, "REASON_MISSING", {}),
        ((OF_CHILD, replace(ERASED, account_id=PERSON)), {}, "ERASED", {"document_id": ID}),
        ((), {}, "NOT_FOUND", {"document_id": ID}),
    ],
)
def test_a_link_is_refused(
    history: tuple[Any, ...], change: dict[str, Any], reason: str, facts: dict[str, str]
) -> None:
    given(document, *history).when(replace(LINK, **change)).then_rejected(reason, **facts)
