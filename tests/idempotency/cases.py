"""For each mutation a way to the moment at which it may be sent."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from joserfc.jwk import OKPKey

from gateway.sandbox.people import citizen
from motcua.dossier.v1 import dossier_pb2
from motcua.dossier.v1 import dossier_service_pb2 as pb
from motcua.identity.events.v1 import events_pb2 as identity_facts
from motcua.notification.v1 import notification_pb2
from motcua.options.v1 import options_pb2
from motcua.types.v1 import types_pb2 as types
from motcua.types.v1.types_pb2 import LANGUAGE_ENGLISH
from services.catalogue.counterparts import shown_of
from services.chassis.decider import Sealed
from services.chassis.deciding.codec import to_timestamp
from services.identity import signing
from services.notification.codec import message_codec
from services.notification.messages.events import MessageComposed, SendAbandoned
from services.notification.values import Channel, Language, MessageKind
from services.payment import events as p
from services.payment.codec import payment_codec
from services.warehouse.codec import document_codec
from services.warehouse.events import DocumentKept
from services.warehouse.values import DocumentSource
from tests.idempotency.world import AGENCY, ANSWERS, OFFICIALS, PROCEDURE, Sending, World, day
from tests.support.grounds import particulars
from tests.support.shipped import shipped
from tests.support.stating import stating

Case = Callable[[World], Sending]
CASES: dict[str, Case] = {}
# Whose stream is the caller's own: somebody else's request of the same id is somebody else's.
OWN = frozenset({"UpdateProfile", "RequestErasure", "UpdatePreferences"})
LAW = shipped()


def case(make: Case) -> Case:
    CASES["".join(word.title() for word in make.__name__.split("_"))] = make
    return make


# Dossiers


def _draft(world: World) -> tuple[str, str]:
    me = str(uuid4())
    return me, str(world.done("SaveDraft", "citizen", me, procedure_code=PROCEDURE).draft_id)


@case
def save_draft(world: World) -> Sending:
    return world.sending("SaveDraft", "citizen", procedure_code=PROCEDURE, form=ANSWERS, reception_agency=AGENCY)


@case
def discard_draft(world: World) -> Sending:
    me, draft_id = _draft(world)
    return world.sending("DiscardDraft", "citizen", me, draft_id=draft_id)


@case
def submit_dossier(world: World) -> Sending:
    return world.sending("SubmitDossier", "receptionist", **world.submission(world.account()))


@case
def receive_dossier(world: World) -> Sending:
    return world.sending("ReceiveDossier", "receptionist", code=world.submitted())


@case
def refuse_dossier(world: World) -> Sending:
    return world.sending("RefuseDossier", "receptionist", code=world.submitted(), reason="Không thuộc thẩm quyền")


@case
def correct_form(world: World) -> Sending:
    me, form = world.account(), ANSWERS | {"subject_name": "Nguyễn Văn Ân"}
    return world.sending("CorrectForm", "citizen", me, code=world.submitted(me), form=form)


def _asked(world: World) -> str:
    code = world.begun()
    world.done("RequestSupplement", "receptionist", code=code, component_codes=["ct01"], explanation="Bản chụp bị mờ")
    return code


@case
def request_supplement(world: World) -> Sending:
    fields: dict[str, Any] = {"component_codes": ["ct01"], "explanation": "Bản chụp bị mờ"}
    return world.sending("RequestSupplement", "receptionist", code=world.begun(), **fields)


@case
def supply_supplement(world: World) -> Sending:
    paper = pb.GivenComponent(component_code="ct01", source=types.COMPONENT_SOURCE_PAPER)
    return world.sending("SupplySupplement", "receptionist", code=_asked(world), components=[paper])


@case
def assign_step(world: World) -> Sending:
    return world.sending("AssignStep", "receptionist", code=world.received(), step_code="receive")


@case
def complete_step(world: World) -> Sending:
    return world.sending("CompleteStep", "receptionist", code=world.begun(), step_code="receive")


@case
def transfer_dossier(world: World) -> Sending:
    fields: dict[str, Any] = {"to_agency": "P56.22.366.1", "reason": "Thuộc địa bàn khác"}
    return world.sending("TransferDossier", "receptionist", code=world.received(), **fields)


@case
def assess_fee(world: World) -> Sending:
    items = [pb.AssessedItem(name="Lệ phí", amount=10_000)]
    fields: dict[str, Any] = {"items": items, "condition": types.FEE_CONDITION_RESULT}
    return world.sending("AssessFee", "receptionist", code=world.begun(), **fields)


def _owing(world: World) -> tuple[str, str]:
    """A dossier of a procedure that knows exemptions, and its unpaid fee."""
    exempt = {"exemption_codes": ["child"], "exemption_reason": "Xuất trình giấy khai sinh"}
    fields = world.submission(world.account()) | {"procedure_code": "1.004222", "form": {}} | exempt
    code = str(world.done("SubmitDossier", "receptionist", **fields).code)
    world.done("ReceiveDossier", "receptionist", code=code)
    world.done("AssignStep", "receptionist", code=code, step_code="receive")
    items = [pb.AssessedItem(name="Lệ phí", amount=10_000)]
    condition = types.FEE_CONDITION_RESULT
    return code, world.done("AssessFee", "receptionist", code=code, items=items, condition=condition).fee_id


@case
def waive_fee(world: World) -> Sending:
    code, fee_id = _owing(world)
    fields: dict[str, Any] = {"exemption_code": "child", "reason": "Xuất trình giấy khai sinh"}
    return world.sending("WaiveFee", "receptionist", code=code, fee_id=fee_id, **fields)


@case
def cancel_fee(world: World) -> Sending:
    code, fee_id = _owing(world)
    return world.sending("CancelFee", "receptionist", code=code, fee_id=fee_id, reason="Thông báo nhầm khoản thu")


def _withdrawing(world: World) -> str:
    me = world.account()
    code = world.begun(me)
    world.done("RequestWithdrawal", "citizen", me, code=code)
    return code


@case
def request_withdrawal(world: World) -> Sending:
    me = world.account()
    return world.sending("RequestWithdrawal", "citizen", me, code=world.begun(me), reason="Không còn nhu cầu")


@case
def grant_withdrawal(world: World) -> Sending:
    return world.sending("GrantWithdrawal", "receptionist", code=_withdrawing(world))


@case
def decline_withdrawal(world: World) -> Sending:
    return world.sending(
        "DeclineWithdrawal", "receptionist", code=_withdrawing(world), explanation="Đã giải quyết xong"
    )


@case
def stop_processing(world: World) -> Sending:
    fields: dict[str, Any] = {"cause": dossier_pb2.STOP_CAUSE_CONDITIONS_NOT_MET, "explanation": "Không đủ điều kiện"}
    return world.sending("StopProcessing", "approver", code=world.begun(), **fields)


@case
def approve_dossier(world: World) -> Sending:
    return world.sending("ApproveDossier", "approver", code=world.processed())


@case
def issue_result(world: World) -> Sending:
    me, code = str(uuid4()), world.approved()
    return world.sending("IssueResult", "approver", me, code=code, result_number="1/KQ", sha256=world.uploaded(me))


@case
def return_result(world: World) -> Sending:
    method = dossier_pb2.DELIVERY_METHOD_COUNTER
    return world.sending("ReturnResult", "receptionist", code=world.issued(), delivery_method=method)


@case
def extend_deadline(world: World) -> Sending:
    code = world.begun()
    world.wait(days=5)
    due = to_timestamp(datetime.now(UTC) + timedelta(days=90))
    fields: dict[str, Any] = {"due_at": due, "reason": "Cần xác minh thêm", "signer": "Nguyễn Thị Bình"}
    return world.sending("ExtendDeadline", "approver", code=code, **fields)


@case
def rate_dossier(world: World) -> Sending:
    me = world.account()
    code = world.issued(me)
    world.done("ReturnResult", "receptionist", code=code, delivery_method=dossier_pb2.DELIVERY_METHOD_COUNTER)
    return world.sending("RateDossier", "citizen", me, code=code, score=5, comment="Nhanh")


@case
def confirm_synchronisation(world: World) -> Sending:
    fields: dict[str, Any] = {"code": world.received(), "peer_revision": 1}
    world.scope(OFFICIALS["system"], "synchronise")
    return world.sending("ConfirmSynchronisation", "system", stating="synchronise", **fields)


# Identity


@case
def update_profile(world: World) -> Sending:
    fields: dict[str, Any] = {
        "email": "moi@example.vn",
        "phone": "0987654321",
        "language": identity_facts.LANGUAGE_ENGLISH,
    }
    return world.sending("UpdateProfile", "citizen", world.account(), **fields)


@case
def request_erasure(world: World) -> Sending:
    return world.sending("RequestErasure", "citizen", world.account())


@case
def decide_erasure(world: World) -> Sending:
    me = world.account()
    world.done("RequestErasure", "citizen", me)
    fields: dict[str, Any] = {"outcome": identity_facts.ERASURE_OUTCOME_REFUSED, "legal_basis": "Luật Lưu trữ 2024"}
    return world.sending("DecideErasure", "administrator", account_id=me, **fields)


def _appointment() -> dict[str, Any]:
    return {
        "roles": [options_pb2.ROLE_PROCESSOR],
        "agency": AGENCY,
        "province": "56",
        "title": "Công chức",
        "decision_number": "12/QĐ",
    }


@case
def appoint_official(world: World) -> Sending:
    return world.sending("AppointOfficial", "administrator", account_id=world.account(), **_appointment())


@case
def end_appointment(world: World) -> Sending:
    me = world.account()
    made = world.done("AppointOfficial", "administrator", account_id=me, **_appointment())
    fields: dict[str, Any] = {"account_id": me, "appointment_id": made.appointment_id, "reason": "Hết nhiệm kỳ"}
    return world.sending("EndAppointment", "administrator", **fields)


def _jwk() -> str:
    return json.dumps(OKPKey.generate_key("Ed25519").as_dict(private=False))


def _system(world: World) -> dict[str, Any]:
    return {
        "client_id": f"system-{next(world.numbers)}",
        "name": "Thuế",
        "operator_agency": AGENCY,
        "purposes": ["settle"],
        "public_jwk": _jwk(),
    }


def _registered(world: World) -> str:
    fields = _system(world)
    world.done("RegisterSystem", "administrator", **fields)
    return str(fields["client_id"])


@case
def register_system(world: World) -> Sending:
    return world.sending("RegisterSystem", "administrator", **_system(world))


@case
def rotate_system_key(world: World) -> Sending:
    return world.sending("RotateSystemKey", "administrator", client_id=_registered(world), public_jwk=_jwk())


@case
def update_system(world: World) -> Sending:
    return world.sending("UpdateSystem", "administrator", client_id=_registered(world), purposes=["settle"])


@case
def suspend_system(world: World) -> Sending:
    return world.sending("SuspendSystem", "administrator", client_id=_registered(world), reason="Sự cố an toàn")


@case
def reinstate_system(world: World) -> Sending:
    client_id = _registered(world)
    world.done("SuspendSystem", "administrator", client_id=client_id, reason="Sự cố an toàn")
    return world.sending("ReinstateSystem", "administrator", client_id=client_id, reason="Đã khắc phục")


@case
def look_up_person(world: World) -> Sending:
    person = citizen(next(world.numbers))
    fields: dict[str, Any] = {**stating("walk-in"), "legal_basis": "Điều 10 Luật Căn cước 2023"}
    return world.sending("LookUpPerson", "receptionist", **particulars(person), **fields)


@case
def rotate_signing_key(world: World) -> Sending:
    signing.LEAD = timedelta()  # the key before this one signs at once
    return world.sending("RotateSigningKey", "administrator")


# The catalogue


def _procedure(world: World, valid_from: str) -> Any:
    known = next(one for one in LAW.procedures if one.code == PROCEDURE)
    code = f"1.{990000 + next(world.numbers)}"
    return shown_of("procedure", replace(known, code=code, valid_from=valid_from))


@case
def publish_procedure(world: World) -> Sending:
    return world.sending("PublishProcedure", "editor", procedure=_procedure(world, day(1)))


@case
def withdraw_procedure(world: World) -> Sending:
    procedure = _procedure(world, day(1))
    world.done("PublishProcedure", "editor", procedure=procedure)
    fields: dict[str, Any] = {"code": procedure.code, "valid_until": day(40), "legal_basis": "1/QĐ"}
    return world.sending("WithdrawProcedure", "editor", **fields)


def _upcoming(world: World) -> Any:
    procedure = _procedure(world, day(1))
    world.done("PublishProcedure", "editor", procedure=procedure)
    return procedure


@case
def withdraw_procedure_version(world: World) -> Sending:
    fields: dict[str, Any] = {"code": _upcoming(world).code, "version": 1, "reason": "Nhập sai ngày"}
    return world.sending("WithdrawProcedureVersion", "editor", **fields)


def _repair(world: World) -> dict[str, Any]:
    procedure = _upcoming(world)
    schema = json.loads(procedure.form.schema)
    first = next(iter(schema["properties"].values()))
    first["title"] += " (theo giấy tờ)"
    procedure.form.schema = json.dumps(schema, ensure_ascii=False)
    return {"procedure": procedure, "reason": "Tiêu đề không rõ"}


@case
def propose_procedure_repair(world: World) -> Sending:
    return world.sending("ProposeProcedureRepair", "editor", **_repair(world))


@case
def confirm_procedure_repair(world: World) -> Sending:
    repair = _repair(world)
    proposed = world.done("ProposeProcedureRepair", "editor", **repair)
    fields: dict[str, Any] = {"code": repair["procedure"].code, "version": 1, "expected_revision": proposed.revision}
    return world.sending("ConfirmProcedureRepair", "editor", str(uuid4()), **fields)


def _overlay(world: World) -> Any:
    provinces = [one.province.code for one in LAW.territories]
    known = next(one for one in LAW.overlays if one.procedure_code)
    return replace(known, province=provinces[next(world.numbers) % len(provinces)], valid_from=day(1), valid_until="")


@case
def withdraw_fee_overlay(world: World) -> Sending:
    overlay = shown_of("overlay", _overlay(world))
    world.done("AdoptFeeOverlay", "editor", overlay=overlay, replaces=True)
    names = ("province", "procedure_code", "charge_code", "channels", "valid_from")
    fields = {name: getattr(overlay, name) for name in names}
    return world.sending("WithdrawFeeOverlay", "editor", reason="Nhập sai mức thu", **fields)


@case
def adopt_fee_overlay(world: World) -> Sending:
    return world.sending("AdoptFeeOverlay", "editor", overlay=shown_of("overlay", _overlay(world)), replaces=True)


def _agency(world: World) -> Any:
    known = next(one for one in LAW.agencies("56") if one.code == AGENCY)
    return shown_of("agency", replace(known, code=f"P56.22.333.{next(world.numbers)}", valid_from=day(0)))


@case
def open_agency(world: World) -> Sending:
    return world.sending("OpenAgency", "editor", agency=_agency(world))


@case
def close_agency(world: World) -> Sending:
    closing, following = _agency(world), _agency(world)
    for agency in (closing, following):
        world.done("OpenAgency", "editor", agency=agency)
    fields: dict[str, Any] = {"successor": following.code, "valid_until": day(1), "legal_basis": "1/NQ"}
    return world.sending("CloseAgency", "editor", code=closing.code, **fields)


@case
def change_agency(world: World) -> Sending:
    agency = _agency(world)
    world.done("OpenAgency", "editor", agency=agency)
    fields: dict[str, Any] = {
        "code": agency.code,
        "calendar_id": "general",
        "valid_from": day(1),
        "legal_basis": "1/QĐ",
    }
    return world.sending("ChangeAgency", "editor", **fields)


@case
def withdraw_agency_version(world: World) -> Sending:
    agency = _agency(world)
    agency.valid_from = day(1)
    world.done("OpenAgency", "editor", agency=agency)
    fields: dict[str, Any] = {"code": agency.code, "version": 1, "reason": "Nhập sai tên"}
    return world.sending("WithdrawAgencyVersion", "editor", **fields)


@case
def withdraw_calendar_version(world: World) -> Sending:
    calendar = replace(LAW.calendars[0], calendar_id=f"trial-{next(world.numbers)}", valid_from=day(2))
    world.done("PublishCalendar", "editor", calendar=shown_of("calendar", calendar))
    fields: dict[str, Any] = {"calendar_id": calendar.calendar_id, "version": calendar.version, "reason": "Nhập sai"}
    return world.sending("WithdrawCalendarVersion", "editor", **fields)


@case
def publish_calendar(world: World) -> Sending:
    calendar = shown_of("calendar", replace(LAW.calendars[0], calendar_id=f"trial-{next(world.numbers)}"))
    return world.sending("PublishCalendar", "editor", calendar=calendar)


def _territory(world: World) -> Any:
    code = str(next(number for number in world.provinces))
    known = LAW.territories[0]
    communes = tuple(replace(one, code=f"{code}{index:03}") for index, one in enumerate(known.communes[:2]))
    province = replace(known.province, code=code)
    return shown_of("territory", replace(known, province=province, communes=communes, valid_from=day(0)))


@case
def publish_territory(world: World) -> Sending:
    return world.sending("PublishTerritory", "editor", territory=_territory(world))


@case
def merge_province(world: World) -> Sending:
    merged, following = _territory(world), _territory(world)
    for territory in (merged, following):
        world.done("PublishTerritory", "editor", territory=territory)
    fields: dict[str, Any] = {
        "successor": following.province.code,
        "valid_until": day(1),
        "legal_basis": "202/2025/QH15",
    }
    return world.sending("MergeProvince", "editor", code=merged.province.code, **fields)


# Payments


def _fee(world: World) -> tuple[str, str]:
    """A fee that is owed, and its payer."""
    fee_id, payer = str(uuid4()), str(uuid4())
    requested = p.PaymentRequested(
        code="P56.22.333-20260302-0000001",
        payer_id=payer,
        at=datetime.now(UTC),
        by="service:payment",
        fee_id=fee_id,
        amount=20_000,
        items=(p.FeeItem(name="Lệ phí", amount=20_000),),
        agency=AGENCY,
    )
    world.given("payment", fee_id, payment_codec, requested)
    return fee_id, payer


def _paid(world: World) -> dict[str, str]:
    fee_id, _ = _fee(world)
    paid = world.done("ReceiveCash", "cashier", fee_id=fee_id, amount=20_000)
    return {"fee_id": fee_id, "payment_id": paid.payment_id}


@case
def start_checkout(world: World) -> Sending:
    fee_id, payer = _fee(world)
    return world.sending("StartCheckout", "citizen", payer, fee_id=fee_id)


@case
def receive_cash(world: World) -> Sending:
    return world.sending("ReceiveCash", "cashier", fee_id=_fee(world)[0], amount=20_000)


@case
def request_refund(world: World) -> Sending:
    return world.sending("RequestRefund", "cashier", **_paid(world), reason="Thu nhầm")


@case
def return_cash(world: World) -> Sending:
    paid = _paid(world)
    world.done("RequestRefund", "cashier", **paid, reason="Thu nhầm")
    return world.sending("ReturnCash", "cashier", **paid)


# Notifications


def _message(world: World, *, abandoned: bool = False) -> tuple[str, str]:
    """A message in somebody's inbox, and whose."""
    message_id, me = str(uuid4()), str(uuid4())
    head: dict[str, Any] = {
        "message_id": message_id,
        "account_id": me,
        "at": datetime.now(UTC),
        "by": "service:notification",
    }
    composed = MessageComposed(
        **head,
        template="received",
        template_version="1",
        kind=MessageKind.PROGRESS,
        fact_id=str(uuid4()),
        fact_type="motcua.dossier.events.v1.DossierReceived",
        code="P56-20260302-0000001",
        language=Language.VIETNAMESE,
        channels=(Channel.INBOX, Channel.EMAIL),
        subject=Sealed("Đã tiếp nhận"),
        body=Sealed("Hồ sơ đã được tiếp nhận"),
    )
    given_up = SendAbandoned(**head, channel=Channel.EMAIL, why="550 no such user")
    world.given("message", message_id, message_codec, composed, *([given_up] if abandoned else []))
    return message_id, me


