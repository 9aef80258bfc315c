"""Who opened a person's data: recorded before it is shown, never on the dossier's own stream, and not without a purpose."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest

from motcua.dossier.v1 import dossier_service_pb2 as pb
from motcua.identity.events.v1 import events_pb2 as identity
from motcua.privacy.events.v1.events_pb2 import DataListed, DataUsed
from services.chassis.access.access import Policy
from services.chassis.calls.stated import PURPOSE
from services.chassis.deciding.caller import ANYBODY, Caller
from services.chassis.grounds.uses import Opening, Readings, purposes
from services.chassis.privacy.sealing import UNREADABLE
from services.chassis.store.port import Appended, NewEvent, StoreUnavailable
from services.dossier import values as v
from tests.dossier import world as w
from tests.dossier.site import ROLES, Site, refusal_of, site_in
from tests.support.papers import pdf
from tests.support.postgresql import Engine
from tests.support.stating import reading_for

PERSON, OFFICIAL = "citizen-1", "official-1"
OPENED = {"GetDossier": "dossier", "ListHistory": "history", "WatchDossier": "history", "GetAttachment": "attachment"}
WAYS = tuple(OPENED)


@pytest.fixture(scope="module")
def site(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site_in(tmp_path_factory.mktemp("uses")) as site:
        yield site


CONTENT = pdf("housing")


@pytest.fixture
def code(site: Site) -> str:
    """A dossier with a file."""
    code, sha256 = site.new_code(), site.keep(PERSON, CONTENT)
    held = (v.Component("housing", v.ComponentSource.ATTACHMENT, sha256),)
    uploaded = {sha256: v.File(sha256, "application/pdf", len(CONTENT))}
    site.told(code, [w.submit(code=code, components=held, uploaded=uploaded)])
    return code


def read(site: Site, way: str, code: str, who: Any, purpose: str = "settle") -> Any:
    """The reply, or the first of several."""
    more = {"sha256": hashlib.sha256(CONTENT).hexdigest()} if way == "GetAttachment" else {}
    request = getattr(pb, f"{way}Request")(code=code, **more)
    call = getattr(site.stub, way)(request, metadata=reading_for(purpose, who), timeout=20)
    if way not in ("WatchDossier", "GetAttachment"):
        return call
    first = next(call)
    call.cancel()
    return first


@pytest.mark.parametrize("way", WAYS)
def test_an_official_s_reading_is_recorded_with_purpose_and_legal_basis(site: Site, code: str, way: str) -> None:
    began = datetime.now(UTC)
    revisions = len(site.host.run(site.host.platform.store.read(f"dossier-{code}")))
    read(site, way, code, site.official(w.COMMUNE, sub=OFFICIAL), "complaint")
    (use,) = site.uses(code)
    assert began <= use.at.ToDatetime(UTC) <= datetime.now(UTC)
    assert use == DataUsed(
        subject_id=PERSON,
        at=use.at,
        by=OFFICIAL,
        agency=w.COMMUNE,
        roles=sorted(ROLES),
        purpose="complaint",
        legal_basis="Luật Khiếu nại 2011",
        code=code,
        opened=OPENED[way],
    )
    # The dossier itself does not move because somebody reads it.
    assert len(site.host.run(site.host.platform.store.read(f"dossier-{code}"))) == revisions
    assert read(site, "GetDossier", code, site.person(PERSON)).dossier.revision == revisions - 1


@pytest.mark.parametrize("way", WAYS)
def test_people_read_their_own_without_purpose_and_trace(site: Site, code: str, way: str) -> None:
    read(site, way, code, site.person(PERSON), "")
    assert site.uses(code) == []


def test_each_reading_is_a_use_of_its_own_and_a_watch_is_one(site: Site, code: str) -> None:
    who = site.official(w.COMMUNE, sub=OFFICIAL)
    for _ in range(2):
        read(site, "GetDossier", code, who)
    site.told(code, [w.receive(), w.assign()])
    settling = reading_for("settle", who)
    stream = site.stub.WatchDossier(pb.WatchDossierRequest(code=code), metadata=settling, timeout=20)
    for _ in range(4):
        next(stream)
    stream.cancel()
    assert [use.opened for use in site.uses(code)] == ["dossier", "dossier", "history"]


def test_lists_open_nothing(site: Site, code: str) -> None:
    who = site.official(w.COMMUNE)
    for method, request in (
        (site.stub.ListWork, pb.ListWorkRequest),
        (site.stub.SearchDossiers, pb.SearchDossiersRequest),
    ):
        wanted: Any = request(page_size=200, min_position=site.head())
        assert code in {row.code for row in method(wanted, metadata=who).dossiers}
    assert site.uses(code) == []


@pytest.mark.parametrize("way", ["ListWork", "SearchDossiers"])
def test_a_page_with_names_is_one_use_of_all_who_stand_on_it(site: Site, code: str, way: str) -> None:
    official, other = f"official-{code}", site.new_code()
    site.told(other, [w.submit(code=other)])
    who = site.official(w.COMMUNE, sub=official)

    def page(purpose: str) -> dict[str, str]:
        wanted = getattr(pb, f"{way}Request")(page_size=200, min_position=site.head())
        rows = getattr(site.stub, way)(wanted, metadata=reading_for(purpose, who)).dossiers
        return {row.code: row.applicant_name for row in rows}

    named = page("settle")
    assert (named[code], named[other]) == ("Nguyễn Văn A", "Nguyễn Văn A")
    assert set(page("").values()) == {""}
    assert refusal_of(lambda: page("curiosity")) == ("INVALID_REQUEST", [PURPOSE])
    assert refusal_of(lambda: page("walk-in")) == ("INVALID_REQUEST", [PURPOSE])
    stored = site.host.run(site.host.platform.store.read(f"use-list-{official}"))
    (use,) = [DataListed.FromString(event.data) for event in stored]
    assert {(row.subject_id, row.code) for row in use.rows} >= {(PERSON, code), (PERSON, other)}
    assert len(use.rows) == len({name for name in named if named[name] not in UNREADABLE})
    assert (use.by, use.agency, list(use.roles), use.purpose, use.legal_basis, use.opened) == (
        official,
        w.COMMUNE,
        sorted(ROLES),
        "settle",
        "Nghị định 118/2025/NĐ-CP",
        "applicant",
    )


def test_people_have_their_names_in_their_lists_without_trace(site: Site, code: str) -> None:
    mine = pb.ListMyDossiersRequest(page_size=200, min_position=site.head())
    rows = site.stub.ListMyDossiers(mine, metadata=site.person(PERSON)).dossiers
    assert {row.applicant_name for row in rows} == {"Nguyễn Văn A"}
    assert site.host.run(site.host.platform.store.read(f"use-list-{PERSON}")) == []


def test_names_that_cannot_be_recorded_are_not_shown(site: Site, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = site.host.platform.store

    async def failing(stream: str, events: Sequence[NewEvent], expected: int) -> Appended:
        raise StoreUnavailable("the disk is full")

    wanted, who = pb.ListWorkRequest(min_position=site.head()), reading_for("settle", site.official(w.COMMUNE))
    monkeypatch.setattr(store, "append", failing)
    assert refusal_of(lambda: site.stub.ListWork(wanted, metadata=who))[0] == "UNAVAILABLE"


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "purpose", ["", " ", "curiosity", "synchronise"], ids=["none", "blank", "unknown", "a system's"]
)
def test_without_a_purpose_that_is_registered_nothing_is_read(site: Site, code: str, way: str, purpose: str) -> None:
    who = site.official(w.COMMUNE)
    assert refusal_of(lambda: read(site, way, code, who, purpose)) == ("INVALID_REQUEST", [PURPOSE])
    assert site.uses(code) == []


def test_a_system_states_a_purpose_of_its_token(site: Site, code: str) -> None:
    who = site.system("settle", "inspect")
    assert refusal_of(lambda: read(site, "GetDossier", code, who, "synchronise")) == ("PURPOSE_MISSING", [])
    assert refusal_of(lambda: read(site, "GetDossier", code, who, "")) == ("INVALID_REQUEST", [PURPOSE])
    read(site, "GetDossier", code, who, "inspect")
    (use,) = site.uses(code)
    assert use.by.startswith("system:tax-")
    assert (use.agency, tuple(use.roles), use.purpose) == ("", ("system",), "inspect")


def test_whom_the_dossier_does_not_concern_opens_nothing(site: Site, code: str) -> None:
    assert refusal_of(lambda: read(site, "GetDossier", code, site.official(w.ELSEWHERE)))[0] == "NOT_FOUND"
    assert site.uses(code) == []


@pytest.mark.parametrize("way", WAYS)
def test_what_cannot_be_recorded_is_not_shown(site: Site, code: str, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = site.host.platform.store
    append = store.append

    async def failing(stream: str, events: Sequence[NewEvent], expected: int) -> Appended:
        if stream.startswith("use-"):
            raise StoreUnavailable("the disk is full")
        return await append(stream, events, expected)

    who = site.official(w.COMMUNE)
    monkeypatch.setattr(store, "append", failing)
    assert refusal_of(lambda: read(site, way, code, who))[0] == "UNAVAILABLE"
    monkeypatch.undo()
    read(site, way, code, who)
    assert len(site.uses(code)) == 1


def test_an_erased_person_s_dossier_opens_nothing(site: Site) -> None:
    code, erased = site.new_code(), f"citizen-{site.new_code()}"
    site.told(code, [w.submit(code=code, by=v.Actor(erased, frozenset({"citizen"})), applicant_id=erased)])
    site.keys.erase(erased)
    assert read(site, "GetDossier", code, site.official(w.COMMUNE)).dossier.applicant.name == "erased"
    assert site.uses(code) == []


def test_calls_at_the_same_time_are_not_taken_for_each_other(site: Site) -> None:
    codes = [site.new_code() for _ in range(4)]
    for code in codes:
        site.told(code, [w.submit(code=code)])
    officials = {code: site.official(w.COMMUNE, sub=f"official-{code}") for code in codes}
    person = site.person(PERSON)
    calls = [(code, who) for _ in range(8) for code in codes for who in (officials[code], person)]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda call: read(site, "GetDossier", *call), calls))
    for code in codes:
        assert [use.by for use in site.uses(code)] == [f"official-{code}"] * 8


def test_a_method_whose_request_cannot_be_read_for_a_purpose_stops_the_start(site: Site) -> None:
    policy = Policy(pb.DESCRIPTOR.services_by_name["DossierService"].methods_by_name["GetDossier"])
    Readings(site.host.platform, policy, pb.GetDossierRequest)
    with pytest.raises(TypeError, match="GetDraftRequest names no dossier"):
        Readings(site.host.platform, policy, pb.GetDraftRequest)
    with pytest.raises(TypeError, match="PurposeScope has purpose: that is stated in motcua-purpose"):
        Readings(site.host.platform, policy, identity.PurposeScope)


@pytest.mark.parametrize(
    "caller",
    [ANYBODY, Caller("citizen-2", "citizen"), Caller("official-1", "official"), Caller("citizen-1", "system")],
    ids=lambda caller: caller.kind,
)
def test_a_method_that_asks_for_no_purpose_cannot_open_others_data(site: Site, caller: Caller) -> None:
    reading = Opening(site.host.platform, caller, "")
    with pytest.raises(PermissionError):
        reading.note(PERSON, "")


def test_a_purpose_has_texts_a_legal_basis_and_those_who_may_state_it() -> None:
    roles = {"receptionist", "processor", "approver", "cashier", "administrator", "system"}
    assert {"settle", "look-up"} <= purposes().keys()
    for purpose in purposes().values():
        assert purpose.vi, purpose
        assert purpose.en, purpose
        assert purpose.legal_basis, purpose
        assert purpose.roles, purpose
        assert purpose.roles <= roles, purpose
