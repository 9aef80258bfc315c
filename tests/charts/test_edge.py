"""The edge that the chart makes: Envoy takes its configuration, and it serves by the chart's own command."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
import pytest_asyncio
import uvicorn
import yaml
from joserfc import jwt
from joserfc.jwk import KeySet, OKPKey
from pydantic import TypeAdapter
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from gateway.edge import certificates
from gateway.edge.__main__ import main
from gateway.edge.envoy import Edge
from gateway.edge.own_pages import own_pages
from gateway.edge.process import binary
from motcua.options.v1 import options_pb2
from services.registry import SERVICES
from tests.charts.chart import ROOT, VARIANTS, Object, container, one, variant
from tests.edge.trial import any_service
from tests.support import rpcs
from tests.support.authority import Authority

DESCRIPTORS = ROOT / "build" / "descriptors.binpb"
SECONDS = 60.0
# One of each service that answers once.
RPCS = {
    rpc.server: rpc.path
    for rpc in rpcs.RPCS
    if not rpc.descriptor.server_streaming and list(rpc.access.roles) != [options_pb2.ROLE_SERVICE]
}


def settings(name: str) -> Object:
    read: Object = yaml.safe_load(one(variant(name), "ConfigMap", "edge-config")["data"]["edge.yaml"])
    return read


def placed(given: Object, folder: Path, authority: Authority) -> Object:
    """With certificates and descriptors where this machine has them."""
    made = {**given, "descriptors": str(DESCRIPTORS)}
    if "tls" in given:
        files = certificates.ensure(folder / "public")
        made["tls"] = {**given["tls"], "certificate": str(files.certificate), "key": str(files.key)}
        if "client_ca" in given["tls"]:
            made["tls"]["client_ca"] = str(authority.certificate)
    if "mutual" in given:
        own = authority.give("edge", f"edge.{given['mutual']['site']}.internal")
        files_of = {"certificate": own.certificate, "key": own.key, "authority": own.authority}
        made["mutual"] = {**given["mutual"], **{name: str(path) for name, path in files_of.items()}}
    return made


@pytest.mark.parametrize("name", ["province", "everything", "trial", "passthrough"])
async def test_envoy_takes_the_configuration(name: str, tmp_path: Path) -> None:
    made = placed(settings(name), tmp_path, Authority(tmp_path / "authority"))
    edge = TypeAdapter(Edge).validate_python({**made, "secrets": str(tmp_path)})
    (tmp_path / "envoy.yaml").write_text(edge.config())
    for file, content in edge.secret_files().items():
        (tmp_path / file).write_text(content)
    check = await asyncio.create_subprocess_exec(
        binary(), "--config-path", tmp_path / "envoy.yaml", "--mode", "validate", "--disable-hot-restart",
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, complaint = await check.communicate()
    assert check.returncode == 0, complaint.decode()


async def test_under_mutual_tls_every_part_is_asked_for_its_name_and_the_loopback_for_none(tmp_path: Path) -> None:
    edge = TypeAdapter(Edge).validate_python(
        placed(settings("everything"), tmp_path, Authority(tmp_path / "authority"))
    )
    async with own_pages(edge) as whole:
        clusters = yaml.safe_load(whole.config())["static_resources"]["clusters"]
    names = {
        cluster["name"]: cluster.get("transport_socket", {}).get("typed_config", {}).get("sni") for cluster in clusters
    }
    peers = {f"grpc-{service}": f"{service}.vn-56.internal" for service in SERVICES}
    pages = {f"http-{service}": f"{service}.vn-56.internal" for service in SERVICES if SERVICES[service].pages}
    own = dict.fromkeys(("http-admin", "http-docs", "stats", "nowhere"))
    assert names == {**peers, **pages, **own, "grpc-platform": "status.vn-56.internal"}


@pytest.mark.parametrize("name", VARIANTS)
def test_the_files_and_ports_are_those_of_the_pod(name: str) -> None:
    given, pod = settings(name), container(variant(name), "edge")
    mounts = [mount["mountPath"] for mount in pod["volumeMounts"]]
    files = re.findall(r"(?<=: )/etc/\S+", yaml.safe_dump(given))
    assert all(any(file.startswith(f"{mount}/") for mount in mounts) for file in files)
    assert pod["command"][3].startswith("/etc/motcua/edge/")
    ports = {port["name"]: port["containerPort"] for port in pod["ports"]}
    wanted = {"http": given["port"], "stats": given["stats_port"]}
    assert ports == wanted | ({"https": given["tls"]["port"]} if "tls" in given else {})
    folder, _, file = given["descriptors"].rpartition("/")
    containerfile = (ROOT / "images" / "Containerfile").read_text()
    assert re.search(rf"cp \S*{re.escape(file)} \S*{re.escape(folder)}/", containerfile)
    assert set(given["services"]) == set(SERVICES)
    assert given["platform"] == given["services"]["status"]
    assert ("sandbox" in given["pages"]) == ("trial" in name)
    for kind, port in (("services", 50051), ("pages", 8081)):
        assert all(at == [f"motcua-{part}", port] for part, at in given[kind].items())


def test_the_edge_s_values_are_the_edge_s_fields() -> None:
    given = settings("everything")
    assert (given["rate"], given["burst"], given["trusted_hops"]) == (50, 200, 1)
    assert given["origins"] == ["https://dichvucong.gov.vn"]
    assert given["trace_percent"] == 25
    assert settings("province")["trace_percent"] == 0  # nobody takes traces
    assert given["access_log"] == "/dev/stdout"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "No such file"),
        ("port: [", "while parsing"),
        ("port: 8080\nports: 1\n", "Unexpected keyword argument"),
        ("port: eighty\n", "valid integer"),
    ],
)
def test_settings_that_are_none_are_refused(content: str | None, said: str, tmp_path: Path) -> None:
    path = tmp_path / "edge.yaml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SystemExit, match=said) as ended:
        main(path, show=True)
    assert str(ended.value).startswith("edge: ")


@dataclass
class Behind:
    """Every service of the chart, as far as the edge can tell."""

    key: OKPKey
    calls: list[str] = field(default_factory=list)
    pages: list[str] = field(default_factory=list)

    def token(self, **claims: Any) -> str:
        body = {"iss": "motcua", "aud": "motcua", "sub": "somebody", "exp": int(time.time()) + 600} | claims
        return jwt.encode({"alg": "EdDSA", "kid": "test"}, body, self.key, algorithms=["EdDSA"])

    @asynccontextmanager
    async def web(self) -> AsyncIterator[int]:
        async def keys(_: Request) -> Response:
            return JSONResponse(KeySet([self.key]).as_dict())

        async def page(request: Request) -> Response:
            self.pages.append(request.url.path)
            return PlainTextResponse(request.url.path)

        routes = [Route("/.well-known/jwks.json", keys), Route("/{path:path}", page)]
        server = uvicorn.Server(uvicorn.Config(Starlette(routes=routes), port=0, log_level="warning", lifespan="off"))
        sockets = [server.config.bind_socket()]
        serving = asyncio.create_task(server.serve(sockets))
        yield sockets[0].getsockname()[1]
        server.should_exit = True
        await serving


@dataclass
class Served:
    url: str
    stats: str
    behind: Behind
    http: httpx.AsyncClient
    channel: grpc.aio.Channel
    rate: int
    burst: int


def free_ports(count: int) -> list[int]:
    held = [socket.socket() for _ in range(count)]
    for one_of_them in held:
        one_of_them.bind(("127.0.0.1", 0))
    ports = [int(each.getsockname()[1]) for each in held]
    for one_of_them in held:
        one_of_them.close()
    return ports


async def until(ready: Any, process: asyncio.subprocess.Process, log: Path) -> None:
    async with asyncio.timeout(SECONDS):
        while not await ready():
            assert process.returncode is None, log.read_text()  # noqa: ASYNC240 - it has ended
            await asyncio.sleep(0.05)


@pytest_asyncio.fixture(loop_scope="module", scope="module", params=["province", "everything"])
async def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    """By the command of the edge's container, with the files and the services that are here."""
    folder = tmp_path_factory.mktemp(request.param)
    given = placed(settings(request.param), folder, Authority(folder / "authority"))
    # What is behind has no certificates; that the edge shows its own is tested in tests/security.
    given.pop("mutual", None)
    port, tls, stats = free_ports(3)
    behind = Behind(OKPKey.generate_key("Ed25519", {"kid": "test", "alg": "EdDSA"}))
    async with AsyncExitStack() as stack:
        rpc = await stack.enter_async_context(any_service(behind.calls))
        web = await stack.enter_async_context(behind.web())
        given |= {"port": port, "stats_port": stats, "host": "127.0.0.1"}
        given["services"] = {name: ["127.0.0.1", rpc] for name in given["services"]}
        given["platform"] = ["127.0.0.1", rpc]
        given["pages"] = {name: ["127.0.0.1", web] for name in given["pages"]}
        if "tls" in given:
            given["tls"]["port"] = tls
        (folder / "edge.yaml").write_text(yaml.safe_dump(given))
        program, *arguments = container(variant(request.param), "edge")["command"]
        assert program == "python"
        where = {"/etc/motcua/edge/edge.yaml": folder / "edge.yaml", "/tmp/edge": folder / "envoy"}
        command = [sys.executable, *(str(where.get(argument, argument)) for argument in arguments)]
        log = folder / "log"
        with log.open("ab") as output:  # Envoy opens it again
            process = await asyncio.create_subprocess_exec(
                *command, stdout=output, stderr=output, cwd=ROOT,
                env={"PYTHONPATH": f"{ROOT}:{ROOT / 'protos'}", "PATH": "/usr/bin:/bin"},
            )  # fmt: skip
        http = await stack.enter_async_context(httpx.AsyncClient(trust_env=False, timeout=SECONDS))
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(f"127.0.0.1:{port}"))
        readiness = container(variant(request.param), "edge")["readinessProbe"]["httpGet"]["path"]

        async def ready() -> bool:
            try:
                return (await http.get(f"http://127.0.0.1:{stats}{readiness}")).status_code == 200
            except httpx.TransportError:
                return False

        try:
            await until(ready, process, log)
            yield Served(
                f"http://127.0.0.1:{port}",
                f"http://127.0.0.1:{stats}",
                behind,
                http,
                channel,
                given["rate"],
                given["burst"],
            )
        finally:
            if process.returncode is None:
                process.terminate()
            assert await process.wait() == 0, log.read_text()
        # The last calls' lines are on the process's own output, whole.
        lines = [json.loads(line) for line in log.read_text().splitlines() if '"rpc"' in line]
        assert lines


