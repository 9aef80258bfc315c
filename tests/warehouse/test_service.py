from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from motcua.catalogue.events.v1 import events_pb2
from motcua.identity.events.v1 import events_pb2 as identity
from motcua.privacy.events.v1.events_pb2 import DataUsed
from motcua.types.v1.types_pb2 import MOMENT_ORDER_NEWEST_FIRST, MOMENT_ORDER_OLDEST_FIRST
from motcua.warehouse.events.v1 import events_pb2 as w
from motcua.warehouse.v1 import warehouse_pb2
from motcua.warehouse.v1 import warehouse_service_pb2 as pb
from services.chassis.deciding.codec import to_timestamp
from services.dossier import events as d
from services.dossier.values import PaperDay
from services.warehouse.keeping import last_moment
from services.warehouse.values import DocumentSource, document_id, person_id
from tests.support.keys import MemoryKeys
from tests.support.papers import pdf
from tests.support.postgresql import Engine
from tests.support.stating import reading_for
from tests.warehouse.samples import (
    AGENCY,
    AT,
    CITIZEN,
    CT01,
    OFFICIAL,
    PHOTO,
    PUBLISHED,
    STRANGER,
    code,
    issued,
    received,
    reused,
    submitted,
)
from tests.warehouse.world import World, bearer, request_id, warehouse

ME = bearer(CITIZEN, "citizen", ("citizen",))
SOMEBODY = bearer(STRANGER, "citizen", ("citizen",))
PROCESSOR = bearer(OFFICIAL, "official", ("processor",), AGENCY)
APPROVER = bearer(OFFICIAL, "official", ("approver",), AGENCY)
RESULT = document_id(DocumentSource.RESULT, code(1), "birth-certificate")
UNTIL = datetime(2026, 9, 2, 16, 59, 59, tzinfo=UTC)
OF_ANOTHER = events_pb2.ProcedurePublished()
OF_ANOTHER.CopyFrom(PUBLISHED)
OF_ANOTHER.procedure.results[0].about_another = True
OF_ANOTHER.procedure.results[0].valid_months = 6
# A dossier that an official submitted is a ground when its agency looked the person up.
LOOKED_UP = identity.PopulationLookedUp(
    account_id=CITIZEN, at=to_timestamp(AT), by=OFFICIAL, agency=AGENCY, outcome=identity.LOOKUP_OUTCOME_FOUND
)
COPY = document_id(DocumentSource.COMPONENT, code(1), "ct01")


@pytest.fixture
def world(engine: Engine, tmp_path: Path) -> Iterator[World]:
    with warehouse(tmp_path, MemoryKeys()) as running:
        running.append("procedure-1.004222", PUBLISHED)
        running.append(f"account-{CITIZEN}", LOOKED_UP)
        yield running


def refused(call: pytest.ExceptionInfo[grpc.RpcError]) -> str:
    status = rpc_status.from_call(call.value)  # type: ignore[arg-type]
    assert status
    info = error_details_pb2.ErrorInfo()
    status.details[0].Unpack(info)
    return info.reason


def mine(world: World, **asked: Any) -> list[warehouse_pb2.DocumentSummary]:
    return list(world.stub.ListMyDocuments(pb.ListMyDocumentsRequest(**asked), metadata=ME).documents)


def get(world: World, id_: str, by: tuple[tuple[str, str]], purpose: str = "") -> warehouse_pb2.Document:
    who = reading_for(purpose, by, code(1) if purpose else "")
    found: warehouse_pb2.Document = world.stub.GetDocument(
        pb.GetDocumentRequest(document_id=id_), metadata=who
    ).document
    return found


def erasure(account_id: str, outcome: identity.ErasureOutcome.ValueType) -> identity.ErasureDecided:
    return identity.ErasureDecided(account_id=account_id, at=to_timestamp(AT), by=OFFICIAL, outcome=outcome)


def test_results_and_checked_components_are_kept(world: World) -> None:
    world.happened(submitted(1, CT01, PHOTO), received(1), issued(1))
    assert {(one.document_id, one.document_kind) for one in mine(world)} == {
        (RESULT, "birth-certificate"),
        (COPY, "residence-change"),
    }
    found = get(world, RESULT, ME)
    assert (found.document_number, found.sha256, found.size, found.agency) == ("12/KS", "ab" * 32, 4_821, AGENCY)
    assert found.status == warehouse_pb2.DOCUMENT_STATUS_VALID
    assert get(world, COPY, ME).sha256 == CT01.sha256
    assert world.rows("parked") == []


