"""Tokens bound to client certificates (RFC 8705), through the edge over TLS, with and without mutual TLS behind it."""

from __future__ import annotations

import base64
import json
import ssl
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path

import grpc
import httpx
import pytest
import pytest_asyncio
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from motcua.payment.v1.payment_service_pb2 import ReconcileDayRequest
from motcua.payment.v1.payment_service_pb2_grpc import PaymentServiceStub
from services.chassis.access.certificates import Files
from tests.security.site import DAY, PATIENCE, Site, grpc_reason, reason_of, site
from tests.support.authority import Authority, credentials

pytestmark = pytest.mark.asyncio(loop_scope="module")

NONE_SHOWN = (
    401,
    "CERTIFICATE_MISMATCH",
    "The access token is bound to a client certificate, and none was shown. Call over TLS with the certificate that the "
    "token was asked for with, or ask for a new token.",
)


@pytest_asyncio.fixture(loop_scope="module", scope="module", params=[False, True], ids=["loopback", "mutual"])
async def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    async with site(tmp_path_factory.mktemp("bound"), mutual=request.param) as made:
        yield made


def claims(token: str) -> dict[str, object]:
    payload = token.split(".")[1]
    found: dict[str, object] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return found


def digest(files: Files) -> str:
    der = x509.load_pem_x509_certificate(files.certificate.read_bytes()).public_bytes(Encoding.DER)
    return base64.urlsafe_b64encode(sha256(der).digest()).decode().rstrip("=")


async def read(site: Site, token: str, files: Files | None, base: str = "", **headers: str) -> httpx.Response:
    async with site.http(files) as http:
        return await http.get((base or site.secure) + DAY, headers={"authorization": f"Bearer {token}"} | headers)


async def test_a_token_asked_for_with_a_certificate_is_bound_to_it(running: Site) -> None:
    tax = await running.register()
    mine, other = (running.clients.give(name, f"{name}.tax.example") for name in ("mine", "other"))
    token = await tax.token(mine)
    assert claims(token)["cnf"] == {"x5t#S256": digest(mine)}
    assert (await read(running, token, mine)).status_code == 200
    refused = reason_of(await read(running, token, other))
    assert refused[:2] == (401, "CERTIFICATE_MISMATCH")
    assert "and another one was shown." in refused[2]
    assert reason_of(await read(running, token, None)) == NONE_SHOWN
    assert reason_of(await read(running, token, None, running.plain)) == NONE_SHOWN


async def test_the_same_by_grpc(running: Site) -> None:
    tax = await running.register()
    mine, other = (running.clients.give(name, f"{name}.tax.example") for name in ("mine", "other"))
    metadata = (("authorization", f"Bearer {await tax.token(mine)}"),)
    request = ReconcileDayRequest(day="2026-11-20")
    address = f"localhost:{running.edge.tls_port}"
    async with grpc.aio.secure_channel(address, credentials(mine, running.public)) as channel:
        await PaymentServiceStub(channel).ReconcileDay(request, metadata=metadata, timeout=PATIENCE)
    for files in (other, None):
        async with grpc.aio.secure_channel(address, credentials(files, running.public)) as channel:
            with pytest.raises(grpc.RpcError) as refused:
                await PaymentServiceStub(channel).ReconcileDay(request, metadata=metadata, timeout=PATIENCE)
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
        assert grpc_reason(refused.value) == "CERTIFICATE_MISMATCH"


async def test_nobody_forges_a_certificate_through_the_edge(running: Site) -> None:
    """Whatever a caller writes into the header is dropped, on the token endpoint and on the API."""
    tax = await running.register(certificate_required=True)
    mine, other = (running.clients.give(name, f"{name}.tax.example") for name in ("mine", "other"))
    token = await tax.token(mine)
    der = x509.load_pem_x509_certificate(mine.certificate.read_bytes()).public_bytes(Encoding.DER)
    forged = {"x-forwarded-client-cert": f"Hash={sha256(der).hexdigest()}"}
    for base in (running.secure, running.plain):
        assert reason_of(await read(running, token, None, base, **forged)) == NONE_SHOWN
        async with running.http() as http:
            reply = await http.post(f"{base}/oauth2/token", data=tax.form, headers=forged)
        assert (reply.status_code, reply.json()["error"]) == (401, "invalid_client")
    assert reason_of(await read(running, token, other, **forged))[:2] == (401, "CERTIFICATE_MISMATCH")


