"""What lists show is exactly what reading allows, for every official, whatever their agency, territory and term."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from motcua.dossier.v1 import dossier_service_pb2 as pb
from motcua.identity.events.v1 import events_pb2 as identity
from services.chassis.grounds.concern import concern_of
from services.dossier import commands as c
from services.dossier import values as v
from services.dossier.domain.state import OPEN, Dossier
from services.law.course import Settlement
from tests.dossier import world as w
from tests.dossier.site import Metadata, Site, refusal_of, site_in
from tests.support.postgresql import Engine
from tests.support.stating import reading_for

# Provinces, departments and communes of two provinces, by the province that each lies in; the last is unknown to the catalogue.
PROVINCES = {
    "P56": "56",
    "P56.1": "56",
    "P56.22": "56",
    "P56.22.336": "56",
    "P79": "79",
    "P79.1": "79",
    "P79.26.1": "79",
}
AGENCIES = (*PROVINCES, "P56.99")
LAWFUL = st.sampled_from(tuple(PROVINCES))
ENDED = str(uuid4())
CLERK = "clerk-1"


@pytest.fixture(scope="module")
def site(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site_in(tmp_path_factory.mktemp("parties")) as site:
        for code, province in PROVINCES.items():
            site.open_agency(code, province)
        at = Timestamp(seconds=1)
        site.put("account-a", identity.AppointmentEnded(account_id="a", at=at, by="b", appointment_id=ENDED))
        yield site


@st.composite
def stories(draw: st.DrawFn) -> tuple[c.Command, ...]:
    """A dossier that wanders: submitted here or there, received or refused, transferred, passed on to a successor."""
    place, reception, competent = draw(st.sampled_from(("online", *PROVINCES))), draw(LAWFUL), draw(LAWFUL)
    clerk = v.Actor(CLERK, frozenset({"receptionist"}), place)
    online = place == "online"
    commands: list[c.Command] = [
        w.submit(
            by=w.APPLICANT if online else clerk,
            channel=v.Channel.ONLINE if online else v.Channel.COUNTER,
            place_of_submission=place,
            reception_agency=reception,
            competent_agency=competent,
            province=PROVINCES[reception],
        )
    ]
    holder = _office(reception)
    first: tuple[c.Command, ...] = (w.receive(by=holder), c.RefuseDossier(by=holder, at=w.RECEIVED, reason=w.REASON))
    commands.append(draw(st.sampled_from(first)))
    for _ in range(draw(st.integers(0, 2))):
        to, by = draw(LAWFUL), _office(draw(st.sampled_from((reception, competent))))
        onward: tuple[c.Command, ...] = (w.transfer(to, by), w.rehome(reception, to), w.rehome(competent, to))
        commands.append(draw(st.sampled_from(onward)))
    return tuple(commands)


def _office(agency: str) -> v.Actor:
    return v.Actor("official-1", frozenset({"receptionist", "processor", "approver"}), agency)


@st.composite
def offices(draw: st.DrawFn) -> dict[str, Any]:
    """Claims of an official's token: any agency with any territory, in a term that is over, cut short, now or to come."""
    agency, province = draw(st.sampled_from(AGENCIES)), draw(st.sampled_from(("", "56", "79")))
    term = draw(st.sampled_from(("now", "now", "now", "past", "ended", "future")))
    now = int(datetime.now().timestamp())
    claims: dict[str, Any] = {
        "agency": agency,
        "province": province,
        "sub": draw(st.sampled_from((CLERK, "official-2"))),
    }
    match term:
        case "past":
            claims["exp"] = now - 1
        case "future":
            claims["nbf"] = now + int(timedelta(days=1).total_seconds())
        case "ended":
            claims["appointment"] = ENDED
    return claims | {"term": term}


def _allowed(office: dict[str, Any], state: Dossier) -> bool:
    """The rule in other words than the service's."""
    named = {state.place_of_submission, state.reception_agency, state.competent_agency, state.holder}
    at_home = office["province"] in ("", PROVINCES.get(office["agency"], office["province"]))
    return office["term"] == "now" and at_home and office["agency"] in named


def _listed(method: Any, request: type[Any], site: Site, who: Metadata) -> set[str]:
    found: set[str] = set()
    token = ""
    while True:
        wanted = request(page_size=200, page_token=token, min_position=site.head())
        if reason := refusal_of(lambda: method(wanted, metadata=who))[0]:  # noqa: B023 - called at once
            assert reason == "TOKEN_INVALID"
            return set()
        reply = method(wanted, metadata=who)
        found |= {row.code for row in reply.dossiers}
        token = reply.next_page_token
        if not token:
            return found


