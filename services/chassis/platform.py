"""What the services of one process share: the store, the clock, keys, addresses, blobs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import grpc

from services.chassis.access import Verifier
from services.chassis.blobs import BlobStore, FolderBlobs
from services.chassis.clock import Clock, ShiftedClock, SystemClock
from services.chassis.database import Database
from services.chassis.erasures import Erasures
from services.chassis.observing import observe
from services.chassis.settings import Settings
from services.chassis.store.measured import MeasuredStore
from services.chassis.store.memory import MemoryStore
from services.chassis.store.port import EventStore
from services.chassis.store.sqlite import SqliteStore
from services.chassis.tls import Credentials


@dataclass
class Platform:
    settings: Settings
    store: EventStore
    clock: Clock
    verifier: Verifier
    blobs: BlobStore
    erasures: Erasures
    addresses: dict[str, str] = field(default_factory=dict)
    """host:port of each service's gRPC server, by the service's name."""
    http_addresses: dict[str, str] = field(default_factory=dict)
    grpc_ports: dict[str, int] = field(default_factory=dict)
    """Where a service must listen because others were told already; by default as the settings say."""
    http_ports: dict[str, int] = field(default_factory=dict)
    replicated: bool = False
    """Whether other processes may run the same services: what they may be at work on is left to them first."""
    credentials: Credentials | None = None
    """With which the services prove themselves to each other; None on one machine, over the loopback."""
    _forget: list[Callable[[], None]] = field(default_factory=list)
    _databases: dict[str, Database] = field(default_factory=dict)
    _channels: dict[str, grpc.aio.Channel] = field(default_factory=dict)

    @classmethod
    async def open(cls, settings: Settings) -> Platform:
        credentials = Credentials(settings.tls_files, settings.site) if settings.tls_files else None
        settings.data.mkdir(parents=True, exist_ok=True)
        store: EventStore
        if settings.event_store == "memory:":
            store = MemoryStore()
        elif settings.event_store == "sqlite:":
            store = await SqliteStore.open(settings.data / "events.db")
        else:
            # Its client takes a moment to load, and most machines do without it.
            from services.chassis.store.kurrentdb import KurrentStore

            store = await KurrentStore.open(settings.event_store)
        store = MeasuredStore(store)
        clock = ShiftedClock(settings.clock_shift_file) if settings.clock_shift_file else SystemClock()
        verifier = Verifier(store, settings.secret("service", settings.service_secret))
        verifier.start()
        erasures = Erasures(store)
        erasures.start()
        blobs = _open_blobs(settings)
        platform = cls(settings, store, clock, verifier, blobs, erasures, credentials=credentials)
        if settings.identity_address:
            platform.addresses["identity"] = settings.identity_address
        if credentials:
            platform._forget.append(observe("certificates", credentials.observe))
        return platform

    def database(self, name: str, *, durable: bool = False) -> Database:
        """By the service's name, its views. A durable one lies beside the events, for what cannot be made from them."""
        if name not in self._databases:
            folder = self.settings.data if durable else self.settings.data / "views"
            url = self.settings.database or f"sqlite:///{folder.absolute()}"
            self._databases[name] = Database(url, name, durable=durable)
        return self._databases[name]

    @property
    def mutual_site(self) -> str:
        """The site under mutual TLS; empty without."""
        return self.credentials.site if self.credentials else ""

    def channel(self, service: str) -> grpc.aio.Channel:
        """To another service. Ask again for each call: it changes with the certificate."""
        address = self.addresses[service]
        if self.credentials:
            return self.credentials.channel(service, address)
        if address not in self._channels:
            self._channels[address] = grpc.aio.insecure_channel(address)
        return self._channels[address]

    async def close(self) -> None:
        for forget in self._forget:
            forget()
        await asyncio.gather(*(channel.close() for channel in self._channels.values()))
        if self.credentials:
            await self.credentials.close()
        await self.verifier.stop()
        await self.erasures.stop()
        await asyncio.gather(*(database.close() for database in self._databases.values()))
        await self.store.close()


def _open_blobs(settings: Settings) -> BlobStore:
    if settings.blob_folder:
        return FolderBlobs(settings.blob_folder / "blobs")
    from services.chassis.bucket import BucketBlobs, open_bucket

    return BucketBlobs(open_bucket(settings.blobs, "blobs"))
