"""What people and officials live through, over gRPC and over JSON alike, and with the databases in PostgreSQL."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import uuid4

import grpc
import pytest
from google.protobuf.json_format import MessageToJson, ParseDict
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp

from motcua.dossier.v1 import dossier_pb2
from motcua.dossier.v1 import dossier_service_pb2 as pb
from motcua.identity.v1 import identity_service_pb2 as identity
from motcua.notification.v1 import notification_service_pb2 as notification
from motcua.notification.v1.notification_pb2 import MessageKind
from motcua.payment.v1 import payment_pb2
from motcua.payment.v1 import payment_service_pb2 as payment
from motcua.types.v1 import types_pb2 as types
from motcua.warehouse.v1 import warehouse_pb2
from motcua.warehouse.v1 import warehouse_service_pb2 as warehouse
from tests.platform.conftest import on_monday
from tests.platform.transport import Grpc, Json, Refused
from tests.platform.world import (
    BIRTH,
    BIRTH_FORM,
    EXTRACT,
    EXTRACT_FORM,
    HEALTH_CARD,
    HEALTH_CARD_FORM,
    LOW_ASSURANCE,
    SOCIAL_INSURANCE,
    SOCIAL_INSURANCE_FORM,
    TEMPORARY_RESIDENCE,
    TEMPORARY_RESIDENCE_FORM,
    People,
    World,
    local,
    pdf,
)
from tests.support.waiting import eventually

S, Finance = dossier_pb2.Settlement, dossier_pb2.Finance
COUNTER = types.CHANNEL_COUNTER
CIVIL_STEPS = (("receive", "receptionist"), ("check", "processor"), ("sign", "approver"))
RESIDENCE_STEPS = (("receive", "receptionist"), ("verify", "processor"), ("approve", "approver"))
INSURANCE_STEPS = (
    ("receive", "receptionist"),
    ("settle", "processor"),
    ("approve", "approver"),
)
ONLINE_FEE = 7_000


@pytest.fixture(params=["grpc", "json", "postgresql"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    if request.param != "postgresql":
        people: People = request.getfixturevalue("people")
        grpc_ = request.param == "grpc"
        yield on_monday(
            Grpc(request.getfixturevalue("channel")) if grpc_ else Json(request.getfixturevalue("http")), people
        )
        return
    people = request.getfixturevalue("people_on_postgresql")
    with grpc.insecure_channel(f"localhost:{people.deployment.port}") as channel:
        yield on_monday(Grpc(channel), people)


@dataclass
class Case:
    """A dossier and its applicant."""

    world: World
    citizen: str
    code: str

    @property
    def shown(self) -> dossier_pb2.Dossier:
        return self.world.dossier(self.citizen, self.code)

    @property
    def told(self) -> list[str]:
        return self.world.told(self.citizen, self.code)

    def texts(self, event: str) -> list[dict[str, str]]:
        """What such events say in texts."""
        found = [one for one in self.world.history(self.citizen, self.code) if one.event_type.endswith(f".{event}")]
        return [{field.name: field.value.text for field in one.fields if field.value.text} for one in found]

    def messages(self, *kinds: str) -> None:
        """The inbox holds one message for each step, in order."""

        def arrived() -> list[str]:
            request = notification.ListInboxRequest(page_size=200)
            listed = self.world.call(self.citizen, request).messages
            found = [m for m in listed if m.dossier_code == self.code]
            names = [notification_kind(m.kind) for m in sorted(found, key=lambda m: m.composed_at.ToNanoseconds())]
            return names if len(names) >= len(kinds) else []

        assert sorted(eventually(arrived)) == sorted(kinds)


def notification_kind(number: int) -> str:
    return MessageKind.Name(MessageKind.ValueType(number)).removeprefix("MESSAGE_KIND_").lower()


def given_a_temporary_residence(world: World) -> Case:
    """Asked for online, with a fee before reception."""
    citizen = world.people.somebody()
    housing = world.attachment(citizen, "housing")
    submitted = world.submit(citizen, TEMPORARY_RESIDENCE, TEMPORARY_RESIDENCE_FORM, housing)
    return Case(world, citizen, submitted.code)


def given_a_social_insurance(world: World) -> Case:
    """Asked for at a commune; the province's insurance is competent, within five working days."""
    citizen = world.people.somebody()
    book = world.attachment(citizen, "insurance-book")
    return Case(world, citizen, world.submit(citizen, SOCIAL_INSURANCE, SOCIAL_INSURANCE_FORM, book).code)


