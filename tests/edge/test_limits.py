"""What the edge lets in: exactly the limit passes, one more is refused with the answer that is documented."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from gateway.edge.envoy import Address, Edge
from gateway.edge.process import EdgeProcess
from gateway.edge.strict import DEEPEST, MOST_VALUES
from services.chassis.access.access import LONGEST_TOKEN
from tests.edge.trial import Trial, grpc_server, web_server

LARGEST = 100_000
HEADERS_KIB = 16
CONNECTIONS = 4
STREAMS = 3
PATIENCE = 30


@pytest.fixture
def trial(trial: Trial) -> Trial:
    """A test's own: an asyncio.Event belongs to one loop."""
    return Trial(trial.descriptors, trial.pb, trial.rpc)


@pytest_asyncio.fixture
async def behind(trial: Trial, tmp_path: Path) -> AsyncIterator[Edge]:
    async with grpc_server(trial) as grpc_port, web_server(trial) as web_port:
        yield Edge(
            port=0,
            host="127.0.0.1",
            descriptors=trial.descriptors,
            services={"trial": Address("127.0.0.1", grpc_port)},
            pages={"status": Address("127.0.0.1", web_port)},
            access_log=tmp_path / "access.log",
            max_request_bytes=LARGEST,
            max_headers_kib=HEADERS_KIB,
        )


@asynccontextmanager
async def started(edge: Edge, folder: Path) -> AsyncIterator[EdgeProcess]:
    process = EdgeProcess(edge, folder / "envoy")
    await process.start(PATIENCE)
    try:
        yield process
    finally:
        await process.stop(0.1)


def client(process: EdgeProcess) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=f"http://127.0.0.1:{process.port}", trust_env=False, timeout=PATIENCE)


def told(reply: httpx.Response) -> tuple[int, str, str]:
    body = reply.json()
    return reply.status_code, body["details"][0]["reason"], body["message"]


async def raw(process: EdgeProcess, request: bytes) -> bytes:
    """The answer's first line and all that follows, to bytes as they are."""
    reader, writer = await asyncio.open_connection("127.0.0.1", process.port)
    writer.write(request)
    await writer.drain()
    async with asyncio.timeout(PATIENCE):
        answer = await reader.read()
    writer.close()
    return answer


async def test_bodies(behind: Edge, tmp_path: Path) -> None:
    def sized(size: int) -> bytes:
        empty = json.dumps({"request_id": ""}).encode()
        return json.dumps({"request_id": "x" * (size - len(empty))}).encode()

    async with started(behind, tmp_path) as process, client(process) as http:
        as_json = {"content-type": "application/json"}
        assert len(sized(LARGEST)) == LARGEST
        assert (await http.post("/v1/flaky", content=sized(LARGEST), headers=as_json)).status_code == 200
        refused = await http.post("/v1/flaky", content=sized(LARGEST + 1), headers=as_json)
        assert told(refused) == (413, "INVALID_REQUEST", "The request is too large.")
        page = await http.post("/about", content=b"x" * LARGEST)
        assert (page.status_code, page.text) == (200, f"/about {LARGEST}")
        assert (await http.post("/about", content=b"x" * (LARGEST + 1))).status_code == 413


async def test_values_and_levels_of_a_body(behind: Edge, tmp_path: Path) -> None:
    """The body is the first value, the form the second, and its list the third."""
    values = [0] * (MOST_VALUES - 3)
    levels = '{"a":' * (DEEPEST - 1)
    wide = '{"form":{"a":%s}}'
    deep = '{"form":%s0%s}'
    closed = "}" * (DEEPEST - 1)
    many = "The body has too many values."
    async with (
        started(replace(behind, max_request_bytes=8 * 1024 * 1024), tmp_path) as process,
        client(process) as http,
    ):
        for body, why in (
            (wide % json.dumps(values), ""),
            (wide % json.dumps([*values, 0]), many),
            (deep % (levels, closed), ""),
            (deep % (levels + "[", "]" + closed), "The body is nested too deeply."),
        ):
            reply = await http.post("/v1/amounts", content=body)
            assert why in reply.text
            assert bool(why) is ("The request cannot be read." in reply.text)


async def test_headers(behind: Edge, tmp_path: Path) -> None:
    """In HTTP/1.1 every byte before the body counts."""

    def sized(size: int) -> bytes:
        empty = b"GET /about HTTP/1.1\r\nhost: a\r\nconnection: close\r\nx: %s\r\n\r\n"
        return empty % (b"y" * (size - len(empty % b"")))

    def many(count: int) -> bytes:
        two = b"GET /about HTTP/1.1\r\nhost: a\r\nconnection: close\r\n"
        return two + b"".join(b"x-%d: y\r\n" % number for number in range(count - 2)) + b"\r\n"

    async with started(behind, tmp_path) as process:
        for request, status in (
            (sized(HEADERS_KIB * 1024), b"200 OK"),
            (sized(HEADERS_KIB * 1024 + 1), b"431 Request Header Fields Too Large"),
            (many(behind.max_headers), b"200 OK"),
            (many(behind.max_headers + 1), b"431 Request Header Fields Too Large"),
        ):
            answer = await raw(process, request)
            assert answer.startswith(b"HTTP/1.1 " + status), answer
            if status.startswith(b"431"):
                assert b'"reason":"INVALID_REQUEST"' in answer
                assert b'"message":"The headers are too large."' in answer


