"""A hosted warehouse, and the facts of other services appended to its log."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from uuid import NAMESPACE_OID, UUID, uuid4, uuid5

import grpc
from google.protobuf.message import Message

from motcua.identity.events.v1 import events_pb2 as identity
from motcua.warehouse.v1.warehouse_service_pb2_grpc import WarehouseServiceStub
from services.chassis.blobs.sealed import SealedBlobs
from services.chassis.deciding.caller import Caller, Origin
from services.chassis.deciding.codec import to_timestamp
from services.chassis.frame.entrypoints import On
from services.chassis.store.port import ANY, NewEvent, RecordedEvent
from services.chassis.store.sqlite import SqliteStore
from services.dossier import events as d
from services.dossier.codec import dossier_codec
from services.identity.tokens import generate_signing_key, public_jwk
from services.warehouse.counters import counters
from services.warehouse.procedures import procedures
from services.warehouse.service import WarehouseService
from services.warehouse.views import lists
from tests.support.hosted import Host, hosted
from tests.support.keys import MemoryKeys
from tests.support.postgresql import current
from tests.support.tokens import mint
from tests.support.waiting import eventually

T = TypeVar("T")
KEY = generate_signing_key()
FOLLOWERS = {
    f"warehouse.{name}": tuple(entrypoint._types)
    for name, method in vars(WarehouseService).items()
    for entrypoint in getattr(method, "nameko_entrypoints", ())
    if isinstance(entrypoint, On)
} | {projection.name: tuple(projection.folds) for projection in (lists, counters, procedures)}
TABLES = (
    *("documents_v3", "erased_v3", "counted_dossiers_v2", "indicators_v2"),
    *("procedure_components_v2", "procedure_results_v2"),
)


def bearer(account_id: str, kind: Any, roles: tuple[str, ...], agency: str = "") -> tuple[tuple[str, str]]:
    token = mint(KEY, *roles, kind=kind, account_id=account_id, agency=agency, purposes=("settle",))
    return (("authorization", f"Bearer {token}"),)


class World:
    """Appends facts as their services do, and waits for what the warehouse makes of them."""

    def __init__(self, folder: Path, host: Host, stub: WarehouseServiceStub, keys: MemoryKeys) -> None:
        self._blobs = SealedBlobs(host.platform.blobs, keys)
        self.stub: Any = stub
        self._folder = folder
        self._keys = keys
        self._runner = asyncio.Runner()
        self._store = self._runner.run(SqliteStore.open(folder / "events.db"))

    def close(self) -> None:
        self._runner.run(self._store.close())
        self._runner.close()

    def run(self, work: Any) -> Any:
        return self._runner.run(work)

    def append(self, stream: str, *messages: Message) -> None:
        """Facts in clear."""
        metadata = _metadata()
        self._append(
            stream,
            [NewEvent(uuid4(), m.DESCRIPTOR.full_name, m.SerializeToString(), metadata) for m in messages],
        )

    def happened(self, *events: d.Event) -> None:
        """Facts of dossiers, sealed as the dossier service seals them; waits until they are reacted to.

        Reactions follow the log side by side: what needs an earlier fact's effect must happen in a later call.
        """
        keys = self.run(self._keys.keys(dossier_codec.subjects(events), create=True))
        for event in events:
            id_, type_, data = dossier_codec.encode(event, uuid4(), 0, keys)
            code = event.code
            self._append(f"dossier-{code}", [NewEvent(id_, type_, data, _metadata())])
        self.settled()

    def _append(self, stream: str, events: list[NewEvent]) -> None:
        self.run(self._store.append(stream, events, ANY))

    def keep(self, subject: str, content: bytes) -> None:
        async def pieces() -> AsyncIterator[bytes]:
            yield content

        self.run(self._blobs.put(subject, hashlib.sha256(content).hexdigest(), pieces()))

    def kept(self, subject: str, sha256: str) -> bool:
        return bool(self.run(self._blobs.has(subject, sha256)))

    def events(self) -> list[RecordedEvent]:
        found: list[RecordedEvent] = self.run(self._store.read_all(0))
        return found

    def stored(self, message: type[T]) -> list[T]:
        """The facts of one type, in order."""
        name = message.DESCRIPTOR.full_name  # type: ignore[attr-defined]
        return [message.FromString(e.data) for e in self.events() if e.type == name]  # type: ignore[attr-defined]

    def settled(self) -> None:
        """Wait until every view and reaction has seen all that it follows."""

        def done() -> bool:
            reached = dict(self.rows("positions"))
            events = self.events()
            return all(
                reached.get(name, 0) >= max((e.position for e in events if e.type in types), default=0)
                for name, types in FOLLOWERS.items()
            )

        eventually(done)

    def rows(self, table: str) -> list[Any]:
        return sorted(current().sql(self._folder, "warehouse", f"SELECT * FROM {table}"))

    def tables(self) -> dict[str, list[Any]]:
        return {table: self.rows(table) for table in TABLES}


def _metadata() -> bytes:
    origin = Origin.of_reading(Caller("test", "service"))
    return json.dumps({"actor": origin.actor, "request_id": origin.request_id}).encode()


@contextmanager
def warehouse(folder: Path, keys: MemoryKeys) -> Iterator[World]:
    service = type("Hosted", (WarehouseService,), {"key_ring": staticmethod(lambda *_: keys)})
    with hosted(folder, [service]) as host, grpc.insecure_channel(host.address("warehouse")) as channel:
        world = World(folder, host, WarehouseServiceStub(channel), keys)
        try:
            introduced = identity.SigningKeyIntroduced(
                kid=KEY.kid or "", at=to_timestamp(datetime.now(UTC)), by="service:identity", public_jwk=public_jwk(KEY)
            )
            if not world.stored(identity.SigningKeyIntroduced):
                world.append("signing-keys", introduced)
            yield world
        finally:
            world.close()


def account(name: str) -> str:
    return str(uuid5(NAMESPACE_OID, name))


def request_id() -> str:
    return str(UUID(int=uuid4().int))
