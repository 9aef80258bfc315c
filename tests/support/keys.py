"""Subjects' keys without the identity service."""

from __future__ import annotations

import os
from collections.abc import Collection

from services.chassis.privacy.sealing import KEY_BYTES, Keys


class MemoryKeys:
    def __init__(self) -> None:
        self._keys: dict[str, bytes | None] = {}

    async def keys(self, subjects: Collection[str], *, create: bool) -> Keys:
        for subject in subjects:
            if create and subject not in self._keys:
                self._keys[subject] = os.urandom(KEY_BYTES)
        return {subject: key for subject in subjects if (key := self._keys.get(subject))}

    def erase(self, subject: str) -> None:
        self._keys[subject] = None
