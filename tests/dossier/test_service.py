"""The dossier service over gRPC: a submission is answered for ever, files are their owner's, agencies have successors."""

import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
import pytest
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import error_details_pb2
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

from motcua.catalogue.events.v1 import definitions_pb2 as definitions
from motcua.catalogue.events.v1 import events_pb2 as catalogue
from motcua.dossier.v1 import dossier_pb2
from motcua.dossier.v1 import dossier_service_pb2 as pb
from motcua.dossier.v1.dossier_service_pb2_grpc import DossierServiceStub
from motcua.identity.events.v1 import events_pb2 as identity
from motcua.payment.events.v1 import events_pb2 as payment
from motcua.types.v1 import types_pb2 as types
from services.chassis.following.in_force import SHAPES
from services.chassis.frame.entrypoints import every
from services.chassis.privacy.sealing import seal
from services.chassis.store.port import ANY, NewEvent
from services.chassis.work import confined
from services.dossier.service import DossierService
from services.law.definitions import Component, ComponentSource, Fee, Form, Json, Text
from tests.catalogue.samples import PROCEDURE
from tests.support.files import signed_xml
from tests.support.grounds import scope
from tests.support.hosted import Host, hosted
from tests.support.keys import MemoryKeys
from tests.support.papers import pdf
from tests.support.postgresql import Engine
from tests.support.stating import reading_for
from tests.support.tokens import mint, signing_key
from tests.support.waiting import eventually

PROCEDURE_OF_ONE_COMPONENT = replace(
    PROCEDURE,
    fee=Fee(),
    components=(Component("deed", Text("Giấy tờ", "Deed"), True, (ComponentSource.ATTACHMENT, ComponentSource.PAPER)),),
)
SUCCESSOR = "H29.2"
PDF = pdf("a deed")
SHA256 = hashlib.sha256(PDF).hexdigest()


class Site:
    def __init__(self, host: Host, stub: DossierServiceStub, keys: MemoryKeys, shift: Path) -> None:
        self.host, self.stub, self.keys, self.shift = host, stub, keys, shift
        self.key = host.run(signing_key(host.platform.store))
        self.now(0)

    def now(self, days: int) -> None:
        self.shift.write_text(str(timedelta(days=days).total_seconds()))

    def put(self, stream: str, event: Message, event_id: Any = None) -> None:
        metadata = json.dumps({"request_id": str(uuid4()), "actor": "service:test"}).encode()
        new = NewEvent(event_id or uuid4(), event.DESCRIPTOR.full_name, event.SerializeToString(), metadata)
        self.host.run(self.host.platform.store.append(stream, [new], ANY))

    def register(self, account_id: str) -> None:
        key, event_id = self.host.run(self.keys.keys({account_id}, create=True))[account_id], uuid4()
        name = seal("Nguyễn Văn A".encode(), key, event_id, "full_name")
        kind = identity.ACCOUNT_KIND_CITIZEN
        registered = identity.AccountRegistered(account_id=account_id, kind=kind, full_name=name)
        self.put(f"account-{account_id}", registered, event_id)

    def citizen(self, account_id: str = "citizen-1") -> Any:
        return _bearing(mint(self.key, "citizen", kind="citizen", account_id=account_id))

    def official(self, agency: str = "H29", *roles: str) -> Any:
        return _bearing(mint(self.key, *(roles or ("receptionist", "processor", "approver")), agency=agency))

    def open(self) -> None:
        """What there must be before the first dossier."""
        published: Any = SHAPES["procedure"].write(PROCEDURE_OF_ONE_COMPONENT)
        self.put("procedure-1", catalogue.ProcedurePublished(procedure=published))
        for code in ("H29", SUCCESSOR):
            self.put(f"agency-{code}", catalogue.AgencyOpened(agency=agency(code)))
        day = definitions.Weekday(hours=[definitions.Interval(start="07:30", end="17:00")])
        calendar = definitions.CalendarVersion(
            calendar_id="offices", version=1, zone="Asia/Ho_Chi_Minh", week=[day] * 7
        )
        self.put("calendar-offices", catalogue.CalendarPublished(calendar=calendar))
        for citizen in ("citizen-1", "citizen-2"):
            self.register(citizen)
        reached(self)

    def upload(self, who: Any) -> None:
        upload = self.stub.CreateUpload(
            pb.CreateUploadRequest(media_type="application/pdf", size=len(PDF), sha256=SHA256), metadata=who
        ).upload
        if not upload.complete:
            self.stub.UploadChunk(pb.UploadChunkRequest(upload_id=upload.upload_id, data=PDF), metadata=who)

    def submit(self, who: Any, **changes: Any) -> pb.SubmitDossierResponse:
        return self.stub.SubmitDossier(submission(**changes), metadata=who)

    def history(self, code: str) -> list[str]:
        events = self.host.run(self.host.platform.store.read(f"dossier-{code}"))
        return [event.type.rpartition(".")[2] for event in events]


