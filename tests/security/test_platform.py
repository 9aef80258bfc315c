"""A whole platform at its most talkative: its pages' headers, and no secret in anything that it wrote."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit
from uuid import uuid4

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import OKPKey

from command.trial.sample_system import CLIENT_ID
from command.trial.tokens import ASSERTION
from gateway.edge.envoy import PAGES
from gateway.sandbox.day.door import Door
from gateway.sandbox.people import citizen
from services.chassis.pages.security_headers import HEADERS
from tests.platform.deployment import Deployment
from tests.support.authority import Authority, context
from tests.support.waiting import eventually

SECONDS = 60
DEMO_SECONDS = 120
INLINE = re.compile(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son[a-z]+=|javascript:", re.IGNORECASE)
# Served by the platform, and no page of its own.
NO_PAGES = {"/healthz", "/openapi.json", "/oauth2/", "/.well-known/", "/ledger/witness/", "/ledger/receipts/"}


@pytest.fixture(scope="module")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("clients"), "systems' authority")


@pytest.fixture(scope="module")
def platform(clients: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    settings = {
        "MOTCUA_LOG_LEVEL": "DEBUG",
        "MOTCUA_EDGE_RATE": "2000",
        "MOTCUA_EDGE_BURST": "4000",
        "MOTCUA_CLIENT_AUTHORITY": str(clients.certificate),
    }
    deployment = Deployment(tmp_path_factory.mktemp("platform") / "data", settings=settings)
    deployment.start()
    yield deployment
    deployment.stop()


@pytest.fixture(scope="module")
def codes(platform: Deployment) -> list[str]:
    """Of dossiers of a short day: submitted, paid, settled."""
    played = platform.run("demo", "--dossiers", "1", "--rate", "10", "--json", seconds=DEMO_SECONDS)
    assert played.returncode == 0, played.stdout + played.stderr
    listed = platform.run("events", "--json").stdout.splitlines()
    found = {str(event["stream"]) for event in map(json.loads, listed) if event["type"].endswith("DossierSubmitted")}
    return [stream.removeprefix("dossier-") for stream in sorted(found)]


# Pages


def links(page: httpx.Response) -> set[str]:
    """What a reader's browser may load or follow from here, on this site."""
    found = {urljoin(str(page.url), link) for link in re.findall(r'(?:href|src|formaction)="([^"#]+)', page.text)}
    site = urlsplit(str(page.url)).netloc
    return {link.replace("&amp;", "&") for link in found if urlsplit(link).netloc == site}


def check(answer: httpx.Response) -> None:
    where = f"{answer.status_code} {answer.url}"
    for name, value in HEADERS.items():
        if name == "permissions-policy":  # the status page's camera reads QR codes
            assert answer.headers[name].replace("camera=(self)", "camera=()") == value, where
        else:
            assert answer.headers[name] == value, where
    if answer.headers.get("content-type", "").startswith("text/html"):
        assert not INLINE.search(answer.text), where


def test_every_page_has_the_headers_and_nothing_inline(platform: Deployment, codes: list[str]) -> None:
    with httpx.Client(timeout=SECONDS) as http:
        begun = http.get(f"{platform.url}/login", headers={"accept": "text/html"})
        check(begun)
        # A session, if pages for persons begin one.
        agreed = http.get(
            httpx.URL(begun.headers["location"]).copy_merge_params({"login_hint": citizen(3).personal_number})
        )
        check(http.get(agreed.headers["location"], headers={"accept": "text/html"}))
        paths = [
            "/",
            "/docs",
            "/ledger",
            "/ledger/checkpoint",
            "/login/callback",
            "/my/data",
            "/payment/vnpay/return",
            "/about",
            "/boards",
            "/procedures",
        ]
        paths += [f"/dossiers/{codes[0]}", "/dossiers/none", "/nothing-here", "/sandbox/vnpay/paymentv2/vpcpay.html"]
        waiting = {platform.url + path for path in paths} | {begun.headers["location"]}
        seen: dict[str, httpx.Response] = {}
        while waiting:
            address = waiting.pop()
            answer = seen[address] = http.get(address)
            check(answer)
            if answer.headers.get("content-type", "").startswith("text/html"):
                assert answer.headers["content-type"] == "text/html; charset=utf-8"
                files = {link for link in links(answer) if re.search(r"\.(css|js|svg)(\?|$)", link)}
                # A few of each kind: boards and procedures are many.
                pages = sorted(links(answer) - files)[:12] if len(seen) < 60 else []
                waiting |= (files | set(pages)) - set(seen)
        bad = {
            address
            for address, answer in seen.items()
            if re.search(r"\.(css|js)(\?|$)", address) and answer.status_code != 200
        }
        assert not bad
        visited = {urlsplit(address).path for address in seen} | {"/login"}
    for route in PAGES:
        if route.path not in NO_PAGES:
            assert any(
                path == route.path or (route.path.endswith("/") and path.startswith(route.path)) for path in visited
            ), route


def test_what_the_edge_says_itself_has_them_too(platform: Deployment) -> None:
    with httpx.Client(base_url=platform.url, timeout=SECONDS) as http:
        check(http.get("/v1/signing-keys"))
        check(http.get("/v1/dossiers/x", headers={"authorization": "Bearer nonsense"}))
        check(http.get("/metrics"))
        check(http.get("/v1/none"))
        check(http.post("/v1/dossiers", content=b"{", headers={"content-type": "application/json"}))


def test_over_tls_browsers_stay_there(platform: Deployment) -> None:
    verify = context(None, platform.data / "tls" / "ca.pem")
    with httpx.Client(verify=verify, timeout=SECONDS) as http:
        for path in ("/", "/docs", "/v1/signing-keys"):
            answer = http.get(f"https://localhost:{platform.port + 363}{path}")
            check(answer)
            assert answer.headers["strict-transport-security"] == "max-age=31536000"


