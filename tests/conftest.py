from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest
from xdist.scheduler import LoadFileScheduling

from tests.support.logs import log_plainly
from tests.support.loops import MOST_SECONDS, Loops

if TYPE_CHECKING:
    from command.run.postgresql import PrivatePostgresql
    from tests.support.bucket import BucketServer
    from tests.support.postgresql import Engine

# Others find new examples; CI tries the same ones each time. How long one takes says something of the machine only.
hypothesis.settings.register_profile("motcua", deadline=None, derandomize="CI" in os.environ)
hypothesis.settings.load_profile("motcua")

# Also where the environment says otherwise: here and in hundreds of processes, what is imported is compiled once.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

log_plainly()

loops = Loops()
loops.install()

# Of a failure that is said at once.
MOST_LETTERS = 3000
# Their tests share one site, of which each process would make its own: such a folder stays whole.
SHARED = ("access", "edge", "grounds", "operations", "platform", "site")
# Begun first: they do not keep one process busy when the others are done.
FIRST = ("platform", "idempotency", "site", "docs/test_readme.py", "security")
WHICH = {"left": "only what is not marked as long", "only": "only what is", "too": "everything"}
LEFT = pytest.StashKey[int]()


def pytest_addoption(parser: pytest.Parser) -> None:
    says = "; ".join(f"{name}: {what}" for name, what in WHICH.items())
    parser.addoption("--long", choices=WHICH, default="left", help=f"which tests to run ({says})")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[LEFT] = 0
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(SaidAtOnce(config))


class SaidAtOnce:
    """Each failure when it happens, not only in the end, which a run that is interrupted does not reach."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        terminal = self._config.pluginmanager.get_plugin("terminalreporter")
        if report.failed and terminal:
            terminal.write_line(f"\nfailed: {report.nodeid} ({report.when})\n{report.longreprtext[-MOST_LETTERS:]}")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    long = [item for item in items if item.get_closest_marker("long")]
    others = [item for item in items if not item.get_closest_marker("long")]
    which = config.getoption("long")
    others.sort(
        key=lambda item: next((i for i, path in enumerate(FIRST) if f"/tests/{path}" in str(item.path)), len(FIRST))
    )
    items[:] = (long if which != "left" else []) + (others if which != "only" else [])
    config.stash[LEFT] = len(long) + len(others) - len(items)


class ByFile(LoadFileScheduling):  # type: ignore[misc]
    """For `--dist loadfile`: a process runs whole files, and whole folders where their tests share a site."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        folder = file.removeprefix("tests/").partition("/")[0]
        return folder if folder in SHARED else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling | None:
    return ByFile(config, log) if config.getvalue("dist") == "loadfile" else None


def pytest_sessionfinish(session: pytest.Session) -> None:
    if output := getattr(session.config, "workeroutput", None):
        output["left"] = session.config.stash[LEFT]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Each process of pytest-xdist collects all tests."""
    output = getattr(node, "workeroutput", {})
    node.config.stash[LEFT] = max(node.config.stash[LEFT], output.get("left", 0))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if left := config.stash[LEFT]:
        terminalreporter.write_line(f"{left} tests were left: make test-all runs all, as --long=too does")


@pytest.fixture(autouse=True)
def _nobody_waits_for_a_loop() -> Iterator[None]:
    """Of what ran since the last test, also while its fixtures were made."""
    yield
    if slow := loops.taken():
        pytest.fail(f"callbacks of a loop took over {MOST_SECONDS * 1000:.0f} ms:\n" + "\n".join(map(str, slow)))


@pytest.fixture(scope="session")
def buckets() -> Iterator[BucketServer]:
    """An S3 server, to which AWS_* variables lead."""
    from tests.support.bucket import bucket_server

    with bucket_server() as server:
        yield server


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PrivatePostgresql]:
    from tests.support.postgresql import running

    with running() as server:
        yield server


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """Whoever asks for it runs on both."""
    from tests.support.postgresql import Postgresql, Sqlite, chosen

    sqlite = request.param == "sqlite"
    with chosen(Sqlite() if sqlite else Postgresql(request.getfixturevalue("postgresql"))) as made:
        yield made