def given_a_birth(world: World) -> Case:
    """No fee; due the same day."""
    citizen = world.people.somebody()
    return Case(world, citizen, world.submit(citizen, BIRTH, BIRTH_FORM).code)


def test_a_dossier_is_paid_online_settled_on_time_and_rated(world: World) -> None:
    case = given_a_temporary_residence(world)
    assert case.shown.finance == Finance.FINANCE_DUE
    assert world.refusal(
        world.people.official(world.people.commune, "receptionist"), pb.ReceiveDossierRequest(code=case.code)
    ).reason == "FEE_UNPAID"  # fmt: skip

    world.pay_online(case.citizen, case.code)
    received = world.receive(case.code)
    world.transfer(case.code)
    world.work(case.code, *RESIDENCE_STEPS)
    issued = world.decide(case.code)
    world.hand_over(case.code)
    world.call(case.citizen, pb.RateDossierRequest(code=case.code, score=5, comment="Nhanh, rõ ràng."))

    # Three working days: the police work on Saturdays, but these are Tuesday to Thursday.
    assert (local(received.due_at), issued.on_time) == ("2026-03-05T17:00", True)
    steps = ["StepAssigned", "StepCompleted"]
    assert case.told == [
        "DossierSubmitted", "FeeAssessed", "FeePaid", "DossierReceived", "DossierTransferred", "ProcessingStarted",
        *steps * 3, "DossierApproved", "ResultIssued", "ResultReturned", "DossierRated",
    ]  # fmt: skip
    shown = case.shown
    assert (shown.settlement, shown.finance) == (S.SETTLEMENT_RESULT_RETURNED, Finance.FINANCE_PAID)
    assert (shown.delivery, shown.score) == (dossier_pb2.Delivery.DELIVERY_DELIVERED, 5)
    case.messages("progress", "fee", "fee", "progress", "outcome", "outcome")
    parts = world.transport.stream(
        pb.GetAttachmentRequest(code=case.code, sha256=shown.results[0].sha256), case.citizen
    )
    assert b"".join(part.data for part in parts).startswith(b"%PDF-")


def test_a_supplement_stops_the_clock(world: World) -> None:
    case = given_a_social_insurance(world)
    due = world.receive(case.code).due_at
    assert local(due) == "2026-03-09T17:00"
    world.transfer(case.code)
    world.work(case.code, INSURANCE_STEPS[0])

    world.clock.set("2026-03-04T10:00")
    explanation = "Bản chụp sổ bị mờ."
    asked = pb.RequestSupplementRequest(code=case.code, component_codes=["insurance-book"], explanation=explanation)
    world.by(case.code, "processor")(asked)
    paused = case.shown
    world.clock.set("2026-03-10T10:00")
    assert not case.shown.overdue
    clearer = world.attachment(case.citizen, "insurance-book", "clearer")
    supplied = world.call(case.citizen, pb.SupplySupplementRequest(code=case.code, components=[clearer]))

    assert (paused.settlement, paused.paused) == (S.SETTLEMENT_SUPPLEMENT_REQUESTED, True)
    assert list(paused.missing_component_codes) == ["insurance-book"]
    assert local(supplied.due_at) == "2026-03-13T17:00"
    assert not case.shown.paused
    assert [component.sha256 for component in case.shown.components if component.sha256] == [clearer.sha256]
    world.work(case.code, *INSURANCE_STEPS[1:])
    assert world.decide(case.code).on_time
    case.messages("progress", "progress", "action", "progress", "outcome")


