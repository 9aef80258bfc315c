"""One platform for all tests of a session, as `motcua up` starts it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import httpx
import pytest

from command.run.postgresql import PrivatePostgresql
from tests.platform.deployment import Deployment
from tests.platform.transport import SECONDS, Grpc, Transport
from tests.platform.world import Clock, People, World
from tests.support.postgresql import Postgresql

MONDAY = "2026-03-02T09:00"


@contextmanager
def running(folder: Path, **settings: str) -> Iterator[Deployment]:
    # Many people of one machine share its address.
    limits = {"MOTCUA_EDGE_RATE": "2000", "MOTCUA_EDGE_BURST": "4000"}
    shift = {"MOTCUA_CLOCK_SHIFT_FILE": str(folder / "shift")}
    deployment = Deployment(folder / "data", settings=limits | shift | settings)
    deployment.start()
    yield deployment
    deployment.stop()
    assert deployment.logged("error", "critical") == []


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    with running(tmp_path_factory.mktemp("platform")) as deployment:
        yield deployment


@pytest.fixture(scope="session")
def people_on_postgresql(tmp_path_factory: pytest.TempPathFactory, postgresql: PrivatePostgresql) -> Iterator[People]:
    """Of a platform whose databases are there."""
    folder = tmp_path_factory.mktemp("on-postgresql")
    with running(folder, MOTCUA_DATABASE=Postgresql(postgresql).url(folder)) as deployment:
        yield People(deployment, Clock(folder / "shift"))


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


def on_monday(transport: Transport, people: People) -> World:
    people.clock.set(MONDAY)
    return World(transport, people, people.clock)


@pytest.fixture
def world(channel: grpc.Channel, people: People) -> World:
    return on_monday(Grpc(channel), people)
