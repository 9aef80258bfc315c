"""Time, chance, threads, the disk and sockets are touched in named files only: a simulation of whole sites replaces those."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import services

ROOT = Path(services.__file__).parents[1]
# Who starts processes and asks people stands outside a simulation; so does who plays the state, or judges a log from outside.
OUTSIDE = ("gateway/sandbox/", "gateway/ledger/audit/", "services/chassis/machine/")
TOUCHING = (
    "asyncio.create_subprocess_exec",
    "asyncio.create_subprocess_shell",
    "asyncio.open_connection",
    "asyncio.open_unix_connection",
    "asyncio.sleep",
    "asyncio.start_server",
    "asyncio.to_thread",
    "concurrent.futures",
    "datetime.date.today",
    "datetime.datetime.now",
    "datetime.datetime.today",
    "datetime.datetime.utcnow",
    "multiprocessing",
    "os.fdatasync",
    "os.fsync",
    "os.getrandom",
    "os.urandom",
    "random",
    "secrets",
    "socket",
    "subprocess",
    "threading",
    "time",
    "uuid.uuid1",
    "uuid.uuid4",
)
NAMED = {
    ("gateway/edge/process.py", "asyncio.create_subprocess_exec"): "Envoy is a process",
    (
        "services/catalogue/form_sense.py",
        "time.thread_time",
    ): "a budget of the processor's time, in a process of its own",
    (
        "services/chassis/database/database.py",
        "concurrent.futures.ThreadPoolExecutor",
    ): "SQLAlchemy's connections block",
    ("services/chassis/frame/http_server.py", "socket.socket"): "uvicorn is given a socket that is bound already",
    ("services/chassis/site/watching.py", "threading.Event"): "ends the reading of a file in a thread",
    ("services/chassis/store/sqlite.py", "concurrent.futures.ThreadPoolExecutor"): "one thread writes",
    ("services/chassis/store/sqlite.py", "threading.local"): "a connection for each thread that reads",
    ("services/chassis/telemetry/output.py", "threading.RLock"): "lines come from every thread",
    ("services/chassis/work/confined.py", "asyncio.create_subprocess_exec"): "work whose cost its input decides",
    ("services/chassis/work/tasks.py", "threading.Event"): "owned threads are told to end",
    ("services/chassis/work/tasks.py", "threading.Thread"): "threads that go on for ever have an owner",
    ("services/dossier/files/scanner.py", "asyncio.open_connection"): "clamd",
    ("services/dossier/files/scanner.py", "asyncio.open_unix_connection"): "the same",
}


def touched(tree: ast.Module) -> Iterator[str]:
    """Full names of what is used of TOUCHING, by whatever name it was imported."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.asname or alias.name.split(".")[0]: alias.name for alias in node.names if alias.asname}
            names |= {(top := alias.name.split(".")[0]): top for alias in node.names if not alias.asname}
        elif isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}

    def full(node: ast.AST) -> str:
        if isinstance(node, ast.Name):
            return names.get(node.id, "")
        return f"{inner}.{node.attr}" if isinstance(node, ast.Attribute) and (inner := full(node.value)) else ""

    inner = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    for node in ast.walk(tree):
        if id(node) not in inner and (name := full(node)):
            yield from (name for each in TOUCHING if name == each or name.startswith(f"{each}."))


def test_nobody_else_touches_the_machine() -> None:
    found = {
        (name, each)
        for top in ("services", "gateway")
        for path in (ROOT / top).rglob("*.py")
        if "_pb2" not in path.name and not (name := path.relative_to(ROOT).as_posix()).startswith(OUTSIDE)
        for each in touched(ast.parse(path.read_text("utf-8")))
    }
    assert found == set(NAMED), "use services/chassis/machine, or name the file here with its reason"


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("import time\ntime.sleep(1)", "time.sleep"),
        ("import time as t\nt.time()", "time.time"),
        ("from time import monotonic as m\nm()", "time.monotonic"),
        ("from datetime import datetime\ndatetime.now()", "datetime.datetime.now"),
        ("import datetime\ndatetime.date.today()", "datetime.date.today"),
        ("from asyncio import sleep\nwait = sleep", "asyncio.sleep"),
        ("import os\nos.fsync(1)", "os.fsync"),
        (
            "from concurrent.futures import ThreadPoolExecutor\nThreadPoolExecutor()",
            "concurrent.futures.ThreadPoolExecutor",
        ),
    ],
)
def test_it_is_noticed_by_whatever_name(source: str, name: str) -> None:
    assert list(touched(ast.parse(source))) == [name]


def test_values_of_time_are_no_clock() -> None:
    assert list(touched(ast.parse("from datetime import datetime\nimport os\ndatetime(2026, 1, 1)\nos.getpid()"))) == []