def test_documents_are_listed_as_asked(world: World) -> None:
    world.happened(submitted(1, CT01, PHOTO), received(1), issued(1))
    every = [one.document_id for one in mine(world)]

    def listed(**asked: Any) -> list[str]:
        return [one.document_id for one in mine(world, **asked)]

    assert listed(order=MOMENT_ORDER_NEWEST_FIRST) == every
    assert listed(order=MOMENT_ORDER_OLDEST_FIRST) == every[::-1]
    assert listed(source=warehouse_pb2.DOCUMENT_SOURCE_RESULT) == listed(document_kind="birth-certificate") == [RESULT]
    assert listed(source=warehouse_pb2.DOCUMENT_SOURCE_COMPONENT) == [COPY]
    assert (listed(agency=AGENCY), listed(agency="P56.9")) == ([RESULT], [])
    assert (listed(dossier_code=code(1)), listed(dossier_code=code(2))) == (every, [])
    shown = get(world, RESULT, ME)
    assert (shown.source, shown.dossier_code) == (warehouse_pb2.DOCUMENT_SOURCE_RESULT, code(1))
    assert RESULT in listed(valid_at=shown.valid_from)
    assert listed(valid_at=to_timestamp(datetime(2000, 1, 1, tzinfo=UTC))) == []
    page = world.stub.ListMyDocuments(pb.ListMyDocumentsRequest(page_size=1), metadata=ME)
    turned = pb.ListMyDocumentsRequest(page_token=page.next_page_token, order=MOMENT_ORDER_OLDEST_FIRST)
    with pytest.raises(grpc.RpcError) as call:
        world.stub.ListMyDocuments(turned, metadata=ME)
    assert refused(call) == "INVALID_POSITION"


def test_a_supplement_replaces_what_was_submitted(world: World) -> None:
    better = d.SupplementSupplied(
        code=code(1),
        applicant_id=CITIZEN,
        at=AT,
        by=CITIZEN,
        components=(type(CT01)("ct01", CT01.source, "ee" * 32, "application/pdf", 1),),
        due_at=None,
    )
    world.happened(submitted(1, CT01), better, received(1))
    assert [kept.sha256 for kept in world.stored(w.DocumentKept)] == ["ee" * 32]


def test_the_population_databases_answer_is_kept_until_it_ends(world: World) -> None:
    verified = identity.IdentityVerified(
        account_id=CITIZEN,
        at=to_timestamp(AT),
        by="service:identity",
        component_kind="marital-status",
        valid_until=to_timestamp(AT + timedelta(days=30)),
    )
    world.append(f"account-{CITIZEN}", verified)
    world.settled()
    (found,) = mine(world)
    assert (found.document_kind, found.source) == ("marital-status", warehouse_pb2.DOCUMENT_SOURCE_POPULATION)
    assert found.status == warehouse_pb2.DOCUMENT_STATUS_EXPIRED


def test_a_document_is_reused(world: World) -> None:
    world.happened(submitted(1), issued(1))
    world.happened(submitted(2, reused("birth", RESULT), at=AT + timedelta(days=1)))
    (use,) = get(world, RESULT, ME).reuses
    assert (use.dossier_code, use.component_code) == (code(2), "birth")
    assert [one.reuses for one in mine(world)] == [1]


@pytest.mark.parametrize(
    ("component_code", "by", "recorded"),
    [("birth", OFFICIAL, 0), ("birth", CITIZEN, 1), ("identity", OFFICIAL, 1)],
)
def test_a_reuse_needs_consent_unless_nothing_but_data_is_accepted(
    world: World, component_code: str, by: str, recorded: int
) -> None:
    world.happened(submitted(1), issued(1))
    world.happened(submitted(2, reused(component_code, RESULT), by=by, reuse_consent=False))
    assert len(world.stored(w.DocumentReused)) == recorded
    assert len(world.rows("parked")) == 1 - recorded


def test_a_revoked_document_is_not_reused(world: World) -> None:
    world.happened(submitted(1), issued(1))
    request = pb.RevokeDocumentRequest(request_id=request_id(), document_id=RESULT, reason="Cấp sai họ tên")
    reply = world.stub.RevokeDocument(request, metadata=APPROVER)
    assert reply == world.stub.RevokeDocument(request, metadata=APPROVER)
    world.happened(submitted(2, reused("birth", RESULT)))
    found = get(world, RESULT, ME)
    assert (found.status, found.revocation_reason) == (warehouse_pb2.DOCUMENT_STATUS_REVOKED, "Cấp sai họ tên")
    assert not found.reuses
    assert "REVOKED" in world.rows("parked")[0][5]


