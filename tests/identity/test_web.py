"""Login and tokens, against the sandbox's VNeID and a real table of identifiers."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OKPKey

from gateway.sandbox import vneid
from gateway.sandbox.people import citizen, organisation
from services.chassis.database.database import Database
from services.chassis.store.memory import MemoryStore
from services.identity import tokens
from services.identity.accounts.commands import AppointOfficial, RecordLogin
from services.identity.accounts.domain import Account, account
from services.identity.accounts.events import AccountEvent
from services.identity.accounts.values import AccountKind, Role
from services.identity.assertions import UsedAssertions
from services.identity.faults import Fault, OAuthError
from services.identity.identifiers import Identifiers
from services.identity.kms import LocalKeys
from services.identity.oidc import Provider, ProviderSettings
from services.identity.signing_keys.commands import RotateSigningKey
from services.identity.signing_keys.domain import SigningKey, SigningKeys, signing_keys
from services.identity.signing_keys.events import SigningKeyEvent
from services.identity.systems.commands import RegisterSystem, SuspendSystem
from services.identity.systems.domain import System, system
from services.identity.systems.events import SystemEvent
from services.identity.tokens import Person
from services.identity.values import EVERYWHERE, Office
from services.identity.vault import Vault
from services.identity.web import ID_TOKEN, JWT_BEARER, TOKEN_EXCHANGE, Redirect, Token, Web
from tests.support.postgresql import Engine

START = datetime(2026, 3, 2, 8, tzinfo=UTC)
ISSUER, BACK, ENDPOINT = "http://vneid.test", "https://motcua.test/callback", "https://motcua.test/oauth2/token"
AN, WEAK, COMPANY = citizen(0), citizen(9), organisation(0)
MASTER = bytes(range(32))


@dataclass
class World:
    """The service's side of the ports, over the real deciders."""

    identifiers: Identifiers
    now: datetime = START
    accounts: dict[str, list[AccountEvent]] = field(default_factory=dict)
    systems: dict[str, list[SystemEvent]] = field(default_factory=dict)
    key_events: list[SigningKeyEvent] = field(default_factory=list)
    private_keys: dict[str, OKPKey] = field(default_factory=dict)

    async def sign_in(self, person: Person, appointment_id: str, at: datetime) -> tuple[str, Account]:
        number = person.personal_number if person.kind is AccountKind.CITIZEN else person.tax_code
        account_id = await self.identifiers.claim(person.kind, number, str(uuid.uuid4()))
        history = self.accounts.setdefault(account_id, [])
        command = RecordLogin(
            account_id=account_id,
            at=at,
            kind=person.kind,
            full_name=person.full_name,
            personal_number=person.personal_number,
            tax_code=person.tax_code,
            email=person.email,
            phone=person.phone,
            level_of_assurance=person.level_of_assurance,
            appointment_id=appointment_id,
        )
        history.extend(account.decide(command, account.fold(history)))
        return account_id, account.fold(history)

    async def system(self, client_id: str) -> System:
        return system.fold(self.systems.get(client_id, ()))

    async def signing_keys(self) -> SigningKeys:
        return signing_keys.fold(self.key_events)

    async def published(self) -> tuple[SigningKey, ...]:
        return (await self.signing_keys()).published(self.now)

    async def private_key(self, kid: str) -> OKPKey:
        return self.private_keys[kid]

    def rotate(self) -> str:
        key = tokens.generate_signing_key()
        self.private_keys[key.kid or ""] = key
        command = RotateSigningKey(
            at=self.now,
            by="service:identity",
            kid=key.kid or "",
            public_jwk=tokens.public_jwk(key),
            lead=timedelta(hours=1),
            token_lifetime=tokens.LIFETIME,
        )
        self.key_events.extend(signing_keys.decide(command, signing_keys.fold(self.key_events)))
        return key.kid or ""

    def register(self, client_id: str, key: OKPKey | ECKey, *purposes: str) -> None:
        kid, public = tokens.parse_public_key(json.dumps(key.as_dict(private=False)))
        command = RegisterSystem(
            client_id=client_id,
            at=self.now,
            by="admin",
            name="Thuế",
            operator_agency="G12.18",
            purposes=purposes,
            kid=kid,
            public_jwk=public,
        )
        self.systems[client_id] = list(system.decide(command, System()))