def test_a_refused_dossier_gets_its_fee_back(world: World) -> None:
    case = given_a_temporary_residence(world)
    world.pay_online(case.citizen, case.code)
    fee_id = world.fee(case.citizen, case.code)

    reason = "Chỗ ở không thuộc địa bàn tiếp nhận."
    world.by(case.code, "receptionist")(pb.RefuseDossierRequest(code=case.code, reason=reason))

    eventually(lambda: case.shown.finance == Finance.FINANCE_REFUNDED)
    assert case.told == ["DossierSubmitted", "FeeAssessed", "FeePaid", "DossierRefused", "FeeRefunded"]
    assert case.texts("DossierRefused")[0]["reason"] == reason
    assert case.shown.settlement == S.SETTLEMENT_NOT_RECEIVED
    _require_refund(case, fee_id, payment_pb2.RefundCause.REFUND_CAUSE_DOSSIER_REFUSED)
    case.messages("progress", "fee", "fee", "outcome", "fee")


def test_a_withdrawn_dossier_gets_its_fee_back(world: World) -> None:
    case = given_a_temporary_residence(world)
    world.pay_online(case.citizen, case.code)
    fee_id = world.fee(case.citizen, case.code)

    world.call(case.citizen, pb.RequestWithdrawalRequest(code=case.code, reason="Tôi chuyển đi nơi khác."))
    asked = case.shown.settlement
    world.by(case.code, "receptionist")(pb.GrantWithdrawalRequest(code=case.code))

    assert asked == S.SETTLEMENT_WITHDRAWAL_REQUESTED
    eventually(lambda: case.shown.finance == Finance.FINANCE_REFUNDED)
    assert case.told[3:] == ["WithdrawalRequested", "ProcessingStopped", "FeeRefunded"]
    assert case.shown.settlement == S.SETTLEMENT_PROCESSING_STOPPED
    _require_refund(case, fee_id, payment_pb2.RefundCause.REFUND_CAUSE_DOSSIER_WITHDRAWN)
    case.messages("progress", "fee", "fee", "outcome", "fee")


def _require_refund(case: Case, fee_id: str, cause: payment_pb2.RefundCause.ValueType) -> None:
    found = case.world.call(case.citizen, payment.GetPaymentRequest(fee_id=fee_id)).payment
    assert found.status == payment_pb2.PaymentStatus.PAYMENT_STATUS_REFUNDED
    (taking,) = found.takings
    assert (taking.amount, taking.refund.cause) == (ONLINE_FEE, cause)
    assert taking.refund.status == payment_pb2.RefundStatus.REFUND_STATUS_CONFIRMED


def test_lateness_is_said_once_apologised_for_and_stays(world: World) -> None:
    case = given_a_birth(world)
    assert local(world.receive(case.code).due_at) == "2026-03-02T17:00"
    world.work(case.code, CIVIL_STEPS[0])

    world.clock.set("2026-03-03T08:00")
    eventually(lambda: "DeadlinePassed" in case.told)
    assert case.shown.overdue
    new_due = Timestamp()
    new_due.FromJsonString("2026-03-04T17:00:00+07:00")
    apology = pb.ExtendDeadlineRequest(
        code=case.code, due_at=new_due, reason="Hệ thống hộ tịch gián đoạn.", signer="Chủ tịch UBND"
    )
    extended = world.by(case.code, "approver")(apology)
    assert not case.shown.overdue
    world.work(case.code, *CIVIL_STEPS[1:])
    issued = world.decide(case.code)

    assert local(extended.original_due_at) == "2026-03-02T17:00"
    assert local(case.shown.due_at) == "2026-03-04T17:00"
    assert not issued.on_time
    assert [case.told.count(name) for name in ("DeadlinePassed", "DeadlineExtended")] == [1, 1]
    case.messages("progress", "progress", "delay", "delay", "outcome")


def test_a_transfer_to_the_competent_agency_leaves_the_due_date_alone(world: World) -> None:
    case = given_a_social_insurance(world)
    due = world.receive(case.code).due_at
    before = case.shown

    world.clock.set("2026-03-05T10:00")
    world.transfer(case.code)

    after = case.shown
    assert (before.holder, after.holder) == (world.people.commune, before.competent_agency)
    assert (after.due_at, after.place_of_submission, after.reception_agency) == (due, "online", before.reception_agency)
    # Who handed it on may read it, and no more.
    reception = world.people.official(world.people.commune, "receptionist")
    assert world.dossier(reception, case.code).holder == after.holder
    assert world.refusal(
        world.people.official(world.people.commune, "processor"),
        pb.AssignStepRequest(code=case.code, step_code="receive"),
    ).reason == "WRONG_AGENCY"  # fmt: skip


