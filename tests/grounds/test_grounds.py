"""Who opens whose data: every RPC that opens personal data, with the rightful and with those who have no ground for it.

The list of RPCs is read from the protos: a new one fails here until it has a case.
"""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import grpc
import pytest
from google.protobuf.descriptor import FieldDescriptor
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from joserfc.jwk import OKPKey

from motcua.dossier.events.v1 import events_pb2 as facts
from motcua.identity.events.v1 import events_pb2 as identity
from motcua.options.v1 import options_pb2
from motcua.warehouse.events.v1 import events_pb2 as warehouse
from services.chassis.calls.stated import DOSSIER, PURPOSE
from services.chassis.deciding.caller import Caller
from services.chassis.grounds import concern
from services.chassis.privacy.sealing import sealed_fields
from services.chassis.text.dossier_codes import code_in
from tests.grounds.cases import CASES, OTHERS, dossier
from tests.grounds.lives import ALL, ELSEWHERE, OTHER_AGENCY, PARENT, PROVINCE, RPC, Lives, refused, rightful_code
from tests.idempotency.world import AGENCY, PROCEDURE
from tests.support import grounds
from tests.support.rpcs import RPCS, Rpc
from tests.support.stating import stating
from tests.support.waiting import eventually

# A caller's own files before a dossier has them.
OWN_FILES = {"CreateUpload", "UploadChunk", "GetUpload", "ReadUpload"}
# Rows of dossiers that concern the caller: tests/dossier/test_uses.py.
LISTS = {"ListWork", "SearchDossiers"}


def opening(rpc: Rpc) -> bool:
    return bool(rpc.access.opens or rpc.access.purpose or rpc.access.lists)


def test_every_rpc_that_opens_personal_data_has_a_case() -> None:
    assert {rpc.descriptor.name for rpc in RPCS if opening(rpc)} == CASES.keys() | OTHERS.keys() | OWN_FILES | LISTS


# What a header's value may be made of (RFC 9110, 5.5).
IN_HEADERS = st.characters(min_codepoint=0x20, max_codepoint=0x7E)
PUBLIC_JWK = json.dumps(OKPKey.generate_key("Ed25519").as_dict(private=False))
SEALED = {
    name
    for rpc_events in (facts, identity, warehouse)
    for message in rpc_events.DESCRIPTOR.message_types_by_name.values()
    for name in sealed_fields(message)
}


def holds(message: Any, seen: frozenset[str] = frozenset()) -> set[str]:
    """Fields of a reply, at any depth, that are called as sealed fields of events are."""
    found: set[str] = set()
    for one in message.fields:
        if one.name in SEALED and one.type in (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_MESSAGE):
            found.add(one.name)
        if one.message_type and one.message_type.full_name not in seen:
            found |= holds(one.message_type, seen | {message.full_name})
    return found


@pytest.mark.parametrize("rpc", [rpc for rpc in RPCS if not opening(rpc)], ids=str)
def test_what_holds_sealed_fields_is_the_caller_s_own_or_says_that_it_opens_them(rpc: Rpc) -> None:
    mine = {options_pb2.ROLE_CITIZEN, options_pb2.ROLE_ORGANISATION}
    if not (set(rpc.access.roles) <= mine or options_pb2.ROLE_PUBLIC in rpc.access.roles):
        # GetMyAccount is for everybody who has one; a repair's form and exemptions are a procedure's.
        names = ("GetMyAccount", "GetProcedureRepair")
        assert rpc.descriptor.name in names or not holds(rpc.response.DESCRIPTOR)


@pytest.mark.parametrize("name", CASES)
def test_the_rightful_open_it_and_leave_a_record_that_names_the_dossier(lives: Lives, name: str) -> None:
    case, code = CASES[name], rightful_code(lives, name)
    system = lives.system(case.system, agencies=(PARENT,), procedures=(PROCEDURE,))
    for who in (*(lives.official(AGENCY, role) for role in case.roles), system):
        before = lives.recorded()
        answer = lives.call(name, who, case.fields(lives, code))
        assert answer.code is grpc.StatusCode.OK, str(answer)
        assert lives.recorded() > before


