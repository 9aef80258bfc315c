"""Whose calls and streams are counted together, and what is kept for callers with tokens."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from motcua.warehouse.v1 import warehouse_service_pb2 as warehouse
from motcua.warehouse.v1.warehouse_service_pb2_grpc import WarehouseServiceStub
from services.chassis.access.tls import CLIENT
from services.chassis.decider import Rejected
from services.chassis.deciding.caller import ANYBODY, Caller
from services.chassis.frame.load import CALLS_PER_ADDRESS, KEPT, STREAMS_PER_CALLER, Load, Places, counted
from services.chassis.platform.settings import Settings
from services.warehouse.service import WarehouseService
from tests.chassis.test_answering import refused
from tests.support.hosted import hosted
from tests.support.keys import MemoryKeys
from tests.support.tokens import mint, signing_key

PATIENCE = 20
STREAMS, PER_ADDRESS = 12, 4
REQUEST = warehouse.WatchIndicatorsRequest()


class Watched:
    """A service that is watched from many addresses: the edge tells them."""

    def __init__(self, channel: grpc.Channel, key: Any) -> None:
        self._watch = WarehouseServiceStub(channel).WatchIndicators
        self._key = key
        self.streams: list[Any] = []

    def anonymously(self, address: str) -> Any:
        return self._open(((CLIENT, address),))

    def bearing(self, account: str, address: str) -> Any:
        token = mint(self._key, "citizen", kind="citizen", account_id=account)
        return self._open(((CLIENT, address), ("authorization", f"Bearer {token}")))

    def _open(self, metadata: Any) -> Any:
        stream = self._watch(REQUEST, metadata=metadata, timeout=PATIENCE)
        self.streams.append(stream)
        return next(stream)


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    service = type("Hosted", (WarehouseService,), {"key_ring": staticmethod(lambda *_: MemoryKeys())})
    with (
        hosted(tmp_path, [service], streams=STREAMS, streams_per_address=PER_ADDRESS) as host,
        grpc.insecure_channel(host.address("warehouse")) as channel,
    ):
        opened = Watched(channel, host.run(signing_key(host.platform.store)))
        yield opened
        for stream in opened.streams:
            stream.cancel()


def test_one_address_has_so_many_streams_and_others_have_theirs(watched: Watched) -> None:
    for number in range(PER_ADDRESS):
        # One who has an IPv6 address has the whole prefix.
        watched.anonymously(f"2001:db8:1:2::{number + 1}")
    assert refused(lambda: watched.anonymously("2001:db8:1:2:ffff::1")) == "OVERLOADED"
    watched.anonymously("2001:db8:1:3::1")
    watched.bearing("citizen-1", "2001:db8:1:2::1")


def test_streams_are_kept_for_callers_with_tokens(watched: Watched) -> None:
    for number in range(STREAMS - STREAMS // KEPT):
        watched.anonymously(f"10.0.0.{number}")
    assert refused(lambda: watched.anonymously("10.0.1.1")) == "OVERLOADED"
    for number in range(STREAMS // KEPT):
        watched.bearing(f"citizen-{number}", "10.0.0.1")


def test_a_place_is_free_again_when_its_stream_ends(watched: Watched) -> None:
    for _ in range(3):
        for _ in range(PER_ADDRESS):
            watched.anonymously("10.0.0.1")
        assert refused(lambda: watched.anonymously("10.0.0.1")) == "OVERLOADED"
        for stream in watched.streams:
            stream.cancel()
        watched.streams.clear()
        assert until_free(watched)


def until_free(watched: Watched) -> bool:
    for _ in range(200):
        try:
            watched.anonymously("10.0.0.1")
        except grpc.RpcError:
            continue
        watched.streams.pop().cancel()
        return True
    return False


def test_two_tokens_are_none(watched: Watched) -> None:
    two = (("authorization", "Bearer x"), ("authorization", "Bearer y"))
    assert refused(lambda: watched._open(two)) == "TOKEN_INVALID"


def test_calls_without_a_token_are_counted_by_address() -> None:
    load, settings = Load(), Settings(in_flight=CALLS_PER_ADDRESS * 2)
    held = [load.call(ANYBODY, "10.0.0.1", settings) for _ in range(CALLS_PER_ADDRESS)]
    for one in held:
        one.__enter__()
    with pytest.raises(Rejected, match="OVERLOADED"), load.call(ANYBODY, "10.0.0.1", settings):
        pass
    with load.call(ANYBODY, "10.0.0.2", settings), load.call(Caller("a", "citizen"), "10.0.0.1", settings):
        pass
    for one in held:
        one.__exit__(None, None, None)
    with load.call(ANYBODY, "10.0.0.1", settings):
        assert load.calls.anonymous == 1


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("2001:db8:0:1:2:3:4:5", "2001:db8:0:1::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        ("", ""),
        ("x" * 100, "x" * 64),
    ],
)
def test_an_address_is_counted_as_one_caller(address: str, expected: str) -> None:
    assert counted(address) == expected


@given(st.lists(st.sampled_from(["a", "b", "c"]), max_size=40))
def test_places_come_back_whatever_is_refused(callers: list[str]) -> None:
    places, opened = Places(), []
    for who in callers:
        place = places.held_by_anybody(who, 12, STREAMS_PER_CALLER // 4)
        try:
            place.__enter__()
        except Rejected:
            continue
        opened.append(place)
    assert places.anonymous == len(opened) <= 9
    for place in opened:
        place.__exit__(None, None, None)
    assert (places.anonymous, places._each) == (0, {})
