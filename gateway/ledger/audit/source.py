"""Where an outsider reads a log: over HTTP, or from a copy of its files."""

from __future__ import annotations

import gzip
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import httpx

from gateway.ledger.format.errors import LedgerError
from gateway.ledger.format.merkle import TILE_WIDTH
from gateway.ledger.format.note import MAX_NOTE
from gateway.ledger.format.tiles import MAX_ENTRY

MAX_FILE = TILE_WIDTH * (MAX_ENTRY + 2)
ATTEMPTS = 9
TIMEOUT_SECONDS = 30.0
LONGEST_PAUSE_SECONDS = 10.0


class LedgerUnreachable(LedgerError):
    """The log did not answer. Nothing follows from that about its content."""


class Source(Protocol):
    @property
    def address(self) -> str: ...

    def read(self, path: str, /) -> bytes | None:
        """A file below the log's prefix, None if there is none. Raises LedgerUnreachable."""
        ...


class HttpSource:
    """Asks again with growing pauses for what is refused for a while: logs limit how fast they are read."""

    def __init__(self, url: str, sleep: Callable[[float], None] = time.sleep) -> None:
        self.address = url.rstrip("/")
        self._sleep = sleep
        self._client = httpx.Client(timeout=TIMEOUT_SECONDS, headers={"accept-encoding": "gzip, identity"})

    def read(self, path: str, /) -> bytes | None:
        address = f"{self.address}/{path}"
        why = ""
        for attempt in range(ATTEMPTS):
            if attempt:
                self._sleep(min(0.1 * 2**attempt, LONGEST_PAUSE_SECONDS))
            try:
                with self._client.stream("GET", address) as reply:
                    if reply.status_code == 404:
                        return None
                    if reply.status_code == 200:
                        return _whole(reply, address)
                    why = f"it answers {reply.status_code}"
                    if reply.status_code != 429 and reply.status_code < 500:
                        break
            except httpx.DecodingError as damaged:
                raise LedgerError(f"{address} is damaged: {damaged}") from None
            except (httpx.TransportError, httpx.InvalidURL) as error:
                why = str(error) or type(error).__name__
        raise LedgerUnreachable(f"{address} cannot be read: {why}")

    def close(self) -> None:
        self._client.close()


class FolderSource:
    """The files as they lie in a site's storage, entry bundles compressed."""

    def __init__(self, folder: Path) -> None:
        self.address = str(folder)
        self._folder = folder

    def read(self, path: str, /) -> bytes | None:
        try:
            content = (self._folder / path).read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None
        except OSError as error:
            raise LedgerUnreachable(f"{self._folder / path} cannot be read: {error.strerror}") from None
        if path.startswith("tile/entries/") and content.startswith(b"\x1f\x8b"):
            try:
                return gzip.decompress(content)
            except (OSError, EOFError, zlib.error) as damaged:
                raise LedgerError(f"{self._folder / path} is damaged: {damaged}") from None
        return content

    def close(self) -> None:
        pass


def open_source(address: str) -> HttpSource | FolderSource:
    """`address` is an URL or a folder."""
    if address.startswith(("http://", "https://")):
        return HttpSource(address)
    folder = Path(address.removeprefix("file://"))
    if not folder.is_dir():
        raise LedgerUnreachable(f"{address} is neither an address (http://, https://) nor a folder")
    return FolderSource(folder)


def _whole(reply: httpx.Response, address: str) -> bytes:
    limit = MAX_FILE if "/tile/" in address else MAX_NOTE
    parts, size = [], 0
    for part in reply.iter_bytes():
        size += len(part)
        if size > limit:
            raise LedgerError(f"{address} has more than {limit} bytes")
        parts.append(part)
    return b"".join(parts)