@pytest.fixture(scope="session")
def key_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("vneid")


@pytest.fixture
async def vault(engine: Engine, tmp_path: Path) -> AsyncIterator[Vault]:
    database = Database(engine.url(tmp_path), "keys", durable=True)
    yield Vault(database, LocalKeys(lambda: [MASTER]), MemoryStore())
    await database.close()


@pytest.fixture
def world(vault: Vault) -> World:
    world = World(Identifiers(vault))
    world.rotate()
    return world


@pytest.fixture
async def http(world: World, key_folder: Path) -> AsyncIterator[httpx.AsyncClient]:
    clients = {"motcua": vneid.Client("secret", (BACK,)), "portal": vneid.Client("x", (BACK,))}
    app = vneid.create_app(vneid.Settings(ISSUER, key_folder, clients, "admin", clock=lambda: world.now))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app)) as client:
        yield client


@pytest.fixture
def make_web(world: World, http: httpx.AsyncClient, vault: Vault) -> Callable[[], Web]:
    def clock() -> datetime:
        return world.now

    async def cookie_secret() -> bytes:
        return await vault.secret("login-cookie")

    settings = ProviderSettings(ISSUER, "motcua", "secret", BACK, trusted_clients=("portal",))
    return lambda: Web(
        Provider(settings, http, clock), world, world, world, UsedAssertions(vault), (ENDPOINT,), cookie_secret, clock
    )


@pytest.fixture
def web(make_web: Callable[[], Web]) -> Web:
    return make_web()


async def at_vneid(http: httpx.AsyncClient, redirect: Redirect, login: str) -> dict[str, str]:
    response = await http.get(f"{redirect.url}&login_hint={login}")
    return dict(parse_qsl(urlsplit(response.headers["location"]).query))


async def log_in(web: Web, http: httpx.AsyncClient, login: str, scope: str = "") -> Token:
    redirect = await web.start_login(scope=scope)
    return (await web.finish_login(await at_vneid(http, redirect, login), redirect.cookie)).token


async def claims_of(web: Web, token: Token) -> dict[str, Any]:
    keys = KeySet.import_key_set(await web.jwks())  # type: ignore[arg-type]
    return jwt.decode(token.access_token, keys, algorithms=["EdDSA"]).claims


async def refused(awaitable: Any) -> OAuthError:
    with pytest.raises(OAuthError) as caught:
        await awaitable
    return caught.value


async def id_token_for(web: Web, http: httpx.AsyncClient, client: str = "motcua", secret: str = "secret") -> str:
    settings = replace(web.provider.settings, client_id=client, client_secret=secret)
    provider = Provider(settings, http, web.clock)
    redirect = Redirect(await provider.authorize_url("s", "n", "v" * 43, 1), "")
    return await provider.redeem((await at_vneid(http, redirect, AN.personal_number))["code"], "v" * 43)


def exchange(id_token: str, **more: str) -> list[tuple[str, str]]:
    form = {"grant_type": TOKEN_EXCHANGE, "subject_token": id_token, "subject_token_type": ID_TOKEN, **more}
    return list(form.items())


async def test_a_citizen_logs_in_and_returns_to_where_they_were(
    web: Web, http: httpx.AsyncClient, world: World
) -> None:
    redirect = await web.start_login("/dossiers?page=2", level=2)
    done = await web.finish_login(await at_vneid(http, redirect, AN.personal_number), redirect.cookie)
    claims = await claims_of(web, done.token)
    assert done.return_to == "/dossiers?page=2"
    assert (claims.pop("jti"), claims.pop("sub")) != ("", "")
    now = int(START.timestamp())
    assert claims == {
        "iss": "motcua",
        "aud": "motcua",
        "kind": "citizen",
        "roles": ["citizen"],
        "agency": "",
        "province": "",
        "purposes": [],
        "loa": 2,
        "iat": now,
        "nbf": now,
        "exp": now + 900,
    }


async def test_the_same_person_has_one_account_and_an_organisation_its_own(
    web: Web, http: httpx.AsyncClient, world: World
) -> None:
    first, second, company = [
        await log_in(web, http, n) for n in (AN.personal_number, AN.personal_number, COMPANY.tax_code)
    ]
    subjects = [(await claims_of(web, token))["sub"] for token in (first, second, company)]
    assert subjects[0] == subjects[1] != subjects[2]
    assert (await claims_of(web, company))["roles"] == ["organisation"]
    assert [type(event).__name__ for event in world.accounts[subjects[0]]] == [
        "AccountRegistered",
        "LoginSucceeded",
        "LoginSucceeded",
    ]


