"""One hop for all who ask meanwhile: single questions, answered in groups."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

GROUP = 200


class Batched(Generic[K, V]):
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
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        return await asyncio.shield(answer)  # others may wait for the same

    async def _run(self) -> None:
        while self._waiting:
            group = {key: self._waiting.pop(key) for key in list(self._waiting)[:GROUP]}
            # Whatever happens, nobody waits for ever.
            try:
                answers = await self._answer(tuple(group))
                for key, waiting in group.items():
                    waiting.set_result(answers.get(key))
            except Exception as error:
                _fail(group.values(), error)
            except BaseException as error:
                _fail(group.values(), RuntimeError(f"it ended while it was asked: {error!r}"))
                if isinstance(error, asyncio.CancelledError):
                    _fail(self._waiting.values(), RuntimeError("it ended before it was asked"))
                    self._waiting.clear()
                    raise
        self._task = None


def _fail(group: Iterable[asyncio.Future[Any]], error: Exception) -> None:
    for waiting in group:
        if not waiting.done():
            waiting.set_exception(error)
