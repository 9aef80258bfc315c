"""Who may submit online before and after a province's cut-over to the national portal, and what goes on."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any
from uuid import uuid4

import pytest

from motcua.dossier.events.v1 import events_pb2 as facts
from services.chassis.platform.settings import Settings
from services.law.days import ZONE
from tests.access.callers import mint
from tests.grounds.lives import Lives
from tests.support import grounds
from tests.support.waiting import eventually

AGENCY, ELSEWHERE = "P56.22.366", "P56.22.390"
EXTRACT = {
    "procedure_code": "2.000635",
    "form": {"event_kind": "birth", "subject_name": "Nguyễn Văn An", "copies": 1},
    "reception_agency": AGENCY,
    "components": [],
}
NATION, ADDRESS = "vn", "https://dichvucong.gov.vn"
ONLINE, COUNTER, POST = facts.CHANNEL_ONLINE, facts.CHANNEL_COUNTER, facts.CHANNEL_POST


@pytest.fixture
def settings(lives: Lives) -> Iterator[Settings]:
    settings = lives.world.client.host.platform.settings
    kept = settings.submission_cutover, settings.submission_address, settings.sandbox_until
    yield settings
    settings.submission_cutover, settings.submission_address, settings.sandbox_until = kept


def cut_over(lives: Lives, settings: Settings, days: int = 0) -> None:
    """So many days from the services' own today."""
    settings.submission_cutover = today(lives) + timedelta(days=days)
    settings.submission_address = ADDRESS


def today(lives: Lives) -> date:
    return lives.world.client.host.platform.clock.now().astimezone(ZONE).date()


@pytest.fixture(scope="module")
def nation(lives: Lives) -> str:
    """It is enrolled as every system is: by a registration for the purpose."""
    return enroll(lives, f"{NATION}-{uuid4()}", "submit-national")


def enroll(lives: Lives, client_id: str, *purposes: str, agencies: tuple[str, ...] = (AGENCY,)) -> str:
    host = lives.world.client.host
    host.run(grounds.scope(host.platform.store, client_id, purposes, agencies))
    eventually(lambda: host.platform.verifier.scopes_of(client_id))
    return client_id


def person(lives: Lives, act: Any = None, kind: str = "citizen") -> str:
    more = {} if act is None else {"act": act}
    return f"Bearer {mint(lives.world.key, sub=lives.me, kind=kind, roles=[kind], loa=2, **more)}"


def submitted(lives: Lives, who: str, channel: int) -> str:
    """The refusal's reason, or what is recorded of it."""
    fields = lives.world.submission(lives.me) | EXTRACT | {"channel": channel}
    answer = lives.call("SubmitDossier", who, fields)
    if answer.reason:
        return answer.reason
    return recorded(lives, answer.reply.code)


def recorded(lives: Lives, code: str) -> str:
    host = lives.world.client.host
    first, *_ = host.run(host.platform.store.read(f"dossier-{code}"))
    event = facts.DossierSubmitted.FromString(first.data)
    by = event.by.replace(lives.me, "applicant")
    by = by if by.startswith(("applicant", "system:")) else "official"
    return f"{by} at {event.place_of_submission}" + (f" through {event.through}" if event.through else "")


@pytest.mark.parametrize("days", [None, 1])
def test_before_the_cut_over_everybody_submits_online(
    lives: Lives, settings: Settings, nation: str, days: int | None
) -> None:
    if days:
        cut_over(lives, settings, days)
    system, portal = (lives.system(one, agencies=(AGENCY,)) for one in ("submit", "submit-national"))
    for kind in ("citizen", "organisation"):
        assert submitted(lives, person(lives, None, kind), ONLINE) == "applicant at online"
        sent = submitted(lives, person(lives, {"sub": nation}, kind), ONLINE)
        assert sent == f"applicant at online through {nation}"
    assert submitted(lives, system, ONLINE).startswith("system:system-")
    assert submitted(lives, portal, ONLINE).startswith("system:system-")


