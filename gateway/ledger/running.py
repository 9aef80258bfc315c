"""The ledger's parts, put together from the settings."""

from __future__ import annotations

from collections.abc import Callable

from starlette.applications import Starlette

from gateway.ledger import web
from gateway.ledger.format.checkpoint import Checkpoint
from gateway.ledger.format.note import COSIGNATURE, ED25519, Note, Verifier
from gateway.ledger.keep import metrics, tables
from gateway.ledger.keep.cosigning import Cosigning, Remote, cosigned
from gateway.ledger.keep.opening import open_log
from gateway.ledger.keep.own_keys import log_key, witness_key
from gateway.ledger.keep.publishing import Publisher
from gateway.ledger.keep.receipts import Receipts
from gateway.ledger.keep.sequencing import Sequencer
from gateway.ledger.keep.storage import FolderStorage, Storage
from gateway.ledger.keep.witness import Witness
from gateway.ledger.web import Site
from services.chassis.platform.parts import Parts
from services.chassis.platform.platform import Platform
from services.chassis.platform.settings import Settings
from services.chassis.privacy.sealing import KeyRing
from services.chassis.telemetry.gauges import Sample, observe


class RunningLedger:
    def __init__(self, platform: Platform, keys: KeyRing, storage: Storage | None = None) -> None:
        settings = platform.settings
        self._store = platform.store
        self._database = platform.database("ledger", durable=True)
        self._storage = storage or open_storage(settings)
        self._signer = log_key(settings)
        verifier = self._signer.verifier
        self._publisher = Publisher(self._database, self._storage, verifier)
        self._witnesses = witnesses = remotes(settings)
        metrics.WITNESSES.set(len(witnesses))
        self._cosigning = Cosigning(self._database, verifier, witnesses, self._publisher.publish)
        self._receipts = Receipts(self._database, self._store)
        self._sequencer = Sequencer(
            self._store,
            self._database,
            keys,
            self._signer,
            self._publisher,
            settings.ledger_checkpoint_seconds,
            self._published,
            self._cosigning.complete,
        )
        self.caught_up = self._sequencer.caught_up
        self._forget: list[Callable[[], None]] = []
        cosigner = witness_key(settings)
        self._witness = Witness(self._database, cosigner, keys_of(settings.ledger_witnessed, ED25519))
        self._site = Site(settings.url, verifier, cosigner.verifier, [witness.verifier for witness in witnesses])

    @classmethod
    def of(cls, parts: Parts) -> RunningLedger:
        return cls(parts.platform, parts.keys)

    async def start(self) -> None:
        """Raises LedgerError where the log must not go on."""
        await open_log(self._database, self._storage, self._store, self._signer, self._publisher)
        self._cosigning.start()
        await self._sequencer.start()
        self._forget = [observe("ledger", self._observe_sequenced), observe("ledger files", self._observe_published)]

    async def stop(self) -> None:
        for forget in self._forget:
            forget()
        await self._sequencer.stop()
        await self._cosigning.stop()

    def application(self) -> Starlette:
        return web.application(self._site, self._publisher, self._receipts, self._witness)

    async def _observe_sequenced(self) -> list[Sample]:
        standing = await self._database.read(tables.standing)
        return [metrics.SEQUENCED.at(standing.size)] if standing else []

    async def _observe_published(self) -> list[Sample]:
        current = await self._publisher.current()
        if current is None:
            return [metrics.SIZE.at(0)]
        signed = len(cosigned(current, self._witnesses))
        return [metrics.SIZE.at(Checkpoint.parse(current.text).size), metrics.COSIGNATURES.at(signed)]

    def _published(self, note: Note) -> None:
        self._receipts.moved()
        self._cosigning.offer(note)


def open_storage(settings: Settings) -> Storage:
    if settings.blob_folder:
        return FolderStorage(settings.blob_folder / "ledger")
    from gateway.ledger.keep.bucket import BucketStorage
    from services.chassis.blobs.bucket import open_bucket

    return BucketStorage(open_bucket(settings.blobs, "ledger"))


def remotes(settings: Settings) -> list[Remote]:
    """Raises LedgerError for a key that is none."""
    found = []
    for pair in filter(None, settings.ledger_witnesses.split(",")):
        vkey, url = pair.split()
        found.append(Remote(_verifier(vkey, COSIGNATURE), url.rstrip("/")))
    return found


def keys_of(vkeys: str, type_: int) -> list[Verifier]:
    """Raises LedgerError for a key that is none."""
    return [_verifier(vkey.strip(), type_) for vkey in filter(None, vkeys.split(","))]


def _verifier(vkey: str, type_: int) -> Verifier:
    verifier = Verifier.parse(vkey)
    verifier.require_type(type_)
    return verifier
