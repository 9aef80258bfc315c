"""The engines that views run on: what is true on one is true on the other."""

from __future__ import annotations

import hashlib
import pwd
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Protocol

import psycopg
from sqlalchemy.engine import make_url

from command.run.postgresql import PrivatePostgresql, binaries
from services.registry import SERVICES
from services.settings import SiteSettings

# Nothing that a test makes has to outlive a power cut.
QUICK = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "shared_buffers": "32MB"}


class Engine(Protocol):
    """Where a site keeps its databases."""

    name: str

    def url(self, folder: Path) -> str:
        """Of the databases that belong to `folder`: the same for the same one."""

    def settings(self, folder: Path) -> dict[str, str]:
        """For a site whose data lie in `folder`."""

    def sql(self, folder: Path, name: str, statement: str) -> list[tuple[Any, ...]]:
        """Run it in the database `name` of such a site, behind the program's back."""

    def raw(self, folder: Path, name: str) -> bytes:
        """All that is kept in the database `name`: SQLite's files as they lie on the disk, PostgreSQL's rows."""

    def copy(self, folder: Path, name: str, target: Path) -> None:
        """Of a site that is stopped, in place of what the target has. On PostgreSQL with all its other databases."""

    def lose(self, folder: Path, name: str) -> None:
        """Of a site that is stopped."""

    def lose_views(self, folder: Path) -> None:
        """Of a site that is stopped."""


class Sqlite:
    name = "sqlite"

    def url(self, folder: Path) -> str:
        return f"sqlite:///{folder}"

    def settings(self, folder: Path) -> dict[str, str]:
        return {}

    def sql(self, folder: Path, name: str, statement: str) -> list[tuple[Any, ...]]:
        (path, *_) = [path for path in self._files(folder, name) if path.suffix == ".db"]
        with closing(sqlite3.connect(path)) as db, db:
            return db.execute(statement).fetchall()

    def raw(self, folder: Path, name: str) -> bytes:
        return b"".join(path.read_bytes() for path in self._files(folder, name))

    def copy(self, folder: Path, name: str, target: Path) -> None:
        self.lose(target, name)
        for path in self._files(folder, name):
            copied = target / path.relative_to(folder)
            copied.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copied)

    def lose(self, folder: Path, name: str) -> None:
        for path in self._files(folder, name):
            path.unlink()

    def _files(self, folder: Path, name: str) -> list[Path]:
        return [*folder.glob(f"views/{name}.db*"), *folder.glob(f"{name}.db*")]

    def lose_views(self, folder: Path) -> None:
        shutil.rmtree(folder / "views")


class Postgresql:
    name = "postgresql"

    def __init__(self, server: PrivatePostgresql) -> None:
        self.server = server

    def database(self, folder: Path) -> str:
        return f"t_{hashlib.sha256(str(folder).encode()).hexdigest()[:16]}"

    def url(self, folder: Path) -> str:
        name = self.database(folder)
        with connected(self.server) as db:
            if not db.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone():
                db.execute(f"CREATE DATABASE {name}".encode())
        return self.server.url_of(name)

    def settings(self, folder: Path) -> dict[str, str]:
        return {"database": self.url(folder)}

    def sql(self, folder: Path, name: str, statement: str) -> list[tuple[Any, ...]]:
        with connected(self.server, self.database(folder)) as db:
            db.execute(f'SET search_path TO "{name}"'.encode())
            cursor = db.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def raw(self, folder: Path, name: str) -> bytes:
        tables = self.sql(folder, name, f"SELECT tablename FROM pg_tables WHERE schemaname = '{name}'")
        assert tables
        rows = [row for (table,) in tables for row in self.sql(folder, name, f'SELECT * FROM "{table}"')]
        return b"\n".join(value if isinstance(value, bytes) else str(value).encode() for row in rows for value in row)

    def copy(self, folder: Path, name: str, target: Path) -> None:
        with connected(self.server) as db:
            db.execute(f"DROP DATABASE IF EXISTS {self.database(target)}".encode())
            db.execute(f"CREATE DATABASE {self.database(target)} TEMPLATE {self.database(folder)}".encode())

    def lose(self, folder: Path, name: str) -> None:
        self.sql(folder, name, f'DROP SCHEMA IF EXISTS "{name}" CASCADE')

    def lose_views(self, folder: Path) -> None:
        for name in SERVICES:
            if name != "ledger":
                self.lose(folder, name)


_chosen: list[Engine] = [Sqlite()]


@contextmanager
def chosen(engine: Engine) -> Iterator[Engine]:
    """What runs meanwhile runs on it."""
    _chosen.append(engine)
    try:
        yield engine
    finally:
        _chosen.pop()


def current() -> Engine:
    return _chosen[-1]


def settings_of(folder: Path, **settings: Any) -> SiteSettings:
    """A site's in `folder`, on the engine that is tested."""
    return SiteSettings(data=folder, **(current().settings(folder) | settings))


@contextmanager
def connected(server: PrivatePostgresql, database: str = "") -> Iterator[psycopg.Connection]:
    """Each statement by itself."""
    url = make_url(server.url_of(database) if database else server.url)
    arguments = url.translate_connect_args(username="user", database="dbname") | dict(url.query)
    with psycopg.connect(**arguments, autocommit=True) as db:
        yield db


@contextmanager
def running() -> Iterator[PrivatePostgresql]:
    """A server for tests."""
    folder = Path(tempfile.mkdtemp(prefix="motcua-tests-"))
    server = PrivatePostgresql(folder, QUICK)
    server.start()
    try:
        yield server
    finally:
        server.stop(at_once=True)
        shutil.rmtree(folder)


@contextmanager
def standby_of(primary: PrivatePostgresql) -> Iterator[PrivatePostgresql]:
    """Another server, that follows all that the first one writes."""
    folder = Path(tempfile.mkdtemp(prefix="motcua-tests-"))
    standby, cluster = PrivatePostgresql(folder, QUICK), folder / "cluster"
    theirs = primary.folder / "cluster"
    server_s = pwd.getpwuid(theirs.stat().st_uid).pw_name
    with (theirs / "pg_ident.conf").open("a") as users:
        users.write(f'motcua "{server_s}" motcua\n')
    with connected(primary) as db:
        db.execute("SELECT pg_reload_conf()")
    copy = (
        str(binaries() / "pg_basebackup"),
        "--host",
        str(primary.folder / "socket"),
        "--username",
        "motcua",
        "--pgdata",
        str(cluster),
    )
    subprocess.run((*copy, "--write-recovery-conf", "--checkpoint", "fast", "--no-sync"), check=True)
    for path in (cluster, *cluster.rglob("*")):
        shutil.chown(path, server_s)
    standby.start()
    try:
        yield standby
    finally:
        standby.stop(at_once=True)
        shutil.rmtree(folder)