module = pytest.mark.asyncio(loop_scope="module")


@module
@pytest.mark.parametrize("service", RPCS)
async def test_grpc_reaches_each_service(served: Served, service: str) -> None:
    call: Any = served.channel.unary_unary(RPCS[service], None, None)
    await call(b"", metadata=(("authorization", f"Bearer {served.behind.token()}"),), timeout=SECONDS)
    assert served.behind.calls[-1] == RPCS[service]


@module
async def test_a_token_of_another_key_is_refused(served: Served) -> None:
    other = Behind(OKPKey.generate_key("Ed25519", {"kid": "test", "alg": "EdDSA"}))
    call: Any = served.channel.unary_unary(RPCS["dossier"], None, None)
    for token in (other.token(), served.behind.token(exp=1)):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call(b"", metadata=(("authorization", f"Bearer {token}"),), timeout=SECONDS)
        assert refused.value.code() == grpc.StatusCode.UNAUTHENTICATED


@module
@pytest.mark.parametrize("path", ["/", "/login", "/payment/vnpay/ipn", "/ledger/checkpoint", "/dossiers/H56-1"])
async def test_pages_are_those_of_their_services(served: Served, path: str) -> None:
    answer = await served.http.get(f"{served.url}{path}")
    assert (answer.status_code, answer.text) == (200, path)
    assert "content-security-policy" in answer.headers