def test_only_the_issuer_or_one_above_revokes(world: World) -> None:
    world.happened(submitted(1), issued(1))
    request = pb.RevokeDocumentRequest(request_id=request_id(), document_id=RESULT, reason="Cấp sai họ tên")
    with pytest.raises(grpc.RpcError) as call:
        world.stub.RevokeDocument(request, metadata=bearer("other", "official", ("approver",), "P56.1"))
    assert refused(call) == "NOT_THE_ISSUER"


def test_an_officials_reading_is_seen_by_the_subject(world: World) -> None:
    world.happened(submitted(1), issued(1))
    assert get(world, RESULT, PROCESSOR, "settle").document_id == RESULT
    request, who = pb.ListDocumentsRequest(account_id=CITIZEN), reading_for("complaint", PROCESSOR, code(1))
    assert [one.document_id for one in world.stub.ListDocuments(request, metadata=who).documents] == [RESULT]
    assert get(world, RESULT, ME).document_id == RESULT
    used = [(one.subject_id, one.by, one.agency, one.purpose, one.code) for one in world.stored(DataUsed)]
    assert used == [
        (CITIZEN, OFFICIAL, AGENCY, "settle", code(1)),
        (CITIZEN, OFFICIAL, AGENCY, "complaint", code(1)),
    ]


def test_an_official_needs_a_purpose(world: World) -> None:
    world.happened(submitted(1), issued(1))
    with pytest.raises(grpc.RpcError) as call:
        get(world, RESULT, PROCESSOR)
    assert refused(call) == "INVALID_REQUEST"
    assert world.stored(DataUsed) == []


def content(world: World, id_: str, by: tuple[tuple[str, str]], dossier: str = "") -> bytes:
    who = reading_for("settle" if dossier else "", by, dossier)
    return b"".join(
        part.data for part in world.stub.ReadDocument(pb.ReadDocumentRequest(document_id=id_), metadata=who)
    )


def test_a_reused_document_is_read_by_its_owner_and_by_who_settles_the_dossier(world: World) -> None:
    file = pdf("a certificate")
    world.keep(CITIZEN, file)
    world.happened(submitted(1), issued(1, sha256=hashlib.sha256(file).hexdigest()))
    world.happened(submitted(2, reused("birth", RESULT)), submitted(3))
    assert content(world, RESULT, ME) == content(world, RESULT, PROCESSOR, code(2)) == file
    used = [(one.subject_id, one.by, one.purpose, one.code, one.opened) for one in world.stored(DataUsed)]
    assert used == [(CITIZEN, OFFICIAL, "settle", code(2), "document")]
    refusals = {
        (SOMEBODY, ""): "NOT_FOUND",
        (PROCESSOR, code(3)): "NOT_IN_DOSSIER",
        (bearer("other", "official", ("processor",), "P56.1"), code(2)): "NO_CONCERN",
    }
    for (by, dossier), reason in refusals.items():
        with pytest.raises(grpc.RpcError) as call:
            content(world, RESULT, by, dossier)
        assert refused(call) == reason
    assert len(world.stored(DataUsed)) == 1


def test_what_a_database_confirmed_has_no_content(world: World) -> None:
    world.append(
        f"account-{CITIZEN}",
        identity.IdentityVerified(account_id=CITIZEN, at=to_timestamp(AT), by="service:identity", component_kind="x"),
    )
    world.settled()
    (found,) = mine(world)
    with pytest.raises(grpc.RpcError) as call:
        content(world, found.document_id, ME)
    assert refused(call) == "NO_CONTENT"


