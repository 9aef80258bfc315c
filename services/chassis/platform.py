"""What the services of one process share: the store, the clock, keys, addresses, blobs."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from services.chassis.access import Verifier
from services.chassis.blobs import FolderBlobs
from services.chassis.clock import Clock, ShiftedClock, SystemClock
from services.chassis.database import Database
from services.chassis.settings import Settings
from services.chassis.store.memory import MemoryStore
from services.chassis.store.port import EventStore
from services.chassis.store.sqlite import SqliteStore


@dataclass
class Platform:
    settings: Settings
    store: EventStore
    clock: Clock
    verifier: Verifier
    blobs: FolderBlobs
    addresses: dict[str, str] = field(default_factory=dict)
    """host:port of each service's gRPC server, by the service's name."""
    http_addresses: dict[str, str] = field(default_factory=dict)
    _databases: dict[str, Database] = field(default_factory=dict)

    @classmethod
    async def open(cls, settings: Settings) -> Platform:
        settings.data.mkdir(parents=True, exist_ok=True)
        store: EventStore
        if settings.event_store == "memory:":
            store = MemoryStore()
        else:
            store = await SqliteStore.open(settings.data / "events.db")
        clock = ShiftedClock(settings.clock_shift_file) if settings.clock_shift_file else SystemClock()
        verifier = Verifier(store, settings.secret("service", settings.service_secret))
        verifier.start()
        platform = cls(settings, store, clock, verifier, FolderBlobs(settings.data / "blobs"))
        if settings.identity_address:
            platform.addresses["identity"] = settings.identity_address
        return platform

    def database(self, name: str, *, durable: bool = False) -> Database:
        """By the service's name, its views. A durable one lies beside the events, for what cannot be made from them."""
        if name not in self._databases:
            folder = self.settings.data if durable else self.settings.data / "views"
            url = self.settings.database or f"sqlite:///{folder.absolute()}"
            self._databases[name] = Database(url, name, durable=durable)
        return self._databases[name]

    async def close(self) -> None:
        await self.verifier.stop()
        await asyncio.gather(*(database.close() for database in self._databases.values()))
        await self.store.close()
