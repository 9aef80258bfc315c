"""The whole service over gRPC and HTTP, against the sandboxes of VNeID and the population database."""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import grpc
import httpx
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.rpc import error_details_pb2, status_pb2
from joserfc import jwt
from joserfc.jwk import KeySet, OKPKey

from gateway.sandbox.people import Citizen, citizen, organisation
from motcua.identity.events.v1 import events_pb2 as facts
from motcua.identity.v1 import identity_pb2
from motcua.identity.v1 import identity_service_pb2 as pb
from motcua.identity.v1.identity_pb2 import (
    LOOKUP_ANSWER_MATCH,
    LOOKUP_ANSWER_NO_DATA,
    LOOKUP_ANSWER_NO_MATCH,
    LOOKUP_ANSWER_NOT_ENOUGH_BASIS,
    LookupAnswer,
    Residence,
)
from motcua.identity.v1.identity_service_pb2_grpc import IdentityServiceStub
from motcua.options.v1 import options_pb2
from motcua.types.v1 import types_pb2
from services.chassis.platform.platform import Platform
from services.identity import signing
from services.identity.accounts.values import AccountKind, Role
from services.identity.bootstrap import TrialAppointment, TrialOfficial, TrialSystem, ensure_trial_accounts
from services.identity.national import CALLBACK, National
from services.identity.service import IdentityService
from services.identity.tokens import Person, key_id
from services.identity.web import ID_TOKEN, JWT_BEARER, TOKEN_EXCHANGE
from tests.identity.sandboxes import ADMIN, SECRET, sandboxes
from tests.support.grounds import open_agencies, particulars, submit
from tests.support.hosted import Host, hosted
from tests.support.postgresql import Engine, current, settings_of
from tests.support.stating import parted, stating
from tests.support.waiting import eventually

AN, RECEPTIONIST, ADMINISTRATOR, COMPANY = citizen(0), citizen(1), citizen(2), organisation(0)
SYSTEM_KEY = OKPKey.generate_key("Ed25519")
NUMBERS = itertools.count(1)
LEGAL_BASIS = "Điều 10 Luật Căn cước 2023"


def person(of: Citizen) -> Person:
    return Person(AccountKind.CITIZEN, of.personal_number, "", of.full_name, of.email, of.phone, of.level_of_assurance)


OFFICIALS = (
    TrialOfficial(person(RECEPTIONIST), (Role.RECEPTIONIST, Role.CASHIER), "P56.22.336", "56", "Công chức"),
    TrialOfficial(person(ADMINISTRATOR), (Role.ADMINISTRATOR,), "P56", "56", "Quản trị viên"),
)
SYSTEMS = (
    TrialSystem(
        "tax",
        "Thuế",
        "G12.18",
        ("settle", "look-up"),
        json.dumps(SYSTEM_KEY.as_dict(private=False)),
        ("P56.22",),
    ),
)
AGENCIES = ("P56", "P56.1", "P56.5.1", "P56.22", "P56.22.336", "P79", "G12.18")
HOME = "P56.22.336"


@dataclass
class World:
    host: Host
    stub: IdentityServiceStub
    http: httpx.Client
    folder: Path
    national: str
    appointments: tuple[TrialAppointment, ...] = field(default=())

    def at_vneid(self, address: str, login: str) -> str:
        """Where VNeID sends the browser back to."""
        return httpx.get(f"{address}&login_hint={login}").headers["location"]

    def log_in(self, login: str, **query: str) -> httpx.Response:
        with httpx.Client(base_url=self.http.base_url) as browser:
            begun = browser.get("/login", params=query)
            assert begun.status_code == 303, begun.text
            return browser.get(self.at_vneid(begun.headers["location"], login))

    def token(self, login: str, **query: str) -> str:
        return str(self.log_in(login, **query).json()["access_token"])

    def official(self, index: int) -> str:
        made = self.appointments[index]
        return self.token(made.official.person.personal_number, scope=f"appointment:{made.appointment_id}")

    def assertion(self, **changes: Any) -> str:
        now = int(time.time())
        audience = f"{self.host.platform.settings.url}/oauth2/token"
        claims = {"iss": "tax", "sub": "tax", "aud": audience, "exp": now + 60, "jti": str(uuid.uuid4()), **changes}
        return jwt.encode({"alg": "EdDSA"}, claims, SYSTEM_KEY, algorithms=["EdDSA"])

    def system_token(self, scope: str = "settle look-up", **changes: Any) -> httpx.Response:
        form = {
            "grant_type": "client_credentials",
            "client_assertion_type": JWT_BEARER,
            "client_assertion": self.assertion(**changes),
            "scope": scope,
        }
        return self.http.post("/oauth2/token", data=form)

    def call(self, rpc: str, token: str, **fields: Any) -> Any:
        """`fields`: of the request, and what is stated beside it."""
        asked, stated = parted(fields)
        request = getattr(pb, f"{rpc}Request")(**asked)
        if "request_id" in request.DESCRIPTOR.fields_by_name and not request.request_id:
            request.request_id = str(uuid.uuid4())
        return getattr(self.stub, rpc)(
            request, metadata=(("authorization", f"Bearer {token}"), *stated.items()), timeout=10
        )

    def account_id(self, login: str) -> str:
        return str(self.call("GetMyAccount", self.token(login)).account.account_id)

    def dossier_of(self, account_id: str, agency: str = HOME) -> str:
        code = f"{agency}-20260302-{next(NUMBERS):07d}"
        self.host.run(submit(self.host.platform.store, code, account_id, agency))
        return code

    def refusal(self, rpc: str, token: str, **fields: Any) -> tuple[str, grpc.StatusCode]:
        with pytest.raises(grpc.RpcError) as caught:
            self.call(rpc, token, **fields)
        trailing: Any = caught.value.trailing_metadata()
        status = status_pb2.Status.FromString(dict(trailing)["grpc-status-details-bin"])
        info = error_details_pb2.ErrorInfo()
        status.details[0].Unpack(info)
        return info.reason, caught.value.code()


