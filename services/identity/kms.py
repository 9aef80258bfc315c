"""What holds the site's root key: a key management service, or this machine.

It wraps a handful of keys, never people's data: calls are few, and may be slow.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from services.chassis.machine import chance, disk
from services.chassis.platform.settings import Settings
from services.chassis.privacy.sealing import NONCE_BYTES

VERSION = b"\x01"
# In secrets/, the master key that a rotation is about to put in the place of `master`.
FOLLOWING = "master-following"


class KeyNotUnwrapped(Exception):
    """No root key that is known opens it under this name."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name} cannot be opened with this master key: set MOTCUA_MASTER_KEY, or secrets/master in the data folder, to the"
            " key that it was made under; while it is being rotated, MOTCUA_MASTER_KEY_PREVIOUS to the one before"
        )


class KeyManagement(Protocol):
    async def wrap(self, secret: bytes, name: str) -> bytes:
        """Under the newest root key. What is wrapped is opened under the same name only."""

    async def unwrap(self, wrapped: bytes, name: str) -> bytes:
        """Under whichever root key it was wrapped. Raises KeyNotUnwrapped."""


class LocalKeys:
    """AES-256-GCM under root keys from this machine, read anew each time: newest first."""

    def __init__(self, roots: Callable[[], Sequence[bytes]]) -> None:
        self._roots = roots

    @classmethod
    def of(cls, settings: Settings) -> LocalKeys:
        def roots() -> list[bytes]:
            if settings.master_key:
                return [bytes.fromhex(key) for key in (settings.master_key, settings.master_key_previous) if key]
            master = settings.secret("master", "")
            following = settings.data / "secrets" / FOLLOWING
            return [bytes.fromhex(key) for key in (*_content(following), master)]

        return cls(roots)

    async def wrap(self, secret: bytes, name: str) -> bytes:
        nonce = chance.random_bytes(NONCE_BYTES)
        return VERSION + nonce + AESGCM(self._roots()[0]).encrypt(nonce, secret, name.encode())

    async def unwrap(self, wrapped: bytes, name: str) -> bytes:
        if wrapped[:1] == VERSION:
            nonce, ciphertext = wrapped[1 : 1 + NONCE_BYTES], wrapped[1 + NONCE_BYTES :]
            for root in self._roots():
                try:
                    return AESGCM(root).decrypt(nonce, ciphertext, name.encode())
                except (InvalidTag, ValueError):
                    continue
        raise KeyNotUnwrapped(name)


def _content(path: Path) -> list[str]:
    try:
        return [path.read_text().strip()]
    except FileNotFoundError:
        return []


def prepare_root(settings: Settings) -> None:
    """Make the root key that follows, unless one is waiting. One that is configured follows as the operator set it."""
    if not settings.master_key:
        settings.secret("master", "")
        settings.secret(FOLLOWING, "")


def replace_root(settings: Settings) -> None:
    """The root key that follows takes the place of the one before, which is gone."""
    if settings.master_key:
        return
    folder = settings.data / "secrets"
    with suppress(FileNotFoundError):
        (folder / FOLLOWING).rename(folder / "master")
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        disk.sync(descriptor)
    finally:
        os.close(descriptor)