def _bearing(token: str) -> Any:
    return (("authorization", f"Bearer {token}"),)


def submission(**changes: Any) -> pb.SubmitDossierRequest:
    given: dict[str, Any] = {
        "request_id": str(uuid4()),
        "procedure_code": PROCEDURE.code,
        "channel": types.CHANNEL_ONLINE,
        "reception_agency": "H29",
        "delivery_method": dossier_pb2.DELIVERY_METHOD_ELECTRONIC,
        "components": [
            pb.GivenComponent(component_code="deed", source=types.COMPONENT_SOURCE_ATTACHMENT, sha256=SHA256)
        ],
    }
    request = pb.SubmitDossierRequest(**(given | changes))
    request.form["name"] = "Nguyễn Văn A"
    return request


def agency(code: str) -> definitions.Agency:
    return definitions.Agency(
        code=code,
        name=definitions.Text(vi="x", en="x"),
        level=definitions.LEVEL_COMMUNE,
        kind=definitions.AGENCY_KIND_PEOPLES_COMMITTEE,
        province="56",
        commune="00001",
        calendar_id="offices",
        valid_from="2020-01-01",
    )


async def rehome_dossiers(self: DossierService) -> None:
    await DossierService.rehome_dossiers(self)


@pytest.fixture(scope="module")
def site(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder, keys = tmp_path_factory.mktemp("site"), MemoryKeys()
    impatient = every(seconds=0.1)(rehome_dossiers)
    service = type(
        "Hosted", (DossierService,), {"key_ring": staticmethod(lambda *_: keys), "rehome_dossiers": impatient}
    )
    shift = folder / "shift"
    with (
        hosted(folder, [service], clock_shift_file=shift) as host,
        grpc.insecure_channel(host.address("dossier")) as channel,
    ):
        made = Site(host, DossierServiceStub(channel), keys, shift)
        made.open()
        made.upload(made.citizen())
        yield made


def reached(site: Site) -> None:
    """The views hold all that the log does: lists are asked for at its head."""
    head = site.host.run(site.host.platform.store.head())
    site.stub.ListMyDossiers(pb.ListMyDossiersRequest(min_position=f"p{head}"), metadata=site.citizen())


def refused(call: Any) -> str:
    with pytest.raises(grpc.RpcError) as raised:
        call()
    return _reason(raised.value)


def _reason(error: Any) -> str:
    (packed,) = (value for name, value in error.trailing_metadata() if name == "grpc-status-details-bin")
    info = error_details_pb2.ErrorInfo()
    assert any(detail.Unpack(info) for detail in Status.FromString(packed).details)
    return str(info.reason)


@pytest.mark.parametrize("days", [0, 1, 400])
def test_a_submission_sent_again_is_answered_as_before_whatever_the_day(site: Site, days: int) -> None:
    request_id = str(uuid4())
    first = site.submit(site.citizen(), request_id=request_id)
    site.now(days)
    assert site.submit(site.citizen(), request_id=request_id) == first
    site.now(0)
    assert site.history(first.code) == ["DossierSubmitted"]


def test_a_submission_sent_again_is_answered_even_when_it_would_be_refused_by_now(site: Site) -> None:
    request_id = str(uuid4())
    first = site.submit(site.citizen(), request_id=request_id)
    site.now(-9999)  # no procedure was in force then
    assert site.submit(site.citizen(), request_id=request_id) == first
    assert refused(lambda: site.submit(site.citizen())) == "PROCEDURE_UNKNOWN"
    site.now(0)


def with_form(site: Site, code: str, schema: Any) -> str:
    """A definition as it may stand in an old log: nobody held it against the bounds of today."""
    form = Form(Json(json.dumps(schema)), Json("[" * 900))
    published: Any = SHAPES["procedure"].write(replace(PROCEDURE_OF_ONE_COMPONENT, code=code, form=form))
    site.put(f"procedure-{code}", catalogue.ProcedurePublished(procedure=published))
    asked = partial(site.submit, site.citizen(), procedure_code=code, components=[])
    eventually(lambda: refused(asked) != "PROCEDURE_UNKNOWN")
    return code


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {"name": {"pattern": "(?=N)"}}},
        {"properties": {"name": {"$ref": "http://127.0.0.1:1/x"}}},
        {"properties": {"name": {"pattern": r"\p{L}{9999}"}}},
        {"$ref": "#"},
    ],
)
def test_a_form_published_before_it_had_bounds_stops_nobody_else(site: Site, schema: Any) -> None:
    code = with_form(site, f"9.{uuid4().int % 1_000_000:06}", schema)
    assert refused(lambda: site.submit(site.citizen(), procedure_code=code)) == "DEFINITION_FAULTY"
    assert site.submit(site.citizen()).code


