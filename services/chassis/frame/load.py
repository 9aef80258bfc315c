"""How much a service answers at a time, and how much of it for whom: whoever has no token is known by the address alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv6Address, ip_address

from services.chassis.decider import Rejected
from services.chassis.deciding.caller import Caller
from services.chassis.platform.settings import Settings

STREAMS_PER_CALLER = 20
# At a time, without a token; the edge's rate comes first.
CALLS_PER_ADDRESS = 128
# One part in so many is kept for callers with tokens.
KEPT = 4
# Who has one IPv6 address has its whole /64, as a rule.
PREFIX = 64


class Places:
    """Of one kind, calls or streams. Each place is taken with `held` and given back at its end. Refused: Rejected OVERLOADED."""

    def __init__(self) -> None:
        self.taken = 0
        self.anonymous = 0
        self._each: Counter[str] = Counter()

    @contextmanager
    def held(self, most: int) -> Iterator[None]:
        """One of all, before it is known whose."""
        self.taken += 1
        try:
            if self.taken > most:
                raise Rejected("OVERLOADED")
            yield
        finally:
            self.taken -= 1

    @contextmanager
    def held_by_anybody(self, address: str, most: int, each: int) -> Iterator[None]:
        """By somebody at this address, without a token."""
        self.anonymous += 1
        try:
            if self.anonymous > most - most // KEPT:
                raise Rejected("OVERLOADED")
            with self.held_by(f"address {address}", each):
                yield
        finally:
            self.anonymous -= 1

    @contextmanager
    def held_by(self, who: str, each: int) -> Iterator[None]:
        self._each[who] += 1
        try:
            if self._each[who] > each:
                raise Rejected("OVERLOADED")
            yield
        finally:
            self._each[who] -= 1
            if not self._each[who]:
                del self._each[who]


class Load:
    """What one service answers now."""

    def __init__(self) -> None:
        self.calls = Places()
        self.streams = Places()

    @contextmanager
    def call(self, caller: Caller, address: str, settings: Settings) -> Iterator[None]:
        if caller.kind != "public":
            yield
            return
        with self.calls.held_by_anybody(address, settings.in_flight, CALLS_PER_ADDRESS):
            yield

    @contextmanager
    def stream(self, caller: Caller, address: str, settings: Settings) -> Iterator[None]:
        """The platform's own services have as many as they need."""
        if caller.kind == "service":
            yield
        elif caller.kind == "public":
            with self.streams.held_by_anybody(address, settings.streams, settings.streams_per_address):
                yield
        else:
            with self.streams.held_by(caller.actor, STREAMS_PER_CALLER):
                yield


def counted(address: str) -> str:
    """As one caller: an IPv4 address, or an IPv6 prefix."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address[:64]
    if isinstance(found, IPv6Address):
        if found.ipv4_mapped:
            return str(found.ipv4_mapped)
        return f"{IPv6Address(int(found) >> (128 - PREFIX) << (128 - PREFIX))}/{PREFIX}"
    return str(found)