async def test_a_token_has_room(behind: Edge, tmp_path: Path) -> None:
    """The longest one is below what the edge takes, by gRPC as by JSON: without the token's check here, it is passed on."""
    authorization = "Bearer " + "t" * LONGEST_TOKEN
    async with started(behind, tmp_path) as process, client(process) as http:
        reply = await http.get("/v1/trials/A-1", headers={"authorization": authorization})
        assert reply.json()["headers"]["authorization"] == authorization


async def test_a_connection_that_is_one_too_many(behind: Edge, tmp_path: Path) -> None:
    get = b"GET /about HTTP/1.1\r\nhost: a\r\n\r\n"
    last = b"GET /about HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"
    async with started(replace(behind, max_connections=CONNECTIONS), tmp_path) as process:
        kept = []
        for _ in range(CONNECTIONS):
            reader, writer = await asyncio.open_connection("127.0.0.1", process.port)
            writer.write(get)
            assert (await asyncio.wait_for(reader.readline(), PATIENCE)) == b"HTTP/1.1 200 OK\r\n"
            kept.append(writer)
        assert await ended(process, get) == b""
        kept.pop().close()
        async with asyncio.timeout(PATIENCE):
            # The edge notices a moment later that one has gone.
            while not await ended(process, last):  # noqa: ASYNC110 - another process's state
                await asyncio.sleep(0.05)
        for writer in kept:
            writer.close()


async def ended(process: EdgeProcess, request: bytes) -> bytes:
    try:
        return await raw(process, request)
    except ConnectionError:
        return b""


async def test_streams_of_one_connection(behind: Edge, tmp_path: Path) -> None:
    """HTTP/2 tells the client, which holds back what is beyond."""
    async with started(replace(behind, streams_per_connection=STREAMS), tmp_path) as process:
        assert await announced(process) == STREAMS


async def announced(process: EdgeProcess) -> int:
    """SETTINGS_MAX_CONCURRENT_STREAMS (RFC 9113, 6.5.2) of the edge's first frame."""
    reader, writer = await asyncio.open_connection("127.0.0.1", process.port)
    writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\x04\x00" + bytes(4))
    async with asyncio.timeout(PATIENCE):
        head = await reader.readexactly(9)
        body = await reader.readexactly(int.from_bytes(head[:3]))
    writer.close()
    assert head[3] == 4
    settings = {int.from_bytes(body[i : i + 2]): int.from_bytes(body[i + 2 : i + 6]) for i in range(0, len(body), 6)}
    return settings[3]


@pytest.mark.parametrize(
    ("sent", "limits"),
    [
        (b"GET /about HTTP/1.1\r\nhost: a\r\nx: never", {"headers_seconds": 0.5}),
        (b"POST /about HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhalf", {"request_seconds": 0.5}),
        (
            b"POST /v1/flaky HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 10\r\n\r\n{",
            {"request_seconds": 0.5},
        ),
    ],
    ids=["headers", "page", "json"],
)
async def test_whoever_is_slow(behind: Edge, tmp_path: Path, sent: bytes, limits: dict[str, float]) -> None:
    async with started(replace(behind, **limits), tmp_path) as process:  # type: ignore[arg-type]
        answer = await raw(process, sent)
        assert answer.startswith(b"HTTP/1.1 408 Request Timeout\r\n"), answer
        assert b'"message":"The request did not arrive in time."' in answer


@pytest.mark.parametrize("asked", [b"", b"GET /about HTTP/1.1\r\nhost: a\r\n\r\n"], ids=["never", "not again"])
async def test_a_connection_on_which_nothing_is_asked(behind: Edge, tmp_path: Path, asked: bytes) -> None:
    async with started(replace(behind, unused_seconds=0.5), tmp_path) as process:
        reader, writer = await asyncio.open_connection("127.0.0.1", process.port)
        writer.write(asked)
        answer = await asyncio.wait_for(reader.read(), 30)
        assert answer.startswith(b"HTTP/1.1 ") is bool(asked)
        writer.close()


async def test_a_stream_that_is_silent(behind: Edge, tmp_path: Path, trial: Trial) -> None:
    trial.changed.clear()
    live = "/dossiers/A-1/live"
    async with (
        started(replace(behind, idle_seconds=0.5), tmp_path) as process,
        client(process) as http,
        http.stream("GET", live) as reply,
    ):
        with pytest.raises(httpx.RemoteProtocolError):
            async for _ in reply.aiter_bytes():
                pass
    trial.changed.set()


async def test_a_service_that_is_slow(behind: Edge, tmp_path: Path) -> None:
    async def never(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    silent = await asyncio.start_server(never, "127.0.0.1", 0)
    address = Address("127.0.0.1", silent.sockets[0].getsockname()[1])
    slow = replace(behind, services={"trial": address}, timeout_seconds=1)
    async with started(slow, tmp_path) as process, client(process) as http:
        assert told(await http.get("/v1/trials/A-1")) == (
            504,
            "UNAVAILABLE",
            "The service did not answer in time.",
        )
    silent.close()
