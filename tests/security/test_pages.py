"""Pages of every service: whatever is asked, the answer is a clear one and leads nowhere else."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from gateway.ledger.service import LedgerService
from gateway.status.service import StatusService
from services.chassis.frame.http_server import HostedApp, _failed, without_host
from services.identity.service import IdentityService
from services.payment.service import PaymentService
from tests.support.hosted import Host, hosted
from tests.support.keys import MemoryKeys

PAGES = {
    "identity": [
        "/login",
        "/login/callback",
        "/oauth2/token",
        "/.well-known/jwks.json",
        "/my/data",
        "/my/logout",
        "/my",
    ],
    "payment": ["/payment/vnpay/return", "/payment/vnpay/ipn", "/payment/return.css", "/payment/"],
    "status": [
        "/",
        "/dossiers/{}",
        "/dossiers/{}/live",
        "/dossiers/{}/qr.svg",
        "/boards",
        "/boards/{}",
        "/boards/{}/{}",
        "/procedures",
        "/procedures/{}",
        "/about",
        "/robots.txt",
        "/static/{}",
    ],
    "ledger": [
        "/ledger",
        "/ledger/{}",
        "/ledger/receipts/{}",
        "/ledger/receipts/{}/{}",
        "/ledger/tile/0/{}",
        "/ledger/vkey",
    ],
}
EVIL = "evil.example"
WORDS = st.one_of(
    st.sampled_from(
        [
            "",
            "0",
            "-1",
            "99999999999999999999",
            "%00",
            "%ff",
            "%c3%28",
            "..",
            "%2e%2e%2f",
            "//evil.example",
            "%5cevil.example",
            "P56.22.336-20260302-0000001",
            "é",
            "<script>",
            "'",
            "a" * 3000,
            "{{7*7}}",
            "\u202e",
            "[]",
            "null",
            "%0d%0ax:y",
        ]
    ),
    st.text(max_size=12),
)
NAMES = st.sampled_from(
    [
        "code",
        "state",
        "error",
        "level",
        "scope",
        "return_to",
        "lang",
        "page",
        "q",
        "after",
        "seal",
        "vnp_TxnRef",
        "vnp_Amount",
        "vnp_SecureHash",
        "vnp_ResponseCode",
        "vnp_PayDate",
        "iss",
        "x",
    ]
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """Without a payment provider, and without VNeID."""
    keys = MemoryKeys()
    ring = {"key_ring": staticmethod(lambda *_: keys)}
    classes: list[Any] = [IdentityService, type("Hosted", (PaymentService,), ring), StatusService]
    classes.append(type("Hosted", (LedgerService,), ring))
    with hosted(tmp_path_factory.mktemp("pages"), classes, vneid_url="http://127.0.0.1:9/vneid") as host:
        yield host


def ask(host: Host, service: str, method: str, path: str, **more: Any) -> httpx.Response:
    address = host.platform.http_addresses[service]
    headers = {"host": EVIL, "x-forwarded-host": EVIL, **more.pop("headers", {})}
    with httpx.Client(trust_env=False, timeout=30) as http, http.stream(
        method, f"http://{address}{path}", headers=headers, **more
    ) as reply:  # fmt: skip
        if "event-stream" not in reply.headers.get("content-type", ""):
            reply.read()
        return reply


def check(reply: httpx.Response) -> None:
    # Away is who says when to come back: the provider of logins and that of payments are none here.
    assert reply.status_code < 500 or (reply.status_code == 503 and reply.headers.get("retry-after")), reply.text
    if location := reply.headers.get("location"):
        assert EVIL not in (urlsplit(location).netloc, urlsplit(location).hostname or "")
        assert not location.startswith(("//", "/\\"))
    if not reply.is_stream_consumed:
        return
    assert "Traceback" not in reply.text


@pytest.mark.parametrize(("service", "path"), [(service, path) for service, paths in PAGES.items() for path in paths])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "HEAD"])
def test_a_page_without_anything_that_it_needs(site: Host, service: str, path: str, method: str) -> None:
    for slash in ("", "/"):
        check(ask(site, service, method, path.replace("{}", "x") + slash))


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_a_page_that_is_asked_nonsense(site: Host, data: Any) -> None:
    service = data.draw(st.sampled_from(sorted(PAGES)))
    path = data.draw(st.sampled_from(PAGES[service]))
    while "{}" in path:
        path = path.replace("{}", quote(data.draw(WORDS)) or "x", 1)
    query = data.draw(st.lists(st.tuples(NAMES, WORDS), max_size=4))
    raw = "&".join(f"{name}={data.draw(st.sampled_from([quote(value), quote(quote(value))]))}" for name, value in query)
    method = data.draw(st.sampled_from(["GET", "POST"]))
    cookie = data.draw(st.sampled_from(["", "motcua-login=x", "motcua-session=a.b.c.d.e", "lang=xx"]))
    form = {"content-type": "application/x-www-form-urlencoded"}
    more: dict[str, Any] = {"headers": form, "content": raw.encode()} if method == "POST" else {"headers": {}}
    check(ask(site, service, method, f"{path}?{raw}", headers=more.pop("headers") | {"cookie": cookie}, **more))


def test_a_payment_s_page_without_a_provider_says_so(site: Host) -> None:
    reply = ask(site, "payment", "GET", "/payment/vnpay/return")
    assert (reply.status_code, reply.headers["retry-after"]) == (503, "5")
    assert "VNPAY" in reply.text
    assert len(reply.text.splitlines()) == 2


@pytest.mark.parametrize(
    "path", ["/boards/", "/procedures/", "/about/", "//evil.example/boards/", "/\\evil.example/boards/"]
)
def test_redirects_lead_to_this_site_whatever_host_was_asked(site: Host, path: str) -> None:
    reply = ask(site, "status", "GET", path)
    check(reply)
    if reply.is_redirect:
        assert reply.headers["location"].startswith("/")


def test_only_the_framework_s_redirects_lose_their_host() -> None:
    assert without_host("http://evil.example//x.example/a?b", "//x.example/a/") == "/x.example/a?b"
    assert without_host("http://evil.example/%5Cx/a/", "/\\x/a") == "/%5Cx/a/"
    assert without_host("https://vneid.example/authorize?x=y", "/login") == ""
    assert without_host("https://motcua.example/login/callback?code=x", "/sandbox/vneid/authorize") == ""


async def test_what_fails_costs_nobody_else_s_request() -> None:
    """The edge sends the next one's request on the same connection."""

    async def fail(_request: Request) -> Response:
        raise TypeError("of a library")

    async def cut(_request: Request) -> Response:
        async def part() -> AsyncIterator[bytes]:
            yield b"half"
            raise TypeError("of a library")

        return StreamingResponse(part())

    answer = {Exception: _failed}
    app = HostedApp(
        Starlette(routes=[Route("/fail", fail), Route("/cut", cut)], exception_handlers=answer), "127.0.0.1", 0
    )
    address = await app.start()
    try:
        reader, writer = await asyncio.open_connection(*address.split(":"))
        for _ in range(3):
            writer.write(b"GET /fail HTTP/1.1\r\nhost: x\r\n\r\n")
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 500")
            length = int(re.search(rb"content-length: (\d+)", head)[1])  # type: ignore[index]
            assert await reader.readexactly(length)
        # What is not answered to its end is not taken for whole.
        writer.write(b"GET /cut HTTP/1.1\r\nhost: x\r\n\r\n")
        rest = await reader.read()
        assert not rest.endswith(b"0\r\n\r\n")
        writer.close()
    finally:
        await app.stop()
