"""Subjects' data keys: one random key for each person, wrapped by the vault. Destroying it erases the person.

A key that is lost is personal data lost: a new key is on disk before anybody seals with it. Concurrent requests for new keys share
one transaction.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from functools import partial

from sqlalchemy import Connection, insert, select
from sqlalchemy.exc import IntegrityError

from services.chassis.machine import chance, moments
from services.chassis.platform.platform import Platform
from services.chassis.privacy.sealing import KEY_BYTES, FoundKeys, Keys
from services.chassis.work.batching import Batched
from services.identity.vault import AT_ONCE, Vault, Wrapping, bury, subject_keys, subject_name

CACHED_SUBJECTS = 100_000
# How long a key may outlive its destruction by another replica.
CACHED_SECONDS = 5.0

Held = Mapping[str, bytes | None]
"""Keys by subject, None for a destroyed one. A subject that never had a key is not in it."""


class SubjectKeys:
    """Identity's own key ring."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._cache: OrderedDict[str, tuple[float, bytes | None]] = OrderedDict()
        self._made = Batched[str, bytes | None](self._make)

    @classmethod
    def of(cls, platform: Platform, _service: str) -> SubjectKeys:
        return cls(Vault.of(platform))

    async def keys(self, subjects: Collection[str], *, create: bool) -> Keys:
        held = await self.held(subjects, create=create)
        found = {subject: key for subject, key in held.items() if key is not None}
        return FoundKeys.of(found, set(subjects) - held.keys())

    async def held(self, subjects: Collection[str], *, create: bool) -> Held:
        now = moments.monotonic()
        found = {
            subject: self._cache[subject][1]
            for subject in subjects
            if subject in self._cache and self._cache[subject][0] > now
        }
        unknown = [subject for subject in subjects if subject not in found]
        for start in range(0, len(unknown), AT_ONCE):
            found |= self._remember(await self._vault.unwrapping(partial(_stored, unknown[start : start + AT_ONCE])))
        if create and (missing := [subject for subject in unknown if subject not in found]):
            found |= dict(zip(missing, await asyncio.gather(*map(self._made.get, missing)), strict=True))
        return found

    async def destroy(self, subject: str) -> None:
        """For ever, with the person's identifiers, and on disk when it returns."""
        await self._vault.write(lambda db: bury(db, subject))
        self._remember({subject: None})
        await self._vault.scrub()

    async def _make(self, subjects: Sequence[str]) -> Held:
        """One transaction for all that were asked for while the one before it was written."""
        return self._remember(await self._ensure(subjects))

    async def _ensure(self, subjects: Sequence[str]) -> Held:
        fresh = {subject: chance.random_bytes(KEY_BYTES) for subject in subjects}

        def write(db: Connection, wrapping: Wrapping) -> Held:
            held = dict(_stored(subjects, db, wrapping))
            rows = [
                {"subject": subject, "wrapped": wrapping.wrap(key, subject_name(subject)), "destroyed": False}
                for subject, key in fresh.items()
                if subject not in held
            ]
            if rows:
                db.execute(insert(subject_keys), rows)
            return fresh | held

        try:
            return await self._vault.wrapping_write(write)
        except IntegrityError:  # another replica made one of them meanwhile
            return await self._ensure(subjects)

    def _remember(self, held: Held) -> Held:
        until = moments.monotonic() + CACHED_SECONDS
        for subject, key in held.items():
            self._cache[subject] = (until, key)
            self._cache.move_to_end(subject)
        while len(self._cache) > CACHED_SUBJECTS:
            self._cache.popitem(last=False)
        return held


def _stored(subjects: Sequence[str], db: Connection, wrapping: Wrapping) -> Held:
    rows = db.execute(select(subject_keys).where(subject_keys.c.subject.in_(subjects)))
    return {
        row.subject: None if row.destroyed else wrapping.unwrap(row.wrapped, subject_name(row.subject)) for row in rows
    }