@case
def mark_read(world: World) -> Sending:
    message_id, me = _message(world)
    return world.sending("MarkRead", "citizen", me, message_id=message_id)


@case
def update_preferences(world: World) -> Sending:
    fields: dict[str, Any] = {"language": LANGUAGE_ENGLISH, "email": "toi@example.vn"}
    return world.sending("UpdatePreferences", "citizen", **fields)


@case
def retry_message(world: World) -> Sending:
    message_id, _ = _message(world, abandoned=True)
    channel = notification_pb2.MESSAGE_CHANNEL_EMAIL
    return world.sending("RetryMessage", "administrator", message_id=message_id, channel=channel)


# The warehouse


@case
def revoke_document(world: World) -> Sending:
    return world.sending("RevokeDocument", "approver", document_id=_kept(world), reason="Cấp sai")


@case
def link_document(world: World) -> Sending:
    """A child's, which the parent holds."""
    fields = {"document_id": _kept(world, str(uuid4())), "account_id": world.account(), "reason": "Đã đối chiếu"}
    return world.sending("LinkDocument", "processor", **fields)


def _kept(world: World, guardian_id: str = "") -> str:
    document_id, at = str(uuid4()), datetime.now(UTC)
    kept = DocumentKept(
        document_id=document_id,
        account_id=str(uuid4()),
        at=at,
        by="service:warehouse",
        document_kind="identity",
        source=DocumentSource.RESULT,
        agency=AGENCY,
        code="P56-20260302-0000001",
        document_number="1/KQ",
        sha256="",
        media_type="",
        size=0,
        valid_from=at,
        valid_until=None,
        guardian_id=guardian_id,
    )
    world.given("document", document_id, document_codec, kept)
    return document_id
