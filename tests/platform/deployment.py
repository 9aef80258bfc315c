"""The `motcua` command as its users run it: a process of its own, on a data folder of its own."""

from __future__ import annotations

import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import httpx

import services
from tests.support import forked
from tests.support.waiting import PATIENCE_SECONDS, eventually, free_port

ROOT = Path(services.__file__).parents[1]
TLS_ABOVE = 363
LAST_LOGGED = 20
COMMAND = (sys.executable, "-c", "from command.main import main; main()")


def free_port_pair() -> int:
    """The lower one of two; the one for TLS is above it."""
    while True:
        port = free_port()
        with socket.socket() as tls:
            try:
                tls.bind(("0.0.0.0", port + TLS_ABOVE))
            except (OSError, OverflowError):
                continue
            return port


def read_until(stream: IO[str], word: str, seconds: float = PATIENCE_SECONDS) -> str:
    """What a running command prints, until `word` came."""
    found, ends = "", time.monotonic() + seconds
    os.set_blocking(stream.fileno(), False)
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        while word not in found:
            assert time.monotonic() < ends, found
            if selector.select(timeout=1):
                found += stream.read() or ""
    return found


@dataclass
class Deployment:
    data: Path
    port: int = field(default_factory=free_port_pair)
    settings: dict[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    """Of `motcua up`."""
    _process: subprocess.Popen[bytes] | None = None
    _output: IO[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        # Compiled once, not at each of many starts.
        left = ("MOTCUA_", "PYTHONDONTWRITEBYTECODE")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(left)}
        paths = os.pathsep.join((str(ROOT), str(ROOT / "protos")))
        given = {"MOTCUA_DATA": str(self.data), "MOTCUA_PORT": str(self.port), "PYTHONPATH": paths, "COLUMNS": "200"}
        return kept | given | self.settings

    def run(self, *arguments: str, seconds: float = PATIENCE_SECONDS) -> subprocess.CompletedProcess[str]:
        """Another command of the same user."""
        return forked.run(arguments, self.environment, self.data.parent, seconds)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def processes(self) -> dict[str, dict[str, Any]]:
        """Those of `--processes` by name, as they are now."""
        found: dict[str, dict[str, Any]] = json.loads((self.data / "running.json").read_text())["processes"]
        return found

    @contextmanager
    def running(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """A command that does not end by itself."""
        pipe = subprocess.PIPE
        process = subprocess.Popen(
            [*COMMAND, *arguments], env=self.environment, cwd=self.data.parent, stdout=pipe, stderr=pipe, text=True
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()

    def launch(self) -> None:
        """Do not wait until it serves."""
        eventually(self._is_free)
        self._output = (self.data.parent / f"{self.data.name}.out").open("ab")
        self._process = subprocess.Popen(
            [*COMMAND, "up", *self.arguments], env=self.environment, cwd=self.data.parent, stdout=self._output,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip

    def start(self, seconds: float = PATIENCE_SECONDS) -> None:
        self.launch()
        eventually(self.serves, seconds)
        eventually(self.officials, seconds)

    def serves(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"it ended while starting:\n{self.output()}"
        try:
            return httpx.get(f"{self.url}/healthz", timeout=20).status_code == 200
        except httpx.TransportError:
            return False

    def officials(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = httpx.get(f"{self.url}/sandbox/officials", timeout=20).json()
        return found

    def stop(self) -> None:
        """As an operator does. Fails if it takes long or does not end well."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"it did not stop within {PATIENCE_SECONDS} s: {self.status}") from None
        finally:
            self._close()
        assert code == 0, f"it ended with {code}:\n{self.output()}"

    def kill(self) -> None:
        """As a power cut does: this process and Envoy, at once."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._close()

    def _is_free(self) -> bool:
        """Envoy dies with its parent, a moment later."""
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) != 0

    def _close(self) -> None:
        if self._output:
            self._output.close()

    @property
    def status(self) -> str:
        """Whether it runs, and what it said and logged last."""
        code = self._process.poll() if self._process else None
        logged = "\n".join(
            json.dumps(line)[:1500] for line in self.logged("warning", "error", "critical")[-LAST_LOGGED:]
        )
        return f"{'it runs' if code is None else f'it ended with {code}'}:\n{self.output()}\n{logged}"

    def output(self) -> str:
        return (self.data.parent / f"{self.data.name}.out").read_text(errors="replace")[-4000:]

    def logged(self, *levels: str) -> list[dict[str, Any]]:
        files = [path for path in (self.data / "logs").glob("*.jsonl") if path.name != "edge.jsonl"]
        lines = [line for path in files for line in path.read_text().splitlines()]
        found = [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]
        return sorted((line for line in found if line.get("level") in levels), key=lambda line: line["timestamp"])