@pytest.mark.parametrize("name", CASES)
def test_officials_of_other_agencies_and_provinces_open_nothing(lives: Lives, name: str) -> None:
    fields = CASES[name].fields(lives, rightful_code(lives, name))
    for who in (
        lives.official(OTHER_AGENCY),
        lives.official(PARENT),
        lives.official(PROVINCE),
        lives.official(ELSEWHERE),
        lives.official(AGENCY, province="79"),
        lives.official("", province=""),
        lives.official("online", province=""),
        lives.official(f"{AGENCY}.1"),
        lives.official(AGENCY.lower()),
        lives.official(OTHER_AGENCY, *ALL, "administrator"),
    ):
        assert refused(lives, name, who, fields) in ("NO_CONCERN", "NOT_FOUND")


@pytest.mark.parametrize("name", CASES)
def test_without_the_person_s_own_open_dossier_nothing_is_opened(lives: Lives, name: str) -> None:
    case, code = CASES[name], rightful_code(lives, name)
    forms = ["", "nonsense", f"dossier-{code}", f"{code} {lives.stranger_s_code}", code[:-1], f"{code}0", "x" * 200]
    if not case.own:
        forms += [lives.stranger_s_code, lives.ended_code, lives.long_ago]
    for wrong in forms:
        reason = refused(lives, name, lives.official(), case.fields(lives, wrong))
        assert reason in ("NO_CONCERN", "NOT_FOUND", "INVALID_REQUEST"), (wrong, reason)
    if case.of_another:
        another = case.of_another(lives, code)
        assert refused(lives, name, lives.official(), another) == "NO_CONCERN"
        if name != "LookUpPerson":
            assert lives.call(name, lives.official(), another | {DOSSIER: lives.stranger_s_code}).reply


@pytest.mark.parametrize("name", CASES)
def test_a_purpose_that_does_not_fit_opens_nothing(lives: Lives, name: str) -> None:
    fields = CASES[name].fields(lives, rightful_code(lives, name))
    for purpose in ("", "x", "synchronise", "data-request", "walk-in", "submit", "SETTLE", "settle, look-up"):
        assert refused(lives, name, lives.official(), fields | {PURPOSE: purpose}) == "INVALID_REQUEST"


@pytest.mark.parametrize("name", CASES)
def test_systems_beyond_their_scope_open_nothing(lives: Lives, name: str) -> None:
    case = CASES[name]
    fields, purpose = case.fields(lives, rightful_code(lives, name)), case.system
    for who in (
        lives.system(purpose),
        lives.system(purpose, agencies=(OTHER_AGENCY,)),
        lives.system(purpose, agencies=(ELSEWHERE,)),
        lives.system(purpose, agencies=(AGENCY[:-3],)),
        lives.system(purpose, agencies=(AGENCY,), procedures=("1.004222",)),
        lives.system(purpose, "reconcile", agencies=(AGENCY,), scoped="reconcile"),
    ):
        reason = refused(lives, name, who, fields)
        assert reason in ("SCOPE_MISSING", "NO_CONCERN", "NOT_FOUND", "PURPOSE_MISSING")
    rightful = lives.system(purpose, agencies=(AGENCY,), procedures=(PROCEDURE,))
    if not case.own:
        for wrong in ("", "nonsense", lives.stranger_s_code, lives.long_ago):
            refused(lives, name, rightful, case.fields(lives, wrong))


@pytest.mark.parametrize("name", OTHERS)
def test_systems_beyond_their_scope_do_nothing_else_either(lives: Lives, name: str) -> None:
    purpose = RPC[name].access.purpose
    for who in (
        lives.system(purpose),
        lives.system(purpose, agencies=(ELSEWHERE,)),
        lives.system(purpose, agencies=(AGENCY,), procedures=("1.004222",)),
        lives.system(purpose, "look-up", agencies=(AGENCY,), scoped="look-up"),
    ):
        if name == "ReconcileDay" and (answer := lives.call(name, who, OTHERS[name](lives))).reply:
            # A day is shown of the scope's agencies, and there is nothing there.
            assert not answer.reply.movements
            assert not answer.reply.sums
            continue
        assert refused(lives, name, who, OTHERS[name](lives)) in ("SCOPE_MISSING", "NOT_FOUND", "PURPOSE_MISSING")


def test_systems_within_their_scope_do_it(lives: Lives) -> None:
    for name in ("GetPayment", "ReconcileDay", "ConfirmSynchronisation", "SubmitDossier"):
        who = lives.system(RPC[name].access.purpose, agencies=(PARENT,))
        answer = lives.call(name, who, OTHERS[name](lives))
        # At this site's agency paper is no online component: the scope is not what is missing.
        assert answer.code is grpc.StatusCode.OK or answer.reason == "COMPONENT_SOURCE_REFUSED", f"{name}: {answer}"


