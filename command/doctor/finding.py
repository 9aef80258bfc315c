"""What the doctor says of one thing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from services.chassis.platform.settings import Settings
from services.registry import SERVICES

SECONDS = 10.0
"""How long anybody is waited for."""


class State(Enum):
    GOOD = "good"
    DOUBTFUL = "doubtful"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    state: State
    about: str
    what: str
    why: str = ""
    """Why it matters."""
    do: str = ""


def good(about: str, what: str) -> Finding:
    return Finding(State.GOOD, about, what)


def doubtful(about: str, what: str, why: str, do: str) -> Finding:
    return Finding(State.DOUBTFUL, about, what, why, do)


def bad(about: str, what: str, why: str, do: str) -> Finding:
    return Finding(State.BAD, about, what, why, do)


@dataclass(frozen=True, slots=True)
class Patient:
    """What is examined: the settings, and what runs on this machine or in this pod."""

    settings: Settings
    running: Mapping[str, Any] = field(default_factory=dict)
    backup: str = ""

    @property
    def services(self) -> Sequence[str]:
        """Those that run here; all of them if nothing says so."""
        here = [name for name in self.running.get("grpc", {}) if name in SERVICES]
        return here or tuple(SERVICES)

    @property
    def machine(self) -> bool:
        """Whether the whole platform runs here."""
        return set(self.services) == set(SERVICES)

    @property
    def sees_the_edge(self) -> bool:
        """A pod does not: its NetworkPolicy leads to what its service needs."""
        return self.machine or not self.running

    @property
    def processes(self) -> Mapping[str, str]:
        """host:port of HTTP by the process's name, `<service>` or `<service>-<replica>`."""
        if several := self.running.get("processes"):
            return {name: process["http"] for name, process in several.items() if name.rpartition("-")[0] in SERVICES}
        return {name: at for name, at in self.running.get("http", {}).items() if name in SERVICES}


Examination = Callable[[Patient], AsyncIterator[Finding]]


def said(error: BaseException) -> str:
    """One line of an error, for people."""
    return (str(error).partition("\n")[0] or type(error).__name__)[:300]


def lasting(seconds: float) -> str:
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if abs(seconds) >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.1f} seconds"