def test_what_the_state_issued_is_not_asked_for_again(world: World) -> None:
    birth = given_a_birth(world)
    world.receive(birth.code)
    world.work(birth.code, *CIVIL_STEPS)
    world.decide(birth.code, "45/2026")

    def kept() -> list[warehouse_pb2.DocumentSummary]:
        request = warehouse.ListMyDocumentsRequest(document_kind="birth-certificate")
        return list(world.call(birth.citizen, request).documents)

    (certificate,) = eventually(kept)
    form, consent = HEALTH_CARD_FORM, {"reuse_consent": True}

    def submitted() -> pb.SubmitDossierResponse | None:
        """The dossier service hears of the document a moment later."""
        try:
            return world.submit(birth.citizen, HEALTH_CARD, form, **consent)
        except Refused as refused:
            if refused.reason != "COMPONENT_MISSING":
                raise
            return None

    reply = eventually(submitted)
    card = Case(world, birth.citizen, reply.code)

    assert list(reply.reused_component_codes) == ["birth-certificate"]
    (reused,) = [c for c in card.shown.components if c.component_code == "birth-certificate"]
    assert (reused.source, reused.document_id) == (
        types.COMPONENT_SOURCE_WAREHOUSE,
        certificate.document_id,
    )

    def noted() -> list[tuple[str, str]]:
        request = warehouse.GetDocumentRequest(document_id=certificate.document_id)
        document = world.call(birth.citizen, request).document
        return [(reuse.dossier_code, reuse.component_code) for reuse in document.reuses]

    assert eventually(noted) == [(card.code, "birth-certificate")]
    assert world.refusal(
        world.people.somebody(), warehouse.GetDocumentRequest(document_id=certificate.document_id)
    ).reason == "NOT_FOUND"  # fmt: skip


def test_cash_is_taken_at_the_counter(world: World) -> None:
    applicant = world.people.somebody()
    receptionist = world.people.official(world.people.commune, "receptionist")
    cashier = world.people.official(world.people.commune, "cashier")
    paper = pb.GivenComponent(component_code="housing", source=types.COMPONENT_SOURCE_PAPER)
    declaration = pb.GivenComponent(component_code="ct01", source=types.COMPONENT_SOURCE_PAPER)
    request = pb.SubmitDossierRequest(
        procedure_code=TEMPORARY_RESIDENCE,
        channel=COUNTER,
        applicant_id=world.account_id(applicant),
        applicant_kind=dossier_pb2.APPLICANT_KIND_CITIZEN,
        applicant_name=world.call(applicant, identity.GetMyAccountRequest()).account.full_name,
        form=ParseDict(TEMPORARY_RESIDENCE_FORM, Struct()),
        components=[paper, declaration],
        reception_agency=world.people.commune,
        delivery_method=dossier_pb2.DELIVERY_METHOD_COUNTER,
    )
    case = Case(world, applicant, world.call(receptionist, request).code)
    (fee,) = case.shown.fees
    assert fee.amount == 15_000
    fee_id = world.fee(applicant, case.code)

    too_little = payment.ReceiveCashRequest(fee_id=fee_id, amount=10_000)
    assert world.refusal(cashier, too_little).reason == "WRONG_AMOUNT"
    cash = payment.ReceiveCashRequest(fee_id=fee_id, amount=15_000, request_id=str(uuid4()))
    taken = world.call(cashier, cash)

    assert taken.receipt_number
    assert world.call(cashier, cash) == taken
    eventually(lambda: case.shown.finance == Finance.FINANCE_PAID)
    assert case.told == ["DossierSubmitted", "FeeAssessed", "FeePaid"]
    assert case.shown.place_of_submission == world.people.commune


