"""The sandbox's VNeID, over its HTTP surface."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import httpx
import pytest
import uvicorn
from joserfc import jwt
from joserfc.jwk import KeySet

from gateway.sandbox.people import citizen, organisation
from gateway.sandbox.vneid import Client, Settings, create_app, load_key
from services.chassis.site.refusal import SiteRefused
from services.identity.oidc import Provider, ProviderSettings, ProviderUnavailable

ISSUER = "http://vneid.test/vneid"
BACK = "https://portal.test/callback"
VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
QUERY = {
    "response_type": "code",
    "client_id": "motcua",
    "redirect_uri": BACK,
    "scope": "openid profile email phone",
    "state": "s",
    "nonce": "n",
    "code_challenge": CHALLENGE,
    "code_challenge_method": "S256",
}
AN = citizen(0)


class Time:
    def __init__(self) -> None:
        self.now = datetime(2026, 3, 2, 8, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture(scope="session")
def key_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("vneid")


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
async def http(key_folder: Path, time: Time) -> AsyncIterator[httpx.AsyncClient]:
    clients = {"motcua": Client("secret:é", (BACK,)), "other": Client("x", (BACK,))}
    app = create_app(Settings(ISSUER, key_folder, clients, "admin", clock=time))
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://vneid.test") as client:
        yield client


async def code_for(http: httpx.AsyncClient, login: str, **changes: str) -> str:
    response = await http.get("/authorize", params={**QUERY, "login_hint": login, **changes})
    assert response.status_code == 303, response.text
    answer = dict(parse_qsl(urlsplit(response.headers["location"]).query))
    assert (answer["state"], answer["iss"]) == ("s", ISSUER)
    return answer["code"]


async def redeem(http: httpx.AsyncClient, code: str, **changes: str) -> httpx.Response:
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": BACK,
        "code_verifier": VERIFIER,
        "client_id": "motcua",
        "client_secret": "secret:é",
    }
    return await http.post("/token", data={**form, **changes})


async def claims_of(http: httpx.AsyncClient, token: str) -> dict[str, Any]:
    keys = KeySet.import_key_set((await http.get("/jwks")).json())
    return jwt.decode(token, keys, algorithms=["RS256"]).claims


async def test_a_citizen_logs_in(http: httpx.AsyncClient) -> None:
    answer = (await redeem(http, await code_for(http, AN.personal_number))).json()
    claims = await claims_of(http, answer["id_token"])
    assert {name: claims[name] for name in ("iss", "aud", "nonce", "LoaiTaiKhoan", "SoDinhDanh", "MaSoThue")} == {
        "iss": ISSUER,
        "aud": "motcua",
        "nonce": "n",
        "LoaiTaiKhoan": "1",
        "SoDinhDanh": AN.personal_number,
        "MaSoThue": "",
    }
    assert (claims["HoVaTen"], claims["acr"], claims["email"]) == (AN.full_name, "LoA2", AN.email)
    bearer = {"authorization": f"Bearer {answer['access_token']}"}
    about = (await http.get("/userinfo", headers=bearer)).json()
    assert about == {name: value for name, value in claims.items() if name in about}
    assert about["sub"] == claims["sub"]


async def test_an_organisation_logs_in_with_its_tax_code(http: httpx.AsyncClient) -> None:
    company = organisation(0)
    answer = (await redeem(http, await code_for(http, company.tax_code))).json()
    claims = await claims_of(http, answer["id_token"])
    assert (claims["LoaiTaiKhoan"], claims["MaSoThue"], claims["HoVaTen"]) == ("2", company.tax_code, company.name)


async def test_two_clients_see_another_sub(http: httpx.AsyncClient) -> None:
    mine = (await redeem(http, await code_for(http, AN.personal_number))).json()
    code = await code_for(http, AN.personal_number, client_id="other")
    theirs = (await redeem(http, code, client_id="other", client_secret="x")).json()
    subs = {(await claims_of(http, answer["id_token"]))["sub"] for answer in (mine, theirs)}
    assert len(subs) == 2


async def test_the_page_lists_persons_says_what_it_is_and_logs_in(http: httpx.AsyncClient) -> None:
    page = await http.get("/authorize", params=QUERY)
    assert page.status_code == 200
    for text in ("Đây không phải VNeID", "This is not VNeID", AN.full_name, AN.personal_number, organisation(0).name):
        assert text in page.text
    chosen = await http.post("/authorize", params=QUERY, data={"login": AN.personal_number})
    assert "code" in parse_qs(urlsplit(chosen.headers["location"]).query)
    cancelled = await http.post("/authorize", params=QUERY, data={"decision": "cancel"})
    assert parse_qs(urlsplit(cancelled.headers["location"]).query)["error"] == ["access_denied"]


async def test_the_page_says_that_a_number_is_unknown_and_escapes_it(http: httpx.AsyncClient) -> None:
    page = await http.post("/authorize", params=QUERY, data={"number": "<b>1", "decision": "login"})
    assert page.status_code == 404
    assert "“&lt;b&gt;1”" in page.text


async def test_a_code_is_good_once(http: httpx.AsyncClient) -> None:
    code = await code_for(http, AN.personal_number)
    assert (await redeem(http, code)).status_code == 200
    again = await redeem(http, code)
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")


async def test_a_code_lives_a_minute(http: httpx.AsyncClient, time: Time) -> None:
    code = await code_for(http, AN.personal_number)
    time.now += timedelta(seconds=60)
    assert (await redeem(http, code)).json()["error"] == "invalid_grant"


@pytest.mark.parametrize(
    ("change", "status", "error"),
    [
        ({"code_verifier": "w" * 43}, 400, "invalid_grant"),
        ({"redirect_uri": "https://evil.test"}, 400, "invalid_grant"),
        ({"client_secret": "guess"}, 401, "invalid_client"),
        ({"client_id": "other", "client_secret": "x"}, 400, "invalid_grant"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
    ],
)
async def test_a_token_is_refused(http: httpx.AsyncClient, change: dict[str, str], status: int, error: str) -> None:
    response = await redeem(http, await code_for(http, AN.personal_number), **change)
    assert (response.status_code, response.json()["error"]) == (status, error)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"scope": "profile"}, "invalid_scope"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"prompt": "none"}, "login_required"),
    ],
)
async def test_a_faulty_request_goes_back_with_its_error(
    http: httpx.AsyncClient, change: dict[str, str], error: str
) -> None:
    response = await http.get("/authorize", params={**QUERY, **change})
    assert parse_qs(urlsplit(response.headers["location"]).query)["error"] == [error]


async def test_nobody_is_sent_to_an_unregistered_address(http: httpx.AsyncClient) -> None:
    response = await http.get("/authorize", params={**QUERY, "redirect_uri": "https://evil.test"})
    assert (response.status_code, "location" in response.headers) == (400, False)


async def test_an_access_token_expires_and_an_id_token_is_none(http: httpx.AsyncClient, time: Time) -> None:
    answer = (await redeem(http, await code_for(http, AN.personal_number))).json()
    id_token = {"authorization": f"Bearer {answer['id_token']}"}
    assert (await http.get("/userinfo", headers=id_token)).status_code == 401
    time.now += timedelta(seconds=301)
    access = {"authorization": f"Bearer {answer['access_token']}"}
    assert (await http.get("/userinfo", headers=access)).status_code == 401


async def test_an_outage_is_switched_by_the_administrator_only(http: httpx.AsyncClient) -> None:
    admin = {"authorization": "Bearer admin"}
    assert (await http.put("/sandbox/outage", json={"down": True})).status_code == 401
    assert (await http.put("/sandbox/outage", json={"down": "yes"}, headers=admin)).status_code == 400
    assert (await http.put("/sandbox/outage", json={"down": True}, headers=admin)).json() == {"down": True}
    assert (await http.get("/.well-known/openid-configuration")).status_code == 503
    await http.put("/sandbox/outage", json={"down": False}, headers=admin)
    assert (await http.get("/.well-known/openid-configuration")).status_code == 200


def test_the_key_is_kept_and_only_its_owner_reads_it(key_folder: Path) -> None:
    assert load_key(key_folder).kid == load_key(key_folder).kid
    assert [file.name for file in key_folder.iterdir()] == ["vneid-key.pem"]
    assert (key_folder / "vneid-key.pem").stat().st_mode & 0o777 == 0o600


async def test_the_platforms_client_logs_in_over_a_real_socket_and_sees_an_outage(key_folder: Path) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    issuer = f"http://127.0.0.1:{listener.getsockname()[1]}"
    app = create_app(Settings(issuer, key_folder, {"motcua": Client("secret:é", (BACK,))}, "admin"))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
    serving = asyncio.create_task(server.serve([listener]))
    try:
        async with httpx.AsyncClient() as http:
            provider = Provider(ProviderSettings(issuer, "motcua", "secret:é", BACK), http, lambda: datetime.now(UTC))
            url = await provider.authorize_url("s", "n", VERIFIER, 2)
            sent_back = await http.get(f"{url}&login_hint={AN.personal_number}")
            answer = dict(parse_qsl(urlsplit(sent_back.headers["location"]).query))
            person = await provider.identify(await provider.redeem(answer["code"], VERIFIER), "n")
            assert (person.personal_number, person.full_name, person.level_of_assurance) == (
                AN.personal_number,
                AN.full_name,
                2,
            )
            await http.put(f"{issuer}/sandbox/outage", json={"down": True}, headers={"authorization": "Bearer admin"})
            with pytest.raises(ProviderUnavailable):
                await provider.redeem("code", VERIFIER)
    finally:
        server.should_exit = True
        await serving


@pytest.mark.parametrize("content", [b"", bytes(range(100)), b"-----BEGIN PRIVATE KEY-----"])
def test_a_damaged_key_is_said_in_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "vneid-key.pem").write_bytes(content)
    with pytest.raises(SiteRefused, match=r"vneid-key\.pem is no key: remove it"):
        load_key(tmp_path)