def test_much_to_check_is_checked_elsewhere_with_the_same_answer(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    named = {"type": "object", "properties": {"note": {"type": "string", "pattern": r"^\p{Lu}[\p{L} ]{1,40}$"}}}
    code = with_form(site, "9.000001", named)
    assert site.submit(site.citizen(), procedure_code=code).code
    request = submission(procedure_code=code)
    request.form["note"] = "9" * 60_000
    with pytest.raises(grpc.RpcError) as raised:
        site.stub.SubmitDossier(request, metadata=site.citizen())
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert refused(lambda: site.stub.SubmitDossier(request, metadata=site.citizen())) == "FORM_INVALID"
    monkeypatch.setattr(confined, "SECONDS", 0.0)
    assert refused(lambda: site.stub.SubmitDossier(request, metadata=site.citizen())) == "FORM_UNCHECKABLE"


def test_a_request_id_is_not_another_s_nor_another_content_s(site: Site) -> None:
    request_id = str(uuid4())
    site.submit(site.citizen(), request_id=request_id)
    paper = [pb.GivenComponent(component_code="deed", source=types.COMPONENT_SOURCE_PAPER)]
    again = {"request_id": request_id, "delivery_method": dossier_pb2.DELIVERY_METHOD_POST}
    assert refused(lambda: site.submit(site.citizen(), **again)) == "REQUEST_ID_REUSED"
    assert refused(lambda: site.submit(site.citizen("citizen-2"), request_id=request_id, components=paper)) in (
        "REQUEST_ID_REUSED",
        "COMPONENT_SOURCE_REFUSED",
    )


def test_a_refused_submission_takes_no_code(site: Site) -> None:
    request_id = str(uuid4())
    before = site.submit(site.citizen()).code
    assert refused(lambda: site.submit(site.citizen(), request_id=request_id, components=[])) == "COMPONENT_MISSING"
    corrected = site.submit(site.citizen(), request_id=request_id).code
    assert int(corrected[-7:]) == int(before[-7:]) + 1


def test_a_file_is_its_owner_s(site: Site) -> None:
    assert refused(lambda: site.submit(site.citizen("citizen-2"))) == "ATTACHMENT_UNKNOWN"
    code = site.submit(site.citizen()).code
    read = pb.GetAttachmentRequest(code=code, sha256=SHA256)
    parts = list(site.stub.GetAttachment(read, metadata=site.citizen()))
    assert b"".join(part.data for part in parts) == PDF
    assert {part.media_type for part in parts} == {"application/pdf"}
    assert refused(lambda: list(site.stub.GetAttachment(read, metadata=site.citizen("citizen-2")))) == "NOT_FOUND"


def test_an_upload_is_seen_by_who_made_it_before_it_is_submitted(site: Site) -> None:
    for who, other in ((site.citizen(), site.citizen("citizen-2")), (site.official(), site.official(SUCCESSOR))):
        site.upload(who)
        create = pb.CreateUploadRequest(media_type="application/pdf", size=len(PDF), sha256=SHA256)
        read = pb.ReadUploadRequest(upload_id=site.stub.CreateUpload(create, metadata=who).upload.upload_id)
        parts = list(site.stub.ReadUpload(read, metadata=who))
        assert (b"".join(part.data for part in parts), {part.media_type for part in parts}) == (
            PDF,
            {"application/pdf"},
        )
        assert refused(partial(lambda ask, them: list(site.stub.ReadUpload(ask, metadata=them)), read, other)) == (
            "UPLOAD_UNKNOWN"
        )


def test_who_reads_signed_xml_is_told_that_nobody_verified_it(site: Site) -> None:
    who, signed = site.official(), signed_xml()
    for content, media_type, unverified in ((signed, "text/xml", True), (PDF, "application/pdf", False)):
        sha256 = hashlib.sha256(content).hexdigest()
        create = pb.CreateUploadRequest(media_type=media_type, size=len(content), sha256=sha256)
        upload = site.stub.CreateUpload(create, metadata=who).upload
        if not upload.complete:
            site.stub.UploadChunk(pb.UploadChunkRequest(upload_id=upload.upload_id, data=content), metadata=who)
        parts = list(site.stub.ReadUpload(pb.ReadUploadRequest(upload_id=upload.upload_id), metadata=who))
        assert {part.signature_unverified for part in parts} == {unverified}


def somebody() -> dict[str, Any]:
    """For whom an official applies."""
    return {
        "applicant_id": str(uuid4()),
        "applicant_name": "Nguyễn Văn A",
        "applicant_kind": dossier_pb2.APPLICANT_KIND_CITIZEN,
    }


@pytest.mark.parametrize(
    "applicant_id", ["056190000123", "Trần Thị B", "../citizen-1", "6F9619FF-8B86-D011-B42D-00C04FC964FF"]
)
def test_an_official_names_an_account_and_no_personal_number(site: Site, applicant_id: str) -> None:
    paper = pb.GivenComponent(component_code="deed", source=types.COMPONENT_SOURCE_PAPER)
    person = somebody() | {"applicant_id": applicant_id}
    submit = partial(site.submit, site.official(), channel=types.CHANNEL_COUNTER, components=[paper], **person)
    assert refused(submit) == "INVALID_REQUEST"


def test_no_path_is_a_file(site: Site) -> None:
    path = str(site.host.platform.settings.data / "secrets" / "service")
    component = pb.GivenComponent(component_code="deed", source=types.COMPONENT_SOURCE_PAPER, sha256=path)
    who = site.official()
    applicant = somebody()
    site.register(applicant["applicant_id"])
    code = site.submit(who, channel=types.CHANNEL_COUNTER, components=[component], **applicant).code
    shown = site.stub.GetDossier(pb.GetDossierRequest(code=code), metadata=reading_for("settle", who)).dossier
    assert [(held.sha256, held.media_type) for held in shown.components] == [("", "")]
    read = pb.GetAttachmentRequest(code=code, sha256=path)
    assert (
        refused(lambda: list(site.stub.GetAttachment(read, metadata=reading_for("settle", who))))
        == "ATTACHMENT_UNKNOWN"
    )


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("Nguyễn Văn A", "Nguyễn Văn A"),
        ("NGUYỄN  VĂN A", "Nguyễn Văn A"),
        ("Nguyên Văn A", None),
        ("nguyen van a", None),
        ("Trần Thị B", None),
    ],
)
def test_an_applicant_at_the_counter_has_the_name_that_the_account_has(
    site: Site, written: str, kept: str | None
) -> None:
    paper = pb.GivenComponent(component_code="deed", source=types.COMPONENT_SOURCE_PAPER)
    clerk, person = site.official(), somebody() | {"applicant_name": written}
    site.register(person["applicant_id"])
    submit = partial(site.submit, clerk, channel=types.CHANNEL_COUNTER, components=[paper], **person)
    if kept is None:
        assert refused(submit) == "INVALID_REQUEST"
        return
    asked = pb.GetDossierRequest(code=submit().code)
    assert site.stub.GetDossier(asked, metadata=reading_for("settle", clerk)).dossier.applicant.name == kept


