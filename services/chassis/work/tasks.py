"""Who owns what goes on for ever: notices its end, whatever ended it, says so, and begins it again.

A task or a thread that nobody owns ends unseen, and what it did is never done again. `tests/chassis/test_owners.py` lists who else
may begin one. What is down, or stands still, is said by /readyz, by gRPC's health of `background`, by /healthz, by
`motcua_background_down` and by `motcua doctor`; calls are answered meanwhile, so no probe that restarts or removes a process asks.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import structlog
from prometheus_client import Counter

from services.chassis.machine import moments
from services.chassis.telemetry import gauges, telemetry
from services.chassis.telemetry.gauges import Observed, Sample

FIRST_REST_SECONDS = 0.2
LONGEST_REST_SECONDS = 5.0
# What lived as long as this after it was begun again is at work.
STEADY_SECONDS = 5.0
# Where something waits, and nothing moves for so long, it stands still.
STILL_SECONDS = 30.0
# It is looked at that often meanwhile.
LOOKS = 10
EXAMINED_SECONDS = 5.0
# Who asks within it shares an answer.
KEPT_SECONDS = 0.5

ENDS = Counter("motcua_background_ends_total", "Times that work which goes on for ever ended by itself", ["work"])
DOWN = Observed("motcua_background_down", "1 where work that goes on for ever failed or stands still, else 0", ["work"])

log = structlog.get_logger()

Work = Callable[[], Coroutine[Any, Any, None]]
Waiting = Callable[[], Awaitable[object]]
"""Where something waits to be done, as anything that changes when it moves; None if nothing waits."""


class _Ended(Exception):
    """Instead of what asyncio would end the whole loop with."""


class _Kept(Protocol):
    @property
    def name(self) -> str: ...

    async def trouble(self) -> str: ...


class Owned:
    """`start()` and `stop()`; between them the work is begun again whenever it ends, after a rest that grows."""

    def __init__(
        self,
        name: str,
        work: Work,
        *,
        passing: tuple[type[Exception], ...] = (),
        failed: Callable[[], object] = lambda: None,
        rest_seconds: float = FIRST_REST_SECONDS,
        longest_seconds: float = LONGEST_REST_SECONDS,
        finite: bool = False,
        proving: bool = False,
        waiting: Waiting | None = None,
        still_seconds: float = STILL_SECONDS,
    ) -> None:
        """`passing`: what needs no traceback. `failed` is told of each end. `finite`: it is done when it returns.

        `proving`: after a failure it says itself, by `worked()`, that it is at work again; else it is when it has lived a while.
        """
        self.name = name
        self._work = work
        self._passing = passing
        self._failed = failed
        self._first = self._rest = rest_seconds
        self._longest = max(longest_seconds, rest_seconds)
        self._finite = finite
        self._proving = proving
        self._waiting = waiting
        self._still_seconds = still_seconds
        self._task: asyncio.Task[None] | None = None
        self._next: asyncio.TimerHandle | None = None
        self._stopped = True
        self._began = 0.0
        self._why = ""
        self._still = ""
        self._looked = float("-inf")
        self._place: object = None
        self._since = 0.0

    def start(self) -> None:
        if self._stopped:
            self._stopped = False
            self._loop = asyncio.get_running_loop()
            _of(self._loop).kept[id(self)] = self
            self._begin()

    @property
    def stopped(self) -> bool:
        """Whether nothing is owned: it never began, it is done, or it was ended."""
        return self._stopped

    async def stop(self) -> None:
        task = self.leave()
        if task:
            await asyncio.gather(task, return_exceptions=True)

    async def finish(self) -> None:
        """Wait until what is finite is done; what is to begin again is not waited for."""
        if self._task and not self._task.done():
            await asyncio.wait({self._task})
        await self.stop()

    def leave(self) -> asyncio.Task[None] | None:
        """End it without waiting for it to end; returns what ends."""
        if self._stopped:
            return None
        self._stopped = True
        _of(self._loop).kept.pop(id(self), None)
        if self._next:
            self._next.cancel()
        task, self._task = self._task, None
        if task:
            task.cancel()
        return task

    async def restart(self) -> None:
        """Begin it anew, for a reason of its owner's."""
        if not self._stopped:
            await self.stop()
            self.start()

    def worked(self) -> None:
        """It does what it is for: what was wrong is over."""
        was, self._why, self._still = self._why, "", ""
        if was:
            log.warning("background work goes on", work=self.name, after=was)
        self._rest = self._first

    def failing(self, error: BaseException) -> None:
        """It goes on, and what it tries fails."""
        self._why = _said(error)

    async def trouble(self) -> str:
        """What is wrong with it; empty if nothing is."""
        at_work = self._task is not None and not self._task.done()
        if self._why and at_work and not self._proving and moments.monotonic() - self._began >= STEADY_SECONDS:
            self.worked()
        return self._why or await self._stands_still()

    async def _stands_still(self) -> str:
        if self._waiting is None or moments.monotonic() - self._looked < self._still_seconds / LOOKS:
            return self._still
        place, now = await self._waiting(), moments.monotonic()
        if place is None or place != self._place:
            self._place, self._since = place, now
        still = now - self._since
        self._still = f"something waits, and nothing moves for {still:.0f} s" if still >= self._still_seconds else ""
        self._looked = now
        return self._still

    def _begin(self) -> None:
        if self._stopped:
            return
        try:
            self._began = moments.monotonic()
            self._task = self._loop.create_task(self._attempt(), name=self.name)
            self._task.add_done_callback(self._over)
        except Exception:  # no memory for it
            self._next = self._loop.call_later(self._longest, self._begin)

    async def _attempt(self) -> None:
        try:
            await self._work()
        except (KeyboardInterrupt, SystemExit) as error:
            raise _Ended(repr(error)) from error

    def _over(self, task: asyncio.Task[None]) -> None:
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if self._stopped or task is not self._task:
            return
        if self._finite and error is None:
            self.leave()
            return
        steady = moments.monotonic() - self._began >= STEADY_SECONDS
        rest = self._rest = self._first if steady else self._rest
        self._rest = min(2 * self._rest, self._longest)
        # Before anything else, which may fail too.
        self._next = self._loop.call_later(rest, self._begin)
        with suppress(Exception):
            self._why = _said(error)
        _report(self.name, error, self._passing, self._failed)


