"""The sandboxes of the national systems, served over HTTP in a thread of their own."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount

from gateway.sandbox import population, vneid

ADMIN = "admin"
SECRET = "a secret: with / signs"


@contextmanager
def sandboxes(folder: Path, redirect_uris: tuple[str, ...]) -> Iterator[str]:
    """Yields their common address."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        clients = {"motcua": vneid.Client(SECRET, redirect_uris)}
        app = Starlette(
            routes=[
                Mount("/vneid", vneid.create_app(vneid.Settings(f"{url}/vneid", folder, clients, ADMIN))),
                Mount("/population", population.create_app(population.Settings({"motcua": SECRET}, ADMIN))),
            ]
        )
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="off"))
        thread = threading.Thread(target=server.run, args=([listening],), name="sandboxes")
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield url
        server.should_exit = True
        thread.join(10)