def test_a_draft_is_saved_resumed_and_submitted(world: World) -> None:
    citizen = world.people.somebody()
    half = {"child_name": "Trần Minh An", "child_sex": "female"}
    saved = world.call(citizen, pb.SaveDraftRequest(procedure_code=BIRTH, form=ParseDict(half, Struct())))

    resumed = world.call(citizen, pb.GetDraftRequest(draft_id=saved.draft_id)).draft
    full = dict(resumed.form.items()) | BIRTH_FORM
    again = world.call(
        citizen,
        pb.SaveDraftRequest(
            draft_id=saved.draft_id,
            procedure_code=BIRTH,
            form=ParseDict(full, Struct()),
            expected_revision=resumed.revision,
        ),
    )
    listed = world.call(citizen, pb.ListDraftsRequest(min_position=again.position)).drafts
    submitted = world.submit(citizen, BIRTH, BIRTH_FORM, draft_id=saved.draft_id)

    assert dict(resumed.form.items()) == half
    assert [draft.draft_id for draft in listed] == [saved.draft_id]
    assert world.refusal(world.people.somebody(), pb.GetDraftRequest(draft_id=saved.draft_id)).reason == (
        "DRAFT_NOT_FOUND"
    )
    request = pb.ListDraftsRequest
    eventually(lambda: not world.call(citizen, request(min_position=submitted.position)).drafts)
    assert dict(world.dossier(citizen, submitted.code).form.items())["child_name"] == "Trần Minh An"


def test_an_interrupted_upload_goes_on_where_it_stopped(world: World) -> None:
    citizen, content = world.people.somebody(), pdf("scan", 1_500_000)
    begin = pb.CreateUploadRequest(
        media_type="application/pdf", size=len(content), sha256=hashlib.sha256(content).hexdigest()
    )
    upload_id = world.call(citizen, begin).upload.upload_id
    half = len(content) // 2
    world.call(citizen, pb.UploadChunkRequest(upload_id=upload_id, data=content[:half]))

    ahead = pb.UploadChunkRequest(upload_id=upload_id, offset=half + 10, data=content[half + 10 :])
    assert world.refusal(citizen, ahead).reason == "UPLOAD_OFFSET_WRONG"
    assert world.refusal(world.people.somebody(), pb.GetUploadRequest(upload_id=upload_id)).reason == "UPLOAD_UNKNOWN"
    stands = world.call(citizen, pb.GetUploadRequest(upload_id=upload_id)).upload
    assert (stands.offset, stands.complete) == (half, False)
    done = world.call(
        citizen, pb.UploadChunkRequest(upload_id=upload_id, offset=stands.offset, data=content[half:])
    ).upload
    assert done.complete

    housing = pb.GivenComponent(component_code="housing", source=types.COMPONENT_SOURCE_ATTACHMENT, sha256=done.sha256)
    code = world.submit(citizen, TEMPORARY_RESIDENCE, TEMPORARY_RESIDENCE_FORM, housing).code
    parts = world.transport.stream(pb.GetAttachmentRequest(code=code, sha256=done.sha256), citizen)
    assert b"".join(part.data for part in parts) == content


def test_everyone_follows_a_dossier_and_learns_nothing_about_the_person(world: World) -> None:
    case = given_a_temporary_residence(world)
    account_id = world.account_id(case.citizen)
    applicant = case.shown.applicant

    entries, token = [], ""
    for news in world.transport.stream(pb.TrackDossierRequest(code=case.code)):
        token = news.resume_token or token
        if news.WhichOneof("message") != "entry":
            break
        entries.append(news.entry)
    world.pay_online(case.citizen, case.code)
    resumed = next(iter(world.transport.stream(pb.TrackDossierRequest(code=case.code, resume_token=token))))

    assert [entry.event_type.rpartition(".")[2] for entry in entries] == ["DossierSubmitted", "FeeAssessed"]
    assert resumed.entry.event_type.endswith(".FeePaid")
    seen = "".join(MessageToJson(entry, ensure_ascii=False) for entry in [*entries, resumed.entry])
    personal = [account_id, applicant.name, applicant.email, applicant.phone, *TEMPORARY_RESIDENCE_FORM.values()]
    assert applicant.name
    assert [text for text in personal if isinstance(text, str) and len(text) > 5 and text in seen] == []
    assert not any(entry.by for entry in entries)
    unknown = f"{case.code.rpartition('-')[0]}-9999999"
    with pytest.raises(Exception, match="NOT_FOUND"):
        list(world.transport.stream(pb.TrackDossierRequest(code=unknown)))
    assert world.refusal("", pb.GetDossierRequest(code=case.code)).code == "UNAUTHENTICATED"
    assert world.refusal(world.people.somebody(), pb.GetDossierRequest(code=case.code)).reason == "NOT_FOUND"