def test_a_child_s_document_is_the_child_s_and_the_parent_its_guardian(world: World) -> None:
    file, child = pdf("a child's certificate"), person_id(code(1))
    sha256 = hashlib.sha256(file).hexdigest()
    world.append("procedure-1.004222", OF_ANOTHER)
    world.keep(CITIZEN, file)
    world.happened(submitted(1), issued(1, sha256=sha256))
    (kept,) = world.stored(w.DocumentKept)
    assert (kept.account_id, kept.guardian_id, kept.valid_until.ToDatetime(UTC)) == (child, CITIZEN, UNTIL)
    assert [(one.document_id, one.account_id, one.guardian_id) for one in mine(world)] == [(RESULT, child, CITIZEN)]
    world.happened(submitted(2, reused("birth", RESULT)))
    assert world.rows("parked") == []
    assert content(world, RESULT, ME) == content(world, RESULT, PROCESSOR, code(2)) == file
    # The parent sees who read it.
    assert [(one.subject_id, one.code) for one in world.stored(DataUsed)] == [(CITIZEN, code(2))]
    with pytest.raises(grpc.RpcError) as call:
        content(world, RESULT, SOMEBODY)
    assert refused(call) == "NOT_FOUND"
    # What is the child's does not go with the parent.
    world.append(f"account-{CITIZEN}", erasure(CITIZEN, identity.ERASURE_OUTCOME_SHREDDED))
    world.settled()
    assert [world.kept(subject, sha256) for subject in (CITIZEN, child)] == [False, True]
    assert world.stored(w.DocumentErased) == []


CHILD = "a-child"
REGISTERED = identity.AccountRegistered(
    account_id=CHILD, at=to_timestamp(AT), by=CHILD, kind=identity.ACCOUNT_KIND_CITIZEN, level_of_assurance=1
)


@pytest.mark.parametrize("stays", [False, True])
def test_a_child_s_document_becomes_the_child_s_account_s(world: World, stays: bool) -> None:
    file, person = pdf("a child's certificate"), person_id(code(1))
    sha256 = hashlib.sha256(file).hexdigest()
    world.append("procedure-1.004222", OF_ANOTHER)
    world.keep(CITIZEN, file)
    world.happened(submitted(1), issued(1, sha256=sha256))
    reason = "Đã tra cứu số định danh"
    request = pb.LinkDocumentRequest(
        request_id=request_id(), document_id=RESULT, account_id=CHILD, reason=reason, guardian_stays=stays
    )
    with pytest.raises(grpc.RpcError) as call:
        world.stub.LinkDocument(request, metadata=PROCESSOR)
    assert (refused(call), world.kept(CHILD, sha256)) == ("PERSON_UNKNOWN", False)
    world.append(f"account-{CHILD}", REGISTERED)
    reply = world.stub.LinkDocument(request, metadata=PROCESSOR)
    assert reply == world.stub.LinkDocument(request, metadata=PROCESSOR)
    world.settled()
    assert [world.kept(subject, sha256) for subject in (CHILD, person)] == [True, False]
    of_child = bearer(CHILD, "citizen", ("citizen",))
    listed = pb.ListMyDocumentsRequest(min_position=reply.position)
    (found,) = world.stub.ListMyDocuments(listed, metadata=of_child).documents
    assert (found.document_id, found.account_id, found.guardian_id) == (RESULT, CHILD, CITIZEN if stays else "")
    shown = get(world, RESULT, of_child)
    assert (shown.account_id, shown.link_reason, shown.HasField("linked_at")) == (CHILD, reason, True)
    assert content(world, RESULT, of_child) == file
    assert [one.document_id for one in mine(world)] == ([RESULT] if stays else [])
    if stays:
        # In the guardian's dossier it is the guardian who sees who read it.
        assert content(world, RESULT, ME) == content(world, RESULT, PROCESSOR, code(1)) == file
        assert [one.subject_id for one in world.stored(DataUsed)] == [CITIZEN]
    else:
        with pytest.raises(grpc.RpcError) as call:
            content(world, RESULT, ME)
        assert refused(call) == "NOT_FOUND"
    world.append(f"account-{CHILD}", erasure(CHILD, identity.ERASURE_OUTCOME_SHREDDED))
    world.settled()
    assert (world.kept(CHILD, sha256), len(world.stored(w.DocumentErased))) == (False, 1)
    assert world.rows("parked") == []


SINCE = datetime(2026, 1, 14, 17, tzinfo=UTC)  # 15 January in Vietnam


