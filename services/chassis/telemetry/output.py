"""Where lines go that are said on the side: logs, progress, warnings. To say something never fails, whatever becomes of it.

A full disk, a reader that went away or reads too slowly, a stream that was closed: what cannot be written is lost and counted, and
the next line that gets through is preceded by how many were lost.
"""

from __future__ import annotations

import io
import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from prometheus_client import Counter

LOST = Counter("motcua_lines_lost_total", "Lines of logs and messages that could not be written", ["output"])

Notice = Callable[[int, str], str]
"""The line that tells how many were lost, and why the last one was."""


def plainly(lost: int, why: str) -> str:
    return f"[{lost} lines were lost before this one: {why}]\n"


class Output(io.TextIOBase):
    """A file of its own, or another stream; writes at once, so that nothing that failed stays in a buffer."""

    def __init__(self, name: str, stream: TextIO | None = None, path: Path | None = None, notice: Notice = plainly):
        """`path`: opened again whenever that is needed, also if it could not be at first."""
        self._name = name
        self._stream = stream
        self._path = path
        self.notice = notice
        self._descriptor: int | None = None
        self._lock = threading.RLock()
        self._lost = 0
        self._why = ""
        # A line of which only a part got out: the next one begins anew.
        self._torn = False
        LOST.labels(name)
        if stream is not None:
            with suppress(Exception):
                stream.flush()
            with suppress(Exception):
                self._descriptor = stream.fileno()

    def write(self, text: str) -> int:
        try:
            with self._lock:
                self._put(text)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            self._lose(error)
        return len(text)

    def flush(self) -> None:
        """All is written at once."""

    def _put(self, text: str) -> None:
        if self._torn:
            self._send("\n")
            self._torn = False
        if self._lost:
            lost, why = self._lost, self._why
            self._send(self.notice(lost, why))
            self._lost -= lost
        self._send(text)

    def _send(self, text: str) -> None:
        if self._descriptor is None and self._path is not None:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            self._descriptor = os.open(self._path, flags, 0o600)
        if self._descriptor is None:
            assert self._stream is not None
            self._stream.write(text)
            self._stream.flush()
            return
        # Surrogates that stand alone become \udc80, which is JSON's way to write them, too.
        rest = memoryview(text.encode("utf-8", "backslashreplace"))
        whole = len(rest)
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except BaseException:
            self._torn = self._torn or 0 < len(rest) < whole
            raise

    def _lose(self, error: BaseException) -> None:
        with suppress(Exception):
            self._lost += 1
            LOST.labels(self._name).inc()
            self._why = type(error).__name__
            if isinstance(error, OSError) and error.strerror:
                self._why = str(error.strerror)

    def close(self) -> None:
        """Only what was opened here; the others' streams are theirs to close."""
        if self._path is not None and self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            os.close(descriptor)

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        with suppress(Exception):
            return self._stream is not None and self._stream.isatty()
        return False

    def fileno(self) -> int:
        if self._descriptor is None:
            raise io.UnsupportedOperation("fileno")
        return self._descriptor

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return "utf-8" if self._descriptor is not None else getattr(self._stream, "encoding", None) or "utf-8"

    @property
    def buffer(self) -> Any:
        """For who writes bytes, and then has to bear what comes of it."""
        return getattr(self._stream, "buffer", None)


def secure() -> None:
    """From now on print, rich, warnings and tracebacks of this process fail nobody, and an end with output left is no failure."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None and not isinstance(stream, Output):
            setattr(sys, name, Output(name, stream))
