"""Work whose cost its input decides, in processes of its own: bounded in time and memory, without files, network or secrets.

The program that `Confined` starts is `python -m services.chassis.confined module:function`.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
import os
import pickle
import resource
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from services.chassis.decider import Rejected

# Of one piece of work, on its processor.
CPU_SECONDS = 4
# With waiting for a processor; less than the edge waits for an answer.
SECONDS = 12.0
MEMORY_BYTES = 256 * 1024 * 1024
MOST_WAITING = 32
_LENGTH = struct.Struct(">I")


class Exhausted(Exception):
    """The work took more time or memory than it may."""


class Confined:
    """Calls of one function, which takes what pickles and returns JSON."""

    def __init__(self, function: Callable[..., Any], processes: int) -> None:
        self._name = f"{function.__module__}:{function.__qualname__}"
        self._turn = asyncio.Semaphore(processes)
        self._idle: list[asyncio.subprocess.Process] = []
        self._waiting = 0

    async def __call__(self, *arguments: Any) -> Any:
        """Raises Exhausted, and Rejected OVERLOADED where too many wait already."""
        if self._waiting >= MOST_WAITING:
            raise Rejected("OVERLOADED")
        self._waiting += 1
        try:
            async with self._turn:
                return await self._answer(pickle.dumps(arguments))
        finally:
            self._waiting -= 1

    async def close(self) -> None:
        while self._idle:
            await _end(self._idle.pop())

    async def _answer(self, work: bytes) -> Any:
        process = self._idle.pop() if self._idle else await self._start()
        try:
            async with asyncio.timeout(SECONDS):
                answer = await _exchange(process, work)
        except BaseException as error:
            # It may still be at it, and would answer the next one.
            await _end(process)
            if isinstance(error, TimeoutError | asyncio.IncompleteReadError | ConnectionError):
                raise Exhausted from error
            raise
        self._idle.append(process)
        outcome = json.loads(answer)
        if "failed" in outcome:
            raise RuntimeError(f"{self._name}: {outcome['failed']}")
        return outcome["answer"]

    async def _start(self) -> asyncio.subprocess.Process:
        path = os.pathsep.join(part for part in sys.path if part)
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "services.chassis.confined", self._name),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            # The settings of this process hold secrets.
            env={"PYTHONPATH": path, "LANG": "C.UTF-8"},
            start_new_session=True,
        )


async def _exchange(process: asyncio.subprocess.Process, work: bytes) -> bytes:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(_LENGTH.pack(len(work)) + work)
    await process.stdin.drain()
    (length,) = _LENGTH.unpack(await process.stdout.readexactly(_LENGTH.size))
    return await process.stdout.readexactly(length)


async def _end(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await asyncio.shield(process.wait())


def main(name: str) -> None:
    """Until the parent is gone."""
    module, _, attribute = name.partition(":")
    function = getattr(importlib.import_module(module), attribute)
    _confine()
    while work := _read(sys.stdin.buffer):
        spent = resource.getrusage(resource.RUSAGE_SELF)
        allowed = int(spent.ru_utime + spent.ru_stime) + 1 + CPU_SECONDS
        resource.setrlimit(resource.RLIMIT_CPU, (allowed, resource.RLIM_INFINITY))
        _write(sys.stdout.buffer, _outcome(function, pickle.loads(work)))


def _confine() -> None:
    """Nothing that is loaded later: no file can be opened any more."""
    with open(os.devnull, "wb") as nowhere:  # a library that gives up prints what it worked on
        os.dup2(nowhere.fileno(), sys.stderr.fileno())
    pages = int(Path("/proc/self/statm").read_text().split()[0]) if sys.platform == "linux" else 0
    memory = pages * os.sysconf("SC_PAGE_SIZE") + MEMORY_BYTES
    if pages:
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    for limit, most in ((resource.RLIMIT_CORE, 0), (resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_NOFILE, 3)):
        resource.setrlimit(limit, (most, most))


def _outcome(function: Callable[..., Any], arguments: tuple[Any, ...]) -> bytes:
    try:
        return json.dumps({"answer": function(*arguments)}).encode()
    except MemoryError:
        os._exit(1)
    except BaseException as error:
        # Its text may hold what was worked on.
        return json.dumps({"failed": type(error).__name__}).encode()


def _read(pipe: BinaryIO) -> bytes:
    head = pipe.read(_LENGTH.size)
    return pipe.read(*_LENGTH.unpack(head)) if len(head) == _LENGTH.size else b""


def _write(pipe: BinaryIO, answer: bytes) -> None:
    pipe.write(_LENGTH.pack(len(answer)) + answer)
    pipe.flush()


if __name__ == "__main__":
    main(sys.argv[1])
