"""Nobody acts as an official in an own affair."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import grpc

from motcua.dossier.events.v1 import events_pb2 as facts
from motcua.options.v1 import options_pb2
from services.chassis.deciding.codec import to_timestamp
from tests.grounds.cases import CASES, paper
from tests.grounds.lives import OTHER_AGENCY, Lives, refused
from tests.support.rpcs import RPCS


def test_nobody_acts_as_an_official_in_an_own_affair(lives: Lives) -> None:
    world, me = lives.world, lives.me
    who = lives.official(sub=me)
    for name, case in CASES.items():
        if name != "LookUpPerson":
            assert refused(lives, name, who, case.fields(lives, lives.code)) == "OWN_AFFAIR", name
    assert refused(lives, "GetPayment", who, {"fee_id": lives.fee_id}) == "OWN_AFFAIR"
    document = {"document_id": lives.document_id, "reason": "Cấp sai họ tên"}
    assert refused(lives, "RevokeDocument", who, document) == "OWN_AFFAIR"
    assert refused(lives, "LinkDocument", who, document | {"account_id": lives.stranger}) == "OWN_AFFAIR"
    cash = {"fee_id": lives.fee_id, "amount": 10_000}
    assert refused(lives, "ReceiveCash", who, cash) == "OWN_AFFAIR"
    refund = {"fee_id": lives.fee_id, "payment_id": str(uuid4()), "reason": "Thu thừa"}
    assert refused(lives, "RequestRefund", who, refund) == "OWN_AFFAIR"
    assert refused(lives, "ReturnCash", who, {"fee_id": lives.fee_id, "payment_id": str(uuid4())}) == "OWN_AFFAIR"
    assert refused(lives, "SubmitDossier", who, world.submission(me)) == "OWN_AFFAIR"
    new = world.submitted(me)
    for name, fields in OFFICIAL_COMMANDS.items():
        for claims in ({"sub": me}, {"represents": [me]}):
            assert refused(lives, name, lives.official(**claims), {"code": new} | fields) == "OWN_AFFAIR", name
    listed = {row.code for row in lives.call("SearchDossiers", who, {"page_size": 200}).reply.dossiers}
    assert lives.stranger_s_code in listed
    assert not listed & {lives.code, new}
    work = {row.code for row in lives.call("ListWork", who, {"page_size": 200}).reply.dossiers}
    assert new not in work
    assert not [one for one in lives.call("ListPayments", who, {}).reply.payments if one.payer_id == me]
    assert lives.call("ReceiveDossier", lives.official(), {"code": new}).code is grpc.StatusCode.OK


OFFICIAL_COMMANDS: dict[str, dict[str, Any]] = {
    "ReceiveDossier": {},
    "RefuseDossier": {"reason": "Không thuộc thẩm quyền"},
    "CorrectForm": {"form": {}},
    "RequestSupplement": {"component_codes": ["ct01"], "explanation": "Bản chụp bị mờ"},
    "SupplySupplement": {"components": [paper()]},
    "RequestWithdrawal": {"reason": "Không còn nhu cầu"},
    "AssignStep": {"step_code": "receive"},
    "CompleteStep": {"step_code": "receive"},
    "TransferDossier": {"to_agency": OTHER_AGENCY, "reason": "Thuộc địa bàn khác"},
    "AssessFee": {"items": [facts.FeeItem(name="x", amount=1)], "condition": facts.FEE_CONDITION_RESULT},
    "WaiveFee": {"fee_id": "x", "exemption_code": "child", "reason": "Là trẻ em dưới sáu tuổi"},
    "CancelFee": {"fee_id": "x", "reason": "Thông báo nhầm khoản thu"},
    "GrantWithdrawal": {},
    "DeclineWithdrawal": {"explanation": "Đã giải quyết xong"},
    "StopProcessing": {"cause": facts.STOP_CAUSE_CONDITIONS_NOT_MET, "explanation": "Không đủ điều kiện"},
    "ApproveDossier": {},
    "IssueResult": {"result_number": "1/KQ", "sha256": "0" * 64},
    "ReturnResult": {"delivery_method": facts.DELIVERY_METHOD_COUNTER},
    "ExtendDeadline": {"due_at": to_timestamp(datetime(2099, 1, 1, tzinfo=UTC)), "reason": "Cần thêm", "signer": "B"},
}


def test_every_command_of_officials_on_dossiers_is_among_them() -> None:
    persons = {options_pb2.ROLE_CITIZEN, options_pb2.ROLE_ORGANISATION, options_pb2.ROLE_SYSTEM}
    commands = {
        rpc.descriptor.name
        for rpc in RPCS
        if rpc.server == "dossier" and rpc.access.mutation and set(rpc.access.roles) - persons
    }
    assert commands - {"RetryParked", "SubmitDossier"} == OFFICIAL_COMMANDS.keys()