# Secrets


class Secrets:
    """Everything that must stay unsaid, by what it is."""

    def __init__(self) -> None:
        self.known: dict[str, str] = {}

    def add(self, name: str, value: str) -> None:
        assert len(value) >= 16, name
        self.known[f"{name} {len(self.known)}"] = value

    def found_in(self, text: str) -> set[str]:
        return {name for name, value in self.known.items() if value in text}


def test_no_secret_reaches_a_log(platform: Deployment, clients: Authority, codes: list[str]) -> None:
    """The logs of the services, of the edge and of Envoy itself, and what the command printed."""
    secrets = Secrets()
    for path in (platform.data / "secrets").iterdir():
        text = path.read_text().strip()
        secrets.add(f"file {path.name}", json.loads(text)["d"] if path.suffix == ".jwk" else text)
    for path in (*platform.data.rglob("*.key"), *platform.data.rglob("*-key.pem"), clients.folder / "authority.key"):
        secrets.add(path.name, path.read_text().splitlines()[1])
    assert len(secrets.known) >= 9
    asyncio.run(use(platform, clients, secrets, codes))

    wrote = {path: path.read_text(errors="replace") for path in (platform.data / "logs").iterdir()}
    wrote |= {path: path.read_text(errors="replace") for path in (platform.data / "edge").glob("*") if path.is_file()}
    wrote[platform.data.parent / "data.out"] = platform.output()
    eventually(lambda: "/oauth2/token" in (platform.data / "logs" / "edge.jsonl").read_text(), SECONDS)
    assert sum(len(text) for text in wrote.values()) > 10_000
    leaked = {str(path): found for path, text in wrote.items() if (found := secrets.found_in(text))}
    assert leaked == {}


async def use(platform: Deployment, clients: Authority, secrets: Secrets, codes: list[str]) -> None:
    """Log in and call in every way, well and badly, and note what was secret in it."""
    url = platform.url
    async with httpx.AsyncClient(timeout=SECONDS) as http:
        begun = await http.get(f"{url}/login")
        cookie = begun.headers["set-cookie"].partition(";")[0]
        secrets.add("login cookie", cookie.partition("=")[2])
        agreed = await http.get(
            httpx.URL(begun.headers["location"]).copy_merge_params({"login_hint": citizen(3).personal_number})
        )
        code = httpx.URL(agreed.headers["location"]).params
        secrets.add("authorisation code", code["code"])
        secrets.add("login state", code["state"])
        back = await http.get(agreed.headers["location"], headers={"cookie": cookie})
        token = back.json()["access_token"]
        secrets.add("citizen's token", token)
        # Again, with what is used up; and a cookie that is not ours.
        await http.get(agreed.headers["location"], headers={"cookie": cookie})
        await http.get(agreed.headers["location"], headers={"cookie": cookie[:-4]})
        bearer = {"authorization": f"Bearer {token}"}
        assert (await http.get(f"{url}/v1/accounts/me", headers=bearer)).status_code == 200
        forged = token[:-6] + "AAAAAA"
        secrets.add("forged token", forged)
        assert (
            await http.get(f"{url}/v1/accounts/me", headers={"authorization": f"Bearer {forged}"})
        ).status_code == 401
        assert (await http.get(f"{url}/v1/accounts", headers=bearer)).status_code == 403
        await http.post(f"{url}/v1/dossiers", headers=bearer, json={"request_id": str(uuid4())})
        await http.get(f"{url}/payment/vnpay/return?vnp_SecureHash={'0' * 128}")

        door = Door(url)
        official = next(iter(platform.officials()))
        secrets.add("official's token", await door.log_in(official["person"], official["appointment_id"]))
        await door.close()

    dossier = f"/v1/dossiers/{codes[0]}"
    key = OKPKey.import_key(json.loads((platform.data / "secrets" / "sample-system.jwk").read_text()))
    mine = clients.give("mine", "mine.example")
    secrets.add("certificate's key", mine.key.read_text().splitlines()[1])
    async with httpx.AsyncClient(timeout=SECONDS, verify=context(mine, platform.data / "tls" / "ca.pem")) as http:
        secure = f"https://localhost:{platform.port + 363}"
        for scope, status in (("settle", 200), ("nonsense", 400)):
            assertion = signed(key, f"{url}/oauth2/token")
            secrets.add("assertion", assertion)
            form = {
                "grant_type": "client_credentials",
                "client_assertion_type": ASSERTION,
                "client_assertion": assertion,
                "scope": scope,
            }
            reply = await http.post(f"{secure}/oauth2/token", data=form)
            assert reply.status_code == status, reply.text
            if status == 200:
                secrets.add("system's token", reply.json()["access_token"])
                system = {"authorization": f"Bearer {reply.json()['access_token']}", "motcua-purpose": "settle"}
                assert (await http.get(f"{secure}{dossier}", headers=system)).status_code == 200
                refused = await httpx.AsyncClient().get(f"{url}{dossier}", headers=system)
                assert refused.status_code == 401


def signed(key: OKPKey, endpoint: str) -> str:
    now = int(time.time())
    claims: dict[str, Any] = {"iss": CLIENT_ID, "sub": CLIENT_ID, "aud": endpoint, "iat": now, "exp": now + 60}
    return jwt.encode({"alg": "EdDSA"}, claims | {"jti": str(uuid4())}, key, algorithms=["EdDSA"])


def test_the_scan_finds_what_it_looks_for(tmp_path: Path) -> None:
    secrets = Secrets()
    secrets.add("master", "0123456789abcdef")
    assert secrets.found_in('{"key": "0123456789abcdef"}') == {"master 0"}
    assert secrets.found_in("nothing") == set()
