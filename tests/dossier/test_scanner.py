"""Every file is shown to the site's malware scanner first, and none is taken that it did not call clean."""

from __future__ import annotations

import asyncio
import hashlib
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from services.chassis.blobs.port import FolderBlobs
from services.chassis.database.database import Database
from services.chassis.decider import Rejected
from services.dossier.files import scanner
from services.dossier.files.scanner import Clamd, ScannerUnavailable
from services.dossier.uploads import Owner, Uploads
from tests.support.keys import MemoryKeys
from tests.support.papers import pdf

# https://www.eicar.org/download-anti-malware-testfile/, in two parts, so that no scanner finds it in this file.
EICAR = rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$" + b"EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
ME = Owner("citizen-1", "citizen-1")


@dataclass
class Daemon:
    """As clamd speaks: INSTREAM and PING, with NUL at a command's and an answer's end."""

    answer: bytes = b""
    limit: int = 25 * 1024 * 1024
    silent: bool = False
    scanned: list[bytes] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(await self._answer(reader) + b"\0")
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader) -> bytes:
        if await reader.readuntil(b"\0") == b"zPING\0":
            return b"PONG"
        content = b""
        while length := struct.unpack(">I", await reader.readexactly(4))[0]:
            content += await reader.readexactly(length)
            if len(content) > self.limit:
                return b"INSTREAM size limit exceeded. ERROR"
        self.scanned.append(content)
        if self.silent:
            await reader.read()
        return self.answer or (b"stream: Eicar-Signature FOUND" if EICAR in content else b"stream: OK")


@asynccontextmanager
async def listening(daemon: Daemon) -> AsyncIterator[str]:
    server = await asyncio.start_server(daemon.serve, "127.0.0.1", 0)
    async with server:
        yield f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest_asyncio.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    made = Database(f"sqlite:///{tmp_path}/uploads.db", "uploads", durable=True)
    yield made
    await made.close()


KEYS = MemoryKeys()


@asynccontextmanager
async def scanning(tmp_path: Path, database: Database, url: str) -> AsyncIterator[Uploads]:
    made = Uploads(FolderBlobs(tmp_path / "blobs"), KEYS, database, scanner=Clamd(url))
    yield made
    await made.close()


async def sent(uploads: Uploads, content: bytes) -> Any:
    """The upload, or the reason for which it was refused and its facts."""
    begun = await uploads.create(ME, "application/pdf", len(content), hashlib.sha256(content).hexdigest())
    try:
        return await uploads.add(ME, begun.upload_id, 0, content)
    except Rejected as rejected:
        return rejected.reason, rejected.facts


async def test_malware_is_refused_by_its_name_and_clean_files_are_taken(tmp_path: Path, database: Database) -> None:
    daemon, clean, infected = Daemon(), pdf("clean", 1_000_000), pdf() + EICAR
    async with listening(daemon) as url, scanning(tmp_path, database, url) as uploads:
        assert (await sent(uploads, clean)).complete
        assert await sent(uploads, infected) == ("UPLOAD_INFECTED", {"found": "Eicar-Signature"})
        assert daemon.scanned == [clean, infected]
        begun = await uploads.create(ME, "application/pdf", len(infected), hashlib.sha256(infected).hexdigest())
        assert (begun.offset, begun.complete) == (0, False)  # nothing of it is kept


@pytest.mark.parametrize(
    "daemon",
    [
        Daemon(silent=True),
        Daemon(answer=b"INSTREAM: Can't open file ERROR"),
        Daemon(answer=b"stream: OK, or not"),
        Daemon(answer=b"UNKNOWN COMMAND"),
        Daemon(answer=b"x" * 10_000),
        Daemon(limit=100),
        None,
    ],
    ids=["silent", "error", "unclear", "unknown", "endless", "too large", "absent"],
)
async def test_who_does_not_say_that_a_file_is_clean_lets_none_pass(
    daemon: Daemon | None, tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scanner, "SECONDS", 0.3)
    content = pdf()
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        nowhere = f"tcp://127.0.0.1:{nobody.getsockname()[1]}"
    async with (
        listening(daemon or Daemon()) as url,
        scanning(tmp_path, database, url if daemon else nowhere) as uploads,
    ):
        assert await sent(uploads, content) == ("UPLOAD_UNSCANNED", {})
        assert await uploads.owned(ME, {hashlib.sha256(content).hexdigest()}) == {}
    # What was sent is there still: when the scanner is back, the last chunk is enough.
    monkeypatch.undo()
    async with listening(Daemon()) as url, scanning(tmp_path, database, url) as uploads:
        assert (await sent(uploads, content)).complete


async def test_a_socket_of_this_machine_is_asked_as_well(tmp_path: Path) -> None:
    path = tmp_path / "clamd.sock"
    async with await asyncio.start_unix_server(Daemon().serve, path):
        await Clamd(f"unix://{path}").ping()
    with pytest.raises(ScannerUnavailable):
        await Clamd(f"unix://{path}").ping()
