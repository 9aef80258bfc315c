"""Every mutation of every service has one effect, however often, at once, and after whatever restart it is sent."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import grpc
import pytest
from joserfc.jwk import OKPKey

from command.registry import service_classes
from services.catalogue.seed import seed
from services.chassis.platform.platform import Platform
from tests.idempotency.cases import CASES, OWN
from tests.idempotency.world import Sending, World
from tests.identity.sandboxes import SECRET, sandboxes
from tests.support.hosted import hosted
from tests.support.postgresql import Engine, settings_of
from tests.support.rpcs import MUTATIONS, NAMES, Answer, client
from tests.support.tokens import signing_key

AT_ONCE = 8


@pytest.fixture(scope="module")
def folder(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("idempotency")


@pytest.fixture(scope="module")
def population(folder: Path) -> Iterator[dict[str, str]]:
    with sandboxes(folder / "sandboxes", ()) as url:
        shift = folder / "clock"
        shift.write_text("0")
        yield {
            "clock_shift_file": str(shift),
            "population_url": f"{url}/population",
            "population_secret": SECRET,
            "vnpay_url": f"{url}/vnpay",
            "vnpay_api_url": f"{url}/vnpay/api",
        }


@pytest.fixture(scope="module")
def key(folder: Path) -> OKPKey:
    async def prepare() -> OKPKey:
        platform = await Platform.open(settings_of(folder))
        await seed(platform, ["56"])
        made = await signing_key(platform.store)
        await platform.close()
        return made

    return asyncio.run(prepare())


class Life:
    """The services, one start after the other on the same data."""

    def __init__(self, folder: Path, key: OKPKey, settings: dict[str, str]) -> None:
        self._stack = ExitStack()
        self._folder = folder
        self._key = key
        self._settings = settings

    def start(self) -> World:
        self.stop()
        host = self._stack.enter_context(hosted(self._folder, service_classes(NAMES), **self._settings))
        return World(self._stack.enter_context(client(host)), self._key)

    def stop(self) -> None:
        self._stack.close()


@pytest.fixture(scope="module")
def life(folder: Path, key: OKPKey, population: dict[str, str]) -> Iterator[Life]:
    made = Life(folder, key, population)
    yield made
    made.stop()


@pytest.fixture(scope="module")
def world(life: Life) -> World:
    return life.start()


class Sent:
    """One request of each kind, as it was answered when it was sent for the first time."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._known: dict[str, tuple[Sending, Answer, list[UUID]]] = {}

    def first(self, name: str) -> tuple[Sending, Answer, list[UUID]]:
        """With the events that it led to."""
        if name not in self._known:
            sending = CASES[name](self._world)
            answer = self._world.send(sending)
            self._known[name] = sending, answer, self._world.effects(sending.request_id)
        return self._known[name]


@pytest.fixture(scope="module")
def sent(world: World) -> Sent:
    return Sent(world)


def test_every_mutation_has_a_case() -> None:
    assert sorted(CASES) == sorted(rpc.descriptor.name for rpc in MUTATIONS)


@pytest.mark.parametrize("name", CASES)
def test_a_request_sent_again_has_one_effect(world: World, sent: Sent, name: str) -> None:
    sending, first, effects = sent.first(name)
    assert first.code is grpc.StatusCode.OK, str(first)
    assert effects
    again = world.send(sending)
    assert (again.code, again.reply) == (first.code, first.reply), again
    assert world.effects(sending.request_id) == effects


@pytest.mark.parametrize("name", CASES)
def test_requests_sent_at_once_have_one_effect(world: World, name: str) -> None:
    sending = CASES[name](world)
    with ThreadPoolExecutor(AT_ONCE) as senders:
        answers = list(senders.map(world.send, [sending] * AT_ONCE))
    assert {answer.code for answer in answers} == {grpc.StatusCode.OK}, [str(answer) for answer in answers]
    assert all(answer.reply == answers[0].reply for answer in answers), [answer.reply for answer in answers]
    effects = world.effects(sending.request_id)
    assert len(effects) == len(set(effects)) > 0
    world.send(sending)
    assert world.effects(sending.request_id) == effects


@pytest.mark.parametrize("name", CASES)
def test_another_body_or_another_caller_is_refused(world: World, name: str) -> None:
    sending = CASES[name](world)
    assert world.send(sending).code is grpc.StatusCode.OK
    effects = world.effects(sending.request_id)
    stolen = replace(sending, sender=sending.stranger, stranger=sending.sender)
    if name not in OWN:
        assert world.send(stolen).code is not grpc.StatusCode.OK
    other = world.send(_changed(sending))
    assert (other.code, other.reason) == (grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED"), other
    assert world.effects(sending.request_id) == effects


def _changed(sending: Sending) -> Sending:
    """The same request id with another content, as plausible as the first."""
    request: Any = type(sending.request)()
    request.CopyFrom(sending.request)
    fields = request.DESCRIPTOR.fields_by_name
    for name, value in (
        ("expected_revision", 99),
        ("name", "Khác"),
        ("full_name", "Khác"),
        ("legal_basis", "Khác"),
        ("email", "k@example.vn"),
    ):
        if name in fields:
            setattr(request, name, value)
            break
    else:
        _change_inside(request)
    return replace(sending, request=request)


def _change_inside(request: Any) -> None:
    match request.DESCRIPTOR.name:
        case "OpenAgencyRequest":
            request.agency.name.vi += " khác"
        case "ConfirmSynchronisationRequest":
            request.peer_revision = 0
        case name:
            raise AssertionError(f"no other content for {name}")


def test_after_a_restart_the_first_reply_comes_again(life: Life, sent: Sent) -> None:
    before = {name: sent.first(name) for name in CASES}
    restarted = life.start()
    for name, (sending, first, effects) in before.items():
        again = restarted.send(sending)
        assert (again.code, again.reply) == (first.code, first.reply), f"{name}: {again}"
        assert restarted.effects(sending.request_id) == effects, name