@module
async def test_the_edge_describes_the_api_itself_and_says_who_does_not_serve(served: Served) -> None:
    described = (await served.http.get(f"{served.url}/openapi.json")).json()
    assert "/v1/dossiers" in described["paths"]
    assert (await served.http.get(f"{served.url}/docs")).status_code == 200
    # What answers everything here says nothing of its health.
    health = await served.http.get(f"{served.url}/healthz")
    assert health.status_code == 503
    assert sorted(health.json()["waiting_for"]) == sorted(SERVICES)


@module
@pytest.mark.parametrize(
    "path", ["/metrics", "/readyz", "/livez", "/motcua.operations.v1.OperationsService/ListParked"]
)
async def test_what_is_internal_has_no_path(served: Served, path: str) -> None:
    assert (await served.http.get(f"{served.url}{path}")).status_code == 404


@module
async def test_statistics_are_for_the_scraper(served: Served) -> None:
    assert "envoy_http_downstream_rq_total" in (await served.http.get(f"{served.stats}/metrics")).text
    assert (await served.http.get(f"{served.stats}/config_dump")).status_code == 404


@module
async def test_only_the_named_origins_call_from_a_browser(served: Served) -> None:
    asked = {"origin": "https://dichvucong.gov.vn", "access-control-request-method": "POST"}
    answer = await served.http.options(f"{served.url}/v1/dossiers", headers=asked)
    assert answer.headers.get("access-control-allow-origin") == "https://dichvucong.gov.vn"
