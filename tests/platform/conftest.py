"""One platform for all tests of a session, as `motcua up` starts it."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import httpx
import pytest

from tests.platform.deployment import Deployment
from tests.platform.transport import SECONDS, Grpc, Json, Transport
from tests.platform.world import Clock, People, World

MONDAY = "2026-03-02T09:00"


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    folder = tmp_path_factory.mktemp("platform")
    # Many people of one machine share its address.
    limits = {"MOTCUA_EDGE_RATE": "2000", "MOTCUA_EDGE_BURST": "4000"}
    deployment = Deployment(folder / "data", settings={"MOTCUA_CLOCK_SHIFT_FILE": str(folder / "shift"), **limits})
    deployment.start()
    yield deployment
    deployment.stop()
    assert deployment.logged("error", "critical") == []


@pytest.fixture(scope="session")
def people(platform: Deployment) -> People:
    return People(platform, Clock(platform.data.parent / "shift"))


@pytest.fixture(scope="session")
def channel(platform: Deployment) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(f"localhost:{platform.port}") as channel:
        yield channel


@pytest.fixture(scope="session")
def http(platform: Deployment) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=platform.url, timeout=SECONDS) as client:
        yield client


@pytest.fixture(params=["grpc", "json"])
def transport(request: pytest.FixtureRequest, channel: grpc.Channel, http: httpx.Client) -> Transport:
    return Grpc(channel) if request.param == "grpc" else Json(http)


@pytest.fixture
def world(transport: Transport, people: People) -> World:
    """On a Monday morning."""
    people.clock.set(MONDAY)
    return World(transport, people, people.clock)
