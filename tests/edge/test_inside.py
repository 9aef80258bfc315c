"""What is for the platform itself cannot be reached from outside: the real methods, a real Envoy."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
import pytest_asyncio
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from joserfc import jwt
from joserfc.jwk import KeySet, OKPKey

from gateway.edge.api import Api, read
from gateway.edge.envoy import Address, Edge, Jwt
from gateway.edge.process import EdgeProcess
from scripts.build_protos import ROOT, build
from services.chassis.access.access import service_token
from services.registry import SERVICES
from tests.edge.trial import Trial, any_service, web_server

pytestmark = pytest.mark.asyncio(loop_scope="module")

build()
DESCRIPTORS = ROOT / "build" / "descriptors.binpb"
API = Api.read(read(DESCRIPTORS))
INTERNAL = [method for methods in API.methods.values() for method in methods if method.internal]
NAMES = tuple(name for name, service in SERVICES.items() if service.api)
LOOKUP = "/motcua.identity.v1.IdentityService/GetSigningKeys"


@dataclass
class Inside:
    process: EdgeProcess
    tokens: dict[str, str | None]
    calls: list[str]
    pages: Trial

    async def grpc(self, path: str, token: str | None) -> grpc.aio.AioRpcError | None:
        metadata = [("authorization", f"Bearer {token}")] if token else []
        async with grpc.aio.insecure_channel(f"127.0.0.1:{self.process.port}") as channel:
            call: Any = channel.unary_unary(path)
            try:
                await call(b"", metadata=metadata, timeout=5)
            except grpc.aio.AioRpcError as error:
                return error
        return None

    def http(self, method: str, path: str, body: str | None = None, **headers: str) -> int:
        """The path goes out as it is."""
        connection = http.client.HTTPConnection("127.0.0.1", self.process.port, timeout=5)
        connection.request(method, path, body, headers)
        return connection.getresponse().status


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def inside(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Inside]:
    folder = tmp_path_factory.mktemp("inside")
    key = OKPKey.generate_key("Ed25519", {"kid": "test", "alg": "EdDSA"})
    (folder / "jwks.json").write_text(json.dumps(KeySet([key]).as_dict()))
    claims = {"iss": "motcua", "aud": "motcua", "sub": "me", "exp": int(time.time()) + 60, "roles": ["service"]}
    user = jwt.encode({"alg": "EdDSA", "kid": "test"}, claims, key, algorithms=["EdDSA"])
    tokens = {"none": None, "user": user, "service": service_token("dossier", "a" * 64)}
    calls: list[str] = []
    pages = Trial(DESCRIPTORS, None, None)
    async with any_service(calls) as grpc_port, web_server(pages) as web_port:
        edge = Edge(
            port=0,
            host="127.0.0.1",
            descriptors=DESCRIPTORS,
            services=dict.fromkeys(NAMES, Address("127.0.0.1", grpc_port)),
            platform=Address("127.0.0.1", grpc_port),
            pages=dict.fromkeys(("admin", "docs", "identity", "payment", "status"), Address("127.0.0.1", web_port)),
            jwt=Jwt(jwks=folder / "jwks.json"),
            access_log=folder / "access.log",
        )
        process = EdgeProcess(edge, folder / "envoy")
        await process.start()
        yield Inside(process, tokens, calls, pages)
        await process.stop(1)


async def test_there_is_something_to_hide() -> None:
    assert {method.path for method in INTERNAL} >= {
        "/motcua.operations.v1.OperationsService/ListParked",
        "/motcua.operations.v1.OperationsService/RetryParked",
        "/motcua.identity.v1.IdentityService/GetSubjectKeys",
    }


async def test_other_methods_are_reached(inside: Inside) -> None:
    inside.calls.clear()
    assert await inside.grpc(LOOKUP, inside.tokens["user"]) is None
    assert inside.calls == [LOOKUP]


@pytest.mark.parametrize("bearer", ["none", "user", "service"])
@pytest.mark.parametrize("path", [method.path for method in INTERNAL])
async def test_no_token_leads_to_what_is_internal(inside: Inside, path: str, bearer: str) -> None:
    inside.calls.clear()
    inside.pages.paths.clear()
    error = await inside.grpc(path, inside.tokens[bearer])
    assert error is not None
    status = rpc_status.from_call(error)  # type: ignore[arg-type]
    assert status is not None
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    unknown = (grpc.StatusCode.UNIMPLEMENTED, "INVALID_REQUEST")
    # A service's token is for the inside, another audience.
    denied = (grpc.StatusCode.PERMISSION_DENIED, "ROLE_MISSING")
    assert (error.code(), info.reason) == (denied if bearer == "service" else unknown)
    assert (inside.calls, inside.pages.paths) == ([], [])


@pytest.mark.parametrize("path", [method.path for method in INTERNAL])
async def test_nor_in_another_form(inside: Inside, path: str) -> None:
    inside.calls.clear()
    inside.pages.paths.clear()
    for kind in ("application/json", "application/grpc-web+proto", "application/grpc"):
        inside.http("POST", path, "", **{"content-type": kind})
        inside.http("POST", f"/{path}", "", **{"content-type": kind})
        inside.http("POST", path.replace("S", "%53", 1), "", **{"content-type": kind})
    assert [call for call in inside.calls if call in {method.path for method in INTERNAL}] == []


async def test_json_has_no_path_to_it() -> None:
    assert [method.path for method in INTERNAL if method.http.WhichOneof("pattern")] == []


@pytest.mark.parametrize(
    "path",
    ["/metrics", "/livez", "//metrics", "/./metrics", "/about/../metrics", "/%6detrics", "/metrics?x=1", "/met%72ics"],
)
async def test_the_operators_pages_are_not_the_publics(inside: Inside, path: str) -> None:
    inside.pages.paths.clear()
    assert inside.http("GET", path) == 404
    assert inside.http("GET", path, **{"content-type": "application/grpc"}) in (200, 404)  # gRPC says it in a trailer
    assert inside.pages.paths == []