async def test_a_login_survives_a_restart_in_the_middle(make_web: Callable[[], Web], http: httpx.AsyncClient) -> None:
    redirect = await make_web().start_login()
    query = await at_vneid(http, redirect, AN.personal_number)
    assert (await make_web().finish_login(query, redirect.cookie)).return_to == "/"


async def test_a_login_is_bound_to_its_browser_and_its_time(web: Web, http: httpx.AsyncClient, world: World) -> None:
    mine, theirs = await web.start_login(), await web.start_login()
    query = await at_vneid(http, mine, AN.personal_number)
    for cookie in (theirs.cookie, "", "forged", mine.cookie[:-4] + "AAAA"):
        assert (await refused(web.finish_login(query, cookie))).fault is Fault.LOGIN_EXPIRED
    world.now += timedelta(minutes=10)
    assert (await refused(web.finish_login(query, mine.cookie))).fault is Fault.LOGIN_EXPIRED


async def test_a_code_is_not_redeemed_twice(web: Web, http: httpx.AsyncClient) -> None:
    redirect = await web.start_login()
    query = await at_vneid(http, redirect, AN.personal_number)
    await web.finish_login(query, redirect.cookie)
    assert (await refused(web.finish_login(query, redirect.cookie))).fault is Fault.LOGIN_EXPIRED


async def test_a_login_needs_the_level_that_was_asked_for(web: Web, http: httpx.AsyncClient) -> None:
    redirect = await web.start_login(level=2)
    query = await at_vneid(http, redirect, WEAK.personal_number)
    assert (await refused(web.finish_login(query, redirect.cookie))).fault is Fault.ASSURANCE_TOO_LOW


async def test_a_cancelled_login_says_so(web: Web) -> None:
    redirect = await web.start_login()
    state = dict(parse_qsl(urlsplit(redirect.url).query))["state"]
    error = await refused(web.finish_login({"state": state, "error": "access_denied"}, redirect.cookie))
    assert (error.fault, error.status) == (Fault.LOGIN_CANCELLED, 403)


AWAY = [
    *(
        "https://evil.test",
        "//evil.test",
        "/\\evil.test",
        "",
        "/a\nb",
        "evil.test",
        "javascript:alert(1)",
        "\t//evil.test",
    ),
    *("/\t/evil.test", "/%5cevil.test", "/%5Cevil.test", "/%2fevil.test", "/%2F/evil.test", "/%09/evil.test"),
    *("/%0d%0aset-cookie:a=b", "/%252fevil.test", "/%25255cevil.test", "/%2525252525255cevil.test", "/\u2215evil.test"),
]


@pytest.mark.parametrize(
    "address", ["/", "/my/data?page=2", "/procedures?q=%C4%91%E1%BA%A5t%20%C4%91ai", "/dossiers/P56-1#a"]
)
async def test_who_logs_in_returns_to_a_page_of_this_site(web: Web, address: str) -> None:
    assert (await web.start_login(address)).url.startswith("http")


@pytest.mark.parametrize("address", AWAY)
async def test_nobody_is_sent_away_after_a_login(web: Web, address: str) -> None:
    assert (await refused(web.start_login(address))).fault is Fault.REQUEST_MALFORMED


async def test_an_outage_of_vneid_is_told_in_both_languages(web: Web, http: httpx.AsyncClient) -> None:
    id_token = await id_token_for(web, http)
    await http.put(f"{ISSUER}/sandbox/outage", json={"down": True}, headers={"authorization": "Bearer admin"})
    for attempt in (web.start_login(), web.token(exchange(id_token))):
        error = await refused(attempt)
        assert (error.status, error.headers["retry-after"]) == (503, "30")
        assert error.body["error"] == "temporarily_unavailable"
        assert "Hồ sơ nháp vẫn được giữ" in error.body["error_description_vi"]
        assert error.body["error_description"].isascii()


async def test_a_vneid_token_is_exchanged_also_from_a_trusted_client(web: Web, http: httpx.AsyncClient) -> None:
    for client, secret in (("motcua", "secret"), ("portal", "x")):
        token = await web.token(exchange(await id_token_for(web, http, client, secret)))
        assert (await claims_of(web, token))["kind"] == "citizen"


