"""What a service shares with those of its process, and what is its own: from this, what its class is given is made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from services.chassis.blobs.sealed import SealedBlobs
from services.chassis.calls.paging import Pages
from services.chassis.database.database import Database
from services.chassis.platform.platform import Platform
from services.chassis.privacy.sealing import KeyRing


@dataclass(frozen=True)
class Parts:
    service: str
    platform: Platform
    make_keys: Callable[[Platform, str], KeyRing]

    @cached_property
    def keys(self) -> KeyRing:
        """The service's own key ring, or the one that asks identity."""
        return self.make_keys(self.platform, self.service)

    @cached_property
    def pages(self) -> Pages:
        return Pages(self.platform.service_secret)

    @property
    def blobs(self) -> SealedBlobs:
        return SealedBlobs(self.platform.blobs, self.keys)

    @property
    def database(self) -> Database:
        """Of its views."""
        return self.platform.database(self.service)
