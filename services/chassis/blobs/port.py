"""The blob store's port, and a folder that keeps it; bucket.py is another. What lies in it is sealed before it gets here.

A blob is put whole, read by ranges, never changed: as buckets have it.
"""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterable, AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ParamSpec, Protocol, TypeVar

from services.chassis.machine import chance, disk, moments, threads
from services.chassis.telemetry import telemetry

P = ParamSpec("P")
T = TypeVar("T")

_PART = "[0-9A-Za-z][0-9A-Za-z:._-]{0,199}"
NAME = re.compile(f"{_PART}/{_PART}")
GROUP = re.compile(_PART)
PARTIAL = ".partial"
ABANDONED_SECONDS = 3600


class BlobMissing(Exception):
    def __init__(self, name: str) -> None:
        super().__init__(f"there is no blob {name[:200]}")


class BlobsUnavailable(OSError):
    """The store did not answer, or refuses. A write may or may not have happened: it can be sent again."""


@dataclass(frozen=True, slots=True)
class Blob:
    name: str
    size: int
    tag: str
    """Another one when the blob was replaced."""


class BlobStore(Protocol):
    """A name is `<group>/<member>`, each of letters, digits, `:`, `.`, `_`, `-`. Another one raises ValueError.

    Any method may raise BlobsUnavailable. What is written or deleted is so for all who ask afterwards.
    """

    async def put(self, name: str, pieces: AsyncIterable[bytes]) -> None:
        """All pieces or, if one raises, nothing; durable when it returns. A blob of that name is replaced."""

    async def size(self, name: str) -> int:
        """Raises BlobMissing."""

    async def get(self, name: str, start: int, count: int) -> bytes:
        """The bytes from `start`, at most `count`, fewer where the blob ends. Raises BlobMissing."""

    async def delete(self, name: str) -> None:
        """One that is not there changes nothing."""

    async def members(self, group: str) -> Sequence[str]:
        """Of the blobs of a group, sorted."""

    def everything(self) -> AsyncIterator[Sequence[Blob]]:
        """All blobs in no order, some at a time. One that comes or goes meanwhile may be among them or not."""


def checked(name: str) -> str:
    if not NAME.fullmatch(name):
        raise ValueError(f"no name of a blob: {name[:80]!r}")
    return name


def checked_group(group: str) -> str:
    if not GROUP.fullmatch(group):
        raise ValueError(f"no group of blobs: {group[:80]!r}")
    return group


class FolderBlobs:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._tidied = False

    def _path(self, name: str) -> Path:
        return self._folder / checked(name)

    async def put(self, name: str, pieces: AsyncIterable[bytes]) -> None:
        path = self._path(name)
        partial = self._folder / PARTIAL / chance.token_hex(16)
        descriptor = await _asked(self._begin, partial)
        try:
            try:
                async for piece in pieces:
                    await _asked(_write, descriptor, piece)
                await _asked(disk.sync, descriptor)
            finally:
                os.close(descriptor)
            await _asked(_place, partial, path)
        except BaseException:
            with suppress(OSError):
                partial.unlink(missing_ok=True)
            raise

    def _begin(self, partial: Path) -> int:
        if not self._tidied:
            self._tidied = True
            self._drop_abandoned()
        partial.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        return os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)

    def _drop_abandoned(self) -> None:
        """What a crash left half written."""
        for path in (self._folder / PARTIAL).glob("*"):
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < moments.unix() - ABANDONED_SECONDS:
                    path.unlink()

    async def size(self, name: str) -> int:
        path = self._path(name)
        try:
            return (await _asked(path.stat)).st_size
        except FileNotFoundError:
            raise BlobMissing(name) from None

    async def get(self, name: str, start: int, count: int) -> bytes:
        path = self._path(name)

        def run() -> bytes:
            with path.open("rb") as file:
                file.seek(start)
                return file.read(count)

        try:
            return await _asked(run)
        except FileNotFoundError:
            raise BlobMissing(name) from None

    async def delete(self, name: str) -> None:
        path = self._path(name)

        def run() -> None:
            path.unlink(missing_ok=True)
            with suppress(OSError):  # another blob of the group is there
                path.parent.rmdir()

        await _asked(run)

    async def members(self, group: str) -> Sequence[str]:
        folder = self._folder / checked_group(group)

        def run() -> list[str]:
            try:
                return sorted(entry.name for entry in os.scandir(folder))
            except FileNotFoundError:
                return []

        return await _asked(run)

    async def everything(self) -> AsyncIterator[Sequence[Blob]]:
        for group in await _asked(_names, self._folder):
            if found := await _asked(_blobs, self._folder, group):
                yield found


async def _asked(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """In a thread. Raises FileNotFoundError; BlobsUnavailable for what the disk refuses otherwise."""
    try:
        return await threads.in_thread(work, *args, **kwargs)
    except FileNotFoundError:
        raise
    except OSError as error:
        telemetry.BLOB_FAILURES.inc()
        raise BlobsUnavailable(error.errno, f"the folder of blobs: {error.strerror}") from error


def _names(folder: Path) -> list[str]:
    try:
        return [name for name in os.listdir(folder) if GROUP.fullmatch(name)]
    except FileNotFoundError:
        return []


def _blobs(folder: Path, group: str) -> list[Blob]:
    found = []
    with suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder / group) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):
                stat = entry.stat()
                found.append(Blob(f"{group}/{entry.name}", stat.st_size, f"{stat.st_ino}-{stat.st_mtime_ns}"))
    return found


def _write(descriptor: int, piece: bytes) -> None:
    rest = memoryview(piece)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _place(partial: Path, path: Path) -> None:
    while True:
        # A deletion may take the group's empty folder away at any moment, also while it is found to be there.
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            partial.rename(path)
            break
        except (FileExistsError, FileNotFoundError):
            if not partial.exists() or path.parent.is_file():
                raise
    for folder in (path.parent, path.parent.parent):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            disk.sync(descriptor)
        finally:
            os.close(descriptor)