@pytest.mark.parametrize("days", [0, -400])
def test_after_it_the_national_portal_alone(lives: Lives, settings: Settings, nation: str, days: int) -> None:
    cut_over(lives, settings, days)
    refused = lives.call(
        "SubmitDossier", person(lives), lives.world.submission(lives.me) | EXTRACT | {"channel": ONLINE}
    )
    assert (refused.reason, ADDRESS in str(refused.status)) == ("NATIONAL_PORTAL_ONLY", True)
    for stating in (("submit",), ("settle",), ("submit", "settle", "synchronise")):
        system = lives.system(*stating, agencies=(AGENCY,))
        expected = "NATIONAL_PORTAL_ONLY" if "submit" in stating else "PURPOSE_MISSING"
        assert submitted(lives, system, ONLINE) == expected
    portal = lives.system("submit-national", agencies=(AGENCY,))
    by, _, through = submitted(lives, portal, ONLINE).partition(" at online through ")
    assert (by, by.startswith("system:system-")) == (f"system:{through}", True)
    for kind in ("citizen", "organisation"):
        assert submitted(lives, person(lives, None, kind), ONLINE) == "NATIONAL_PORTAL_ONLY"
        sent = submitted(lives, person(lives, {"sub": nation}, kind), ONLINE)
        assert sent == f"applicant at online through {nation}"
    # Beyond its scope, or registered for it without any, it is as every other.
    elsewhere = lives.system("submit-national", agencies=(ELSEWHERE,))
    assert submitted(lives, elsewhere, ONLINE) == "SCOPE_MISSING"
    bare = lives.system("submit", "submit-national", agencies=(AGENCY,), scoped="submit")
    assert submitted(lives, bare, ONLINE) == "NATIONAL_PORTAL_ONLY"
    far = enroll(lives, f"{NATION}-{uuid4()}", "submit-national", agencies=(ELSEWHERE,))
    assert submitted(lives, person(lives, {"sub": far}), ONLINE) == "SCOPE_MISSING"


def test_a_nation_that_is_not_enrolled_sends_nobody(lives: Lives, settings: Settings, nation: str) -> None:
    cut_over(lives, settings)
    other = enroll(lives, f"other-{uuid4()}", "submit")
    for act in ({"sub": "vn-79"}, {"sub": other}, {"sub": other, "act": {"sub": nation}}):
        assert submitted(lives, person(lives, act), ONLINE) == "NATIONAL_PORTAL_ONLY"
    for malformed in ({}, {"sub": ""}, {"sub": 5}, nation, [nation], True):
        assert submitted(lives, person(lives, malformed), ONLINE) == "TOKEN_INVALID"
    # Nobody acts for an official or a system.
    assert submitted(lives, person(lives, {"sub": nation}, "system"), ONLINE) == "TOKEN_INVALID"


@pytest.mark.parametrize("days", [1, 0])
def test_counter_and_post_go_on(lives: Lives, settings: Settings, days: int) -> None:
    cut_over(lives, settings, days)
    receptionist = lives.official(AGENCY, "receptionist")
    for channel in (COUNTER, POST):
        assert submitted(lives, receptionist, channel) == f"official at {AGENCY}"
    online = submitted(lives, receptionist, ONLINE)
    assert online == ("INVALID_REQUEST" if days else "NATIONAL_PORTAL_ONLY")


def test_a_trial_that_ended_takes_nothing(lives: Lives, settings: Settings, nation: str) -> None:
    settings.sandbox_until = today(lives) - timedelta(days=1)
    portal = lives.system("submit-national", agencies=(AGENCY,))
    for who, channel in (
        (person(lives), ONLINE),
        (person(lives, {"sub": nation}), ONLINE),
        (portal, ONLINE),
        (lives.official(AGENCY, "receptionist"), COUNTER),
        (lives.official(AGENCY, "receptionist"), POST),
    ):
        assert submitted(lives, who, channel) == "TRIAL_ENDED"
    settings.sandbox_until = today(lives)
    assert submitted(lives, person(lives), ONLINE) == "applicant at online"


def test_what_was_taken_before_is_answered_after(lives: Lives, settings: Settings) -> None:
    request = lives.world.submission(lives.me) | EXTRACT | {"channel": ONLINE, "request_id": str(uuid4())}
    taken = lives.call("SubmitDossier", person(lives), request).reply
    cut_over(lives, settings)
    assert lives.call("SubmitDossier", person(lives), request).reply == taken
