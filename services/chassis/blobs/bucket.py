"""A bucket of an S3 service: attachments in it, and what other stores of files need of one.

It must be strongly consistent, in listings too, and honour If-Match and If-None-Match, as AWS does since 2024. Incomplete multipart
uploads, which a crash leaves, nobody sees; a rule of the bucket (AbortIncompleteMultipartUpload) ends them.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta

from obstore.exceptions import BaseError, GenericError
from obstore.store import S3Store

from services.chassis.blobs.port import Blob, BlobMissing, BlobsUnavailable, checked, checked_group
from services.chassis.telemetry import telemetry

# The least that a part of a multipart upload may have, but for the last.
PART_BYTES = 5 * 1024 * 1024
PARTS_AT_ONCE = 2
LISTED_AT_ONCE = 1000
# A request that a busy bucket answers late is one that its caller still waits for.
CONNECT_SECONDS = 3
REQUEST_SECONDS = 20
RETRIES = 4
RETRY_SECONDS = 10


def open_bucket(url: str, folder: str = "", *, request_seconds: int = REQUEST_SECONDS) -> S3Store:
    """`s3://bucket/prefix`, and a folder below the prefix. Endpoint, region and credentials are those of the AWS_* variables."""
    name, _, prefix = url.removeprefix("s3://").partition("/")
    path = "/".join(filter(None, (*prefix.split("/"), folder)))
    return S3Store(
        name,
        prefix=path or None,
        client_options={
            "allow_http": True,  # where the endpoint's address says so
            "connect_timeout": timedelta(seconds=CONNECT_SECONDS),
            "timeout": timedelta(seconds=request_seconds),
        },
        retry_config={"max_retries": RETRIES, "retry_timeout": timedelta(seconds=RETRY_SECONDS)},
    )


@contextmanager
def answering() -> Iterator[None]:
    """Raises FileNotFoundError for an object that is missing, BlobsUnavailable for all else that a bucket does not do."""
    try:
        yield
    except FileNotFoundError as missing:
        if "NoSuchBucket" in str(missing):
            raise _unavailable(missing) from None
        raise
    except BaseError as error:
        raise _unavailable(error) from None


def _unavailable(error: Exception) -> BlobsUnavailable:
    telemetry.BLOB_FAILURES.inc()
    return BlobsUnavailable(_said(error))


def _said(error: Exception) -> str:
    """Without the library's dump of its own objects."""
    return " ".join(str(error).partition("\n\nDebug source")[0].split())


class BucketBlobs:
    def __init__(self, store: S3Store) -> None:
        self._store = store

    async def put(self, name: str, pieces: AsyncIterable[bytes]) -> None:
        path, source, first = checked(name), aiter(pieces), bytearray()
        async for piece in source:
            first += piece
            if len(first) > PART_BYTES:
                break
        else:
            with _writing():
                await self._store.put_async(path, bytes(first), use_multipart=False)
            return
        with _writing():
            await self._store.put_async(
                path, _chained(bytes(first), source), chunk_size=PART_BYTES, max_concurrency=PARTS_AT_ONCE
            )

    async def size(self, name: str) -> int:
        with _reading(name):
            return (await self._store.head_async(checked(name)))["size"]

    async def get(self, name: str, start: int, count: int) -> bytes:
        if not count:
            await self.size(name)
            return b""
        with _reading(name):
            try:
                return bytes(await self._store.get_range_async(checked(name), start=start, length=count))
            except GenericError:  # among them: the range begins behind the end
                if await self.size(name) <= start:
                    return b""
                raise

    async def delete(self, name: str) -> None:
        with _writing():
            await self._store.delete_async(checked(name))

    async def members(self, group: str) -> Sequence[str]:
        with _writing():
            found = await self._store.list_async(checked_group(group)).collect_async()
        return sorted(each["path"].rpartition("/")[2] for each in found)

    async def everything(self) -> AsyncIterator[Sequence[Blob]]:
        listing = self._store.list_async(chunk_size=LISTED_AT_ONCE)
        while True:
            with _writing():
                found = await anext(listing, None)
            if found is None:
                return
            yield [Blob(each["path"], each["size"], each["e_tag"] or str(each["last_modified"])) for each in found]


@contextmanager
def _reading(name: str) -> Iterator[None]:
    try:
        with answering():
            yield
    except FileNotFoundError:
        raise BlobMissing(name) from None


@contextmanager
def _writing() -> Iterator[None]:
    """What is missing where nothing is read is the bucket itself."""
    try:
        with answering():
            yield
    except FileNotFoundError as missing:
        raise _unavailable(missing) from None


async def _chained(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in rest:
        yield piece
