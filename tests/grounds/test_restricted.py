"""Who is restricted is read by an administrator alone, and who was erased is out at once."""

from __future__ import annotations

import grpc

from motcua.dossier.events.v1 import events_pb2 as facts
from motcua.identity.events.v1 import events_pb2 as identity
from tests.grounds.cases import CASES, dossier
from tests.grounds.lives import ALL, PROVINCE, Lives, refused
from tests.idempotency.world import AGENCY
from tests.support import grounds
from tests.support.stating import stating
from tests.support.waiting import eventually


def _listed(lives: Lives) -> list[bool]:
    """Whether officials' lists name the person: a search, their work, their payments."""
    page, who = {"page_size": 200}, lives.official()
    found = [lives.call(name, who, page).reply.dossiers for name in ("SearchDossiers", "ListWork")]
    payments = lives.call("ListPayments", who, page).reply.payments
    return [
        *(any(row.applicant_id == lives.me for row in rows) for rows in found),
        any(one.payer_id == lives.me for one in payments),
    ]


def test_restricted_data_is_read_by_an_administrator_alone(lives: Lives) -> None:
    world, me, host = lives.world, lives.me, lives.world.client.host
    eventually(lambda: all(_listed(lives)))
    host.run(grounds.decide(host.platform.store, me, identity.ERASURE_OUTCOME_RESTRICTED))
    eventually(lambda: me in host.platform.verifier.standing.restricted)
    for name, case in CASES.items():
        if name != "LookUpPerson":
            for who in (lives.official(), lives.system(case.system, agencies=(AGENCY,))):
                assert refused(lives, name, who, case.fields(lives, lives.code)) == "ACCOUNT_RESTRICTED", name
    for who in (lives.official(), lives.system("reconcile", agencies=(AGENCY,))):
        assert refused(lives, "GetPayment", who, {"fee_id": lives.fee_id}) == "ACCOUNT_RESTRICTED"
    assert lives.call("ReceiveDossier", lives.official(), {"code": lives.code}).reason == "ACCOUNT_RESTRICTED"
    eventually(lambda: not any(_listed(lives)))
    assert lives.call("SubmitDossier", lives.official(), world.submission(me)).reason == "ACCOUNT_RESTRICTED"
    administrator = lives.official(PROVINCE, "administrator")
    asked = {"account_id": me} | stating("data-request")
    shown = lives.call("GetAccount", administrator, asked).reply.account
    assert (shown.full_name, shown.restricted) == ("Nguyễn Văn An", True)
    both = lives.official(AGENCY, "administrator", *ALL)
    fields = CASES["GetAccount"].fields(lives, lives.code)
    assert refused(lives, "GetAccount", both, fields) == "ACCOUNT_RESTRICTED"
    # The person still sees everything, and that it is restricted.
    assert world.done("GetMyAccount", "citizen", me).account.restricted
    assert world.done("GetDossier", "citizen", me, code=lives.code).dossier.applicant.name
    assert world.done("ListMyDocuments", "citizen", me).documents
    drafted = lives.call(
        "SubmitDossier", world.bearer(me, "citizen"), world.submission("") | {"channel": facts.CHANNEL_ONLINE}
    )
    assert drafted.reason == "ACCOUNT_RESTRICTED"
    # A later decision that the law requires the data lifts it.
    host.run(grounds.decide(host.platform.store, me, identity.ERASURE_OUTCOME_REFUSED))
    eventually(lambda: lives.call("GetDossier", lives.official(), dossier(lives, lives.code)).reply)
    eventually(lambda: all(_listed(lives)))


def test_an_erased_person_s_tokens_end_at_once(lives: Lives) -> None:
    world, host = lives.world, lives.world.client.host
    gone = world.account()
    tokens = (world.bearer(gone, "citizen"), lives.official(sub=gone))
    assert [lives.call("GetMyAccount", token, {}).code for token in tokens] == [grpc.StatusCode.OK] * 2
    host.run(grounds.decide(host.platform.store, gone, identity.ERASURE_OUTCOME_SHREDDED))
    for token in tokens:
        eventually(lambda: lives.call("GetMyAccount", token, {}).reason == "TOKEN_INVALID")  # noqa: B023 - called at once
        for name in ("ListMyDossiers", "ListInbox", "ListMyDocuments", "ListPayments", "ListProcedures"):
            assert lives.call(name, token, {}).reason == "TOKEN_INVALID"
    assert world.done("GetMyAccount", "citizen", lives.stranger).account
