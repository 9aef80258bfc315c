"""One hop for all who ask meanwhile: single questions, answered in groups."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

GROUP = 200


class Gathered(Generic[K, V]):
    """Asks at once when nothing is under way; what is asked while a group is being answered makes the next group."""

    def __init__(self, answer: Callable[[Sequence[K]], Awaitable[Mapping[K, V]]]) -> None:
        self._answer = answer
        self._waiting: dict[K, asyncio.Future[V | None]] = {}
        self._task: asyncio.Task[None] | None = None

    async def get(self, key: K) -> V | None:
        """Raises what the group's answer raises."""
        answer = self._waiting.get(key)
        if answer is None:
            answer = self._waiting[key] = asyncio.get_running_loop().create_future()
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        return await asyncio.shield(answer)  # others may wait for the same

    async def _run(self) -> None:
        while self._waiting:
            group = {key: self._waiting.pop(key) for key in list(self._waiting)[:GROUP]}
            try:
                answers = await self._answer(tuple(group))
            except Exception as error:
                for waiting in group.values():
                    waiting.set_exception(error)
            else:
                for key, waiting in group.items():
                    waiting.set_result(answers.get(key))
        self._task = None
