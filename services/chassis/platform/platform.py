"""What the services of one process share: the store, the clock, keys, addresses, blobs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import grpc

from services.chassis import channels
from services.chassis.access.access import Verifier
from services.chassis.access.tls import Credentials
from services.chassis.blobs.port import BlobStore, FolderBlobs
from services.chassis.clock import Clock
from services.chassis.database.database import Database
from services.chassis.files.private import keep_private
from services.chassis.following.erasures import Erasures
from services.chassis.platform.settings import Settings
from services.chassis.store.measured import MeasuredStore
from services.chassis.store.memory import MemoryStore
from services.chassis.store.port import EventStore
from services.chassis.store.sqlite import SqliteStore
from services.chassis.telemetry.gauges import observe


@dataclass
class Platform:
    settings: Settings
    store: EventStore
    clock: Clock
    verifier: Verifier
    blobs: BlobStore
    erasures: Erasures
    addresses: dict[str, str] = field(default_factory=dict)
    """Each service's gRPC server as gRPC names it, by the service's name: host:port, or several as ipv4:host:port,host:port."""
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
        keep_private(settings.data)
        store = MeasuredStore(await open_store(settings))
        clock = settings.clock
        verifier = Verifier(store, settings.secret("service", settings.service_secret))
        verifier.start()
        erasures = Erasures(store)
        erasures.start()
        blobs = open_blobs(settings)
        platform = cls(settings, store, clock, verifier, blobs, erasures, credentials=credentials)
        if settings.identity_address:
            platform.addresses["identity"] = settings.identity_address
        if credentials:
            platform._forget.append(observe("certificates", credentials.observe))
        return platform

    def database(self, name: str, *, durable: bool = False) -> Database:
        """By the service's name, its views. A durable one lies beside the events, for what cannot be made from them."""
        if name not in self._databases:
            self._databases[name] = open_database(self.settings, name, durable=durable)
        return self._databases[name]

    def damage(self) -> Mapping[str, str]:
        """Files in which a damaged page was met, each with what SQLite said."""
        found = {str(database.file): database.damage for database in self._databases.values()}
        if isinstance(self.store, MeasuredStore):
            found[str(self.settings.data / "events.db")] = self.store.damage
        return {file: what for file, what in found.items() if what}

    @property
    def service_secret(self) -> str:
        """Shared by the site's processes: what one of them seals, every replica reads."""
        return self.settings.secret("service", self.settings.service_secret)

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
            self._channels[address] = grpc.aio.insecure_channel(address, options=channels.OPTIONS)
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


async def open_store(settings: Settings) -> EventStore:
    if settings.event_store == "memory:":
        return MemoryStore()
    if settings.event_store == "sqlite:":
        return await SqliteStore.open(settings.data / "events.db")
    # Its client takes a moment to load, and most machines do without it.
    from services.chassis.store.kurrentdb import KurrentStore

    return await KurrentStore.open(settings.event_store)


def open_database(settings: Settings, name: str, *, durable: bool) -> Database:
    return Database(settings.database or f"sqlite:///{_folder(settings, durable).absolute()}", name, durable=durable)


def database_exists(settings: Settings, name: str, *, durable: bool) -> bool:
    """Whether there is a file: opening SQLite would make an empty one. In PostgreSQL, ask for the tables."""
    return bool(settings.database) or (_folder(settings, durable) / f"{name}.db").exists()


def _folder(settings: Settings, durable: bool) -> Path:
    return settings.data if durable else settings.data / "views"


def open_blobs(settings: Settings) -> BlobStore:
    if settings.blob_folder:
        return FolderBlobs(settings.blob_folder / "blobs")
    from services.chassis.blobs.bucket import BucketBlobs, open_bucket

    return BucketBlobs(open_bucket(settings.blobs, "blobs"))
