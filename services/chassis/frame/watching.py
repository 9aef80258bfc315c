"""Watching single streams: history first, then live. One subscription serves all watchers of a service."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from nameko.extensions import DependencyProvider

from services.chassis.decider import Rejected
from services.chassis.following.followers import Follower
from services.chassis.frame.container import parts_of, wait_for
from services.chassis.store.port import Batch, EventStore, RecordedEvent

HEARTBEAT_SECONDS = 15.0
LONGEST_NUMBER = 19  # digits of 64 bits


@dataclass(frozen=True, slots=True)
class Happened:
    event: RecordedEvent
    resume_token: str
    """With which watching goes on after this."""


@dataclass(frozen=True, slots=True)
class CaughtUp:
    """Once: all that had happened before was told."""

    resume_token: str


@dataclass(frozen=True, slots=True)
class Silence:
    """Nothing happened for HEARTBEAT_SECONDS."""

    resume_token: str


News = Happened | CaughtUp | Silence


class Watchers:
    def __init__(self, store: EventStore, types: Sequence[str]) -> None:
        self._store = store
        self._types = tuple(types)
        self._changed: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self._follower: Follower | None = None

    async def start(self) -> None:
        head = await self._store.head()
        self._follower = Follower("watchers", self._store, head, self._types, self._wake)
        self._follower.start()

    async def stop(self) -> None:
        if self._follower:
            await self._follower.stop()

    async def _wake(self, batch: Batch) -> None:
        for event in batch.events:
            for changed in self._changed.get(event.stream, ()):
                changed.set()

    async def watch(self, stream: str, resume_token: str) -> AsyncIterator[News]:
        """What happened in the stream after a token, and what happens. Raises Rejected INVALID_POSITION, POSITION_UNUSABLE."""
        revision, token = revision_of(resume_token), resume_token
        changed = asyncio.Event()
        self._changed[stream].add(changed)
        try:
            history = await self._store.read(stream)
            if revision >= len(history):
                raise Rejected("POSITION_UNUSABLE", position=resume_token, oldest=resume_token_of(-1))
            for event in history[revision + 1 :]:
                revision, token = event.revision, resume_token_of(event.revision)
                yield Happened(event, token)
            yield CaughtUp(token)
            while True:
                try:
                    async with asyncio.timeout(HEARTBEAT_SECONDS):
                        await changed.wait()
                except TimeoutError:
                    yield Silence(token)
                    continue
                changed.clear()
                for event in await self._store.read(stream, revision):
                    revision, token = event.revision, resume_token_of(event.revision)
                    yield Happened(event, token)
        finally:
            self._changed[stream].discard(changed)
            if not self._changed[stream]:
                del self._changed[stream]


def resume_token_of(revision: int) -> str:
    return f"r{revision + 1}"


def revision_of(token: str) -> int:
    """Raises Rejected INVALID_POSITION."""
    if not token:
        return -1
    digits = token[1:]
    plain = digits.isascii() and digits.isdigit() and len(digits) <= LONGEST_NUMBER
    if token[:1] != "r" or not plain or f"r{int(digits)}" != token:
        raise Rejected("INVALID_POSITION", position=token[:40])
    return int(digits) - 1


class _Watching(DependencyProvider):  # type: ignore[misc]
    def __init__(self, *types: str) -> None:
        self._types = types

    def setup(self) -> None:
        self._watchers = Watchers(parts_of(self).platform.store, self._types)

    def start(self) -> None:
        wait_for(self._watchers.start())

    def stop(self) -> None:
        wait_for(self._watchers.stop())

    def get_dependency(self, worker_ctx: Any) -> Watchers:
        return self._watchers


def watching(*types: str) -> Watchers:
    """Watchers of streams whose events' types begin so."""
    provider: Any = _Watching(*types)
    watchers: Watchers = provider
    return watchers
