"""What sealing costs files: the same uploads and downloads with and without it, in turns, in one run.

python -m loadtests.blobs
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Collection
from pathlib import Path

from rich.console import Console

from services.chassis.blobs.port import FolderBlobs
from services.chassis.blobs.sealed import SealedBlobs
from services.chassis.blobs.unfinished import GrowingUploads
from services.chassis.privacy.sealing import KEY_BYTES, Keys

SIZE = 16 * 1024 * 1024
CHUNK = 1024 * 1024
READ = 256 * 1024
ROUNDS = 7


class _Keys:
    def __init__(self) -> None:
        self._key = os.urandom(KEY_BYTES)

    async def keys(self, subjects: Collection[str], *, create: bool) -> Keys:
        return dict.fromkeys(subjects, self._key)


async def _one(piece: bytes) -> AsyncIterator[bytes]:
    yield piece


async def _sealed(store: FolderBlobs, content: bytes, number: int) -> tuple[float, float]:
    """Seconds of an upload in chunks until it is a blob, and of reading it."""
    sha256, keys = hashlib.sha256(content).hexdigest(), _Keys()
    growing, blobs = GrowingUploads(store, keys), SealedBlobs(store, keys)
    began = time.perf_counter()
    for offset in range(0, len(content), CHUNK):
        await growing.write("me", f"u{number}", offset, content[offset : offset + CHUNK])
    await blobs.put("me", sha256, growing.read("me", f"u{number}"))
    await growing.discard(f"u{number}")
    stored = time.perf_counter()
    async for _ in blobs.read("me", sha256):
        pass
    return stored - began, time.perf_counter() - stored


async def _clear(store: FolderBlobs, content: bytes, number: int) -> tuple[float, float]:
    """The same steps on the same store, the content's hash checked at the end of both, nothing sealed."""
    name = f"clear/{number}"

    async def parts() -> AsyncIterator[bytes]:
        digest = hashlib.sha256()
        for member in await store.members(f"plain-{number}"):
            piece = await store.get(f"plain-{number}/{member}", 0, CHUNK)
            await asyncio.to_thread(digest.update, piece)
            yield piece

    began = time.perf_counter()
    for offset in range(0, len(content), CHUNK):
        await store.members(f"plain-{number}")
        await store.put(f"plain-{number}/{offset:012d}", _one(content[offset : offset + CHUNK]))
    await store.put(name, parts())
    for member in await store.members(f"plain-{number}"):
        await store.delete(f"plain-{number}/{member}")
    stored = time.perf_counter()
    digest = hashlib.sha256()
    for start in range(0, await store.size(name), READ):
        await asyncio.to_thread(digest.update, await store.get(name, start, READ))
    return stored - began, time.perf_counter() - stored


async def measure(folder: Path, console: Console) -> None:
    store, content = FolderBlobs(folder), os.urandom(SIZE)
    ratios: dict[str, list[float]] = {"upload": [], "download": []}
    speeds: dict[str, list[float]] = {"upload": [], "download": []}
    for number in range(-1, ROUNDS):
        sides = (_sealed, _clear) if number % 2 else (_clear, _sealed)
        seconds = {side: await side(store, content, number + 1) for side in sides}
        if number < 0:  # warming up
            continue
        for i, what in enumerate(ratios):
            ratios[what].append(seconds[_clear][i] / seconds[_sealed][i])
            speeds[what].append(SIZE / 2**20 / seconds[_sealed][i])
    for what, each in ratios.items():
        console.print(
            f"{what}: {statistics.median(each):.0%} of the throughput without sealing (median of {ROUNDS} rounds, "
            f"{min(each):.0%} to {max(each):.0%}); {statistics.median(speeds[what]):.0f} MiB/s sealed"
        )


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(Path(folder), Console(highlight=False)))


if __name__ == "__main__":
    main()
