"""A site that is saved while people use it, and what they find after it was restored elsewhere."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from gateway.ledger.audit import checking
from gateway.ledger.audit.source import HttpSource
from gateway.ledger.format.checkpoint import Checkpoint
from gateway.ledger.format.note import Note
from gateway.ledger.keep.own_keys import log_key
from gateway.ledger.service import LedgerService
from motcua.dossier.v1 import dossier_service_pb2 as pb
from motcua.dossier.v1.dossier_service_pb2_grpc import DossierServiceStub
from motcua.types.v1 import types_pb2 as types
from services.dossier.service import DossierService
from services.identity.keys import SubjectKeys
from services.identity.service import IdentityService
from tests.backup.site import SECRETS, load, save, settings_of, sha256_of
from tests.dossier.test_service import Site, reached
from tests.support.hosted import hosted
from tests.support.papers import pdf
from tests.support.waiting import eventually

CITIZEN = "citizen-1"


@contextmanager
def working(folder: Path, *, begins: bool) -> Iterator[Site]:
    shift = folder.parent / f"{folder.name}-shift"
    shift.write_text("0")
    given: dict[str, Any] = SECRETS | {"clock_shift_file": shift, "ledger_checkpoint_seconds": 0.05}
    with (
        hosted(folder, [IdentityService, DossierService, LedgerService], **given) as host,
        grpc.insecure_channel(host.address("dossier")) as channel,
    ):
        keys: Any = SubjectKeys.of(host.platform, "test")
        made = Site(host, DossierServiceStub(channel), keys, shift)
        if begins:
            made.open()
        yield made


def submit(site: Site, number: int) -> tuple[str, bytes]:
    """A dossier with a document of its own; its code."""
    content = pdf(f"document {number}" * 2000)
    who = site.citizen(CITIZEN)
    asked = pb.CreateUploadRequest(media_type="application/pdf", size=len(content), sha256=sha256_of(content))
    upload = site.stub.CreateUpload(asked, metadata=who).upload
    site.stub.UploadChunk(pb.UploadChunkRequest(upload_id=upload.upload_id, data=content), metadata=who)
    deed = pb.GivenComponent(component_code="deed", source=types.COMPONENT_SOURCE_ATTACHMENT, sha256=sha256_of(content))
    return site.submit(who, components=[deed]).code, content


def download(site: Site, code: str, content: bytes) -> bytes:
    read = pb.GetAttachmentRequest(code=code, sha256=sha256_of(content))
    return b"".join(part.data for part in site.stub.GetAttachment(read, metadata=site.citizen(CITIZEN)))


def rows(folder: Path, view: str) -> dict[str, set[tuple[Any, ...]]]:
    """All that a service has made of the log, but for what it has come to."""
    with closing(sqlite3.connect(folder / "views" / f"{view}.db")) as db:
        names = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: set(db.execute(f"SELECT * FROM {name}")) for name in names if name != "positions"}


class Load(threading.Thread):
    """Submits one after another, and notes what was acknowledged."""

    def __init__(self, site: Site) -> None:
        super().__init__(name="load")
        self.acknowledged: list[tuple[str, bytes]] = []
        self.failure: BaseException | None = None
        self.enough = threading.Event()
        self._site = site

    def run(self) -> None:
        try:
            while not self.enough.is_set():
                self.acknowledged.append(submit(self._site, len(self.acknowledged)))
        except BaseException as error:
            self.failure = error


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("working")
    settings = settings_of(folder / "site")
    with working(folder / "site", begins=True) as site:
        load = Load(site)
        load.start()
        eventually(lambda: len(load.acknowledged) >= 5)
        before = list(load.acknowledged)
        # As another process does it, beside the one that works.
        under_load = asyncio.run(save(settings, folder / "backup"))
        during = len(load.acknowledged)
        eventually(lambda: len(load.acknowledged) > during)
        load.enough.set()
        load.join()
        assert load.failure is None
        reached(site)
        address = f"http://{site.host.platform.http_addresses['ledger']}/ledger"

        def published() -> int:
            return Checkpoint.parse(Note.parse(httpx.get(f"{address}/checkpoint", timeout=30).content).text).size

        eventually(lambda: published() == len(load.acknowledged))
        (folder / "checkpoint").write_bytes(httpx.get(f"{address}/checkpoint", timeout=30).content)
        at_last = asyncio.run(save(settings, folder / "at-last"))
        reached(site)
    return {
        "folder": folder,
        "acknowledged": load.acknowledged,
        "before": before,
        "under_load": under_load,
        "at_last": at_last,
    }


def test_what_was_acknowledged_before_the_backup_began_is_in_it(saved: dict[str, Any], tmp_path: Path) -> None:
    """Under load, into a drill: a machine on which nobody is served."""
    assert saved["under_load"].proved
    manifest = saved["under_load"].manifest
    checkpoint = saved["folder"] / "backup" / manifest.ledger.checkpoint.path
    restored = asyncio.run(load(settings_of(tmp_path / "site"), saved["folder"] / "backup", checkpoint))
    assert restored.leaves == manifest.ledger.size
    with working(tmp_path / "site", begins=False) as site:
        for code, content in saved["before"]:
            assert download(site, code, content) == content
        # What came while it was saved is there whole, or not at all.
        there = {code for code, _ in saved["acknowledged"] if site.history(code)}
        for code, content in saved["acknowledged"]:
            if code in there:
                assert download(site, code, content) == content
        assert there == {code for code, _ in saved["acknowledged"][: len(there)]}


def test_a_restored_site_is_the_site(saved: dict[str, Any], tmp_path: Path) -> None:
    folder, settings = saved["folder"], settings_of(tmp_path / "site")
    count = len(saved["acknowledged"])
    restored = asyncio.run(load(settings, folder / "at-last", folder / "checkpoint"))
    assert (restored.leaves, restored.committed) == (count, count)
    with working(tmp_path / "site", begins=False) as site:
        reached(site)
        for code, content in saved["acknowledged"]:
            assert download(site, code, content) == content
        for view in ("dossier", "identity"):
            eventually(lambda view=view: rows(folder / "site", view) == rows(tmp_path / "site", view))  # type: ignore[misc]
        code, content = submit(site, 1_000_000)
        assert code not in {one for one, _ in saved["acknowledged"]}
        assert download(site, code, content) == content
        source = HttpSource(f"http://{site.host.platform.http_addresses['ledger']}/ledger")
        log, old = log_key(settings).verifier, Checkpoint.parse(Note.parse((folder / "checkpoint").read_bytes()).text)

        def grown() -> checking.Report | None:
            found = checking.check(source, log, remembered=old)
            return found if found.leaves > count else None

        report = eventually(grown)
        assert report
        source.close()
    assert (report.leaves, report.faults) == (count + 1, [])
