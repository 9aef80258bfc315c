"""Whom the edge counts as one caller, and what it tells the services of a caller's address."""

from __future__ import annotations

import json
import stat
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
import pytest_asyncio
from joserfc import jwt
from joserfc.jwk import KeySet, OKPKey

from gateway.edge.envoy import SUBJECT, Address, Edge, Jwt
from gateway.edge.process import EdgeProcess
from services.chassis.access.tls import CLIENT
from tests.edge.trial import Trial, grpc_server, web_server

BURST = 6
KEY = OKPKey.generate_key("Ed25519", {"kid": "test", "alg": "EdDSA"})


def token(sub: str) -> str:
    claims = {"iss": "motcua", "aud": "motcua", "sub": sub, "exp": int(time.time()) + 600}
    return jwt.encode({"alg": "EdDSA", "kid": "test"}, claims, KEY, algorithms=["EdDSA"])


@asynccontextmanager
async def serving(trial: Trial, folder: Path, **settings: Any) -> AsyncIterator[EdgeProcess]:
    (folder / "jwks.json").write_text(json.dumps(KeySet([KEY]).as_dict()))
    async with grpc_server(trial) as rpc, web_server(trial) as web:
        edge = Edge(
            port=0,
            host="127.0.0.1",
            descriptors=trial.descriptors,
            services={"trial": Address("127.0.0.1", rpc)},
            platform=Address("127.0.0.1", rpc),
            pages={"status": Address("127.0.0.1", web)},
            jwt=Jwt(jwks=folder / "jwks.json"),
            rate=1,
            burst=BURST,
            access_log=folder / "access.log",
        )
        process = EdgeProcess(replace(edge, **settings), folder / "envoy")
        await process.start()
        try:
            yield process
        finally:
            await process.stop(0.1)


def client(process: EdgeProcess) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=f"http://127.0.0.1:{process.port}", trust_env=False)


UNVERIFIED: list[list[tuple[str, str]]] = [
    [],
    [("authorization", "Bearer x")],
    [("authorization", "bearer {valid}")],
    [("authorization", "BEARER x")],
    [("authorization", "Bearer")],
    [("authorization", "Bearer  x")],
    [("authorization", "Basic eDp5")],
    [("authorization", "x"), ("authorization", "Bearer x")],
    [(SUBJECT, "somebody-else")],
    [(SUBJECT.title(), "another"), ("authorization", "bearer {valid}")],
]
GRPC_WEB = [("content-type", "application/grpc-web"), ("x-grpc-web", "1")]
PATHS = {
    "json": "/v1/trials/A-1",
    "page": "/boards",
    "grpc-web": "/motcua.trial.v1.TrialService/GetTrial",
    "health": "/grpc.health.v1.Health/Check",
}
# OVERLOADED; as gRPC-Web has it, UNAVAILABLE; a token that is refused costs the services nothing.
REFUSED = {429, 401, "8", "14", "16"}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def behind_a_proxy(trial: Trial, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EdgeProcess]:
    async with serving(trial, tmp_path_factory.mktemp("callers"), trusted_hops=1) as process:
        yield process


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("number", range(len(UNVERIFIED)))
@pytest.mark.parametrize("where", PATHS)
async def test_who_is_not_verified_shares_the_address_s_bucket(
    behind_a_proxy: EdgeProcess, number: int, where: str
) -> None:
    # Each case has an address of its own, so that one edge serves all.
    address = ("x-forwarded-for", f"10.{list(PATHS).index(where)}.{number}.1")
    answers: list[int | str | None] = []
    async with client(behind_a_proxy) as http:
        for call in range(BURST + 3):
            headers = [(name, value.format(valid=token("forged"))) for name, value in UNVERIFIED[number]]
            # Another value each time, as who wants buckets of their own would send.
            headers = [(name, value + str(call) if name.lower() == SUBJECT else value) for name, value in headers]
            if where in ("json", "page"):
                answers.append((await http.get(PATHS[where], headers=[address, *headers])).status_code)
            else:
                reply = await http.post(PATHS[where], headers=[address, *GRPC_WEB, *headers], content=b"\0\0\0\0\0")
                answers.append(reply.headers.get("grpc-status"))
    assert set(answers[BURST:]) & REFUSED, answers
    assert not set(answers[:BURST]) & {429, "8", "14"}, answers


