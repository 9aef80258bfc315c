"""Which tests run when: what `make test` leaves is said, and CI runs it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_what_is_left_is_said() -> None:
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-n0",
        "--collect-only",
        "-p",
        "no:cacheprovider",
        "tests/setup/test_locks.py",
    ]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert "::test_nobody_resolves" in ran.stdout
    assert "::test_the_set_up_takes" not in ran.stdout
    assert "3 tests were left: make test-all runs all" in ran.stdout


def test_ci_runs_what_make_test_leaves() -> None:
    made = re.findall(r"^make (.+)$", (ROOT / ".ci" / "run").read_text(), re.MULTILINE)
    assert made == ["check", "policies", "test || make test-failed", "test-long || make test-failed"]


def test_what_is_quick_is_there() -> None:
    words = re.search(r"foreach about,((?:.|\n)+?),\$\(wildcard", (ROOT / "Makefile").read_text())
    assert words
    missing = [about for about in words[1].replace("\\", "").split() if not [*ROOT.glob(f"tests/*/test_{about}.py")]]
    assert missing == []


# What a platform is made of, and takes seconds to load.
HEAVY = {"grpc", "sqlalchemy", "eventlet", "nameko", "gateway.edge.process"}
REFUSED = (
    ("doctor", "--help"),
    ("up", "--replicas", "2"),
    ("serve", "nobody"),
    ("migrate", "nobody"),
    ("rebuild",),
    ("restore", "backup"),
    ("accept-loss", "keys"),
    ("catalogue", "load", "README.md"),
    ("track", "no-code"),
)
RUNS = """
import json, sys
from command.main import main
for words in json.loads(sys.argv[1]):
    sys.argv = ["motcua", *words]
    try:
        main()
    except SystemExit as ended:
        print("ended", words[0], ended.code)
print(json.dumps(sorted(sys.modules)))
"""


def test_what_is_refused_at_once_loads_no_platform() -> None:
    command = [sys.executable, "-c", RUNS, json.dumps(REFUSED)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MOTCUA_")}
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=True)
    *said, modules = ran.stdout.splitlines()
    ended = [line.split()[1:] for line in said if line.startswith("ended ")]
    assert ended == [[words[0], "0" if "--help" in words else "1"] for words in REFUSED]
    assert HEAVY & set(json.loads(modules)) == set()


def sources() -> Iterator[tuple[str, str]]:
    for path in sorted((ROOT / "tests").rglob("*.py")):
        if path != Path(__file__):
            yield path.relative_to(ROOT).as_posix(), path.read_text("utf-8")


def test_commands_are_started_where_their_libraries_are_loaded_already() -> None:
    """By Deployment; loading them takes seconds, of which there were a hundred times."""
    starting = {path for path, text in sources() if "command.main import main" in text}
    assert starting == {"tests/platform/deployment.py", "tests/support/forked.py"}
    deployment = (ROOT / "tests/platform/deployment.py").read_text("utf-8")
    assert deployment.count("*COMMAND,") == 2  # what goes on until it is stopped, and `up`


def test_what_a_test_collects_is_its_own() -> None:
    """A list of the module would hold what other tests sent, in another order each time."""
    collecting = re.compile(r"^[a-z_]+(: [^=\n]+)? = (\[\]|(list|set|deque)(\[.*\])?\(\))$", re.MULTILINE)
    assert [path for path, text in sources() if collecting.search(text)] == []
