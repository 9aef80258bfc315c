"""Services with certificates of a private authority: who is let in, who is not, and certificates that change."""

from __future__ import annotations

import asyncio
import shutil
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
import pytest_asyncio
from cryptography import x509
from grpc_health.v1 import health_pb2, health_pb2_grpc
from pydantic import ValidationError

from gateway.edge.certificates import ensure
from gateway.edge.envoy import Address, Edge, Mutual, Tls
from gateway.edge.process import EdgeProcess
from gateway.status.service import StatusService
from motcua.identity.v1.identity_service_pb2 import GetSigningKeysRequest
from motcua.identity.v1.identity_service_pb2_grpc import IdentityServiceStub
from services.chassis.access.certificates import Files, peer_name
from services.chassis.access.tls import Credentials
from services.chassis.platform.remote_keys import RemoteKeys
from services.chassis.platform.settings import Settings
from services.identity.service import IdentityService
from tests.support.authority import Authority, context, credentials
from tests.support.hosted import Host, hosted

DESCRIPTORS = Path(__file__).parents[2] / "build" / "descriptors.binpb"
SITE = "vn-56"
IDENTITY = peer_name("identity", SITE)
PATIENCE = 30


def settings_of(files: Files) -> dict[str, Path]:
    return {"tls_certificate": files.certificate, "tls_key": files.key, "tls_authority": files.authority}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def host(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    folder = tmp_path_factory.mktemp("site")
    with hosted(folder, [IdentityService, StatusService], **settings_of(authority.platform())) as running:
        yield running


@pytest.fixture(scope="module")
def strangers(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("strangers"), "another authority")


def ask(host: Host, files: Files | None, authority: Authority) -> int:
    """How many signing keys identity tells to whoever holds the certificate."""
    options = (("grpc.ssl_target_name_override", IDENTITY),)
    secure = credentials(files, authority.certificate)
    with grpc.secure_channel(host.address("identity"), secure, options) as channel:
        reply = IdentityServiceStub(channel).GetSigningKeys(GetSigningKeysRequest(), timeout=PATIENCE)
    return len(reply.keys)


def test_a_part_of_the_site_is_answered(host: Host, authority: Authority) -> None:
    assert ask(host, authority.give("edge", peer_name("edge", SITE)), authority) >= 1


def test_without_a_certificate_nobody_is_answered(host: Host, authority: Authority) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        ask(host, None, authority)
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE


def test_another_authoritys_certificate_is_refused(host: Host, authority: Authority, strangers: Authority) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        ask(host, strangers.give("edge", peer_name("edge", SITE)), authority)
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize("name", ["edge.vn-01.internal", "vn-56.internal", "somebody.vn-56.internal"])
def test_a_certificate_that_names_no_part_of_the_site_is_refused(host: Host, authority: Authority, name: str) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        ask(host, authority.give("other", name), authority)
    assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert refused.value.details() == f"The certificate names {name}, which is no part of this site."


@pytest.mark.parametrize("service", ["grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"])
def test_nor_does_it_reach_what_lies_beside_the_api(host: Host, authority: Authority, service: str) -> None:
    stranger = credentials(authority.give("other", "somebody.vn-56.internal"), authority.certificate)
    options = (("grpc.ssl_target_name_override", IDENTITY),)
    with grpc.secure_channel(host.address("identity"), stranger, options) as channel:
        if service.endswith("Health"):
            calls: list[Any] = [
                lambda: health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=PATIENCE),
                lambda: next(
                    health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(), timeout=PATIENCE)
                ),
            ]
        else:
            reflect: Any = channel.stream_stream(f"/{service}/ServerReflectionInfo")
            calls = [lambda: next(reflect(iter([b""]), timeout=PATIENCE))]
        for call in calls:
            with pytest.raises(grpc.RpcError) as refused:
                call()
            assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED


def test_a_service_checks_whom_it_asks(host: Host, authority: Authority) -> None:
    """Somebody with a certificate of the site, who is not identity, is not given anybody's keys to make."""
    keys = RemoteKeys(host.platform, "payment")
    made = host.run(keys.keys(["somebody"], create=True))
    assert len(made["somebody"]) == 32

    secure = credentials(authority.give("edge", peer_name("edge", SITE)), authority.certificate)
    options = (("grpc.ssl_target_name_override", peer_name("warehouse", "vn-01")),)
    with grpc.secure_channel(host.address("identity"), secure, options) as channel:
        with pytest.raises(grpc.RpcError) as refused:
            IdentityServiceStub(channel).GetSigningKeys(GetSigningKeysRequest(), timeout=PATIENCE)
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE


def get(host: Host, path: str, files: Files | None, authority: Authority) -> httpx.Response:
    verify = context(files, authority.certificate)
    address = host.platform.http_addresses["identity"]
    with httpx.Client(verify=verify, trust_env=False, timeout=PATIENCE) as client:
        return client.get(f"https://{address}{path}", extensions={"sni_hostname": IDENTITY})


