"""How a command finds the platform that runs on this machine."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import httpx

from command.console import fail
from services.chassis.platform.settings import Settings


def require_edge(settings: Settings) -> None:
    """Ends the program at once if nothing answers, before anybody waits patiently."""
    try:
        httpx.get(f"{settings.url}/healthz", timeout=10)
    except httpx.TransportError:
        fail(f"Nothing answers at {settings.url}.", "Start the platform, or set MOTCUA_PORT or MOTCUA_PUBLIC_URL.")


def addresses(settings: Settings) -> dict[str, Any]:
    """What `up` wrote down: gRPC and HTTP addresses by service, the edge's address. Ends the program without it."""
    try:
        found: dict[str, Any] = json.loads((settings.data / "running.json").read_text())
    except (OSError, ValueError):
        fail(
            f"No platform runs on the data folder {settings.data}.",
            "Start one with `make run` or `motcua up`, or set MOTCUA_DATA to its folder.",
        )
    return found


def tell(settings: Settings, addresses: Mapping[str, Any]) -> None:
    """For the operator's commands on this machine: where each service listens."""
    told = {**addresses, "edge": settings.url, "pid": os.getpid()}
    path = settings.data / "running.json"
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(told, indent=2))
    fresh.replace(path)


def forget(settings: Settings) -> None:
    (settings.data / "running.json").unlink(missing_ok=True)