@pytest.mark.parametrize(("written", "taken"), [("Lê Văn Xa", False), ("Nguyễn Văn A", True), ("NGUYỄN VĂN A", True)])
def test_also_who_was_looked_up_and_never_logged_in(site: Site, written: str, taken: bool) -> None:
    paper = pb.GivenComponent(component_code="deed", source=types.COMPONENT_SOURCE_PAPER)
    person = somebody() | {"applicant_name": written}
    account_id, event_id = person["applicant_id"], uuid4()
    key = site.host.run(site.keys.keys({account_id}, create=True))[account_id]
    name = seal("Nguyễn Văn A".encode(), key, event_id, "full_name")
    found = identity.LOOKUP_OUTCOME_FOUND
    looked_up = identity.PopulationLookedUp(account_id=account_id, outcome=found, full_name=name)
    site.put(f"account-{account_id}", looked_up, event_id)
    submit = partial(site.submit, site.official(), channel=types.CHANNEL_COUNTER, components=[paper], **person)
    if taken:
        assert submit().code
    else:
        assert refused(submit) == "INVALID_REQUEST"


@pytest.mark.parametrize("lacking", ["applicant_id", "applicant_name", "applicant_kind"])
def test_what_the_applicant_lacks_is_named(site: Site, lacking: str) -> None:
    person = {name: value for name, value in somebody().items() if name != lacking}
    with pytest.raises(grpc.RpcError) as error:
        site.submit(site.official(), channel=types.CHANNEL_COUNTER, **person)
    failed: Any = error.value
    status = rpc_status.from_call(failed)
    bad = error_details_pb2.BadRequest()
    assert [each.field for detail in status.details if detail.Unpack(bad) for each in bad.field_violations] == [lacking]