class OwnedThread:
    """The same for a thread. Its work returns when its owner stops it, and `done` tells that it was to."""

    def __init__(self, name: str, work: Callable[[], None], ended: Callable[[], object] = lambda: None) -> None:
        """`ended` is called in the thread at each end that nobody wanted, for those who wait for it."""
        self.name = name
        self._work = work
        self._ended = ended
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._began = 0.0
        self._why = ""

    def start(self) -> None:
        with suppress(RuntimeError):  # without a loop nobody asks how it is
            self._loop = asyncio.get_running_loop()
            _of(self._loop).kept[id(self)] = self
        self._stopping.clear()
        self._launch()

    def stop(self) -> None:
        """What it waits for must end by itself; `join` waits for it."""
        self._stopping.set()
        if self._loop:
            _of(self._loop).kept.pop(id(self), None)

    def join(self) -> None:
        if self._thread:
            self._thread.join()

    def ensure(self) -> None:
        """Begin it again if it ended where its own care could not reach."""
        if self._stopping.is_set() or self._thread is None or self._thread.is_alive():
            return
        self._why = "the thread ended"
        _report(self.name, None, (), self._ended)
        self._launch()

    async def trouble(self) -> str:
        self.ensure()
        if self._why and moments.monotonic() - self._began >= STEADY_SECONDS:
            self._why = ""
        return self._why

    def _launch(self) -> None:
        self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        rest = FIRST_REST_SECONDS
        while not self._stopping.is_set():
            self._began = moments.monotonic()
            error: BaseException | None = None
            try:
                self._work()
            except BaseException as raised:
                error = raised
            if self._stopping.is_set():
                return
            with suppress(Exception):
                self._why = _said(error)
            _report(self.name, error, (), self._ended)
            rest = FIRST_REST_SECONDS if moments.monotonic() - self._began >= STEADY_SECONDS else rest
            self._stopping.wait(rest)
            rest = min(2 * rest, LONGEST_REST_SECONDS)


async def troubles() -> Mapping[str, str]:
    """What goes on for ever on this loop and is not at work, each with the reason, which is for the operator alone."""
    of = _of(asyncio.get_running_loop())
    async with of.lock:
        if moments.monotonic() - of.at >= KEPT_SECONDS:
            kept = list(of.kept.values())
            answers = await asyncio.gather(*map(_trouble, kept))
            of.found = [(one.name, answer) for one, answer in zip(kept, answers, strict=True)]
            of.at = moments.monotonic()
        return {name: why for name, why in of.found if why}


async def _trouble(kept: _Kept) -> str:
    try:
        async with asyncio.timeout(EXAMINED_SECONDS):
            return await kept.trouble()
    except Exception as error:
        return f"how it is cannot be seen: {_said(error)}"


async def _observe() -> list[Sample]:
    await troubles()
    return [DOWN.at(float(bool(why)), name) for name, why in _of(asyncio.get_running_loop()).found]


gauges.observe("background work", _observe)


def _report(
    name: str, error: BaseException | None, passing: tuple[type[Exception], ...], failed: Callable[[], object]
) -> None:
    """Says so as far as that is possible: what fails here must not end who cares."""
    with suppress(BaseException):
        ENDS.labels(name).inc()
    with suppress(BaseException):
        failed()
    with suppress(BaseException):
        if isinstance(error, passing):
            log.warning("background work waits", work=name, error=_said(error))
        else:
            log.error("background work ended, beginning it again", work=name, error=_said(error), exc_info=error)


def _said(error: BaseException | None) -> str:
    if error is None:
        return "it ended"
    try:
        return telemetry.redacted(repr(error))[:300]
    except Exception:
        return type(error).__name__


class _Loop:
    """What is owned on one loop."""

    def __init__(self) -> None:
        self.kept: dict[int, _Kept] = {}
        self.lock = asyncio.Lock()
        self.at = float("-inf")
        self.found: list[tuple[str, str]] = []


_loops: WeakKeyDictionary[asyncio.AbstractEventLoop, _Loop] = WeakKeyDictionary()


def _of(loop: asyncio.AbstractEventLoop) -> _Loop:
    return _loops.setdefault(loop, _Loop())