@contextmanager
def world_in(folder: Path) -> Iterator[World]:
    shift = folder / "shift"

    async def prepare() -> None:
        platform = await Platform.open(settings_of(folder))
        await open_agencies(platform.store, *AGENCIES)
        await platform.close()

    asyncio.run(prepare())
    with hosted(folder, [IdentityService], clock_shift_file=shift) as host:
        settings = host.platform.settings
        settings.public_url = f"http://{host.platform.http_addresses['identity']}"
        settings.vneid_client_secret = settings.population_secret = SECRET
        with (
            sandboxes(folder / "vneid", (settings.url + CALLBACK,)) as national,
            grpc.insecure_channel(host.address("identity")) as channel,
            httpx.Client(base_url=settings.url) as http,
        ):
            settings.vneid_url, settings.population_url = f"{national}/vneid", f"{national}/population"
            world = World(host, IdentityServiceStub(channel), http, folder, national)
            world.appointments = host.run(ensure_trial_accounts(host.platform, OFFICIALS, SYSTEMS))
            yield world


@pytest.fixture(scope="module")
def world(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world_in(tmp_path_factory.mktemp("identity")) as world:
        yield world


def claims(world: World, token: str) -> dict[str, Any]:
    keys = KeySet.import_key_set(world.http.get("/.well-known/jwks.json").json())
    return jwt.decode(token, keys, algorithms=["EdDSA"]).claims


def test_a_citizen_logs_in_and_reads_their_account(world: World) -> None:
    response = world.log_in(AN.personal_number, return_to="/dossiers", level="2")
    answer = response.json()
    assert (response.status_code, answer["return_to"], answer["token_type"]) == (200, "/dossiers", "Bearer")
    assert response.headers["cache-control"] == "no-store"
    account = world.call("GetMyAccount", answer["access_token"]).account
    assert account.account_id == claims(world, answer["access_token"])["sub"]
    assert (account.full_name, account.personal_number) == (AN.full_name, AN.personal_number)
    assert (account.email, account.phone, account.level_of_assurance) == (AN.email, AN.phone, 2)


def test_the_login_cookie_reaches_the_callback_only(world: World) -> None:
    begun = world.http.get("/login")
    cookie = begun.headers["set-cookie"]
    assert all(part in cookie for part in ("HttpOnly", "SameSite=lax", f"Path={CALLBACK}", "Max-Age=600"))
    assert "Secure" not in cookie
    local = world.host.platform.settings.public_url
    world.host.platform.settings.public_url = "https://motcua.test"
    try:
        assert "Secure" in world.http.get("/login").headers["set-cookie"]
    finally:
        world.host.platform.settings.public_url = local
    back = world.at_vneid(begun.headers["location"], AN.personal_number)
    stolen = httpx.get(back)
    assert (stolen.status_code, stolen.json()["error"]) == (400, "invalid_request")


@pytest.mark.parametrize("query", [{"return_to": "//evil.test"}, {"level": "3"}, {"scope": "admin"}, {"x": "y"}])
def test_a_login_that_is_malformed_does_not_begin(world: World, query: dict[str, str]) -> None:
    assert world.http.get("/login", params=query).status_code == 400


def test_an_organisation_has_its_own_account(world: World) -> None:
    token = world.token(COMPANY.tax_code)
    account = world.call("GetMyAccount", token).account
    assert (account.kind, account.full_name, account.tax_code) == (
        facts.AccountKind.ACCOUNT_KIND_ORGANISATION,
        COMPANY.name,
        COMPANY.tax_code,
    )
    assert claims(world, token)["roles"] == ["organisation"]


def test_an_update_of_the_profile_changes_what_it_names(world: World) -> None:
    token = world.token(AN.personal_number)

    def shown() -> tuple[str, str, int]:
        account = world.call("GetMyAccount", token).account
        return account.email, account.phone, account.language

    english, vietnamese = facts.LANGUAGE_ENGLISH, facts.LANGUAGE_VIETNAMESE
    before = shown()
    world.call("UpdateProfile", token, phone="0912345678")
    assert shown() == (before[0], "0912345678", vietnamese)
    world.call("UpdateProfile", token, email="an@example.org", language=english)
    assert shown() == ("an@example.org", "0912345678", english)
    world.call("UpdateProfile", token, email="other@example.org", update_mask=FieldMask(paths=["phone"]))
    assert shown() == ("an@example.org", "", english)
    again = {"request_id": str(uuid.uuid4()), "phone": "0987654321"}
    first = world.call("UpdateProfile", token, **again)
    world.call("UpdateProfile", token, phone="0911111111")
    assert world.call("UpdateProfile", token, **again) == first
    assert shown() == ("an@example.org", "0911111111", english)
    for wrong in ({}, {"update_mask": FieldMask(paths=["name"])}, {"update_mask": FieldMask(paths=["request_id"])}):
        assert world.refusal("UpdateProfile", token, **wrong)[0] == "INVALID_REQUEST"
    unsaid = {"update_mask": FieldMask(paths=["language"])}
    assert world.refusal("UpdateProfile", token, **unsaid)[0] == "LANGUAGE_MISSING"
    stale = world.call("GetMyAccount", token).account.revision - 1
    assert world.refusal("UpdateProfile", token, phone="0912345678", expected_revision=stale)[0] == "REVISION_CONFLICT"


def test_updates_at_once_lose_nothing(world: World) -> None:
    token = world.token(AN.personal_number)
    parts: list[dict[str, Any]] = [
        {"phone": "0922222222"},
        {"email": "both@example.org"},
        {"language": facts.LANGUAGE_ENGLISH},
    ]
    with ThreadPoolExecutor(len(parts)) as pool:
        list(pool.map(lambda part: world.call("UpdateProfile", token, **part), parts))
    account = world.call("GetMyAccount", token).account
    assert (account.phone, account.email, account.language) == (
        "0922222222",
        "both@example.org",
        parts[2]["language"],
    )


def test_the_profile_is_replaced_where_all_of_it_is_named(world: World) -> None:
    token = world.token(AN.personal_number)
    language = facts.Language.LANGUAGE_ENGLISH
    changed = world.call(
        "UpdateProfile", token, email="an@example.org", language=language, update_mask=FieldMask(paths=["*"])
    )
    account = world.call("GetMyAccount", token).account
    assert (account.email, account.phone, account.language) == ("an@example.org", "", language)
    assert account.revision == changed.revision
    assert world.refusal("UpdateProfile", token, email="an", language=language)[0] == "INVALID_REQUEST"
    assert world.refusal("UpdateProfile", token, language=99)[0] == "INVALID_REQUEST"


def id_token(world: World, login: str) -> str:
    """As the national portal gets one for its own user."""
    platform = world.host.platform
    verifier = "v" * 43

    async def run() -> str:
        national = National(platform)
        address = await national.provider.authorize_url("s", "n", verifier, 1)
        location = await asyncio.to_thread(world.at_vneid, address, login)
        token = await national.provider.redeem(dict(parse_qsl(urlsplit(location).query))["code"], verifier)
        await national.close()
        return token

    return world.host.run(run())


def test_a_vneid_token_is_exchanged_for_an_appointment(world: World) -> None:
    made = world.appointments[0]
    form = {
        "grant_type": TOKEN_EXCHANGE,
        "subject_token": id_token(world, RECEPTIONIST.personal_number),
        "subject_token_type": ID_TOKEN,
        "scope": f"appointment:{made.appointment_id}",
    }
    response = world.http.post("/oauth2/token", data=form)
    assert response.status_code == 200, response.text
    found = claims(world, response.json()["access_token"])
    assert (found["sub"], found["kind"]) == (made.account_id, "official")
    assert (found["roles"], found["agency"], found["province"]) == (["receptionist", "cashier"], "P56.22.336", "56")
    refused = world.http.post("/oauth2/token", data=form | {"scope": "appointment:x"})
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_scope")


@pytest.mark.parametrize(
    ("language", "says"), [("vi", "Nhiệm vụ này không phải của"), ("en", "is not one of the account")]
)
def test_whoever_logs_in_at_a_browser_for_what_is_not_theirs_reads_what_to_do(
    world: World, language: str, says: str
) -> None:
    made, page = world.appointments[0], {"accept": "text/html", "accept-language": language}
    scope = f"appointment:{made.appointment_id}"
    with httpx.Client(base_url=world.http.base_url, headers=page) as browser:
        begun = browser.get("/login", params={"scope": scope})
        refused = browser.get(world.at_vneid(begun.headers["location"], citizen(3).personal_number))
        garbage = browser.get("/login", params={"scope": "admin"})
    assert (refused.status_code, refused.headers["content-type"]) == (400, "text/html; charset=utf-8")
    assert says in refused.text
    assert (garbage.status_code, "appointment:" in garbage.text, "<h1>" in garbage.text) == (400, True, True)
    program = world.http.get("/login", params={"scope": "admin"})
    assert (program.status_code, program.json()["error"]) == (400, "invalid_scope")


def test_a_system_gets_tokens_with_its_key_and_each_assertion_once(world: World) -> None:
    jti = str(uuid.uuid4())
    first = world.system_token(jti=jti)
    assert claims(world, first.json()["access_token"])["purposes"] == ["settle", "look-up"]
    again = world.system_token(jti=jti)
    assert (again.status_code, again.json()["error"]) == (401, "invalid_client")
    assert world.system_token("everything").json()["error"] == "invalid_scope"
    assert world.system_token(aud="https://other.test").status_code == 401


def test_the_token_endpoint_takes_forms_only(world: World) -> None:
    for response in (
        world.http.post("/oauth2/token", json={"grant_type": "client_credentials"}),
        world.http.post("/oauth2/token", data={"grant_type": "x" * 70_000}),
        world.http.post("/oauth2/token", data={"grant_type": ["client_credentials", "client_credentials"]}),
    ):
        assert (response.status_code, response.json()["error"]) == (400, "invalid_request")


def test_an_outage_of_vneid_is_told(world: World) -> None:
    switch, admin = f"{world.national}/vneid/sandbox/outage", {"authorization": f"Bearer {ADMIN}"}
    with httpx.Client(base_url=world.http.base_url) as browser:
        back = world.at_vneid(browser.get("/login").headers["location"], AN.personal_number)
        httpx.put(switch, json={"down": True}, headers=admin)
        try:
            response = browser.get(back)
        finally:
            httpx.put(switch, json={"down": False}, headers=admin)
    assert (response.status_code, response.headers["retry-after"]) == (503, "30")


def test_a_look_up_leaves_a_fact_that_the_person_sees(world: World) -> None:
    code = world.dossier_of(world.account_id(AN.personal_number))
    token, asked = world.official(0), {"legal_basis": LEGAL_BASIS} | stating("settle", code)
    found = world.call("LookUpPerson", token, **particulars(AN), wanted=list(facts.PersonField.values())[1:], **asked)
    assert found.answer == LOOKUP_ANSWER_MATCH
    place = AN.place
    residence = Residence(
        province=place.province_code,
        commune=place.commune_code,
        address=f"{AN.address}, {place.commune}, {place.province}",
        place_code=AN.place_code,
    )
    expected = particulars(AN) | {"gender": AN.gender, "nationality": "VN", "marital_status": AN.marital_status}
    assert found.person == identity_pb2.Person(residence=residence, **expected)
    wrong = particulars(AN) | asked | {"full_name": "Nguyễn Văn Khác"}
    answered = world.call("LookUpPerson", token, **wrong)
    assert answered == pb.LookUpPersonResponse(answer=LOOKUP_ANSWER_NO_MATCH, position=answered.position)
    mine = world.token(AN.personal_number)
    assert claims(world, mine)["sub"] == found.account_id
    uses = eventually(
        lambda: len(uses := world.call("ListMyDataUses", mine, min_position=found.position).data_uses) >= 2 and uses
    )
    assert [(use.source, use.by, use.agency, use.purpose, use.legal_basis) for use in uses[:2]] == [
        ("population", world.appointments[0].account_id, "P56.22.336", "settle", LEGAL_BASIS)
    ] * 2
    assert {use.dossier_code for use in uses[:2]} == {code}
    outcomes = [event.outcome for event in stored(world, found.account_id, facts.PopulationLookedUp)]
    assert outcomes[-2:] == [facts.LOOKUP_OUTCOME_FOUND, facts.LOOKUP_OUTCOME_NO_MATCH]
    kinds = {event.component_kind for event in stored(world, found.account_id, facts.IdentityVerified)}
    assert kinds == {"identity", "residence", "marital-status"}


def stored(world: World, account_id: str, kind: type[Any]) -> list[Any]:
    async def read() -> list[Any]:
        events = await world.host.platform.store.read(f"account-{account_id}")
        return [kind.FromString(event.data) for event in events if event.type == kind.DESCRIPTOR.full_name]

    return world.host.run(read())


def test_a_look_up_of_nobody_is_a_fact_too(world: World) -> None:
    asked = {"legal_basis": LEGAL_BASIS, "full_name": "X", "personal_number": "056000000000"} | stating("walk-in")
    asked["birth_date"] = "1990-03-02"
    request_id = str(uuid.uuid4())
    for _ in range(2):
        answered = world.call("LookUpPerson", world.official(0), request_id=request_id, **asked)
        assert answered == pb.LookUpPersonResponse(answer=LOOKUP_ANSWER_NO_DATA, position=answered.position)
    account_id = str(uuid.uuid5(uuid.UUID(request_id), "account"))
    outcomes = [event.outcome for event in stored(world, account_id, facts.PopulationLookedUp)]
    assert outcomes == [facts.LOOKUP_OUTCOME_NOT_FOUND]
    malformed = {**asked, "personal_number": "56"}
    assert world.refusal("LookUpPerson", world.official(0), **malformed)[0] == "IDENTIFIER_MALFORMED"
    tomorrow = (datetime.now(UTC) + timedelta(days=2)).date().isoformat()
    for birth_date in ("1990-02-30", "02/03/1990", "0000", "19900302", "1990-3-2", tomorrow):
        wrong = {**asked, "birth_date": birth_date}
        assert world.refusal("LookUpPerson", world.official(0), **wrong)[0] == "BIRTH_DATE_INVALID"


@pytest.mark.parametrize(
    ("stated", "answer", "gap"),
    [
        ({}, LOOKUP_ANSWER_MATCH, 0),
        ({"full_name": AN.full_name.upper()}, LOOKUP_ANSWER_MATCH, 0),
        ({"full_name": "Ai Đó"}, LOOKUP_ANSWER_NO_MATCH, 0),
        ({"birth_date": "1900-01-01"}, LOOKUP_ANSWER_NO_MATCH, 0),
        ({"birth_date": "1900"}, LOOKUP_ANSWER_NO_MATCH, 0),
        ({"birth_date": AN.birth_date.isoformat()[:4]}, LOOKUP_ANSWER_NOT_ENOUGH_BASIS, facts.LOOKUP_GAP_BIRTH_DATE),
        ({"personal_number": "056000000000"}, LOOKUP_ANSWER_NO_DATA, 0),
        (particulars(citizen(1_999)), LOOKUP_ANSWER_NOT_ENOUGH_BASIS, facts.LOOKUP_GAP_RECORD_DISPUTED),
    ],
)
def test_the_population_database_has_four_answers(
    world: World, stated: dict[str, Any], answer: LookupAnswer.ValueType, gap: facts.LookupGap.ValueType
) -> None:
    answered = world.call("LookUpPerson", world.official(0), **particulars(AN) | stated | stating("walk-in"))
    assert (answered.answer, answered.gap) == (answer, gap)
    # What was not asked for is not shown, and without a match nothing is.
    matched = answer == LOOKUP_ANSWER_MATCH
    assert answered.person == identity_pb2.Person(**(particulars(AN) if matched else {}))
    assert (bool(answered.account_id), bool(answered.revision)) == (matched, matched)


def test_a_system_names_a_purpose_of_its_token(world: World) -> None:
    token = world.system_token().json()["access_token"]
    code = world.dossier_of(world.account_id(AN.personal_number))
    asked = particulars(AN) | stating("settle", code)
    assert world.refusal("LookUpPerson", token, **asked | stating("sell"))[0] == "PURPOSE_MISSING"
    found = world.call("LookUpPerson", token, **asked)
    assert stored(world, found.account_id, facts.PopulationLookedUp)[-1].by == "system:tax"
    read = world.call("GetAccount", token, account_id=found.account_id, **stating("settle", code))
    assert read.account.full_name == AN.full_name
    mine = world.token(AN.personal_number)
    newest = eventually(lambda: (use := world.call("ListMyDataUses", mine).data_uses[0]).source == "account" and use)
    assert (newest.by, newest.purpose, newest.legal_basis) == ("system:tax", "settle", "Nghị định 118/2025/NĐ-CP")
    every = world.call("ListMyDataUses", mine).data_uses
    turned = world.call("ListMyDataUses", mine, order=types_pb2.MOMENT_ORDER_OLDEST_FIRST).data_uses
    assert list(turned) == list(every)[::-1]
    assert newest in world.call("ListMyDataUses", mine, source="account", dossier_code=code).data_uses
    assert world.call("ListMyDataUses", mine, used_from=newest.at).data_uses[0] == newest
    assert newest not in world.call("ListMyDataUses", mine, used_until=newest.at).data_uses
    assert not world.call("ListMyDataUses", mine, dossier_code=code[:-1]).data_uses
    alone = world.system_token("settle").json()["access_token"]
    assert world.refusal("LookUpPerson", alone, **asked)[0] == "PURPOSE_MISSING"


def test_an_administrator_appoints_and_ends(world: World) -> None:
    administrator, person = world.official(1), world.call("GetMyAccount", world.token(citizen(3).personal_number))
    fields = {
        "account_id": person.account.account_id,
        "roles": [options_pb2.ROLE_PROCESSOR],
        "agency": "P56.1",
        "province": "56",
        "title": "Chuyên viên",
        "decision_number": "12/QĐ",
    }
    made = world.call("AppointOfficial", administrator, **fields)
    listed = world.call("ListAppointments", administrator, agency="P56.1", min_position=made.position).appointments
    assert [(one.appointment_id, list(one.roles)) for one in listed] == [(made.appointment_id, fields["roles"])]
    scope = f"appointment:{made.appointment_id}"
    assert claims(world, world.token(citizen(3).personal_number, scope=scope))["agency"] == "P56.1"
    summaries = world.call("ListAccounts", administrator, min_position=made.position).accounts
    officials = {one.account_id for one in summaries if one.official}
    assert officials == {fields["account_id"], *(one.account_id for one in world.appointments)}
    oldest = types_pb2.MOMENT_ORDER_OLDEST_FIRST
    turned = world.call("ListAccounts", administrator, order=oldest).accounts
    moments = [one.registered_at.ToNanoseconds() for one in turned]
    assert moments == sorted(moments) == [one.registered_at.ToNanoseconds() for one in summaries][::-1]
    since, kind = turned[-1].registered_at, identity_pb2.ACCOUNT_KIND_CITIZEN
    before = [one for one in turned if one.registered_at.ToNanoseconds() < since.ToNanoseconds()]
    assert world.call("ListAccounts", administrator, order=oldest, registered_until=since).accounts == before
    after = turned[len(before) :]
    assert world.call("ListAccounts", administrator, order=oldest, registered_from=since).accounts == after
    assert world.call("ListAccounts", administrator, order=oldest, kind=kind).accounts == [
        one for one in turned if one.kind == kind
    ]
    for asked, found in (
        ({"role": options_pb2.ROLE_PROCESSOR, "province": "56"}, True),
        ({"role": options_pb2.ROLE_CASHIER}, False),
        ({"province": "79"}, False),
    ):
        assert bool(world.call("ListAppointments", administrator, agency="P56.1", **asked).appointments) is found
    ended = world.call(
        "EndAppointment",
        administrator,
        account_id=fields["account_id"],
        appointment_id=made.appointment_id,
        reason="Chuyển công tác",
    )
    assert world.log_in(citizen(3).personal_number, scope=scope).json()["error"] == "invalid_scope"
    at = datetime.now(UTC)
    now = world.call("ListAppointments", administrator, agency="P56.1", at=at, min_position=ended.position)
    assert not now.appointments
    assert world.refusal("AppointOfficial", administrator, **{**fields, "roles": [77]})[0] == "INVALID_REQUEST"
    elsewhere = {**fields, "agency": "P79", "province": "79"}
    assert world.refusal("AppointOfficial", administrator, **elsewhere)[0] == "BEYOND_REACH"
    assert world.refusal("AppointOfficial", administrator, **{**fields, "agency": "P56.9"})[0] == "AGENCY_UNKNOWN"
    assert world.refusal("AppointOfficial", administrator, **{**fields, "province": "79"})[0] == "PROVINCE_MISMATCH"
    derived = world.call(
        "AppointOfficial", administrator, **{**fields, "province": "", "roles": [options_pb2.ROLE_CASHIER]}
    )
    at = datetime.now(UTC)
    now = world.call("ListAppointments", administrator, agency="P56.1", at=at, min_position=derived.position)
    assert [(one.appointment_id, one.province) for one in now.appointments] == [(derived.appointment_id, "56")]
    own = {**fields, "account_id": world.appointments[1].account_id}
    assert world.refusal("AppointOfficial", administrator, **own)[0] == "SELF_APPOINTMENT"


def test_an_administrator_rules_over_systems(world: World) -> None:
    administrator, key = world.official(1), OKPKey.generate_key("Ed25519")
    jwk = json.dumps(key.as_dict(private=False))
    fields = {"client_id": "land", "name": "Đất đai", "operator_agency": "P56.5.1", "purposes": ["settle"]}
    made = world.call("RegisterSystem", administrator, public_jwk=jwk, **fields)
    other = json.dumps(OKPKey.generate_key("Ed25519").as_dict(private=False))
    rotated = world.call("RotateSystemKey", administrator, client_id="land", public_jwk=other)
    assert (made.kid, rotated.revision) == (key.thumbprint(), 1)
    assert [(one.purpose, "UpdateSystem" in one.vi and "UpdateSystem" in one.en) for one in made.opens_nothing] == [
        ("settle", True)
    ]
    suspended = world.call("SuspendSystem", administrator, client_id="land", reason="Lộ khóa")
    listed = world.call("ListSystems", administrator, min_position=suspended.position).systems
    assert [(one.client_id, one.suspended, one.revision) for one in listed] == [("land", True, 2), ("tax", False, 0)]
    assert listed[0].kid == rotated.kid
    for asked, found in (
        ({"suspended": False}, ["tax"]),
        ({"operator_agency": "P56.5.1", "suspended": True}, ["land"]),
    ):
        assert [one.client_id for one in world.call("ListSystems", administrator, **asked).systems] == found
    world.call("ReinstateSystem", administrator, client_id="land", reason="Đã thay khóa")
    assert world.refusal("ReinstateSystem", administrator, client_id="sea", reason="r")[0] == "SYSTEM_UNKNOWN"
    private = json.dumps(key.as_dict(private=True))
    refused = world.refusal("RegisterSystem", administrator, public_jwk=private, **fields)
    assert refused[0] == "KEY_NOT_ACCEPTED"
    scope = {"purpose": "settle", "agencies": ["P56.5.1"], "all_procedures": True}
    changed = world.call(
        "UpdateSystem", administrator, client_id="land", purposes=["settle", "look-up"], scopes=[scope]
    )
    assert [one.purpose for one in changed.opens_nothing] == ["look-up"]
    bound = world.call("UpdateSystem", administrator, client_id="land", certificate_required=True)
    assert [one.purpose for one in bound.opens_nothing] == ["look-up"]
    listed = eventually(
        lambda: next(
            (
                one
                for one in world.call("ListSystems", administrator, min_position=bound.position).systems
                if one.client_id == "land" and one.certificate_required
            ),
            None,
        )
    )
    assert (list(listed.purposes), [one.purpose for one in listed.scopes]) == (["settle", "look-up"], ["settle"])
    narrowed = world.call("UpdateSystem", administrator, client_id="land", purposes=["look-up"])
    assert [one.purpose for one in narrowed.opens_nothing] == ["look-up"]


def test_an_official_s_token_tells_which_organisations_the_person_represents(world: World) -> None:
    assert "represents" not in claims(world, world.official(1))
    company = world.account_id(organisation(1).tax_code)
    assert organisation(1).representative == RECEPTIONIST
    assert claims(world, world.official(0))["represents"] == [company]
    assert "represents" not in claims(world, world.token(RECEPTIONIST.personal_number))
    code = world.dossier_of(company)
    asked = {"account_id": company} | stating("settle", code)
    assert world.refusal("GetAccount", world.official(0), **asked)[0] == "OWN_AFFAIR"


def test_subjects_keys_are_for_services_only(world: World) -> None:
    subjects = [str(uuid.uuid4()) for _ in range(3)]
    for token in (world.official(1), world.token(AN.personal_number), world.system_token().json()["access_token"]):
        refused = world.refusal("GetSubjectKeys", token, subject_ids=subjects)
        assert refused == ("ROLE_MISSING", grpc.StatusCode.PERMISSION_DENIED)
    service = world.host.service_token("dossier")
    assert [key.key for key in world.call("GetSubjectKeys", service, subject_ids=subjects).keys] == [b""] * 3
    with ThreadPoolExecutor(8) as pool:
        answers = pool.map(
            lambda _: world.call("GetSubjectKeys", service, subject_ids=subjects, create=True).keys, range(16)
        )
        given = [tuple(key.key for key in answer) for answer in answers]
    assert len(set(given)) == 1
    assert len(set(given[0])) == 3
    assert {len(key) for key in given[0]} == {32}
    files = current().raw(world.folder, "keys")
    assert subjects[0].encode() in files
    assert all(key not in files for key in given[0])


def test_erasure_destroys_the_key_and_the_person_is_gone(world: World) -> None:
    gone, administrator = citizen(4), world.official(1)
    token = world.token(gone.personal_number)
    account_id = claims(world, token)["sub"]
    refused = world.refusal("DecideErasure", administrator, account_id=account_id, outcome=3)
    assert refused[0] == "ERASURE_NOT_REQUESTED"
    world.call("RequestErasure", token)
    assert world.refusal("DecideErasure", administrator, account_id=account_id)[0] == "INVALID_REQUEST"
    service = world.host.service_token()
    [key] = world.call("GetSubjectKeys", service, subject_ids=[account_id]).keys
    wrapped = row_of(world, account_id)
    world.call("DecideErasure", administrator, account_id=account_id, outcome=facts.ERASURE_OUTCOME_SHREDDED)
    eventually(lambda: dead(world, token))
    assert world.refusal("GetMyAccount", token) == ("TOKEN_INVALID", grpc.StatusCode.UNAUTHENTICATED)
    [left] = eventually(
        lambda: (
            (keys := world.call("GetSubjectKeys", service, subject_ids=[account_id], create=True).keys)[0].destroyed
            and keys
        )
    )
    assert (len(key.key), left.key, left.destroyed) == (32, b"", True)
    read = world.call("GetAccount", administrator, account_id=account_id, **stating("data-request")).account
    assert (read.erased, read.full_name, read.personal_number, read.email) == (True, *["erased"] * 3)
    eventually(lambda: wrapped not in current().raw(world.folder, "keys"))
    again = eventually(lambda: world.log_in(gone.personal_number).json().get("access_token"))
    assert claims(world, again)["sub"] != account_id


def row_of(world: World, subject: str) -> bytes:
    [(wrapped,)] = current().sql(world.folder, "keys", f"SELECT wrapped FROM subject_keys WHERE subject = '{subject}'")
    return bytes(wrapped)


def test_keys_rotate_under_load_without_a_refused_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signing, "LEAD", timedelta(seconds=2))
    with world_in(tmp_path) as world:
        stop, kids, refused = threading.Event(), set[str](), list[str]()

        def load() -> None:
            while not stop.is_set():
                answer = world.system_token(exp=int(time.time()) + 60)
                if answer.status_code != 200:
                    refused.append(answer.text)
                    continue
                token = answer.json()["access_token"]
                kids.add(key_id(token))
                try:
                    world.call("GetAccount", token, account_id=subject, **stating("settle", code))
                except grpc.RpcError as error:
                    refused.append(str(error))

        administrator, subject = world.official(1), world.appointments[0].account_id
        code = world.dossier_of(subject)
        threads = [threading.Thread(target=load) for _ in range(4)]
        for thread in threads:
            thread.start()
        eventually(lambda: kids)
        rotated = world.call("RotateSigningKey", administrator)
        assert world.refusal("RotateSigningKey", administrator)[0] == "ROTATION_PENDING"
        assert rotated.kid not in kids
        eventually(lambda: rotated.kid in kids)
        published = [key.kid for key in world.stub.GetSigningKeys(pb.GetSigningKeysRequest()).keys]
        jwks = world.http.get("/.well-known/jwks.json").json()["keys"]
        stop.set()
        for thread in threads:
            thread.join()
        assert published == [key["kid"] for key in jwks] == [*(kids - {rotated.kid}), rotated.kid]
        assert (refused, len(kids)) == ([], 2)
        assert world.call("GetMyAccount", administrator).account.full_name == ADMINISTRATOR.full_name
        world.call("RotateSigningKey", administrator, compromised=True)
        eventually(lambda: dead(world, administrator))


def dead(world: World, token: str) -> bool:
    try:
        world.call("GetMyAccount", token)
    except grpc.RpcError as error:
        return bool(error.code() is grpc.StatusCode.UNAUTHENTICATED)
    return False


def test_a_restart_keeps_everything(tmp_path: Path) -> None:
    with world_in(tmp_path) as world:
        token, service = world.token(AN.personal_number), world.host.service_token()
        account = world.call("GetMyAccount", token).account
        keys = world.call("GetSubjectKeys", service, subject_ids=[account.account_id]).keys
        appointments, jwks = world.appointments, world.http.get("/.well-known/jwks.json").json()
    with world_in(tmp_path) as world:
        assert world.http.get("/.well-known/jwks.json").json() == jwks
        assert world.call("GetMyAccount", token).account == account
        service = world.host.service_token()
        assert world.call("GetSubjectKeys", service, subject_ids=[account.account_id]).keys == keys
        assert world.appointments == appointments
        assert len(stored(world, appointments[0].account_id, facts.OfficialAppointed)) == 1
        assert claims(world, world.token(AN.personal_number))["sub"] == account.account_id
