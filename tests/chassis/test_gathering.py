"""Who asks in a group gets an answer or an error, however the asking ends."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from services.chassis.work.batching import Batched
from tests.support.waiting import PATIENCE_SECONDS


@pytest.mark.parametrize(
    "error",
    [ValueError(), SystemExit(1), KeyboardInterrupt(), asyncio.CancelledError(), GeneratorExit(), MemoryError()],
)
async def test_nobody_waits_for_ever_and_the_next_one_is_answered(error: BaseException) -> None:
    fails = [True]

    async def answer(keys: Sequence[str]) -> Mapping[str, str]:
        await asyncio.sleep(0)
        if fails:
            fails.clear()
            raise error
        return {key: key.upper() for key in keys}

    gathered = Batched(answer)
    async with asyncio.timeout(PATIENCE_SECONDS):
        first = asyncio.create_task(gathered.get("a"))
        await asyncio.sleep(0)
        later = [asyncio.create_task(gathered.get(key)) for key in "bc"]
        answers = await asyncio.gather(first, *later, return_exceptions=True)
        assert isinstance(answers[0], Exception)
        assert all(isinstance(each, Exception) or each in ("B", "C") for each in answers[1:])
        assert await gathered.get("d") == "D"
