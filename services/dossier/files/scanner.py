"""Malware: a site with a scanner asks it about every file before anything reads that. One that does not answer passes nothing."""

from __future__ import annotations

import asyncio
import re
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol
from urllib.parse import unquote, urlsplit

# Less than the edge waits for an answer.
SECONDS = 10.0
LARGEST_PIECE_BYTES = 1024 * 1024
LONGEST_ANSWER = 4096
PORT = 3310
_FOUND = re.compile(r"stream: (.+) FOUND")


class ScannerUnavailable(Exception):
    """It did not say that the file is clean, nor that it is not."""


class Scanner(Protocol):
    async def found_in(self, content: AsyncIterator[bytes]) -> str:
        """The name of what it found; empty for a clean file. Raises ScannerUnavailable."""
        ...


class NoScanner:
    async def found_in(self, content: AsyncIterator[bytes]) -> str:
        return ""


class Clamd:
    """https://docs.clamav.net/manual/Usage/Scanning.html#clamd: INSTREAM and PING."""

    def __init__(self, url: str) -> None:
        """`tcp://host:port`, or `unix:///path` of its socket."""
        self._url = urlsplit(url)

    async def found_in(self, content: AsyncIterator[bytes]) -> str:
        async with self._asking() as (reader, writer):
            writer.write(b"zINSTREAM\0")
            async for data in content:
                for start in range(0, len(data), LARGEST_PIECE_BYTES):
                    piece = data[start : start + LARGEST_PIECE_BYTES]
                    writer.write(struct.pack(">I", len(piece)) + piece)
                    await writer.drain()
            writer.write(struct.pack(">I", 0))
            await writer.drain()
            answer = await _answer(reader)
        if answer == "stream: OK":
            return ""
        if match := _FOUND.fullmatch(answer):
            return match[1]
        raise ScannerUnavailable(f"clamd answered {answer[:200]!r}")

    async def ping(self) -> None:
        """Raises ScannerUnavailable."""
        async with self._asking() as (reader, writer):
            writer.write(b"zPING\0")
            await writer.drain()
            if (answer := await _answer(reader)) != "PONG":
                raise ScannerUnavailable(f"clamd answered {answer[:200]!r}")

    @asynccontextmanager
    async def _asking(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        try:
            async with asyncio.timeout(SECONDS):
                if self._url.scheme == "unix":
                    reader, writer = await asyncio.open_unix_connection(unquote(self._url.path), limit=LONGEST_ANSWER)
                else:
                    host, port = self._url.hostname, self._url.port or PORT
                    reader, writer = await asyncio.open_connection(host, port, limit=LONGEST_ANSWER)
                try:
                    yield reader, writer
                finally:
                    writer.close()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError) as silent:
            raise ScannerUnavailable(f"clamd: {type(silent).__name__} {silent}") from silent


async def _answer(reader: asyncio.StreamReader) -> str:
    return (await reader.readuntil(b"\0"))[:-1].decode("utf-8", "replace").strip()


def scanner_of(url: str) -> Scanner:
    return Clamd(url) if url else NoScanner()
