"""To say something on the side never fails: whatever is said, and whatever becomes of where it goes."""

from __future__ import annotations

import asyncio
import errno
import io
import json
import logging
import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console

from services.chassis.telemetry import output, telemetry
from services.chassis.telemetry.output import Output
from tests.support.full_disk import small_disk
from tests.support.logs import log_plainly


class Mute:
    """Shows itself to nobody."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def __repr__(self) -> str:
        raise self._error

    __str__ = __format__ = __repr__  # type: ignore[assignment]


class Cyclic(Exception):
    def __init__(self) -> None:
        super().__init__(self)
        self.__cause__ = self


def deep() -> Any:
    found: Any = []
    for _ in range(5000):
        found = [found]
    return found


def cycle() -> Any:
    found: dict[str, Any] = {}
    found["again"] = found
    return found


def mute(error: type[BaseException]) -> Callable[[], Any]:
    return lambda: Mute(error("no"))


MUTE = [ValueError, OSError, RecursionError, SystemExit, GeneratorExit]
# Made anew each time, and by functions: hypothesis shows what it draws from.
ODD = [*map(mute, MUTE), Cyclic, deep, cycle, object]
PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.binary()
UNENCODABLE = st.sampled_from(["\udc80", "\x00\n\r", "\u2028"])
VALUES = st.recursive(
    PLAIN | UNENCODABLE | st.sampled_from(ODD).map(lambda make: make()),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3) | st.tuples(st.integers()), inner, max_size=3)
    ),
    max_leaves=8,
)
NAMES = st.text(max_size=12).filter(lambda name: name not in {"self", "event", "exc_info", "_name", "method_name"})
LEVELS = st.sampled_from(["debug", "info", "warning", "error", "critical", "exception"])


@contextmanager
def logging_to(path: Path | None) -> Iterator[Any]:
    streams, root = (sys.stdout, sys.stderr), logging.getLogger()
    handlers, root.handlers = root.handlers, []  # pytest's raise what a value raises
    telemetry.configure("vn-56", level="DEBUG", sampled=0.0, path=path)
    structlog.configure(cache_logger_on_first_use=False)
    try:
        yield structlog.get_logger()
    finally:
        log_plainly()
        root.handlers = handlers
        sys.stdout, sys.stderr = streams


@settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    level=LEVELS,
    event=VALUES,
    values=st.dictionaries(NAMES, VALUES, max_size=4),
    arguments=st.lists(VALUES, max_size=2),
)
def test_whatever_is_logged_a_line_that_gets_out_is_json(
    tmp_path: Path, level: str, event: Any, values: dict[str, Any], arguments: list[Any]
) -> None:
    path = tmp_path / "log"
    path.unlink(missing_ok=True)
    with logging_to(path) as log:
        getattr(log, level)(event, *arguments, **values)
        try:
            raise ValueError(event)
        except ValueError:
            log.exception("failed", **values)
            logging.getLogger("library").exception(event, *arguments)
        log.info("after")
    lines = [json.loads(line) for line in path.read_bytes().decode("utf-8").split("\n") if line]
    assert lines[-1]["event"] == "after"


class Failing(io.TextIOBase):
    """A stream that fails as often as it is told, in whatever way."""

    def __init__(self, error: BaseException) -> None:
        self.error: BaseException | None = error
        self.written = ""

    def write(self, text: str) -> int:
        if self.error:
            raise self.error
        self.written += text
        return len(text)


FAULTS = [
    OSError(errno.ENOSPC, "No space left on device"),
    BrokenPipeError(errno.EPIPE, "Broken pipe"),
    BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"),
    ValueError("I/O operation on closed file"),
    UnicodeEncodeError("ascii", "ấ", 0, 1, "ordinal not in range(128)"),
    MemoryError(),
    SystemExit(1),
]


@given(st.lists(st.sampled_from([None, *FAULTS]), max_size=20))
def test_what_is_lost_is_counted_and_told_when_it_works_again(faults: list[BaseException | None]) -> None:
    stream = Failing(FAULTS[0])
    said = Output("test", stream)  # type: ignore[arg-type]
    before = lost = 0
    expected = ""
    counted = output.LOST.labels("test")._value.get()
    for number, fault in enumerate([*faults, None]):
        stream.error = fault
        assert said.write(f"{number}\n") == len(f"{number}\n")
        if fault is None:
            expected += f"[{before} lines" if before else ""
            expected, before = expected + str(number), 0
        else:
            before, lost = before + 1, lost + 1
    told = [
        line.partition(" lines")[0] + " lines" if line.startswith("[") else line for line in stream.written.splitlines()
    ]
    assert "".join(told) == expected
    assert output.LOST.labels("test")._value.get() - counted == lost


def closed() -> TextIO:
    stream = io.StringIO()
    stream.close()
    return stream


@contextmanager
def pipe(*, read: bool, blocking: bool = True) -> Iterator[TextIO]:
    reader, writer = os.pipe()
    os.set_blocking(writer, blocking)
    if not read:
        os.close(reader)
    with os.fdopen(writer, "w") as stream:
        yield stream
    if read:
        os.close(reader)


def say_everything(stream: TextIO) -> None:
    said = Output("test", stream)
    console = Console(file=said, force_terminal=True)  # type: ignore[arg-type]
    for _ in range(200):
        print("a line " * 100, file=said, flush=True)
        console.print("[bold]bold[/] \udcff", highlight=False)
        # As warnings.showwarning does, which the tests keep for their report.
        said.write(warnings.formatwarning(UserWarning("\udcff"), UserWarning, "here", 1))


def test_print_rich_and_warnings_fail_nobody() -> None:
    for flawed in (pipe(read=False), pipe(read=True, blocking=False)):
        with flawed as stream:
            say_everything(stream)
    say_everything(closed())
    with open(os.devnull) as unwritable:
        say_everything(unwritable)


def test_a_line_that_was_cut_is_ended_before_the_next_one(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 1) as disk:
        path = disk.folder / "log"
        with logging_to(path) as log:
            log.info("before")
            disk.fill()
            while True:
                size = path.stat().st_size
                log.info("filling", text="x" * 3000)
                if path.stat().st_size - size < 3000:
                    break
            for number in range(3):
                log.error("lost", number=number, text="x" * 5000)
            disk.free()
            log.info("after")
        lines = [
            json.loads(line) for line in path.read_text().splitlines() if line.endswith("}") and line.startswith("{")
        ]
        assert [line["event"] for line in lines if line["event"] != "filling"] == [
            "before",
            "lines of the log were lost",
            "after",
        ]
        told = next(line for line in lines if line["event"].startswith("lines"))
        assert (told["lost"], told["why"]) == (4, "No space left on device")


def test_a_log_file_that_cannot_be_opened_at_first_is_opened_later(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "log"
    with logging_to(path) as log:
        log.info("lost")
        path.parent.mkdir()
        log.info("there")
    assert [json.loads(line)["event"] for line in path.read_text().splitlines()] == [
        "lines of the log were lost",
        "there",
    ]


def test_what_libraries_log_is_a_line_of_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "log"
    # A server of another test in this process may have changed it.
    monkeypatch.setattr(logging.getLogger("uvicorn"), "propagate", True)
    with logging_to(path):
        for name in ("uvicorn.error", "grpc._cython.cygrpc", "asyncio"):
            logging.getLogger(name).error("of %s", name)
            logging.getLogger(name).error("%s %d", "what does not fit")
            logging.getLogger(name).debug("not asked for")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["event"] for line in lines][::2] == ["of uvicorn.error", "of grpc._cython.cygrpc", "of asyncio"]
    assert all("what does not fit" in line["event"] for line in lines[1::2])


async def test_an_error_of_a_callback_is_reported_on_a_full_disk() -> None:
    with logging_to(Path("/dev/full")):
        asyncio.get_running_loop().call_exception_handler({"message": "test", "exception": ValueError(Mute(OSError()))})


PROGRAM = """
import sys, threading
import structlog
from services.chassis.telemetry import telemetry
telemetry.configure("vn-56", level="INFO", sampled=0.0)
print("ready", flush=True)
sys.stdin.readline()
log = structlog.get_logger()
for number in range(1000):
    log.info("said", number=number, text="x" * 1000)
    print("printed", number)
    print("complained", file=sys.stderr)
thread = threading.Thread(target=lambda: 1 / 0)
thread.start()
thread.join()
"""


@pytest.mark.parametrize("where", ["a full disk", "a reader that went away"])
def test_a_program_ends_well_whatever_became_of_its_output(where: str) -> None:
    gone = where == "a reader that went away"
    full = os.open("/dev/full", os.O_WRONLY)
    run = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE if gone else full,
        stderr=subprocess.PIPE if gone else full,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    os.close(full)
    if run.stdout and run.stderr:
        assert run.stdout.readline() == b"ready\n"
        run.stdout.close()
        run.stderr.close()
    assert run.stdin
    run.stdin.write(b"go\n")
    run.stdin.close()
    assert run.wait(60) == 0


def test_a_value_is_shown_or_named() -> None:
    shown: Callable[[object], str] = telemetry.text_of
    assert (shown("a"), shown(1), shown(None)) == ("a", "1", "None")
    assert shown(Mute(ValueError())) == "<Mute, which cannot be shown>"
