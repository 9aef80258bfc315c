"""Plays dossiers for another process, one for each line on standard input; tells on standard output, one JSON object a line.

{"call": "SubmitDossier", "seconds": 0.01, "error": ""} for every answered call, {"dossier": 7, "error": ""} for the end of the
dossier that the line `7` began. Ends with its input.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from typing import Any

import grpc

from gateway.sandbox.day.door import Door, LoginFailed, refusal
from gateway.sandbox.day.province import Province, Stuck, apply, settle


def _tell(**line: Any) -> None:
    print(json.dumps(line), flush=True)


def _observe(name: str, seconds: float, error: Exception | None) -> None:
    said = refusal(error) if isinstance(error, grpc.aio.AioRpcError) else str(error or "")
    _tell(call=name, seconds=seconds, error=said)


async def _play(province: Province, number: int) -> None:
    error = ""
    try:
        code = await apply(province, random.Random())
        await settle(province, code, code.partition("-")[0])
    except grpc.aio.AioRpcError as refused:
        error = refusal(refused)
    except (Stuck, ValueError, LoginFailed) as failed:
        error = str(failed)
    _tell(dossier=number, error=error)


async def main(url: str, code: str) -> None:
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    door = Door(url, _observe)
    try:
        province = await Province.open(door, code)
        _tell(ready=True)
        async with asyncio.TaskGroup() as playing:
            while line := await lines.readline():
                playing.create_task(_play(province, int(line)))
    finally:
        await door.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
