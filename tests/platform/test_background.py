"""Every kind of work that goes on for ever, of all services, ends in whatever way: it is said, and it goes on."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from uuid import uuid4

import grpc
import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from command.registry import service_classes
from services.chassis.frame.grpc_server import BACKGROUND
from services.chassis.store.port import StoreUnavailable
from services.chassis.work import tasks
from services.chassis.work.tasks import Owned, OwnedThread, troubles
from services.notification.channels.carriers import CARRIERS
from tests.chassis.test_tasks import ENDS, append, ends, kill
from tests.support.hosted import Host, hosted
from tests.support.waiting import eventually, eventually_here

SERVING = health_pb2.HealthCheckResponse.SERVING
# Of the platform, beside a follower of each view and reaction, and its periodic work.
KINDS = {
    *(f"periodic notification.send_{carrier.work}" for carrier in CARRIERS.values()),
    *("event store: writer", "event store: poll", "gRPC server", "HTTP server", "health"),
    *("follower erasures", "follower signing keys, systems and appointments", "follower watchers", "follower ledger"),
    *("periodic payment.expire_checkouts", "periodic payment.settle_refunds"),
    *("periodic dossier.note_deadlines", "follower payment.follow_dossier", "follower status_pages_v1"),
}


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with hosted(tmp_path_factory.mktemp("data"), service_classes()) as host:
        yield host


async def kept() -> list[Any]:
    return list(tasks._of(asyncio.get_running_loop()).kept.values())


async def end(owned: Owned, error: BaseException | None) -> None:
    """As if its work had ended so."""
    work = owned._work

    async def ending() -> None:
        owned._work = work
        if error is not None:
            raise error

    before = ends(owned.name)
    owned._work = ending
    assert owned._task
    owned._task.cancel()
    await eventually_here(lambda: ends(owned.name) >= before + 2)


async def killed(host: Host, thread: OwnedThread) -> None:
    before = ends(thread.name)
    kill(thread.name)
    with suppress(StoreUnavailable):
        await append(host.platform.store, f"test-{uuid4()}")  # the thread wakes, and dies
    await eventually_here(lambda: ends(thread.name) > before)


async def end_all(host: Host, everything: list[Any]) -> None:
    await asyncio.gather(
        *(killed(host, one) if isinstance(one, OwnedThread) else end(one, unwanted(one)) for one in everything)
    )


def unwanted(owned: Owned) -> BaseException | None:
    """What is finite is done when it returns; everything else is to go on then, too."""
    return random.choice([error for error in ENDS if error is not None or not owned._finite])


async def all_well() -> bool:
    return not await troubles()


def answers(host: Host) -> list[tuple[str, int]]:
    found = []
    for address in host.platform.http_addresses.values():
        for path in ("/livez", "/servez", "/readyz"):
            with suppress(httpx.TransportError):  # it begins again
                found.append((path, httpx.get(f"http://{address}{path}").status_code))
    for address in host.platform.addresses.values():
        with grpc.insecure_channel(address) as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            for of in ("", BACKGROUND):
                with suppress(grpc.RpcError):
                    found.append((of, stub.Check(health_pb2.HealthCheckRequest(service=of), timeout=20).status))
    return found


def test_each_is_begun_again_whatever_ended_it(host: Host) -> None:
    everything = host.run(kept())
    assert {one.name for one in everything} >= KINDS
    host.run(end_all(host, everything))
    assert host.run(troubles()) != {}
    host.run(eventually_here(all_well))
    wanted = {"/livez": 200, "/servez": 200, "/readyz": 200, "": SERVING, BACKGROUND: SERVING}
    asked = 3 * len(host.platform.http_addresses) + 2 * len(host.platform.addresses)
    eventually(
        lambda: len(found := answers(host)) == asked and all(wanted[of] == answer for of, answer in found),
        why=lambda: answers(host),
    )


def test_readiness_says_what_is_not_at_work(host: Host) -> None:
    (owned,) = (one for one in host.run(kept()) if one.name == "follower erasures")

    async def fail() -> None:
        owned.failing(OSError(28, "No space left on device"))

    async def work() -> None:
        owned.worked()

    address = next(iter(host.platform.http_addresses.values()))
    host.run(fail())

    def told() -> bool:
        answer = httpx.get(f"http://{address}/readyz")
        return answer.status_code == 503 and "follower erasures" in answer.text and "No space left" in answer.text

    eventually(told)
    eventually(lambda: (BACKGROUND, SERVING) not in answers(host))
    assert {answer for path, answer in answers(host) if path in ("/livez", "/servez")} == {200}
    assert 'motcua_background_down{work="follower erasures"} 1.0' in httpx.get(f"http://{address}/metrics").text
    host.run(work())
    eventually(lambda: httpx.get(f"http://{address}/readyz").status_code == 200)
    eventually(lambda: (BACKGROUND, health_pb2.HealthCheckResponse.NOT_SERVING) not in answers(host))
