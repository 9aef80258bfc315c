"""Who may begin a task or a thread: what goes on for ever is owned, and the others wait for theirs."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import services

ROOT = Path(services.__file__).parents[1]
BEGINNERS = {
    *("create_task", "ensure_future", "run_coroutine_threadsafe", "add_done_callback"),
    *("spawn", "spawn_n", "spawn_after", "spawn_for_awaitable", "start_new_thread", "Thread", "Timer"),
}
# Each waits for it, in the same function or before it is gone itself; or nothing depends on its end.
ALLOWED = {
    ("gateway/edge/__main__.py", "run", "create_task"): (2, "waits for both"),
    ("gateway/sandbox/vnpay.py", "Caller.tell", "create_task"): (
        1,
        "one notification, as often as it likes",
    ),
    ("gateway/sandbox/vnpay.py", "Caller.tell", "add_done_callback"): (1, "until it is told"),
    ("gateway/status/live.py", "frames", "create_task"): (1, "waits for it, until the page is closed"),
    ("services/chassis/frame/container.py", "wait_for", "spawn_for_awaitable"): (1, "waits for it"),
    ("services/chassis/following/followers.py", "Rounds.take", "create_task"): (1, "ends it when the round is over"),
    ("services/chassis/following/followers.py", "SharedFollower._visibly", "create_task"): (2, "waits for both"),
    ("services/chassis/work/batching.py", "Batched.get", "create_task"): (
        1,
        "who asked waits for the answer or the error",
    ),
    ("services/chassis/frame/runner.py", "Services.start", "spawn"): (1, "waits for it"),
    ("services/chassis/frame/runner.py", "Services.stop", "spawn"): (1, "waits for it"),
    ("services/chassis/frame/runner.py", "run", "spawn_for_awaitable"): (1, "waits for it"),
    ("services/chassis/site/watching.py", "Watch.run", "create_task"): (1, "looks at its end each second, and ends it"),
    ("services/chassis/site/watching.py", "beside", "ensure_future"): (
        2,
        "waits for both; whichever fails ends the site",
    ),
    ("services/chassis/store/kurrentdb.py", "KurrentStore._stay_subscribed", "create_task"): (1, "waits for its end"),
    ("services/chassis/store/sqlite.py", "SqliteStore.append", "add_done_callback"): (1, "of a future, not of a task"),
    ("services/chassis/work/tasks.py", "Owned._begin", "add_done_callback"): (1, "the owner"),
    ("services/chassis/work/tasks.py", "Owned._begin", "create_task"): (1, "the owner"),
    ("services/chassis/work/tasks.py", "OwnedThread.__init__", "Thread"): (1, "the owner's, as a type"),
    ("services/chassis/work/tasks.py", "OwnedThread._launch", "Thread"): (1, "the owner"),
    ("services/chassis/access/tls.py", "Credentials.channel", "add_done_callback"): (1, "until it is closed"),
    ("services/chassis/access/tls.py", "Credentials.channel", "create_task"): (1, "closes one connection"),
    ("command/run/children.py", "Child._launch", "create_task"): (1, "waits for it"),
    ("command/ledger/ledger.py", "_check_with_events.stored", "run_coroutine_threadsafe"): (1, "a thread waits for it"),
    ("command/backup/proving.py", "_prove_ledger.wait", "run_coroutine_threadsafe"): (1, "a thread waits for it"),
    ("command/views/rebuild.py", "Rebuilding._exchange.follow", "run_coroutine_threadsafe"): (
        1,
        "a thread waits for it",
    ),
    ("command/backup/restore.py", "_Published.read", "run_coroutine_threadsafe"): (1, "a thread waits for it"),
    ("command/backup/restore.py", "_check.stored", "run_coroutine_threadsafe"): (1, "a thread waits for it"),
    ("command/run/lifetime.py", "until_stopped", "create_task"): (3, "the program's whole life, which waits for them"),
    ("command/run/supervisor.py", "start", "create_task"): (2, "waits for both"),
    ("command/run/up.py", "start", "create_task"): (1, "waits for it"),
}


@cache
def trees() -> dict[str, ast.Module]:
    paths = (path for folder in ("services", "gateway", "command") for path in sorted((ROOT / folder).rglob("*.py")))
    return {path.relative_to(ROOT).as_posix(): ast.parse(path.read_text()) for path in paths if "_pb2" not in path.name}


def begun() -> Iterator[tuple[str, str, str]]:
    """File, function, and what begins something there."""
    for path, tree in trees().items():
        for function, call in calls(tree, "", groups(tree)):
            yield path, function, call


def groups(tree: ast.AST) -> set[str]:
    """The names of task groups, which wait for what they began."""
    return {
        item.optional_vars.id
        for node in ast.walk(tree)
        if isinstance(node, ast.AsyncWith)
        for item in node.items
        if ast.unparse(item.context_expr) == "asyncio.TaskGroup()" and isinstance(item.optional_vars, ast.Name)
    }


def calls(node: ast.AST, inside: str, groups: set[str]) -> Iterator[tuple[str, str]]:
    for child in ast.iter_child_nodes(node):
        name = (
            getattr(child, "name", "")
            if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            else ""
        )
        where = ".".join(filter(None, (inside, name)))
        # Also what is only named: `begin = asyncio.create_task`.
        if isinstance(child, ast.Attribute) and child.attr in BEGINNERS and ast.unparse(child.value) not in groups:
            yield where, child.attr
        if isinstance(child, ast.Name) and child.id in BEGINNERS:
            yield where, child.id
        if isinstance(child, ast.ImportFrom):
            assert not {alias.asname for alias in child.names if alias.name in BEGINNERS} - {None}, "under its own name"
        yield from calls(child, where, groups)


def test_nobody_else_begins_what_may_end_unseen() -> None:
    assert Counter(begun()) == Counter({key: count for key, (count, _reason) in ALLOWED.items()})


def test_what_runs_in_a_thread_is_waited_for() -> None:
    """A thread of a pool gives its error to who waits for it: nobody hands work over and goes."""
    unawaited = [
        (path, node.lineno)
        for path, tree in trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
        if ast.unparse(node.value.func).endswith(("to_thread", "run_in_executor", ".submit"))
    ]
    assert unawaited == []