async def test_a_vneid_token_is_refused(web: Web, http: httpx.AsyncClient, world: World) -> None:
    id_token = await id_token_for(web, http)
    stranger = replace(web, provider=Provider(replace(web.provider.settings, client_id="x"), http, web.clock))
    foreign = jwt.encode({"alg": "EdDSA", "kid": "?"}, {}, tokens.generate_signing_key(), algorithms=["EdDSA"])
    header, payload, signature = id_token.split(".")
    for client, token in (
        (stranger, id_token),
        (web, foreign),
        (web, "no token"),
        (web, f"{header}.{payload[:-2]}.{signature}"),
    ):
        assert (await refused(client.token(exchange(token)))).fault is Fault.SUBJECT_TOKEN_INVALID
    world.now += timedelta(minutes=6)
    assert (await refused(web.token(exchange(id_token)))).fault is Fault.SUBJECT_TOKEN_INVALID


async def test_an_official_chooses_an_appointment(web: Web, http: httpx.AsyncClient, world: World) -> None:
    person = (await claims_of(web, await log_in(web, http, AN.personal_number)))["sub"]
    history = world.accounts[person]
    roles = (Role.RECEPTIONIST, Role.CASHIER)
    appoint = AppointOfficial(
        account_id=person,
        at=START,
        by="admin",
        appointment_id="ap-1",
        roles=roles,
        agency="P56.22.336",
        province="56",
        starts_at=START,
        ends_at=START + timedelta(days=1),
        title="Công chức",
        decision_number="1/QĐ",
        reach=EVERYWHERE,
        office=Office("P56.22.336", "56"),
    )
    history.extend(account.decide(appoint, account.fold(history)))
    by_exchange = await web.token(exchange(await id_token_for(web, http), scope="appointment:ap-1"))
    by_browser = await log_in(web, http, AN.personal_number, scope="appointment:ap-1")
    for token in (by_exchange, by_browser):
        claims = await claims_of(web, token)
        assert token.scope == "appointment:ap-1"
        assert (claims["sub"], claims["kind"], claims["roles"]) == (person, "official", ["receptionist", "cashier"])
        assert (claims["agency"], claims["province"]) == ("P56.22.336", "56")
    id_token = await id_token_for(web, http)
    error = await refused(web.token(exchange(id_token, scope="appointment:ap-9")))
    assert (error.fault, error.why) == (Fault.APPOINTMENT_NOT_YOURS, "APPOINTMENT_UNKNOWN")
    assert (await refused(web.token(exchange(id_token, scope="admin")))).fault is Fault.APPOINTMENT_MALFORMED
    world.now += timedelta(days=1)
    error = await refused(web.token(exchange(await id_token_for(web, http), scope="appointment:ap-1")))
    assert (error.fault, error.why) == (Fault.APPOINTMENT_OVER, "APPOINTMENT_OVER")


def assertion(key: OKPKey | ECKey, world: World, **changes: Any) -> str:
    algorithm = "EdDSA" if isinstance(key, OKPKey) else "ES256"
    claims = {
        "iss": "tax",
        "sub": "tax",
        "aud": ENDPOINT,
        "exp": int(world.now.timestamp()) + 60,
        "jti": "1",
        **changes,
    }
    return jwt.encode({"alg": algorithm}, claims, key, algorithms=[algorithm])


def credentials(signed: str, scope: str = "settle", **more: str) -> list[tuple[str, str]]:
    form = {"grant_type": "client_credentials", "client_assertion_type": JWT_BEARER, "client_assertion": signed}
    return [*form.items(), ("scope", scope), *more.items()]


KEYS: list[OKPKey | ECKey] = [OKPKey.generate_key("Ed25519"), ECKey.generate_key("P-256")]


@pytest.mark.parametrize("key", KEYS, ids=["Ed25519", "P-256"])
async def test_a_system_gets_a_token_for_its_purposes(web: Web, world: World, key: OKPKey | ECKey) -> None:
    world.register("tax", key, "settle", "synchronise", "look-up")
    token = await web.token(credentials(assertion(key, world), "settle look-up settle"))
    claims = await claims_of(web, token)
    assert (claims["sub"], claims["kind"], claims["roles"]) == ("tax", "system", ["system"])
    assert (claims["purposes"], token.scope) == (["settle", "look-up"], "settle look-up")