def test_pages_are_for_the_edge(host: Host, authority: Authority, strangers: Authority) -> None:
    path = "/.well-known/jwks.json"
    edge, payment = (authority.give(part, peer_name(part, SITE)) for part in ("edge", "payment"))
    assert get(host, path, edge, authority).status_code == 200
    for files in (None, payment):
        refused = get(host, path, files, authority)
        assert (refused.status_code, refused.text) == (
            403,
            "This port is for edge.vn-56.internal: show a certificate with that name.",
        )
    with pytest.raises(httpx.TransportError):
        get(host, path, strangers.give("edge", peer_name("edge", SITE)), authority)


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics"])
def test_probes_need_no_certificate(host: Host, authority: Authority, path: str) -> None:
    assert get(host, path, None, authority).status_code == 200


def test_without_tls_nobody_is_answered(host: Host) -> None:
    with grpc.insecure_channel(host.address("identity")) as channel, pytest.raises(grpc.RpcError):
        IdentityServiceStub(channel).GetSigningKeys(GetSigningKeysRequest(), timeout=PATIENCE)
    with pytest.raises(httpx.TransportError):
        httpx.get(f"http://{host.platform.http_addresses['identity']}/livez", trust_env=False)


# Through the edge, and while certificates change


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def edge(
    host: Host, authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[EdgeProcess]:
    folder = tmp_path_factory.mktemp("edge")
    public = ensure(folder / "tls")
    own = authority.give("the-edge", peer_name("edge", SITE))

    def address(text: str) -> Address:
        name, _, port = text.rpartition(":")
        return Address(name, int(port))

    process = EdgeProcess(
        Edge(
            port=0,
            host="127.0.0.1",
            tls=Tls(port=0, certificate=public.certificate, key=public.key),
            descriptors=DESCRIPTORS,
            services={"identity": address(host.address("identity"))},
            platform=address(host.address("status")),
            pages={name: address(host.platform.http_addresses[name]) for name in ("identity", "status")},
            mutual=Mutual(site=SITE, certificate=own.certificate, key=own.key, authority=own.authority),
            access_log=folder / "access.log",
        ),
        folder / "envoy",
    )
    await process.start()
    yield process
    await process.stop(1)


@pytest.mark.asyncio(loop_scope="module")
async def test_the_edge_reaches_the_services(edge: EdgeProcess) -> None:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{edge.port}", trust_env=False, timeout=PATIENCE) as http:
        assert (await http.get("/v1/signing-keys")).json()["keys"]
        assert (await http.get("/.well-known/jwks.json")).json()["keys"]
        assert (await http.get("/")).status_code == 200


async def served(address: str, name: str, verify: ssl.SSLContext) -> x509.Certificate:
    """The certificate that a new connection sees."""
    host, _, port = address.rpartition(":")
    _, writer = await asyncio.open_connection(host, int(port), ssl=verify, server_hostname=name)
    found = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return x509.load_der_x509_certificate(found)


async def until_served(address: str, name: str, verify: ssl.SSLContext, wanted: x509.Certificate) -> None:
    async with asyncio.timeout(PATIENCE):
        while await served(address, name, verify) != wanted:  # noqa: ASYNC110 - another process's state
            await asyncio.sleep(0.05)


def certificate(files: Files) -> x509.Certificate:
    return x509.load_pem_x509_certificate(files.certificate.read_bytes())


@pytest.mark.asyncio(loop_scope="module")
async def test_services_take_new_certificates_without_a_restart(host: Host, authority: Authority) -> None:
    operator = authority.give("operator", peer_name("operator", SITE))
    grpc_address, http_address = host.address("identity"), host.platform.http_addresses["identity"]
    by_grpc, by_http = (context(operator, authority.certificate) for _ in range(2))
    by_grpc.set_alpn_protocols(["h2"])
    before = await served(grpc_address, IDENTITY, by_grpc)
    after = certificate(authority.platform())
    assert after != before
    await until_served(grpc_address, IDENTITY, by_grpc, after)
    await until_served(http_address, IDENTITY, by_http, after)
    keys = RemoteKeys(host.platform, "payment")
    assert host.run(keys.keys(["anybody"], create=True))


@pytest.mark.asyncio(loop_scope="module")
async def test_a_call_under_way_outlives_both_certificates(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    files = authority.give("both", IDENTITY)
    ends = Credentials(files, SITE)
    rotated = asyncio.Event()

    async def answer(request: bytes, _context: object) -> AsyncIterator[bytes]:
        yield b"before " + request
        await rotated.wait()
        yield b"after " + request

    server = grpc.aio.server()
    handlers: dict[str, Any] = {"Watch": grpc.unary_stream_rpc_method_handler(answer)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Old", handlers),))
    port = server.add_secure_port("127.0.0.1:0", ends.for_grpc_server())
    await server.start()
    address = f"127.0.0.1:{port}"
    old = ends.channel("identity", address)
    watch: Any = old.unary_stream("/test.Old/Watch")
    watching = watch(b"old")
    assert await watching.read() == b"before old"

    after = certificate(authority.give("both", IDENTITY))
    verify = context(files, authority.certificate)
    verify.set_alpn_protocols(["h2"])
    await until_served(address, IDENTITY, verify, after)
    new = ends.channel("identity", address)
    assert new is not old
    watch = new.unary_stream("/test.Old/Watch")
    assert await watch(b"new").read() == b"before new"
    rotated.set()
    assert await watching.read() == b"after old"
    await ends.close()
    await server.stop(0)


def test_files_that_do_not_fit_together_are_left_until_they_do(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    files = authority.give("torn", IDENTITY)
    ends = Credentials(files, SITE)
    first = ends.current()
    other = authority.give("other", IDENTITY)
    shutil.copy(other.key, files.key)
    assert ends.current() is first
    shutil.copy(other.certificate, files.certificate)
    assert ends.current().certificate == other.certificate.read_bytes()
    files.authority.write_text("no certificate")
    assert ends.current().certificate == other.certificate.read_bytes()


def test_the_authority_is_replaced_too(tmp_path: Path) -> None:
    """By gRPC and by HTTP: who had the old authority's certificate is no longer let in."""
    old, new = Authority(tmp_path / "old"), Authority(tmp_path / "new", "the new one")
    files = old.platform()
    edge_of = {one: one.give("edge", peer_name("edge", SITE)) for one in (old, new)}
    with hosted(tmp_path / "site", [IdentityService], **settings_of(files)) as host:
        assert ask(host, edge_of[old], old) >= 1
        assert get(host, "/.well-known/jwks.json", edge_of[old], old).status_code == 200
        theirs = new.platform()
        for path, replaced in zip(
            (files.key, files.certificate, files.authority),
            (theirs.key, theirs.certificate, new.certificate),
            strict=True,
        ):
            fresh = path.with_suffix(".new")
            shutil.copy(replaced, fresh)
            fresh.replace(path)
        assert ask(host, edge_of[new], new) >= 1
        assert get(host, "/.well-known/jwks.json", edge_of[new], new).status_code == 200
        accepted = context(edge_of[new], new.certificate)
        accepted.check_hostname = False
        assert talk(host.platform.http_addresses["identity"], accepted).startswith(b"HTTP/1.1 200 OK")
        # Also for one who names no server.
        unnamed = context(edge_of[old], new.certificate)
        unnamed.check_hostname = False
        with pytest.raises((ssl.SSLError, OSError)):
            talk(host.platform.http_addresses["identity"], unnamed)
        # Trusts the new authority, shows a certificate of the old one.
        with pytest.raises(grpc.RpcError):
            ask(host, edge_of[old], new)
        with pytest.raises(httpx.TransportError):
            get(host, "/.well-known/jwks.json", edge_of[old], new)


def talk(address: str, verify: ssl.SSLContext) -> bytes:
    """One request without SNI; raises where the handshake, which in TLS 1.3 a client finishes first, is refused."""
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), PATIENCE) as plain, verify.wrap_socket(plain) as secure:
        secure.sendall(b"GET /livez HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        found = secure.recv(100)
    if not found:
        raise OSError("closed")
    return found


@pytest.mark.asyncio(loop_scope="module")
async def test_the_edge_shows_its_new_certificate_to_services(
    edge: EdgeProcess, host: Host, authority: Authority
) -> None:
    """One without the edge's name is refused by the pages, once a new connection shows it: so it was read."""
    path = "/.well-known/jwks.json"
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{edge.port}", trust_env=False, timeout=PATIENCE) as http:
        assert (await http.get(path)).status_code == 200
        authority.give("the-edge", peer_name("payment", SITE))
        async with asyncio.timeout(PATIENCE):
            # Many at once: connections that were open before go on with what they showed.
            while 403 not in await statuses(http, path):  # noqa: ASYNC110 - another process's state
                await asyncio.sleep(0.05)


async def statuses(http: httpx.AsyncClient, path: str) -> set[int]:
    return {reply.status_code for reply in await asyncio.gather(*(http.get(path) for _ in range(10)))}


@pytest.mark.parametrize("given", [{"tls_certificate": "a"}, {"tls_certificate": "a", "tls_key": "b"}])
def test_half_an_identity_is_refused(given: dict[str, str]) -> None:
    with pytest.raises(ValidationError) as refused:
        Settings(**given)  # type: ignore[arg-type]
    assert "MOTCUA_TLS_AUTHORITY too, or none of the three" in str(refused.value)
