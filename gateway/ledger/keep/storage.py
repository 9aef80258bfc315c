"""Where the published files are: a folder, or a bucket (bucket.py). tests/ledger/test_storage.py is the contract."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from services.chassis.machine import chance, disk, threads


class Storage(Protocol):
    """Files by their paths below the log's prefix. What a method wrote is durable when it returns.

    They are served through the ledger's own pages, which say how long each may be cached: a bucket need not be public. OSError is
    raised where the files cannot be reached; what was to be written may be there or not, and can be written again.
    """

    async def read(self, path: str) -> bytes | None: ...

    async def create(self, path: str, content: bytes) -> bytes | None:
        """Write a file that is not there. If it is, it stays, and its content is returned."""
        ...

    async def replace(self, path: str, old: bytes | None, new: bytes) -> bool:
        """Compare and swap: write `new` if the content is `old` (None: if there is no file). Whether it was."""
        ...

    async def remove_under(self, folder: str) -> None:
        """Remove the files below a path, which may be none."""
        ...


class FolderStorage:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def read(self, path: str) -> bytes | None:
        return await threads.in_thread(self._read, path)

    async def create(self, path: str, content: bytes) -> bytes | None:
        def run() -> bytes | None:
            target = self._folder / path
            if (there := self._read(path)) is not None:
                return there
            self._make(target.parent)
            with self._written(target, content) as fresh:
                try:
                    os.link(fresh, target)
                except FileExistsError:
                    return self._read(path)
            _sync(target.parent)
            return None

        return await threads.in_thread(run)

    async def replace(self, path: str, old: bytes | None, new: bytes) -> bool:
        def run() -> bool:
            target = self._folder / path
            self._make(target.parent)
            with self._locked():
                if self._read(path) != old:
                    return False
                with self._written(target, new) as fresh:
                    fresh.replace(target)
                _sync(target.parent)
            return True

        return await threads.in_thread(run)

    async def remove_under(self, folder: str) -> None:
        # A replica that writes there at this moment leaves a file behind, which does no harm.
        await threads.in_thread(shutil.rmtree, self._folder / folder, ignore_errors=True)

    def _read(self, path: str) -> bytes | None:
        try:
            return (self._folder / path).read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None

    def _make(self, folder: Path) -> None:
        """The folder, with all above it that are missing, durably."""
        missing = [each for each in (folder, *folder.parents) if not each.exists()]
        for each in reversed(missing):
            each.mkdir(exist_ok=True)
            _sync(each.parent)

    @contextmanager
    def _written(self, target: Path, content: bytes) -> Iterator[Path]:
        """A durable file beside the target, which is gone in the end."""
        fresh = target.with_name(f".{target.name}.{chance.token_hex(4)}")
        try:
            with fresh.open("xb") as file:
                file.write(content)
                file.flush()
                disk.sync(file.fileno())
            yield fresh
        finally:
            with suppress(FileNotFoundError):
                fresh.unlink()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Over all processes that share the folder."""
        descriptor = os.open(self._folder / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        disk.sync(descriptor)
    finally:
        os.close(descriptor)
