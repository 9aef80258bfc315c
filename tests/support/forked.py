"""The `motcua` command without loading its libraries each time: a process of its own still, forked from one that has them."""

from __future__ import annotations

import atexit
import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import IO


def run(
    arguments: Sequence[str], environment: Mapping[str, str], folder: Path, seconds: float
) -> subprocess.CompletedProcess[str]:
    """As subprocess.run does with text."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as error:
        files = tuple(f"/proc/{os.getpid()}/fd/{file.fileno()}" for file in (out, error))
        process = _server().Process(target=_motcua, args=(tuple(arguments), dict(environment), folder, files))
        process.start()
        process.join(seconds)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(list(arguments), seconds, _text(out), _text(error))
        return subprocess.CompletedProcess(list(arguments), process.exitcode, _text(out), _text(error))


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


@cache
def _server() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    # What reads its environment when it is loaded, the command itself, is not among them.
    context.set_forkserver_preload(["tests.support.loaded"])
    return context


def _motcua(arguments: tuple[str, ...], environment: dict[str, str], folder: Path, files: tuple[str, str]) -> None:
    for number, path in enumerate(files, 1):
        file = os.open(path, os.O_WRONLY)
        os.dup2(file, number)
        os.close(file)
    os.environ.clear()
    os.environ.update({"EVENTLET_HUB": "asyncio"} | environment)  # as the runner does when it is loaded
    os.chdir(folder)
    sys.argv = ["motcua", *arguments]
    from command.main import main

    try:
        main()
    finally:
        atexit._run_exitfuncs()