def test_drafts_have_a_limit_and_nobody_closes_another_s(site: Site) -> None:
    def save(request_id: str = "") -> str:
        request = pb.SaveDraftRequest(request_id=request_id or str(uuid4()), procedure_code=PROCEDURE.code)
        return site.stub.SaveDraft(request, metadata=site.citizen("citizen-2")).draft_id

    first_id = str(uuid4())
    first = save(first_id)
    for _ in range(49):
        save()
    head = site.host.run(site.host.platform.store.head())
    listed = pb.ListDraftsRequest(min_position=f"p{head}")
    site.stub.ListDrafts(listed, metadata=site.citizen("citizen-2"))
    assert refused(save) == "TOO_MANY_DRAFTS"
    assert save(first_id) == first
    assert refused(lambda: site.submit(site.citizen(), draft_id=first)) == "DRAFT_NOT_FOUND"
    assert refused(lambda: site.submit(site.citizen(), draft_id=str(uuid4()))) == "DRAFT_NOT_FOUND"
    reached(site)
    kept = site.stub.GetDraft(pb.GetDraftRequest(draft_id=first), metadata=site.citizen("citizen-2")).draft
    assert kept.draft_id == first


def test_one_draft_becomes_one_dossier(site: Site) -> None:
    """Whatever is sent at once, to whatever agency; the draft's own submission is answered again."""
    me = site.citizen()

    def save() -> str:
        request = pb.SaveDraftRequest(request_id=str(uuid4()), procedure_code=PROCEDURE.code)
        return site.stub.SaveDraft(request, metadata=me).draft_id

    draft_id = save()
    asked = [submission(draft_id=draft_id, reception_agency=agency) for agency in ("H29", SUCCESSOR) * 4]

    def send(request: pb.SubmitDossierRequest) -> str:
        try:
            return site.stub.SubmitDossier(request, metadata=me).code
        except grpc.RpcError as error:
            return _reason(error)

    with ThreadPoolExecutor(8) as senders:
        answers = list(senders.map(send, asked))
    (code,) = {answer for answer in answers if answer.startswith("H29")}
    assert set(answers) - {code} <= {"DRAFT_BEING_SUBMITTED", "DRAFT_CLOSED"}
    again = asked[answers.index(code)]
    assert send(again) == code
    reached(site)
    eventually(lambda: refused(partial(site.stub.GetDraft, pb.GetDraftRequest(draft_id=draft_id), metadata=me)))
    assert send(again) == code
    assert send(submission(draft_id=draft_id)) == "DRAFT_CLOSED"
    other = with_form(site, "9.000002", {"type": "object"})
    assert send(submission(draft_id=save(), procedure_code=other)) == "DRAFT_OF_OTHER_PROCEDURE"


