"""Envoy as a child: its end, our end, and faults that an operator can read."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import httpx
import psutil
import pytest
import pytest_asyncio

from gateway.edge.envoy import Address, Edge
from gateway.edge.process import EdgeError, EdgeProcess, binary
from scripts.build_protos import ROOT
from tests.edge.trial import Trial, web_server
from tests.support.waiting import eventually_here

DIES = """
import asyncio, os, sys
from pathlib import Path
from gateway.edge.envoy import Address, Edge
from gateway.edge.process import EdgeProcess

async def main():
    folder = Path(sys.argv[1])
    edge = Edge(port=0, host="127.0.0.1", descriptors=Path(sys.argv[2]), services={},
                pages={"status": Address("127.0.0.1", 1)}, access_log=folder / "access.log")
    process = EdgeProcess(edge, folder)
    await process.start()
    print(process.pid, flush=True)
    os.kill(os.getpid(), 9)

asyncio.run(main())
"""


@pytest.fixture
def settings(trial: Trial, tmp_path: Path) -> Edge:
    return Edge(
        port=0,
        host="127.0.0.1",
        descriptors=trial.descriptors,
        services={},
        pages={"status": Address("127.0.0.1", 1)},
        access_log=tmp_path / "access.log",
    )


@pytest_asyncio.fixture
async def process(trial: Trial, settings: Edge, tmp_path: Path) -> AsyncIterator[EdgeProcess]:
    async with web_server(trial) as port:
        process = EdgeProcess(replace(settings, pages={"status": Address("127.0.0.1", port)}), tmp_path / "edge")
        await process.start()
        yield process
        await process.stop(0.1)


async def get(process: EdgeProcess, path: str = "/") -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.get(f"http://127.0.0.1:{process.port}{path}")


def ended(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


@pytest.mark.parametrize("fault", [None, EdgeError("the port is taken"), OSError("no memory")])
async def test_it_is_started_again_when_it_dies(
    process: EdgeProcess, monkeypatch: pytest.MonkeyPatch, fault: Exception | None
) -> None:
    assert (await get(process)).status_code == 200
    faults = [fault] if fault else []

    def found() -> Path:
        if faults:
            raise faults.pop()
        return binary()

    monkeypatch.setattr("gateway.edge.process.binary", found)
    first = process.pid
    assert first
    os.kill(first, signal.SIGKILL)

    async def another() -> bool:
        return process.pid != first and await answers(process)

    await eventually_here(another)


async def answers(process: EdgeProcess) -> bool:
    try:
        return (await get(process)).status_code == 200
    except httpx.HTTPError:
        return False


async def test_it_stops_for_good(process: EdgeProcess) -> None:
    pid = process.pid
    assert pid
    await process.stop()
    await eventually_here(lambda: ended(pid))
    with pytest.raises(httpx.ConnectError):
        await get(process)


async def test_it_dies_with_us(trial: Trial, tmp_path: Path) -> None:
    command = (sys.executable, "-c", DIES, str(tmp_path), str(trial.descriptors))
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'protos'}"}
    done = await asyncio.to_thread(subprocess.run, command, env=environment, stdout=subprocess.PIPE, text=True)
    await eventually_here(lambda: ended(int(done.stdout)))


async def test_a_taken_port_is_named(settings: Edge, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(EdgeError, match=rf"port {port} is taken .* MOTCUA_PORT"):
            await EdgeProcess(replace(settings, port=port), tmp_path).start()


async def test_two_edges_do_not_share_a_port(process: EdgeProcess, settings: Edge, tmp_path: Path) -> None:
    with pytest.raises(EdgeError, match="is taken"):
        await EdgeProcess(replace(settings, port=process.port), tmp_path / "second").start()


async def test_a_fault_in_the_configuration_is_named(settings: Edge, tmp_path: Path) -> None:
    with pytest.raises(EdgeError, match=r"(?s)envoy.yaml.*malformed IP address: nowhere"):
        await EdgeProcess(replace(settings, host="nowhere"), tmp_path).start()


async def test_a_page_that_does_not_answer_is_said_in_html_and_in_json(settings: Edge, tmp_path: Path) -> None:
    process = EdgeProcess(settings, tmp_path / "edge")
    await process.start()
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{process.port}", trust_env=False) as client:
            page = await client.get("/", headers={"accept": "text/html"})
            assert (page.status_code, page.headers["retry-after"]) == (503, "1")
            assert "Hệ thống tạm thời không trả lời" in page.text
            assert (await client.get("/")).json()["code"] == 14
    finally:
        await process.stop(0.1)