def test_money_is_shown_to_its_agency(lives: Lives) -> None:
    for agency in (OTHER_AGENCY, PARENT, PROVINCE, ELSEWHERE, ""):
        who = lives.official(agency, "cashier", "approver")
        assert refused(lives, "GetPayment", who, {"fee_id": lives.fee_id}) == "PAYMENT_NOT_FOUND"
        assert not lives.call("ListPayments", who, {}).reply.payments
    assert lives.call("GetPayment", lives.official(AGENCY, "cashier"), {"fee_id": lives.fee_id}).reply


def test_a_dossier_that_ended_serves_a_complaint_for_a_while(lives: Lives) -> None:
    host = lives.world.client.host
    history = host.run(host.platform.store.read(f"dossier-{lives.ended_code}"))
    applicant = facts.DossierSubmitted.FromString(history[0].data).applicant_id
    fields = {"account_id": applicant, DOSSIER: lives.ended_code}
    for purpose, allowed in (("settle", False), ("look-up", False), ("complaint", True), ("inspect", True)):
        answer = lives.call("GetAccount", lives.official(), fields | {PURPOSE: purpose})
        assert (answer.code is grpc.StatusCode.OK) is allowed, purpose
    mine = {"account_id": lives.me, DOSSIER: lives.long_ago}
    for purpose in ("complaint", "inspect"):
        assert refused(lives, "GetAccount", lives.official(), mine | {PURPOSE: purpose}) == "NO_CONCERN"


def test_a_dossier_of_this_moment_counts_at_once(lives: Lives) -> None:
    fresh = lives.world.account()
    code = lives.world.submitted(fresh)
    lives.world.client.host.run(grounds.look_up(lives.world.client.host.platform.store, fresh, AGENCY))
    fields = {"account_id": fresh} | stating("settle", code)
    assert lives.call("GetAccount", lives.official(), fields).reply.account.full_name == "Nguyễn Văn An"


def test_an_administrator_reads_whose_own_request_waits(lives: Lives) -> None:
    world = lives.world
    who, asking = lives.official(PROVINCE, "administrator"), world.account()
    fields = {"account_id": asking} | stating("data-request")
    assert refused(lives, "GetAccount", who, fields) == "NO_CONCERN"
    assert refused(lives, "GetAccount", who, fields | {DOSSIER: lives.code}) == "INVALID_REQUEST"
    for purpose in ("complaint", "inspect"):
        assert refused(lives, "GetAccount", who, fields | {PURPOSE: purpose}) == "INVALID_REQUEST"
        with_dossier = {"account_id": lives.me} | stating(purpose, lives.code)
        assert refused(lives, "GetAccount", who, with_dossier) == "NO_CONCERN"
    world.done("RequestErasure", "citizen", asking)
    eventually(lambda: lives.call("GetAccount", who, fields).reply)
    refuse = {"outcome": identity.ERASURE_OUTCOME_REFUSED, "legal_basis": "Luật Lưu trữ 2024"}
    world.done("DecideErasure", "administrator", account_id=asking, **refuse)
    eventually(lambda: not lives.call("GetAccount", who, fields).reply)
    assert refused(lives, "GetAccount", who, fields) == "NO_CONCERN"


def test_an_organisation_s_account_is_opened_by_its_dossier(lives: Lives) -> None:
    host, company = lives.world.client.host, str(uuid4())
    host.run(grounds.register(host.platform.store, company, organisation=True))
    person = lives.world.submission(company)
    receptionist = lives.official(AGENCY, "receptionist")
    refused_as_person = lives.call("SubmitDossier", receptionist, person)
    assert refused_as_person.reason == "ACCOUNT_UNKNOWN"
    as_it_is = person | {"applicant_kind": facts.APPLICANT_KIND_ORGANISATION}
    code = lives.call("SubmitDossier", receptionist, as_it_is).reply.code
    fields = {"account_id": company} | stating("settle", code)
    assert lives.call("GetAccount", lives.official(), fields).code is grpc.StatusCode.OK
    assert refused(lives, "GetAccount", lives.official(represents=[company]), fields) == "OWN_AFFAIR"
    assert refused(lives, "GetDossier", lives.official(represents=[company]), dossier(lives, code)) == "OWN_AFFAIR"


