from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import hypothesis
import pytest

from tests.support.logs import log_plainly
from tests.support.loops import MOST_SECONDS, Loops

if TYPE_CHECKING:
    from command.run.postgresql import PrivatePostgresql
    from tests.support.bucket import BucketServer
    from tests.support.postgresql import Engine

# Others find new examples; CI tries the same ones each time. How long one takes says something of the machine only.
hypothesis.settings.register_profile("motcua", deadline=None, derandomize="CI" in os.environ)
hypothesis.settings.load_profile("motcua")

log_plainly()

loops = Loops()
loops.install()

# Of a failure that is said at once.
MOST_LETTERS = 3000
# The longest files: begun first, they do not keep one worker busy when the others are done.
LONGEST = ("test_drill.py", "test_crash.py", "test_readme.py", "test_schemathesis.py", "test_scenarios.py")


def pytest_configure(config: pytest.Config) -> None:
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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))


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
