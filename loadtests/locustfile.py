"""The same day for Locust, against any deployment that has the sandboxes:

locust -f loadtests/locustfile.py --headless --host http://localhost:8080 -u 20 -r 5 -t 1m

A user submits a dossier and lives through it to its end, then begins another. Locust patches threads and sockets, which gRPC's
asyncio does not bear: the calls are made by player.py in a process of its own.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from typing import Any

import gevent
from gevent.event import AsyncResult
from locust import User, between, events, task

PROVINCE = "56"


class Player:
    def __init__(self, url: str, environment: Any) -> None:
        command = [sys.executable, "-m", "loadtests.player", url, PROVINCE]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._environment = environment
        self._numbers = itertools.count()
        self._waiting: dict[int, AsyncResult] = {}
        self._listener = gevent.spawn(self._listen)

    def play(self) -> str:
        """One dossier from beginning to end; returns what went wrong."""
        number, done = next(self._numbers), AsyncResult()
        self._waiting[number] = done
        assert self._process.stdin
        self._process.stdin.write(f"{number}\n")
        self._process.stdin.flush()
        return str(done.get())

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()
        self._listener.kill()

    def _listen(self) -> None:
        assert self._process.stdout
        for text in self._process.stdout:
            line = json.loads(text)
            if "call" in line:
                self._fire("gRPC", line["call"], line["seconds"] * 1000, line["error"])
            elif "dossier" in line:
                self._waiting.pop(line["dossier"]).set(line["error"])

    def _fire(self, kind: str, name: str, milliseconds: float, error: str) -> None:
        self._environment.events.request.fire(
            request_type=kind,
            name=name,
            response_time=milliseconds,
            response_length=0,
            exception=RuntimeError(error) if error else None,
        )


def begin(environment: Any, **_: Any) -> None:
    environment.player = Player(environment.host, environment)


def end(environment: Any, **_: Any) -> None:
    environment.player.stop()


events.test_start.add_listener(begin)  # type: ignore[no-untyped-call]
events.test_stop.add_listener(end)  # type: ignore[no-untyped-call]


class Citizen(User):
    wait_time = between(0.5, 2)

    @task
    def one_dossier(self) -> None:
        if error := self.environment.player.play():
            self.environment.events.user_error.fire(user_instance=self, exception=RuntimeError(error), tb=None)