@pytest.mark.parametrize(
    "changes",
    [
        {"sub": "other"},
        {"iss": "other", "sub": "other"},
        {"iss": "../x", "sub": "../x"},
        {"aud": "https://other.test"},
        {"exp": int(START.timestamp()) - 31},
        {"exp": int(START.timestamp()) + 600},
        {"exp": None},
        {"jti": ""},
        {"jti": "1\0"},
        {"nbf": int(START.timestamp()) + 60},
    ],
)
async def test_an_assertion_is_refused(web: Web, world: World, changes: dict[str, Any]) -> None:
    world.register("tax", KEYS[0], "settle")
    error = await refused(web.token(credentials(assertion(KEYS[0], world, **changes))))
    assert (error.fault, error.status) == (Fault.CLIENT_INVALID, 401)


async def test_another_key_a_suspended_system_and_another_client_id_are_refused(web: Web, world: World) -> None:
    world.register("tax", KEYS[0], "settle")
    stranger = OKPKey.generate_key("Ed25519")
    assert (await refused(web.token(credentials(assertion(stranger, world))))).fault is Fault.CLIENT_INVALID
    named = credentials(assertion(KEYS[0], world), client_id="other")
    assert (await refused(web.token(named))).fault is Fault.CLIENT_INVALID
    history = world.systems["tax"]
    suspend = SuspendSystem(client_id="tax", at=START, by="admin", reason="Lộ khóa", reach=EVERYWHERE)
    history.extend(system.decide(suspend, system.fold(history)))
    assert (await refused(web.token(credentials(assertion(KEYS[0], world))))).fault is Fault.CLIENT_INVALID


async def test_an_assertion_is_good_once_also_after_a_restart(make_web: Callable[[], Web], world: World) -> None:
    world.register("tax", KEYS[0], "settle")
    signed = assertion(KEYS[0], world)
    assert (await refused(make_web().token(credentials(signed, "synchronise")))).fault is Fault.SCOPE_INVALID
    await make_web().token(credentials(signed))
    assert (await refused(make_web().token(credentials(signed)))).fault is Fault.ASSERTION_REPLAYED
    await make_web().token(credentials(assertion(KEYS[0], world, jti="2")))


@pytest.mark.parametrize("scope", ["", "settle everything"])
async def test_a_purpose_that_is_not_registered_is_refused(web: Web, world: World, scope: str) -> None:
    world.register("tax", KEYS[0], "settle")
    error = await refused(web.token(credentials(assertion(KEYS[0], world), scope)))
    assert error.fault is Fault.SCOPE_INVALID


@pytest.mark.parametrize(
    ("form", "fault"),
    [
        ([], Fault.REQUEST_MALFORMED),
        ([("grant_type", "password")], Fault.GRANT_UNSUPPORTED),
        ([("grant_type", "client_credentials"), ("grant_type", "password")], Fault.REQUEST_MALFORMED),
        ([("grant_type", "client_credentials")], Fault.REQUEST_MALFORMED),
        ([("grant_type", TOKEN_EXCHANGE), ("subject_token_type", "jwt")], Fault.REQUEST_MALFORMED),
        (exchange("x", requested_token_type="saml"), Fault.REQUEST_MALFORMED),
    ],
)
async def test_a_malformed_request_is_refused(web: Web, form: list[tuple[str, str]], fault: Fault) -> None:
    assert (await refused(web.token(form))).fault is fault


async def test_keys_rotate_without_an_outage(web: Web, http: httpx.AsyncClient, world: World) -> None:
    old = world.key_events[0].kid
    new = world.rotate()
    world.now += timedelta(minutes=59)
    last = await log_in(web, http, AN.personal_number)
    published = [key["kid"] for key in (await web.jwks())["keys"]]
    assert (tokens.key_id(last.access_token), published) == (old, [old, new])
    world.now += timedelta(minutes=14)
    assert tokens.key_id((await log_in(web, http, AN.personal_number)).access_token) == new
    assert (await claims_of(web, last))["kind"] == "citizen"
    world.now += timedelta(minutes=5)
    jwks = (await web.jwks())["keys"]
    assert [key["kid"] for key in jwks] == [new]
    assert "d" not in jwks[0]
