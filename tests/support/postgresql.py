"""The engines that views run on: what is true on one is true on the other."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import psycopg
from sqlalchemy.engine import make_url

from services.cli.postgresql import PrivatePostgresql

# Nothing that a test makes has to outlive a power cut.
QUICK = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "shared_buffers": "32MB"}


class Engine(Protocol):
    name: str

    def url(self, folder: Path) -> str:
        """Of the databases that belong to `folder`: the same for the same one."""

    def settings(self, folder: Path) -> dict[str, str]:
        """For a site whose data lie in `folder`."""


class Sqlite:
    name = "sqlite"

    def url(self, folder: Path) -> str:
        return f"sqlite:///{folder}"

    def settings(self, folder: Path) -> dict[str, str]:
        return {}


class Postgresql:
    name = "postgresql"

    def __init__(self, server: PrivatePostgresql) -> None:
        self.server = server

    def url(self, folder: Path) -> str:
        name = f"t_{hashlib.sha256(str(folder).encode()).hexdigest()[:16]}"
        with connected(self.server) as db:
            if not db.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone():
                db.execute(f"CREATE DATABASE {name}")
        return self.server.url_of(name)

    def settings(self, folder: Path) -> dict[str, str]:
        return {"database": self.url(folder)}


@contextmanager
def connected(server: PrivatePostgresql, database: str = "") -> Iterator[psycopg.Connection]:
    """Each statement by itself."""
    url = make_url(server.url_of(database) if database else server.url)
    arguments = url.translate_connect_args(username="user", database="dbname") | dict(url.query)
    with psycopg.connect(**arguments, autocommit=True) as db:
        yield db


@contextmanager
def running(**settings: str) -> Iterator[PrivatePostgresql]:
    """A server for tests."""
    folder = Path(tempfile.mkdtemp(prefix="motcua-tests-"))
    server = PrivatePostgresql(folder, QUICK | settings)
    server.start()
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)
