"""The national systems that the sandbox plays, each named here once: a module of this folder that makes its application."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Player:
    """`name` is its module, and its part of the path: /sandbox/<name>. `gateway.sandbox.<name>.play(settings, stage)` makes it."""

    name: str
    # The settings that lead to it where no real one is configured, and the path below its own.
    leads: Mapping[str, str]
    # Those that it shares with the site.
    secrets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Stage:
    """What all of them are given."""

    # The sandbox's own address.
    base: str
    # What they keep.
    folder: Path
    # Proves whoever prepares them for a trial.
    admin: str


PLAYERS = (
    Player("vneid", {"vneid_url": ""}, ("vneid_client_secret",)),
    Player("population", {"population_url": ""}, ("population_secret",)),
    Player(
        "vnpay",
        {"vnpay_url": "/paymentv2/vpcpay.html", "vnpay_api_url": "/merchant_webapi/api/transaction"},
        ("vnpay_secret",),
    ),
)