@settings(
    max_examples=60,
    database=None,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.data())
def test_no_code_but_the_dossier_s_own_opens_anything(lives: Lives, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from([name for name, case in CASES.items() if not case.own]))
    code = rightful_code(lives, name)
    near = st.builds(
        lambda at, text: code[:at] + text + code[at:],
        st.integers(0, len(code)),
        st.text(IN_HEADERS, min_size=1, max_size=3),
    )
    wrong = data.draw(
        st.one_of(st.text(IN_HEADERS, max_size=250), near, st.sampled_from([code.replace("-", "."), code[::-1]]))
    )
    if code_in(wrong) != code:  # however it is written
        reason = refused(lives, name, lives.official(), CASES[name].fields(lives, wrong))
        assert reason in ("NO_CONCERN", "INVALID_REQUEST")


OPENED_ELSEWHERE = [name for name, case in CASES.items() if not case.own and name != "LookUpPerson"]


@pytest.mark.parametrize("name", OPENED_ELSEWHERE)
def test_nobody_makes_a_ground_by_submitting_for_somebody(lives: Lives, name: str) -> None:
    """A dossier that an official submitted for a person whom none of its agencies looked up is none."""
    world, case = lives.world, CASES[name]
    store = world.client.host.platform.store
    person = world.account()
    code = world.submitted(person)
    fields = case.fields(lives, code) | ({"account_id": person} if name == "GetAccount" else {})
    assert refused(lives, name, lives.official(), fields) == "NO_CONCERN"
    world.client.host.run(grounds.look_up(store, person, ELSEWHERE))
    world.client.host.run(grounds.look_up(store, person, AGENCY, found=False))
    assert refused(lives, name, lives.official(), fields) == "NO_CONCERN"
    if name == "GetAccount":
        world.client.host.run(grounds.look_up(store, person, AGENCY))
        assert lives.call(name, lives.official(), fields).code is grpc.StatusCode.OK


def test_a_system_makes_none_for_itself(lives: Lives) -> None:
    """Nor does another one's submission hide that of an official: by whom it was submitted is in the log."""
    world, person = lives.world, str(uuid4())
    store = world.client.host.platform.store
    code = f"{AGENCY}-20260302-0000077"
    world.client.host.run(grounds.submit(store, code, person, AGENCY, by="system:portal"))
    dossier_ = world.client.host.run(concern.concern_of(store, code))
    assert dossier_
    for client_id, expected in (("portal", False), ("tax", True)):
        caller = Caller(client_id, "system", frozenset({"public", "system"}))
        assert world.client.host.run(concern.vouched(store, caller, dossier_)) is expected


@pytest.mark.parametrize("rpc", [rpc for rpc in RPCS if rpc.access.of_site], ids=str)
@pytest.mark.parametrize(
    ("agency", "province"), [("P56.1", "56"), (AGENCY, "56"), ("P79", "79"), ("", "56"), ("online", ""), ("P56.", "56")]
)
def test_what_concerns_all_is_for_the_site_s_own_authority(lives: Lives, rpc: Rpc, agency: str, province: str) -> None:
    who = lives.official(agency, "editor", "administrator", province=province)
    answer = lives.call(rpc.descriptor.name, who, {})
    assert answer.reason == "SITE_AUTHORITY_REQUIRED"


def test_what_of_the_catalogue_and_of_persons_concerns_all() -> None:
    changing = {rpc.descriptor.name for rpc in RPCS if rpc.access.of_site}
    catalogue = {rpc.descriptor.name for rpc in RPCS if "catalogue" in str(rpc) and rpc.access.mutation}
    assert changing == catalogue | {"DecideErasure", "RotateSigningKey", "GetProcedureRepair"}


def test_a_system_is_registered_for_an_agency_of_one_s_own(lives: Lives) -> None:
    fields = {"client_id": "their-s", "name": "Bộ Công an", "purposes": ["settle"], "public_jwk": PUBLIC_JWK}
    for operator, expected in (("P56", "BEYOND_REACH"), ("P56.2", "BEYOND_REACH"), ("P56.1", "")):
        answer = lives.call(
            "RegisterSystem", lives.official("P56.1", "administrator"), fields | {"operator_agency": operator}
        )
        assert answer.reason == expected
