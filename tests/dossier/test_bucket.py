"""A site whose attachments and ledger lie in a bucket, which is away for a while."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import grpc
import httpx
import pytest

from gateway.ledger.format.checkpoint import Checkpoint
from gateway.ledger.format.note import Note
from gateway.ledger.service import LedgerService
from motcua.dossier.v1 import dossier_service_pb2 as pb
from motcua.dossier.v1.dossier_service_pb2_grpc import DossierServiceStub
from services.chassis.blobs.bucket import open_bucket
from services.dossier.service import DossierService
from tests.dossier.test_service import PDF, SHA256, Site, refused
from tests.support.bucket import BucketServer
from tests.support.hosted import hosted
from tests.support.keys import MemoryKeys
from tests.support.waiting import eventually


@pytest.fixture
def url(buckets: BucketServer) -> str:
    return buckets.create()


@pytest.fixture
def site(url: str, tmp_path: Path) -> Iterator[Site]:
    keys, shift = MemoryKeys(), tmp_path / "shift"
    ours = {"key_ring": staticmethod(lambda *_: keys)}
    services = [type("Hosted", (cls,), ours) for cls in (DossierService, LedgerService)]
    with (
        hosted(tmp_path, services, clock_shift_file=shift, blobs=url, ledger_checkpoint_seconds=0) as host,
        grpc.insecure_channel(host.address("dossier")) as channel,
    ):
        made = Site(host, DossierServiceStub(channel), keys, shift)
        made.open()
        yield made


def test_a_site_on_a_bucket_outlives_its_absence(site: Site, url: str, buckets: BucketServer, tmp_path: Path) -> None:
    address = f"http://{site.host.platform.http_addresses['ledger']}/ledger"

    def published() -> int:
        answer = httpx.get(f"{address}/checkpoint", timeout=30)
        return Checkpoint.parse(Note.parse(answer.content).text).size if answer.status_code == 200 else 0

    site.upload(site.citizen())
    code = site.submit(site.citizen()).code
    read = pb.GetAttachmentRequest(code=code, sha256=SHA256)

    def attachment() -> bytes:
        return b"".join(part.data for part in site.stub.GetAttachment(read, metadata=site.citizen()))

    assert attachment() == PDF
    eventually(lambda: published() == 1)
    buckets.stop()
    try:
        assert refused(attachment) == "UNAVAILABLE"
        assert refused(lambda: site.upload(site.citizen("citizen-2"))) == "UNAVAILABLE"
        answer = httpx.get(f"{address}/checkpoint", timeout=30)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
        # What needs no file goes on; its leaf waits.
        site.submit(site.citizen())
    finally:
        buckets.start()
    eventually(lambda: published() == 2)
    assert attachment() == PDF
    site.upload(site.citizen("citizen-2"))
    site.submit(site.citizen("citizen-2"))
    eventually(lambda: published() == 3)
    assert not (tmp_path / "blobs").exists()
    assert not (tmp_path / "ledger").exists()
    stored = asyncio.run(_stored(url))
    assert {f"blobs/citizen-1/{SHA256}", f"blobs/citizen-2/{SHA256}", "ledger/checkpoint"} < stored
    assert "ledger/tile/0/000.p/3" in stored


async def _stored(url: str) -> set[str]:
    return {each["path"] for each in await open_bucket(url).list_async().collect_async()}