@pytest.mark.parametrize(
    ("stated", "read", "since", "until"),
    [
        ("", "", AT, UNTIL),
        ("2026-01-15", "", SINCE, datetime(2026, 7, 15, 16, 59, 59, tzinfo=UTC)),
        ("", "2026-01-15", SINCE, datetime(2026, 7, 15, 16, 59, 59, tzinfo=UTC)),
        ("2026-02-27", "2026-01-15", SINCE, datetime(2026, 7, 15, 16, 59, 59, tzinfo=UTC)),
        # It had ended when it was handed in: kept, and not reused.
        ("2025-01-15", "", SINCE - timedelta(days=365), datetime(2025, 7, 15, 16, 59, 59, tzinfo=UTC)),
    ],
)
def test_a_paper_s_time_begins_with_the_day_that_it_bears(
    world: World, stated: str, read: str, since: datetime, until: datetime
) -> None:
    lasting = events_pb2.ProcedurePublished()
    lasting.CopyFrom(PUBLISHED)
    lasting.procedure.components[0].valid_months = 6
    world.append("procedure-1.004222", lasting)
    days = (PaperDay("ct01", read),) if read else ()
    world.happened(submitted(1, replace(CT01, issued_on=stated)), replace(received(1), paper_days=days))
    (kept,) = world.stored(w.DocumentKept)
    assert (kept.valid_from.ToDatetime(UTC), kept.valid_until.ToDatetime(UTC)) == (since, until)


@pytest.mark.parametrize(
    ("since", "months", "until"),
    [
        ("2026-01-15T09:00:00+07:00", 6, "2026-07-15T23:59:59+07:00"),
        ("2026-08-31T09:00:00+07:00", 6, "2027-02-28T23:59:59+07:00"),
        ("2027-08-31T17:30:00+00:00", 6, "2028-03-01T23:59:59+07:00"),  # the next day in Vietnam
        ("2026-12-31T00:00:00+07:00", 12, "2027-12-31T23:59:59+07:00"),
        ("2026-12-31T00:00:00+07:00", 0, None),
    ],
)
def test_a_document_ends_with_the_day_of_the_same_number(since: str, months: int, until: str | None) -> None:
    expected = datetime.fromisoformat(until) if until else None
    assert last_moment(datetime.fromisoformat(since), months) == expected


def test_for_a_stranger_there_is_no_document(world: World) -> None:
    world.happened(submitted(1), issued(1))
    for id_ in (RESULT, COPY):
        with pytest.raises(grpc.RpcError) as call:
            get(world, id_, SOMEBODY, "curiosity")
        assert refused(call) == "NOT_FOUND"
    assert world.stored(DataUsed) == []


def test_an_erasure_takes_documents_and_all_files_of_the_person(world: World) -> None:
    content = b"%PDF-the same for both"
    sha256 = hashlib.sha256(content).hexdigest()
    for subject in (CITIZEN, STRANGER):
        world.keep(subject, content)
    world.happened(submitted(1), issued(1, sha256=sha256))
    world.append(f"account-{CITIZEN}", erasure(CITIZEN, identity.ERASURE_OUTCOME_RESTRICTED))
    world.settled()
    assert len(mine(world)) == 1
    world.append(f"account-{CITIZEN}", erasure(CITIZEN, identity.ERASURE_OUTCOME_SHREDDED))
    world.settled()
    with pytest.raises(grpc.RpcError) as call:
        mine(world)
    assert refused(call) == "TOKEN_INVALID"
    assert [world.kept(subject, sha256) for subject in (CITIZEN, STRANGER)] == [False, True]
    left = get(world, RESULT, PROCESSOR, "settle")
    assert (left.status, left.document_number, left.sha256) == (warehouse_pb2.DOCUMENT_STATUS_ERASED, "erased", "")


def test_what_is_kept_after_an_erasure_is_erased_too(world: World) -> None:
    world.happened(submitted(1))
    world.append(f"account-{CITIZEN}", erasure(CITIZEN, identity.ERASURE_OUTCOME_SHREDDED))
    world.happened(issued(1))
    assert [one.document_id for one in world.stored(w.DocumentErased)] == [RESULT]
    assert world.rows("documents_v3") == []


def test_facts_taken_again_change_nothing_and_a_rebuilt_view_equals_the_running_one(
    engine: Engine, tmp_path: Path
) -> None:
    keys = MemoryKeys()
    with warehouse(tmp_path, keys) as world:
        world.append("procedure-1.004222", PUBLISHED)
        world.happened(submitted(1, CT01), received(1), issued(1))
        world.happened(submitted(2, reused("birth", RESULT), applicant_id=CITIZEN))
        world.happened(submitted(3, applicant_id=STRANGER), issued(3, applicant_id=STRANGER))
        world.append(f"account-{STRANGER}", erasure(STRANGER, identity.ERASURE_OUTCOME_SHREDDED))
        world.settled()
        before, events = world.tables(), world.events()
        assert all(before.values())
    engine.lose_views(tmp_path)
    with warehouse(tmp_path, keys) as world:
        world.settled()
        assert world.events() == events
        assert world.tables() == before
        assert world.rows("parked") == []
