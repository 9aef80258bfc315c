"""Work whose cost its input decides, in processes of its own: bounded in time and memory, without files, network or secrets.

The program that `Confined` starts is `python -m services.chassis.work.confined module:function memory seconds`. It loads what the
function needs and forks a process for each piece of work, so that nothing of one person's is there when another's is worked on.

A piece of work is its pickled arguments and a content in pieces, each with its length before it; the content ends with an empty
one. The answer is JSON and a content.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
import os
import pickle
import resource
import signal
import struct
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from services.chassis.decider import Rejected

# Of one piece of work, on its processor.
CPU_SECONDS = 4
# With waiting for a processor; less than the edge waits for an answer.
SECONDS = 12.0
MEMORY_BYTES = 256 * 1024 * 1024
MOST_WAITING = 32
_LENGTH = struct.Struct(">I")
_NO_MORE_WORK = 3


class WorkExhausted(Exception):
    """The work took more time or memory than it may."""


@dataclass(frozen=True, slots=True)
class Produced:
    """What a function returns that makes a content."""

    answer: Any
    content: bytes


class Confined:
    """Calls of one function, which takes what pickles and returns JSON, perhaps with a content."""

    def __init__(
        self,
        function: Callable[..., Any] | str,
        processes: int,
        memory_bytes: int = MEMORY_BYTES,
        cpu_seconds: int = CPU_SECONDS,
    ) -> None:
        """`function` may be named, as `module:function`, so that what it needs is loaded in its own process alone."""
        self._name = function if isinstance(function, str) else f"{function.__module__}:{function.__qualname__}"
        self._limits = (str(memory_bytes), str(cpu_seconds))
        self._turn = asyncio.Semaphore(processes)
        self._idle: list[asyncio.subprocess.Process] = []
        self._waiting = 0

    async def __call__(self, *arguments: Any) -> Any:
        """Raises WorkExhausted, and Rejected OVERLOADED where too many wait already."""
        answer, _ = await self._work(arguments, None)
        return answer

    async def of(self, content: AsyncIterator[bytes], *arguments: Any) -> tuple[Any, bytes]:
        """The function's answer to the content, as its first argument, and what it made of it. Raises as __call__."""
        return await self._work(arguments, content)

    async def close(self) -> None:
        while self._idle:
            await _end(self._idle.pop())

    async def _work(self, arguments: tuple[Any, ...], content: AsyncIterator[bytes] | None) -> tuple[Any, bytes]:
        if self._waiting >= MOST_WAITING:
            raise Rejected("OVERLOADED")
        self._waiting += 1
        try:
            async with self._turn:
                return await self._answer(pickle.dumps((content is not None, arguments)), content)
        finally:
            self._waiting -= 1

    async def _answer(self, work: bytes, content: AsyncIterator[bytes] | None) -> tuple[Any, bytes]:
        process = self._idle.pop() if self._idle else await self._start()
        try:
            answer, made = await _exchange(process, work, content)
        except BaseException as error:
            # It may still be at it, and would answer the next one.
            await _end(process)
            if isinstance(error, TimeoutError | asyncio.IncompleteReadError | ConnectionError):
                raise WorkExhausted from error
            raise
        self._idle.append(process)
        outcome = json.loads(answer)
        if "failed" in outcome:
            raise RuntimeError(f"{self._name}: {outcome['failed']}")
        return outcome["answer"], made

    async def _start(self) -> asyncio.subprocess.Process:
        path = os.pathsep.join(part for part in sys.path if part)
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "services.chassis.work.confined", self._name, *self._limits),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            # The settings of this process hold secrets.
            env={"PYTHONPATH": path, "LANG": "C.UTF-8"},
            start_new_session=True,
        )


async def _exchange(
    process: asyncio.subprocess.Process, work: bytes, content: AsyncIterator[bytes] | None
) -> tuple[bytes, bytes]:
    assert process.stdin is not None
    assert process.stdout is not None
    async with asyncio.timeout(SECONDS) as limit:
        process.stdin.write(_LENGTH.pack(len(work)) + work)
        await process.stdin.drain()
        if content is not None:
            async for piece in content:
                if piece:
                    process.stdin.write(_LENGTH.pack(len(piece)) + piece)
                    await process.stdin.drain()
                # Where it comes from may be slow.
                limit.reschedule(asyncio.get_running_loop().time() + SECONDS)
        process.stdin.write(_LENGTH.pack(0))
        await process.stdin.drain()
        return await _framed(process.stdout), await _framed(process.stdout)


async def _framed(pipe: asyncio.StreamReader) -> bytes:
    (length,) = _LENGTH.unpack(await pipe.readexactly(_LENGTH.size))
    return await pipe.readexactly(length)


async def _end(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    await asyncio.shield(process.wait())


def main(name: str, memory_bytes: int, cpu_seconds: int) -> None:
    """Until the parent is gone."""
    module, _, attribute = name.partition(":")
    function = getattr(importlib.import_module(module), attribute)
    _confine(memory_bytes)
    worker = 0

    def end(*_: object) -> NoReturn:
        # Whoever collects the dead may not know of this process's.
        if worker:
            os.kill(worker, signal.SIGKILL)
            os.waitpid(worker, 0)
        os._exit(1)

    while True:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        worker = os.fork()
        if not worker:
            _do(function, cpu_seconds)
        signal.signal(signal.SIGTERM, end)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        _, status = os.waitpid(worker, 0)
        worker = 0
        if status:
            sys.exit(0 if os.waitstatus_to_exitcode(status) == _NO_MORE_WORK else 1)


def _do(function: Callable[..., Any], cpu_seconds: int) -> NoReturn:
    """One piece of work."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    work = _read(sys.stdin.buffer)
    if not work:
        os._exit(_NO_MORE_WORK)
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds))
    has_content, arguments = pickle.loads(work)
    content = bytearray()
    while piece := _read(sys.stdin.buffer):
        content += piece
    for part in _outcome(function, (content, *arguments) if has_content else arguments):
        sys.stdout.buffer.write(_LENGTH.pack(len(part)) + part)
    sys.stdout.buffer.flush()
    os._exit(0)


def _confine(memory_bytes: int) -> None:
    """Nothing that is loaded later: no file can be opened any more."""
    with open(os.devnull, "wb") as nowhere:  # a library that gives up prints what it worked on
        os.dup2(nowhere.fileno(), sys.stderr.fileno())
    pages = int(Path("/proc/self/statm").read_text().split()[0]) if sys.platform == "linux" else 0
    memory = pages * os.sysconf("SC_PAGE_SIZE") + memory_bytes
    if pages:
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    for limit, most in ((resource.RLIMIT_CORE, 0), (resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_NOFILE, 3)):
        resource.setrlimit(limit, (most, most))


def _outcome(function: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[bytes, bytes]:
    try:
        found = function(*arguments)
        made = found if isinstance(found, Produced) else Produced(found, b"")
        return json.dumps({"answer": made.answer}).encode(), made.content
    except MemoryError:
        os._exit(1)
    except BaseException as error:
        # Its text may hold what was worked on.
        return json.dumps({"failed": type(error).__name__}).encode(), b""


def _read(pipe: BinaryIO) -> bytes:
    head = pipe.read(_LENGTH.size)
    return pipe.read(*_LENGTH.unpack(head)) if len(head) == _LENGTH.size else b""


if __name__ == "__main__":
    # By the name under which functions know it: as __main__ it would be another module.
    importlib.import_module("services.chassis.work.confined").main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