async def test_only_the_edge_may_say_which_certificate_was_shown(running: Site) -> None:
    """Under mutual TLS another part of the site, with a stolen token and the right digest, is not believed."""
    tax = await running.register()
    mine = running.clients.give("mine", "mine.tax.example")
    token = await tax.token(mine)
    der = x509.load_pem_x509_certificate(mine.certificate.read_bytes()).public_bytes(Encoding.DER)
    metadata = (
        ("authorization", f"Bearer {token}"),
        ("x-forwarded-client-cert", f"Hash={sha256(der).hexdigest()}"),
    )
    request = ReconcileDayRequest(day="2026-11-20")
    if not running.mutual:
        async with running.channel("payment") as channel:  # the loopback is the edge's
            await PaymentServiceStub(channel).ReconcileDay(request, metadata=metadata, timeout=PATIENCE)
        return
    async with running.channel("payment", "edge") as channel:
        await PaymentServiceStub(channel).ReconcileDay(request, metadata=metadata, timeout=PATIENCE)
    async with running.channel("payment", "warehouse") as channel:
        with pytest.raises(grpc.RpcError) as refused:
            await PaymentServiceStub(channel).ReconcileDay(request, metadata=metadata, timeout=PATIENCE)
    assert grpc_reason(refused.value) == "CERTIFICATE_MISMATCH"


async def test_a_services_token_is_its_own(running: Site) -> None:
    """Under mutual TLS the site's secret alone lets nobody pass for another service."""
    from motcua.identity.v1.identity_service_pb2 import GetSubjectKeysRequest
    from motcua.identity.v1.identity_service_pb2_grpc import IdentityServiceStub

    request = GetSubjectKeysRequest(subject_ids=["somebody"])
    metadata = (("authorization", f"Bearer {running.host.service_token('payment')}"),)
    async with running.channel("identity", "payment") as channel:
        await IdentityServiceStub(channel).GetSubjectKeys(request, metadata=metadata, timeout=PATIENCE)
    if running.mutual:
        async with running.channel("identity", "status") as channel:
            with pytest.raises(grpc.RpcError) as refused:
                await IdentityServiceStub(channel).GetSubjectKeys(request, metadata=metadata, timeout=PATIENCE)
        assert grpc_reason(refused.value) == "TOKEN_INVALID"


async def test_a_system_may_be_registered_to_show_one(running: Site) -> None:
    tax = await running.register(certificate_required=True)
    refused = await tax.ask()
    assert (refused.status_code, refused.json()) == (
        401,
        {
            "error": "invalid_client",
            "error_description": "The client is registered to show a client certificate. Call the token endpoint over TLS"
            " with it.",
            "error_description_vi": "Hệ thống này phải xuất trình chứng thư máy khách qua TLS.",
        },
    )
    assert "cnf" in claims(await tax.token(running.clients.give("mine", "mine.tax.example")))


async def test_without_a_certificate_a_token_is_not_bound(running: Site) -> None:
    tax = await running.register()
    token = await tax.token()
    assert "cnf" not in claims(token)
    for base in (running.secure, running.plain):
        assert (await read(running, token, None, base)).status_code == 200


async def test_a_certificate_of_an_unknown_authority_ends_the_handshake(running: Site, tmp_path: Path) -> None:
    strangers = Authority(tmp_path)
    tax = await running.register()
    # TLS 1.3 tells it after the handshake, where httpx passes on what ssl says.
    with pytest.raises((httpx.TransportError, ssl.SSLError)):
        await tax.ask(strangers.give("mine", "mine.tax.example"))
