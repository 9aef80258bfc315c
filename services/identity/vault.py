"""What identity keeps outside the event store: keys, identifiers, used assertions.

No log gives them back, so each commit is on disk. Subjects' keys, signing keys and the site's own secrets are wrapped by a random
key, and that one by the site's root key (kms.py). A rotation makes a new generation of the wrapping key and wraps everything anew
(rotation.py); until it is done, both are accepted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TypeVar

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    delete,
    func,
    insert,
    select,
    update,
)

from services.chassis.database.database import Database, insert_new
from services.chassis.following.erasures import erased_accounts
from services.chassis.machine import chance
from services.chassis.platform.platform import Platform
from services.chassis.privacy.sealing import KEY_BYTES, NONCE_BYTES
from services.chassis.store.port import START, EventStore
from services.identity.kms import KeyManagement, LocalKeys

T = TypeVar("T")

VERSION = b"\x02"
NUMBER_BYTES = 4
ATTEMPTS = 5
AT_ONCE = 500

metadata = MetaData()
wrapping_keys = Table(
    "wrapping_keys",
    metadata,
    # The generation. More than one: a rotation is under way.
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("wrapped", LargeBinary, nullable=False),
)
subject_keys = Table(
    "subject_keys",
    metadata,
    Column("subject", String, primary_key=True),
    # Empty when it was destroyed; the row stays, so that no key is ever made again.
    Column("wrapped", LargeBinary, nullable=False),
    Column("destroyed", Boolean, nullable=False),
)
signing_keys = Table(
    "signing_keys",
    metadata,
    Column("kid", String, primary_key=True),
    Column("wrapped", LargeBinary, nullable=False),
)
site_secrets = Table(
    "site_secrets",
    metadata,
    Column("name", String, primary_key=True),
    Column("wrapped", LargeBinary, nullable=False),
)
identifiers = Table(
    "identifiers",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("account_id", String, nullable=False, index=True),
)
# Up to where the log's erasures were carried out in this very database: a restored backup says itself how old it is.
tombstones = Table(
    "tombstones",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("position", BigInteger, nullable=False),
)


class GenerationUnknown(Exception):
    """Wrapped under a generation that was made, or dropped, meanwhile."""


def derive_key(secret: bytes, use: str) -> bytes:
    """One key per use, so that none can stand in for another."""
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=f"motcua/identity/{use}".encode()).derive(secret)


class Wrapping:
    """Version (1 byte), generation (4), nonce (12), AES-256-GCM. A secret opens only under the name that it was wrapped for."""

    def __init__(self, keys: Mapping[int, bytes]) -> None:
        self._ciphers = {number: AESGCM(key) for number, key in keys.items()}
        self.newest = max(keys)

    @property
    def prefix(self) -> bytes:
        """With which everything begins that the newest generation wrapped."""
        return VERSION + self.newest.to_bytes(NUMBER_BYTES, "big")

    def wrap(self, secret: bytes, name: str) -> bytes:
        nonce = chance.random_bytes(NONCE_BYTES)
        return self.prefix + nonce + self._ciphers[self.newest].encrypt(nonce, secret, name.encode())

    def unwrap(self, wrapped: bytes, name: str) -> bytes:
        """Raises GenerationUnknown; cryptography.exceptions.InvalidTag if it was changed, or wrapped for another name."""
        head, rest = wrapped[: len(self.prefix)], wrapped[len(self.prefix) :]
        cipher = self._ciphers.get(int.from_bytes(head[1:], "big")) if head[:1] == VERSION else None
        if cipher is None:
            raise GenerationUnknown(f"{name} is wrapped under {head.hex()}")
        return cipher.decrypt(rest[:NONCE_BYTES], rest[NONCE_BYTES:], name.encode())


class Vault:
    def __init__(self, database: Database, kms: KeyManagement, store: EventStore) -> None:
        self._database = database
        self._kms = kms
        self._store = store
        self._making = asyncio.Lock()
        self._made = False
        self._wrapping: Wrapping | None = None

    @classmethod
    def of(cls, platform: Platform) -> Vault:
        return cls(platform.database("keys", durable=True), LocalKeys.of(platform.settings), platform.store)

    async def read(self, work: Callable[[Connection], T]) -> T:
        await self._make()
        return await self._database.read(work)

    async def write(self, work: Callable[[Connection], T]) -> T:
        """On disk when it returns."""
        await self._make()
        return await self._database.write(work)

    async def unwrapping(self, work: Callable[[Connection, Wrapping], T]) -> T:
        """Read and unwrap."""
        for _ in range(ATTEMPTS):
            wrapping = await self.wrapping()
            try:
                return await self.read(lambda db, wrapping=wrapping: work(db, wrapping))  # type: ignore[misc]
            except GenerationUnknown:
                self._wrapping = None
        wrapping = await self.wrapping()
        return await self.read(lambda db: work(db, wrapping))

    async def wrapping_write(self, work: Callable[[Connection, Wrapping], T]) -> T:
        """Wrap and write, under a generation that is still the newest when it is committed."""
        while True:
            wrapping = await self.wrapping()

            def run(db: Connection, wrapping: Wrapping = wrapping) -> T:
                # A shared lock: no rotation drops the generation before this is committed.
                mine = select(wrapping_keys.c.number).where(wrapping_keys.c.number == wrapping.newest)
                held = db.execute(mine.with_for_update(read=True)).scalar_one_or_none()
                if held is None or db.execute(select(func.max(wrapping_keys.c.number))).scalar_one() != held:
                    raise GenerationUnknown(f"generation {wrapping.newest} is not the newest")
                return work(db, wrapping)

            try:
                return await self.write(run)
            except GenerationUnknown:
                self._wrapping = None

    async def secret(self, name: str) -> bytes:
        """A random secret of the site, made when it is asked for first."""
        query = select(site_secrets.c.wrapped).where(site_secrets.c.name == name)

        def opened(db: Connection, wrapping: Wrapping) -> bytes | None:
            wrapped = db.execute(query).scalar_one_or_none()
            return None if wrapped is None else wrapping.unwrap(wrapped, secret_name(name))

        while (found := await self.unwrapping(opened)) is None:
            await self.wrapping_write(
                lambda db, wrapping: insert_new(
                    db,
                    site_secrets,
                    {"name": name, "wrapped": wrapping.wrap(chance.random_bytes(KEY_BYTES), secret_name(name))},
                )
            )
        return found

    async def scrub(self) -> None:
        """What was deleted or overwritten is in no file of the database any more."""
        await self._database.checkpoint()

    async def wrapping(self) -> Wrapping:
        while (held := self._wrapping) is None:
            rows = await self.read(lambda db: db.execute(select(wrapping_keys)).all())
            if rows:
                keys = {row.number: await self._kms.unwrap(row.wrapped, generation_name(row.number)) for row in rows}
                self._wrapping = Wrapping(keys)
            elif await self.read(
                lambda db: db.execute(select(subject_keys).where(~subject_keys.c.destroyed).limit(1)).first()
            ):
                raise RuntimeError(
                    "keys.db holds subjects' keys and no wrapping key: restore it from a backup as a whole"
                )
            else:
                await self.new_generation(1)
        return held

    async def generations(self) -> list[int]:
        """Ascending; more than one while a rotation is under way."""
        await self.wrapping()
        query = select(wrapping_keys.c.number).order_by(wrapping_keys.c.number)
        return await self.read(lambda db: list(db.execute(query).scalars()))

    async def rewrap_generation(self, number: int) -> None:
        """Under the newest root key."""
        one, name = wrapping_keys.c.number == number, generation_name(number)
        held: bytes = await self.read(lambda db: db.execute(select(wrapping_keys.c.wrapped).where(one)).scalar_one())
        wrapped = await self._kms.wrap(await self._kms.unwrap(held, name), name)
        await self.write(lambda db: db.execute(update(wrapping_keys).where(one).values(wrapped=wrapped)))

    async def new_generation(self, number: int) -> None:
        """Unless another process makes it at this moment."""
        row = {
            "number": number,
            "wrapped": await self._kms.wrap(chance.random_bytes(KEY_BYTES), generation_name(number)),
        }
        await self.write(lambda db: insert_new(db, wrapping_keys, row))
        self._wrapping = None

    async def _make(self) -> None:
        async with self._making:
            if not self._made:
                await self._database.create(metadata)
                await self._bury()
                self._made = True

    async def _bury(self) -> None:
        """Carry out again what the log says was erased since this database's state: it may come from a backup."""
        head = await self._store.head()
        since = await self._database.read(lambda db: db.execute(select(tombstones.c.position)).scalar_one_or_none())
        # A position beyond the log's end is of another log.
        erased = await erased_accounts(self._store, START if since is None or since > head else since)

        def write(db: Connection) -> int:
            # First of all: of two processes that start at once, one waits here for what the other does.
            insert_new(db, tombstones, {"id": 1, "position": START})
            db.execute(update(tombstones).values(position=head))
            return sum(bury(db, account_id) for account_id in sorted(erased))

        if await self._database.write(write):
            await self._database.checkpoint()


def bury(db: Connection, account_id: str) -> bool:
    """Destroy the person's key for ever and forget the identifiers; whether there was anything left of them."""
    gone = {"wrapped": b"", "destroyed": True}
    one = subject_keys.c.subject == account_id
    known = db.execute(select(subject_keys.c.destroyed).where(one)).scalar_one_or_none()
    if known is None:
        db.execute(insert(subject_keys).values(subject=account_id, **gone))
    elif not known:
        db.execute(update(subject_keys).where(one).values(gone))
    unlinked = db.execute(delete(identifiers).where(identifiers.c.account_id == account_id)).rowcount
    return bool(unlinked) or known is False


def subject_name(subject: str) -> str:
    return f"subject {subject}"


def signing_name(kid: str) -> str:
    return f"signing key {kid}"


def secret_name(name: str) -> str:
    return f"secret {name}"


def generation_name(number: int) -> str:
    return f"wrapping key {number}"
