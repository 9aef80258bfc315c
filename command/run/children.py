"""Services as processes of their own, started again when they die: `motcua serve NAME` without loading everything each time.

One process loads the program and is forked for each of them (multiprocessing's forkserver), so that they start at once and share
what was loaded. They die with it, and it dies with us.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing import forkserver
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import structlog

from services.chassis.platform.settings import Settings
from services.chassis.work.tasks import Owned

PRELOADED = ("command.run.preloaded",)
FIRST_REST_SECONDS = 0.2
LONGEST_REST_SECONDS = 10.0
# Who lived as long as this did not die of its start.
STEADY_SECONDS = 10.0
STOP_SECONDS = 20.0
TAIL_BYTES = 2000
# With which a child ends that found the site's stores not to belong together: another start finds the same.
REFUSED = 3

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Part:
    """A replica of a service: what it is started with."""

    service: str
    number: int
    settings: Settings
    province: str = ""

    @property
    def name(self) -> str:
        return f"{self.service}-{self.number}"

    @property
    def log(self) -> Path:
        return self.settings.data / "logs" / f"{self.name}.jsonl"


class Child:
    """`start()` and `stop()`; between them it is started again whenever it dies, after a rest that grows."""

    def __init__(self, part: Part, changed: Callable[[Child, str], None]) -> None:
        """`changed` hears of each death and of each start after it."""
        self.part = part
        self.deaths = 0
        self._said_before = 0
        self._changed = changed
        self._process: ForkServerProcess | None = None
        self._keeper = Owned(f"keeper of {part.name}", self._keep, proving=True)

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def exitcode(self) -> int | None:
        return self._process.exitcode if self._process else None

    def said(self) -> str:
        """The end of what it wrote since it was started last."""
        with contextlib.suppress(FileNotFoundError), self.part.log.open("rb") as written:
            written.seek(self._said_before)
            return written.read()[-TAIL_BYTES:].decode(errors="replace").strip()
        return ""

    async def start(self) -> None:
        await self._launch()
        self._keeper.start()

    async def stop(self) -> None:
        """It answers what it was asked and ends; a child that does not is killed."""
        await self._keeper.stop()
        if self._process is None or self._process.exitcode is not None:
            return
        self._process.terminate()
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await self._ended()
        except TimeoutError:
            log.error("a service did not stop, killing it", child=self.part.name)
            self._process.kill()
            await self._ended()

    async def _launch(self) -> None:
        self._said_before = self.part.log.stat().st_size if self.part.log.exists() else 0
        context = multiprocessing.get_context("forkserver")
        process = context.Process(target=run, args=(self.part,), name=self.part.name, daemon=True)
        # The first one waits until everything is loaded.
        starting = asyncio.create_task(asyncio.to_thread(process.start))
        try:
            await asyncio.shield(starting)
        finally:
            # Also if we are to stop meanwhile: what was begun has to be known, to be ended.
            await asyncio.wait({starting})
            if starting.exception() is None:
                self._process = process

    async def _ended(self) -> int:
        assert self._process
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(self._process.sentinel, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(self._process.sentinel)
        self._process.join()
        return self._process.exitcode or 0

    async def _keep(self) -> None:
        rest = FIRST_REST_SECONDS
        while True:
            began = time.monotonic()
            code = await self._ended()
            self.deaths += 1
            self._keeper.failing(RuntimeError(f"it died ({how(code)})"))
            rest = FIRST_REST_SECONDS if time.monotonic() - began > STEADY_SECONDS else rest
            self._changed(self, f"died ({how(code)}), starting again")
            while True:
                await asyncio.sleep(rest)
                rest = min(2 * rest, LONGEST_REST_SECONDS)
                try:
                    await self._launch()
                    break
                except Exception as error:  # the process that is forked died in this moment, or there is no room
                    self._keeper.failing(error)
                    log.warning("a service's process could not be started", process=self.part.name, error=repr(error))
            self._keeper.worked()
            self._changed(self, "was started again")


def how(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"


def die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def preload(modules: Sequence[str] = ()) -> None:
    """Start to load what is forked, and these modules. From the main thread: the kernel takes a thread's end for its parent's."""
    multiprocessing.get_context("forkserver").set_forkserver_preload([*PRELOADED, *modules])
    forkserver.ensure_running()


def run(part: Part) -> None:
    """The whole life of a child."""
    parent = os.getppid()
    die_with_parent()
    # It may have died before this, or before the first question: then nobody would end us.
    supervisor = multiprocessing.parent_process()
    if os.getppid() != parent or not (supervisor and supervisor.is_alive()):
        return
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(15, f"motcua {part.name}".encode())  # PR_SET_NAME
    # An interrupt from the terminal is our parent's, who stops us after the edge.
    os.setsid()
    part.log.parent.mkdir(parents=True, exist_ok=True)
    output = os.open(part.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for descriptor in (1, 2):
        os.dup2(output, descriptor)
    os.close(output)
    from command.run import serving

    sys.exit(serving.serve(part.settings, [part.service], part.province, kept=True, refused=REFUSED))