def test_a_payment_and_its_refund_are_noted_in_order(site: Site) -> None:
    code = site.submit(site.citizen()).code
    who = site.official()
    item = pb.AssessedItem(name="Lệ phí", amount=20_000)
    assessed = site.stub.AssessFee(
        pb.AssessFeeRequest(request_id=str(uuid4()), code=code, items=[item], condition=types.FEE_CONDITION_RECEPTION),
        metadata=who,
    )
    now = Timestamp()
    now.FromDatetime(datetime.now(UTC))
    money: dict[str, Any] = {
        "code": code,
        "fee_id": assessed.fee_id,
        "amount": 20_000,
        "payment_id": "payment-1",
        "at": now,
    }
    cause = payment.REFUND_CAUSE_DECIDED
    site.put(f"payment-{assessed.fee_id}", payment.PaymentConfirmed(**money))
    site.put(f"payment-{assessed.fee_id}", payment.RefundConfirmed(**money, cause=cause))
    settling = reading_for("settle", who)
    stream = site.stub.WatchDossier(pb.WatchDossierRequest(code=code), metadata=settling, timeout=10)
    seen = [next(stream).entry.event_type.rpartition(".")[2] for _ in range(5)]
    stream.cancel()
    assert [name for name in seen if name] == ["DossierSubmitted", "FeeAssessed", "FeePaid", "FeeRefunded"]


def test_a_submission_that_is_only_validated_leaves_nothing(site: Site) -> None:
    request_id = str(uuid4())
    before = site.host.run(site.host.platform.store.head())
    assert site.submit(site.citizen(), request_id=request_id, validate_only=True) == pb.SubmitDossierResponse(
        revision=-1, position="p0"
    )
    refusal = refused(lambda: site.submit(site.citizen(), request_id=request_id, validate_only=True, components=[]))
    assert refusal == "COMPONENT_MISSING"
    assert site.host.run(site.host.platform.store.head()) == before

    first = site.submit(site.citizen(), request_id=request_id).code
    site.submit(site.citizen(), validate_only=True)
    second = site.submit(site.citizen()).code
    assert int(second.rpartition("-")[2]) == int(first.rpartition("-")[2]) + 1


def test_a_reception_that_is_only_validated_promises_nothing(site: Site) -> None:
    code, who = site.submit(site.citizen()).code, site.official()

    def receive(request_id: str, **fields: Any) -> pb.ReceiveDossierResponse:
        return site.stub.ReceiveDossier(
            pb.ReceiveDossierRequest(request_id=request_id, code=code, **fields), metadata=who
        )

    request_id = str(uuid4())
    checked = receive(request_id, validate_only=True)
    assert site.history(code) == ["DossierSubmitted"]
    assert checked.revision == 0
    assert refused(lambda: receive(str(uuid4()), validate_only=True, expected_revision=1)) == "REVISION_CONFLICT"
    received = receive(request_id, expected_revision=checked.revision)
    assert (received.receipt_number, received.due_at.seconds // 60, received.revision) == (
        checked.receipt_number,
        checked.due_at.seconds // 60,
        1,
    )
    assert refused(lambda: receive(str(uuid4()), validate_only=True)) == "WRONG_STATE"


def test_a_history_is_paged_from_where_the_page_begins(site: Site) -> None:
    code, other = site.submit(site.citizen()).code, site.submit(site.citizen()).code

    def assess() -> None:
        item = pb.AssessedItem(name="Lệ phí", amount=20_000)
        condition = types.FEE_CONDITION_RECEPTION
        request = pb.AssessFeeRequest(request_id=str(uuid4()), code=code, items=[item], condition=condition)
        site.stub.AssessFee(request, metadata=site.official())

    def page(token: str = "", of: str = code) -> pb.ListHistoryResponse:
        return site.stub.ListHistory(
            pb.ListHistoryRequest(code=of, page_size=2, page_token=token), metadata=site.citizen()
        )

    assess()
    assess()
    first = page()
    assess()  # between two pages
    second = page(first.next_page_token)
    seen = [(entry.revision, entry.event_type.rpartition(".")[2]) for entry in (*first.entries, *second.entries)]
    assert seen == [(0, "DossierSubmitted"), (1, "FeeAssessed"), (2, "FeeAssessed"), (3, "FeeAssessed")]
    assert second.next_page_token == ""
    assert refused(lambda: page(first.next_page_token, of=other)) == "INVALID_POSITION"
    assert refused(lambda: page(of=f"{code[:-7]}9999999")) == "NOT_FOUND"