def test_indicators_count_at_once(world: World) -> None:
    commune = world.people.commune

    def counted(position: str = "") -> tuple[int, int, int, int]:
        day = "2026-03-02"
        request = warehouse.GetIndicatorsRequest(from_day=day, until_day=day, min_position=position)
        request.filter.agency, request.filter.procedure_code = commune, BIRTH
        c = warehouse_pb2.Counters()
        for group in world.call("", request).indicators:
            c = group.counters
        return c.submitted_online, c.received, c.settled_on_time, c.returned

    before = counted()
    case = given_a_birth(world)
    world.receive(case.code)
    world.work(case.code, *CIVIL_STEPS)
    world.decide(case.code)
    method = dossier_pb2.DELIVERY_METHOD_ELECTRONIC
    returned = world.by(case.code, "receptionist")(pb.ReturnResultRequest(code=case.code, delivery_method=method))

    assert counted(returned.position) == tuple(count + 1 for count in before)


def test_refusals_tell_everything_that_is_needed_in_two_languages(world: World) -> None:
    citizen = world.people.somebody()

    empty = world.refusal(citizen, pb.SubmitDossierRequest(request_id="not-a-uuid"))
    assert (empty.code, empty.reason, empty.domain) == ("INVALID_ARGUMENT", "INVALID_REQUEST", "motcua")
    named = {"request_id", "procedure_code", "channel", "reception_agency", "delivery_method"}
    assert named <= empty.violations.keys()
    wrong = world.refusal(
        citizen,
        pb.SubmitDossierRequest(
            procedure_code=EXTRACT,
            channel=types.CHANNEL_ONLINE,
            form=ParseDict(EXTRACT_FORM | {"copies": 0, "event_kind": "hatching"}, Struct()),
            reception_agency=world.people.commune,
            delivery_method=dossier_pb2.DELIVERY_METHOD_POST,
        ),
    )
    assert {field.rpartition(".")[2] for field in wrong.violations} == {"copies", "event_kind"}
    case = given_a_birth(world)
    early = world.refusal(
        world.people.official(world.people.commune, "approver"), pb.ApproveDossierRequest(code=case.code)
    )
    assert (early.code, early.reason) == ("FAILED_PRECONDITION", "WRONG_STATE")
    assert early.facts["state"] == "NEWLY_REGISTERED"
    foreign = world.refusal(citizen, pb.ReceiveDossierRequest(code=case.code))
    assert (foreign.code, foreign.reason) == ("PERMISSION_DENIED", "ROLE_MISSING")
    for refusal in (empty, wrong, early, foreign):
        assert {"vi", "en"} == refusal.texts.keys()
        assert re.search(r"[ạảãàáâậầấăắếềệôồốộơờớưứừđ]", refusal.texts["vi"])
        assert refusal.texts["en"].isascii()
        assert refusal.retry_seconds is None


def test_the_same_request_has_one_effect(world: World) -> None:
    citizen, request_id = world.people.somebody(), str(uuid4())

    first = world.submit(citizen, BIRTH, BIRTH_FORM, request_id=request_id)
    again = world.submit(citizen, BIRTH, BIRTH_FORM, request_id=request_id)
    other = BIRTH_FORM | {"child_name": "Trần Minh Bình"}

    assert again == first
    with pytest.raises(Exception, match="REQUEST_ID_REUSED"):
        world.submit(citizen, BIRTH, other, request_id=request_id)
    mine = world.call(citizen, pb.ListMyDossiersRequest(min_position=first.position)).dossiers
    assert [dossier.code for dossier in mine] == [first.code]


def test_low_assurance_is_not_enough_for_a_residence(world: World) -> None:
    person = world.people.token(LOW_ASSURANCE, level=1)

    housing = world.attachment(person, "housing")
    with pytest.raises(Exception, match="ASSURANCE_TOO_LOW"):
        world.submit(person, TEMPORARY_RESIDENCE, TEMPORARY_RESIDENCE_FORM, housing)
