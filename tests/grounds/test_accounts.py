"""Commands name accounts that are there."""

from __future__ import annotations

from uuid import uuid4

from motcua.dossier.events.v1 import events_pb2 as facts
from motcua.identity.events.v1 import events_pb2 as identity
from motcua.identity.v1.identity_pb2 import LOOKUP_ANSWER_NO_DATA
from motcua.options.v1 import options_pb2
from services.chassis.store.port import START
from tests.grounds.lives import Lives
from tests.idempotency.world import AGENCY
from tests.support.stating import stating
from tests.support.waiting import eventually


def _looked_up(lives: Lives) -> list[identity.PopulationLookedUp]:
    store, type_ = lives.world.client.host.platform.store, identity.PopulationLookedUp.DESCRIPTOR.full_name
    stored = lives.world.client.host.run(store.read_all(START, (type_,)))
    return [identity.PopulationLookedUp.FromString(event.data) for event in stored]


def test_an_applicant_is_an_account_that_exists(lives: Lives) -> None:
    receptionist = lives.official(AGENCY, "receptionist")
    system = lives.system("submit", agencies=(AGENCY,))
    for channel, who in ((facts.CHANNEL_COUNTER, receptionist), (facts.CHANNEL_ONLINE, system)):
        fields = lives.world.submission(str(uuid4())) | {"channel": channel}
        assert lives.call("SubmitDossier", who, fields).reason == "ACCOUNT_UNKNOWN"
    # Whom the population database does not know has none either, though the question left a stream.
    unknown = {"personal_number": "056000000000", "full_name": "X", "birth_date": "1990"} | stating("walk-in")
    answered = lives.call("LookUpPerson", receptionist, unknown).reply
    assert (answered.answer, answered.account_id) == (LOOKUP_ANSWER_NO_DATA, "")
    (use,) = (one for one in _looked_up(lives) if one.outcome == identity.LOOKUP_OUTCOME_NOT_FOUND)
    fields = lives.world.submission(use.account_id)
    assert lives.call("SubmitDossier", receptionist, fields).reason == "ACCOUNT_UNKNOWN"


def test_an_assignee_is_appointed_for_the_step(lives: Lives) -> None:
    world = lives.world
    code, colleague = world.received(), world.account()
    assign = {"code": code, "step_code": "receive", "assignee_id": colleague}
    for unknown in (str(uuid4()), colleague):
        assert (
            lives.call("AssignStep", lives.official(), assign | {"assignee_id": unknown}).reason == "ASSIGNEE_UNKNOWN"
        )
    office = {"agency": AGENCY, "province": "56", "title": "Công chức", "decision_number": "12/QĐ"}
    appoint = {"account_id": colleague, "roles": [options_pb2.ROLE_RECEPTIONIST], **office}
    world.done("AppointOfficial", "administrator", **appoint)
    eventually(lambda: lives.call("AssignStep", lives.official(), assign).reply)