def test_a_peer_confirms_from_the_first_revision_on(site: Site) -> None:
    code = site.submit(site.citizen()).code
    (rpc,) = (m for m in pb.DESCRIPTOR.services_by_name["DossierService"].methods if m.name == "ConfirmSynchronisation")
    purposes = ["synchronise"]
    site.host.run(scope(site.host.platform.store, "vn", purposes, ["H29"]))
    eventually(lambda: site.host.platform.verifier.scopes_of("vn"))
    who = _bearing(mint(site.key, "system", kind="system", account_id="vn", purposes=purposes))
    assert rpc.input_type.fields_by_name["peer_revision"].has_presence

    def confirm(revision: int | None) -> Any:
        request = pb.ConfirmSynchronisationRequest(request_id=str(uuid4()), code=code, peer_revision=revision)
        return site.stub.ConfirmSynchronisation(request, metadata=who)

    assert confirm(0).revision == 1
    assert refused(lambda: confirm(None)) == "INVALID_REQUEST"
    assert refused(lambda: confirm(9)) == "REVISION_CONFLICT"


def test_the_day_that_a_paper_bears_is_a_day_and_not_to_come(site: Site) -> None:
    tomorrow = (datetime.now(UTC) + timedelta(days=2)).date().isoformat()

    def component(day: str) -> pb.GivenComponent:
        source = types.COMPONENT_SOURCE_ATTACHMENT
        return pb.GivenComponent(component_code="deed", source=source, sha256=SHA256, issued_on=day)

    def receive(code: str, *days: str, of: str = "deed") -> pb.ReceiveDossierResponse:
        read = [pb.PaperDay(component_code=of, issued_on=day) for day in days]
        request = pb.ReceiveDossierRequest(request_id=str(uuid4()), code=code, paper_days=read)
        return site.stub.ReceiveDossier(request, metadata=site.official())

    for wrong in ("2026-02-30", "15/01/2026", "2026", "0000-01-01", tomorrow):
        assert refused(lambda day=wrong: site.submit(site.citizen(), components=[component(day)])) == "INVALID_REQUEST"
    code = site.submit(site.citizen(), components=[component("2026-01-15")]).code
    for days in (("2026-02-30",), (tomorrow,), ("",), ("2026-01-15", "2026-01-16")):
        assert refused(lambda days=days: receive(code, *days)) == "INVALID_REQUEST"
    assert refused(lambda: receive(code, "2026-01-16", of="cat")) == "COMPONENT_UNKNOWN"

    def shown() -> list[str]:
        request = pb.GetDossierRequest(code=code)
        dossier = site.stub.GetDossier(request, metadata=reading_for("settle", site.official())).dossier
        return [each.issued_on for each in dossier.components]

    assert shown() == ["2026-01-15"]
    receive(code, "2026-01-16")
    assert shown() == ["2026-01-16"]


def test_a_closed_agency_s_open_dossiers_pass_to_its_successor(site: Site) -> None:
    """Last: the agency is closed for good."""
    code = site.submit(site.citizen()).code
    received = site.stub.ReceiveDossier(
        pb.ReceiveDossierRequest(request_id=str(uuid4()), code=code), metadata=site.official()
    )
    paper, erased = pb.GivenComponent(component_code="deed", source=types.COMPONENT_SOURCE_PAPER), somebody()
    counter = {"channel": types.CHANNEL_COUNTER, "components": [paper]}
    site.register(erased["applicant_id"])
    of_erased = site.submit(site.official(), **counter, **erased).code
    site.keys.erase(erased["applicant_id"])
    yesterday = (datetime.now(UTC) - timedelta(days=2)).date().isoformat()
    closed = catalogue.AgencyClosed(code="H29", successor=SUCCESSOR, valid_until=yesterday)
    site.put("agency-H29", closed)
    reached(site)
    successor = site.official(SUCCESSOR)
    stream = site.stub.WatchDossier(pb.WatchDossierRequest(code=code), metadata=site.citizen(), timeout=70)
    seen = [next(stream).entry.event_type.rpartition(".")[2] for _ in range(4)]
    stream.cancel()
    assert [name for name in seen if name] == ["DossierSubmitted", "DossierReceived", "DossierTransferred"]
    request = pb.GetDossierRequest(code=code)
    shown = site.stub.GetDossier(request, metadata=reading_for("settle", successor)).dossier
    assert (shown.holder, shown.reception_agency, shown.competent_agency) == (SUCCESSOR,) * 3
    assert shown.due_at == received.due_at
    eventually(lambda: site.history(of_erased) == ["DossierSubmitted", "DossierTransferred"])
