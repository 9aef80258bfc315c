"""The processor time of every callback of every event loop of this process: whoever works long keeps all others waiting.

Thread time, so that a busy machine changes nothing. What is collected as garbage meanwhile is the test process's, which holds much
more than a service does, and does not count.
"""

from __future__ import annotations

import gc
import inspect
import sys
import threading
import time
from asyncio import events
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

ROOT = Path(__file__).parents[2]
PRODUCT = (f"{ROOT}/services/", f"{ROOT}/gateway/", f"{ROOT}/command/")
MOST_SECONDS = 0.05
# One alone may be the machine's: where thread time is counted in ticks, a pause of the processor falls into somebody's.
ONCE_SECONDS = 0.25
LOOK_SECONDS = 0.01
# Thread time of `_spin` where a processor has its usual speed. A machine whose processors are shared is slower by the hour.
SPIN_SECONDS = 0.001

# What may take longer, by the end of the file's name and the function, with the reason.
ALLOWED = {
    ("<frozen importlib._bootstrap>", "_load_unlocked"): "a module is loaded once in a process",
    (
        "jinja2/environment.py",
        "Environment.compile",
    ): "a template is compiled once in a process; tests make many sites in one",
    ("jinja2/environment.py", "Environment._load_template"): "the same",
    ("ssl.py", "SSLContext.load_default_certs"): "authorities are loaded when a service, or a command, begins",
    ("ssl.py", "create_default_context"): "the same",
    ("command/doctor/measures.py", "_merge"): "a command of its own, whose loop nobody else waits for",
    ("babel/localedata.py", "load"): "a language's data is loaded once in a process",
}


@dataclass(slots=True)
class Slow:
    """A callback that took too long: what it ran when it was looked at, innermost last."""

    seconds: float
    counted: float
    callback: str
    seen: list[tuple[str, ...]] = field(default_factory=list)

    def __str__(self) -> str:
        places = (
            "\n".join(f"    {' > '.join(stack)}" for stack in dict.fromkeys(self.seen))
            or "    (not seen: it held the GIL)"
        )
        return f"{self.seconds * 1000:.0f} ms of {self.callback}\n{places}"


@dataclass(slots=True)
class _Running:
    began: float
    seen: list[tuple[str, ...]] = field(default_factory=list)
    looks: int = 0
    by_product: int = 0
    allowed: bool = False


class Loops:
    """Installed once per process."""

    def __init__(self) -> None:
        self._running: dict[int, _Running] = {}
        self._collecting: dict[int, float] = {}
        self._collected: dict[int, float] = {}
        self._slow: list[Slow] = []
        self._ended = threading.Event()

    def install(self) -> None:
        handle_class: Any = events.Handle
        original, thread_time, me = handle_class._run, time.thread_time, threading.get_ident
        running, collected = self._running, self._collected

        def run(handle: Any) -> None:
            thread = me()
            collected[thread] = 0.0
            outer, running[thread] = running.get(thread), (now := _Running(time.monotonic()))
            callback = handle._callback
            began = thread_time()
            try:
                original(handle)
            finally:
                seconds = thread_time() - began - collected[thread]
                if outer is None:
                    del running[thread]
                else:
                    running[thread] = outer
                if seconds > MOST_SECONDS:
                    self._note(seconds, callback, now)

        handle_class._run = run
        gc.callbacks.append(self._garbage)
        threading.Thread(target=self._look, name="looks at loops", daemon=True).start()

    @contextmanager
    def apart(self) -> Iterator[list[Slow]]:
        """What is slow within it stands in the list, and is told nobody else."""
        before, self._slow = self._slow, []
        try:
            yield (own := self._slow)
        finally:
            assert own is self._slow
            self._slow = before

    def taken(self) -> list[Slow]:
        """Those since the last time: what was slow again, or very slow once."""
        taken = [self._slow.pop(0) for _ in range(len(self._slow))]
        times = Counter(slow.callback for slow in taken)
        return [slow for slow in taken if times[slow.callback] > 1 or slow.counted > ONCE_SECONDS]

    def _garbage(self, phase: str, _: Any) -> None:
        thread, now = threading.get_ident(), time.thread_time()
        if phase == "start":
            self._collecting[thread] = now
        elif (began := self._collecting.pop(thread, None)) is not None and thread in self._collected:
            self._collected[thread] += now - began

    def _look(self) -> None:
        while not self._ended.wait(LOOK_SECONDS):
            now = time.monotonic()
            late = [(thread, each) for thread, each in list(self._running.items()) if now - each.began > LOOK_SECONDS]
            frames = sys._current_frames() if late else {}
            for thread, each in late:
                if thread in frames:
                    _see(frames[thread], each)

    def _note(self, seconds: float, callback: Any, now: _Running) -> None:
        task: Any = getattr(callback, "__self__", None)
        coroutine = task.get_coro() if hasattr(task, "get_coro") else None
        code: CodeType | None = getattr(coroutine, "cr_code", None)
        ours = code is not None and code.co_filename.startswith(PRODUCT)
        # Of a test's own callback, the part in which it was seen to wait for what it tests.
        part = 1.0 if ours else now.by_product / max(1, now.looks)
        if now.allowed or (counted := seconds * part / slowness()) <= MOST_SECONDS:
            return
        self._slow.append(Slow(seconds, counted, _place(code) if code else repr(callback), now.seen))


def slowness() -> float:
    """How much longer the processor takes at this moment, at least 1."""

    def took() -> float:
        began = time.thread_time()
        _spin()
        return time.thread_time() - began

    return max(1.0, min(took() for _ in range(3)) / SPIN_SECONDS)


def _spin() -> int:
    return sum(number & 7 for number in range(15_000))


def _see(frame: FrameType | None, running: _Running) -> None:
    stack: list[str] = []
    by_product = False
    while frame is not None and frame.f_code.co_name != "_run_once":
        code = frame.f_code
        running.allowed |= any(code.co_qualname == name and code.co_filename.endswith(file) for file, name in ALLOWED)
        if code.co_filename.startswith(PRODUCT):
            stack.append(_place(code))
            # A plain function may be a test's own call.
            by_product |= bool(code.co_flags & (inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR))
        elif not stack:
            stack.append(f"{Path(code.co_filename).name}:{code.co_qualname}")
        frame = frame.f_back
    running.looks += 1
    running.by_product += by_product
    if stack:
        running.seen.append(tuple(reversed(stack)))


def _place(code: CodeType) -> str:
    return f"{code.co_filename.removeprefix(f'{ROOT}/')}:{code.co_qualname}"