async def test_who_is_verified_has_a_bucket_of_their_own(trial: Trial, tmp_path: Path) -> None:
    async with serving(trial, tmp_path) as process, client(process) as http:
        for _ in range(BURST + 3):
            last = await http.get("/v1/trials/A-1")
        assert last.status_code == 429
        mine = {"authorization": f"Bearer {token('me')}"}
        assert (await http.get("/v1/trials/A-1", headers=mine)).status_code == 200
        for _ in range(BURST + 3):
            last = await http.get("/v1/trials/A-1", headers=mine)
        assert last.status_code == 429
        other = {"authorization": f"Bearer {token('another')}"}
        assert (await http.get("/v1/trials/A-1", headers=other)).status_code == 200


FORGED = {CLIENT: "8.8.8.8", SUBJECT: "admin", "x-forwarded-for": "9.9.9.9, 10.0.0.7"}


@pytest.mark.parametrize(("hops", "expected"), [(0, "127.0.0.1"), (1, "10.0.0.7"), (2, "9.9.9.9")])
async def test_the_services_are_told_the_trusted_address(
    trial: Trial, tmp_path: Path, hops: int, expected: str
) -> None:
    async with serving(trial, tmp_path, trusted_hops=hops) as process, client(process) as http:
        await http.get("/boards", headers=FORGED)
        assert (trial.headers[CLIENT], trial.headers.get(SUBJECT)) == (expected, None)
        told = (await http.get("/v1/trials/A-1", headers=FORGED)).json()["headers"]
        assert (told[CLIENT], told.get(SUBJECT)) == (expected, None)
        async with grpc.aio.insecure_channel(f"127.0.0.1:{process.port}") as channel:
            stub: Any = trial.rpc.TrialServiceStub(channel)
            reply = await stub.GetTrial(trial.pb.GetTrialRequest(trial_code="A"), metadata=tuple(FORGED.items()))
            assert (reply.headers[CLIENT], reply.headers.get(SUBJECT)) == (expected, None)


async def test_one_ipv6_prefix_is_one_caller(trial: Trial, tmp_path: Path) -> None:
    async with serving(trial, tmp_path, trusted_hops=1) as process, client(process) as http:

        async def call(address: str) -> int:
            return (await http.get("/v1/trials/A-1", headers={"x-forwarded-for": address})).status_code

        answers = [await call(f"2001:db8:0:1::{number:x}") for number in range(1, BURST + 4)]
        assert answers[:BURST] == [200] * BURST
        assert 429 in answers[BURST:]
        assert await call("2001:db8:0:2::1") == 200


async def test_the_admin_interface_is_its_owner_s(trial: Trial, tmp_path: Path) -> None:
    async with serving(trial, tmp_path) as process:
        socket = process.edge.admin
        assert stat.S_ISSOCK(socket.stat().st_mode)
        assert stat.S_IMODE(socket.stat().st_mode) == 0o600
        assert stat.S_IMODE(socket.parent.stat().st_mode) == 0o700


async def test_it_has_a_socket_also_where_the_folder_s_name_is_long(trial: Trial, tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 100)
    folder.mkdir()
    async with serving(trial, folder) as process:
        assert not process.edge.admin.is_relative_to(tmp_path)
        assert stat.S_IMODE(process.edge.admin.parent.stat().st_mode) == 0o700
    assert not process.edge.admin.parent.exists()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "127.0.0.1.example"])
def test_a_sandbox_is_for_this_machine(tmp_path: Path, host: str) -> None:
    given: Any = {"port": 0, "descriptors": tmp_path, "services": {}, "access_log": tmp_path}
    with pytest.raises(ValueError, match=r"anybody logs in as an administrator: set host to 127\.0\.0\.1, or sandbox_"):
        Edge(host=host, pages={"sandbox": Address("127.0.0.1", 1)}, **given)
    Edge(host=host, pages={"status": Address("127.0.0.1", 1)}, **given)
    Edge(host="127.0.0.1", pages={"sandbox": Address("127.0.0.1", 1)}, **given)
