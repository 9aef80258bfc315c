"""Nobody acts as an official in an own affair."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import grpc

from motcua.options.v1 import options_pb2
from tests.grounds.cases import CASES
from tests.grounds.lives import Lives, refused
from tests.support.filling import filled
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
            assert refused(lives, name, lives.official(**claims), fields | {"code": new}) == "OWN_AFFAIR", name
    listed = {row.code for row in lives.call("SearchDossiers", who, {"page_size": 200}).reply.dossiers}
    assert lives.stranger_s_code in listed
    assert not listed & {lives.code, new}
    work = {row.code for row in lives.call("ListWork", who, {"page_size": 200}).reply.dossiers}
    assert new not in work
    assert not [one for one in lives.call("ListPayments", who, {}).reply.payments if one.payer_id == me]
    assert lives.call("ReceiveDossier", lives.official(), {"code": new}).code is grpc.StatusCode.OK


PERSONS = {options_pb2.ROLE_CITIZEN, options_pb2.ROLE_ORGANISATION, options_pb2.ROLE_SYSTEM}
# With all that they must have; of a new RPC too.
OFFICIAL_COMMANDS: dict[str, dict[str, Any]] = {
    rpc.descriptor.name: filled(rpc.descriptor.input_type)
    for rpc in RPCS
    if rpc.server == "dossier"
    and rpc.access.mutation
    and set(rpc.access.roles) - PERSONS
    and rpc.descriptor.name not in ("RetryParked", "SubmitDossier")
}


def test_commands_of_officials_are_found() -> None:
    assert {"ReceiveDossier", "GrantWithdrawal", "ExtendDeadline", "CorrectForm"} <= OFFICIAL_COMMANDS.keys()
    assert OFFICIAL_COMMANDS["ReceiveDossier"].keys() == {"code"}
