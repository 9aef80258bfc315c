"""Asking the population database: for a dossier, or for who stands at the counter."""

from __future__ import annotations

from uuid import uuid4

import grpc
import pytest

from gateway.sandbox.people import citizen
from motcua.identity.events.v1 import events_pb2 as identity
from services.chassis.calls.stated import DOSSIER
from services.chassis.store.port import START
from services.identity import walk_ins
from tests.grounds.cases import look_up
from tests.grounds.lives import Lives, refused
from tests.idempotency.world import AGENCY
from tests.support import grounds
from tests.support.stating import stating


def _looked_up(lives: Lives) -> list[identity.PopulationLookedUp]:
    store, type_ = lives.world.client.host.platform.store, identity.PopulationLookedUp.DESCRIPTOR.full_name
    stored = lives.world.client.host.run(store.read_all(START, (type_,)))
    return [identity.PopulationLookedUp.FromString(event.data) for event in stored]


def test_a_look_up_cites_what_the_purpose_is_registered_with(lives: Lives) -> None:
    fields = look_up(lives, lives.person_s_code)
    for legal_basis in ("x", "Luật Khác 2020", "điều 10 luật căn cước 2023", "Nghị định 118/2025/NĐ-CP"):
        asked = fields | {"legal_basis": legal_basis}
        assert refused(lives, "LookUpPerson", lives.official(), asked) == "LEGAL_BASIS_UNKNOWN"
    assert lives.call("LookUpPerson", lives.official(), fields).code is grpc.StatusCode.OK
    newest = _looked_up(lives)[-1]
    assert (newest.legal_basis, newest.dossier_code) == ("Điều 10 Luật Căn cước 2023", lives.person_s_code)


def test_walk_ins_are_bounded_per_official_and_hour(lives: Lives, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk_ins, "WALK_INS_PER_HOUR", 3)
    person, me = citizen(9), str(uuid4())
    who = lives.official(AGENCY, "receptionist", sub=me)
    fields = stating("walk-in") | grounds.particulars(person)
    first = fields | {"request_id": str(uuid4())}
    for asked in (first, first, first, fields, fields):  # the same request counts once
        assert lives.call("LookUpPerson", who, asked).code is grpc.StatusCode.OK
    assert refused(lives, "LookUpPerson", who, fields) == "TOO_MANY_WALK_INS"
    assert lives.call("LookUpPerson", lives.official(AGENCY, "receptionist"), fields).code is grpc.StatusCode.OK
    for nobody_s in (lives.official("", "receptionist"), lives.official(AGENCY, "receptionist", province="79")):
        assert refused(lives, "LookUpPerson", nobody_s, fields) == "NO_CONCERN"
    named = fields | {DOSSIER: lives.code}
    assert refused(lives, "LookUpPerson", lives.official(AGENCY, "receptionist"), named) == "INVALID_REQUEST"
    assert refused(lives, "LookUpPerson", lives.official(AGENCY, "processor"), fields) == "INVALID_REQUEST"
    lives.world.wait(hours=1)
    assert lives.call("LookUpPerson", who, fields).code is grpc.StatusCode.OK


def test_whoever_has_no_ground_does_not_learn_who_there_is(lives: Lives) -> None:
    """The same refusal, word for word, whatever is true of the number; and nobody is asked."""
    somebody = grounds.particulars(citizen(21))
    stated = {
        "right": {},
        "another name": {"full_name": "Ai Đó"},
        "another birth date": {"birth_date": "1900-01-01"},
        "half a birth date": {"birth_date": somebody["birth_date"][:4]},
        "nobody's number": {"personal_number": "056000000000"},
        "all fields": {"wanted": [1, 2, 3, 4]},
    }
    for who, more in (
        (lives.official(), stating("look-up", lives.code)),
        (lives.official(province="79"), stating("walk-in")),
        (lives.system("look-up", agencies=(AGENCY,)), stating("look-up", lives.code)),
    ):
        before = lives.recorded()
        answers = {}
        for what, change in stated.items():
            answer = lives.call("LookUpPerson", who, somebody | more | change)
            answers[what] = (answer.code, str(answer.status))
        assert set(answers.values()) == {answers["right"]}
        assert lives.recorded() == before