def _readable(site: Site, code: str, who: Metadata) -> dict[str, bool]:
    """By each way to read the dossier, whether it is there for the caller."""
    stub = site.stub
    who = reading_for("settle", who)
    given: dict[str, Any] = {"code": code}

    def watched() -> None:
        stream = stub.WatchDossier(pb.WatchDossierRequest(**given), metadata=who, timeout=20)
        next(stream)
        stream.cancel()

    calls = {
        "get": lambda: stub.GetDossier(pb.GetDossierRequest(**given), metadata=who),
        "history": lambda: stub.ListHistory(pb.ListHistoryRequest(**given), metadata=who),
        "watch": watched,
        "attachment": lambda: list(stub.GetAttachment(pb.GetAttachmentRequest(sha256="0" * 64, **given), metadata=who)),
    }
    answers = {way: refusal_of(call)[0] for way, call in calls.items()}
    # Who may read the dossier is told that it has no such file.
    assert answers["attachment"] in ("ATTACHMENT_UNKNOWN", "NOT_FOUND", "TOKEN_INVALID")
    answers["attachment"] = answers["attachment"].replace("ATTACHMENT_UNKNOWN", "")
    assert set(answers.values()) <= {"", "NOT_FOUND", "TOKEN_INVALID"}, answers
    return {way: reason == "" for way, reason in answers.items()}


ENDS = {Settlement.NOT_RECEIVED, Settlement.PROCESSING_STOPPED, Settlement.RESULT_RETURNED}


def _known_elsewhere_as_here(site: Site, code: str, state: Dossier) -> None:
    """What other services fold of a dossier is what its own rules say."""
    known = site.host.run(concern_of(site.host.platform.store, code))
    assert known is not None
    assert known.code == code
    for name in (
        "applicant_id",
        "procedure_code",
        "place_of_submission",
        "reception_agency",
        "competent_agency",
        "holder",
    ):
        assert getattr(known, name) == getattr(state, name), name
    assert (known.ended_at is not None) is (state.settlement in ENDS)


@settings(
    max_examples=40,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(stories(), min_size=1, max_size=4), st.lists(offices(), min_size=1, max_size=4))
def test_an_official_s_lists_show_what_may_be_read(
    site: Site, wanted: list[tuple[c.Command, ...]], officials: list[dict[str, Any]]
) -> None:
    states: dict[str, Dossier] = {}
    for story in wanted:
        code = site.new_code()
        submit, *rest = story
        assert isinstance(submit, c.SubmitDossier)
        states[code] = site.told(code, (replace(submit, code=code), *rest))
        _known_elsewhere_as_here(site, code, states[code])
    for office in officials:
        who = site.official(**{name: claim for name, claim in office.items() if name != "term"})
        allowed = {code for code, state in states.items() if _allowed(office, state)}
        searched = _listed(site.stub.SearchDossiers, pb.SearchDossiersRequest, site, who) & states.keys()
        work = _listed(site.stub.ListWork, pb.ListWorkRequest, site, who) & states.keys()
        assert searched == allowed, (office, states)
        held = {code for code in allowed if states[code].holder == office["agency"] and states[code].settlement in OPEN}
        assert work == held, (office, states)
        for code in states:
            ways = _readable(site, code, who)
            assert set(ways.values()) == {code in searched}, (office, states[code], ways)


@pytest.mark.parametrize("kind", ["citizen", "organisation"])
def test_a_person_reads_their_own_and_not_what_they_handed_in_for_others(site: Site, kind: str) -> None:
    clerk = v.Actor(CLERK, frozenset({"receptionist"}), "P56.1")
    code, mine = site.new_code(), site.new_code()
    changes = {"by": clerk, "channel": v.Channel.COUNTER, "place_of_submission": "P56.1"}
    site.told(code, [w.submit(code=code, **changes)])
    site.told(mine, [w.submit(code=mine, applicant_id=CLERK, **changes)])
    who = site.person(CLERK, kind)
    assert _listed(site.stub.ListMyDossiers, pb.ListMyDossiersRequest, site, who) & {code, mine} == {mine}
    assert set(_readable(site, mine, who).values()) == {True}
    assert set(_readable(site, code, who).values()) == {False}
    assert site.uses(mine) == []
    # At the counter, the same clerk reads the one and keeps out of the own.
    clerk_s = site.official("P56.1", sub=CLERK)
    assert set(_readable(site, code, clerk_s).values()) == {True}
    assert _listed(site.stub.SearchDossiers, pb.SearchDossiersRequest, site, clerk_s) & {code, mine} == {code}
    asked = pb.GetDossierRequest(code=mine)
    assert refusal_of(lambda: site.stub.GetDossier(asked, metadata=reading_for("settle", clerk_s)))[0] == "OWN_AFFAIR"
    represented = site.official("P56.1", represents=[CLERK])
    assert (
        refusal_of(lambda: site.stub.GetDossier(asked, metadata=reading_for("settle", represented)))[0] == "OWN_AFFAIR"
    )
    assert site.uses(mine) == []
