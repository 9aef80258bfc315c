"""What goes on for ever: whatever ends it, it is noticed, said, and begun again."""

from __future__ import annotations

import asyncio
import ctypes
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import structlog

from services.chassis.store.port import NO_STREAM, EventStore, NewEvent, StoreUnavailable
from services.chassis.store.sqlite import SqliteStore
from services.chassis.work import tasks
from services.chassis.work.tasks import Owned, OwnedThread, troubles
from tests.support.logs import log_plainly
from tests.support.waiting import PATIENCE_SECONDS, eventually_here


class Unspeakable(BaseException):
    def __repr__(self) -> str:
        raise OSError(28, "No space left on device")


class Full(RuntimeError):
    pass


ENDS = [
    ValueError("a fault"),
    OSError(28, "No space left on device"),
    MemoryError(),
    RecursionError(),
    asyncio.CancelledError(),
    GeneratorExit(),
    KeyboardInterrupt(),
    SystemExit(1),
    BaseExceptionGroup("several", [KeyboardInterrupt()]),
    Unspeakable(),
    None,
]


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "STEADY_SECONDS", 0.3)
    monkeypatch.setattr(tasks, "KEPT_SECONDS", 0.0)


@pytest.fixture(params=["the log is written", "the log raises"])
def _logging(request: pytest.FixtureRequest) -> Iterator[None]:
    def full(*_: Any) -> str:
        raise Full("no space left")

    if request.param == "the log raises":
        structlog.configure(processors=[full], cache_logger_on_first_use=False)
    yield
    log_plainly()


def ends(name: str) -> float:
    return float(tasks.ENDS.labels(name)._value.get())


def unlike_any() -> str:
    return f"test {uuid4()}"


class Work:
    """Ends as it is told, then goes on."""

    def __init__(self, *outcomes: BaseException | None) -> None:
        self.outcomes = list(outcomes)
        self.begun = 0

    async def __call__(self) -> None:
        self.begun += 1
        await asyncio.sleep(0)
        if self.outcomes:
            error = self.outcomes.pop(0)
            if error is not None:
                raise error
            return
        await asyncio.Event().wait()


@pytest.mark.usefixtures("_logging")
@pytest.mark.parametrize("error", ENDS, ids=lambda error: type(error).__name__)
async def test_whatever_ends_it_it_is_said_and_begun_again(error: BaseException | None) -> None:
    name, work = unlike_any(), Work(error)

    def failed() -> None:
        raise Full("no space left")

    owned = Owned(name, work, rest_seconds=0.05, failed=failed)
    owned.start()
    assert await eventually_here(lambda: ends(name)) == 1
    assert name in await troubles()
    await eventually_here(lambda: work.begun == 2)
    await eventually_here(is_well(name))
    await owned.stop()
    assert (work.begun, ends(name)) == (2, 1)


def is_well(name: str) -> Callable[[], Any]:
    async def well() -> bool:
        return name not in await troubles()

    return well


async def test_who_is_cancelled_by_somebody_else_is_begun_again() -> None:
    name, work = unlike_any(), Work()
    owned = Owned(name, work, rest_seconds=0.01)
    owned.start()
    await eventually_here(lambda: work.begun == 1)
    (task,) = (task for task in asyncio.all_tasks() if task.get_name() == name)
    task.cancel()
    await eventually_here(lambda: work.begun == 2)
    await owned.stop()
    assert name not in {task.get_name() for task in asyncio.all_tasks()}


async def test_what_is_stopped_stays_so() -> None:
    name, work = unlike_any(), Work(ValueError(), ValueError())
    owned = Owned(name, work, rest_seconds=0.05)
    owned.start()
    await eventually_here(lambda: ends(name) == 1)
    await owned.stop()  # while it rests
    assert name not in await troubles()
    owned.start()
    await eventually_here(lambda: work.begun == 2)
    await owned.stop()
    assert owned.stopped


async def test_rests_grow_and_end() -> None:
    name, work = unlike_any(), Work(*[ValueError()] * 6)
    owned = Owned(name, work, rest_seconds=0.01, longest_seconds=0.04)
    began = asyncio.get_running_loop().time()
    owned.start()
    await eventually_here(lambda: work.begun == 7)
    assert asyncio.get_running_loop().time() - began >= 0.01 + 0.02 + 4 * 0.04
    await owned.stop()


async def test_what_proves_itself_is_in_trouble_until_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "STEADY_SECONDS", 0.0)
    name, work = unlike_any(), Work(ValueError("a fault"))
    owned = Owned(name, work, rest_seconds=0.01, proving=True)
    owned.start()
    await eventually_here(lambda: work.begun == 2)
    assert "a fault" in (await troubles())[name]
    owned.worked()
    assert name not in await troubles()
    await owned.stop()


async def test_what_stands_still_while_something_waits_is_in_trouble() -> None:
    name, place = unlike_any(), [7]

    async def waiting() -> int | None:
        return place[0] if place else None

    owned = Owned(name, Work(), waiting=waiting, still_seconds=0.2)
    owned.start()
    assert name not in await troubles()

    async def stands() -> bool:
        return "nothing moves" in (await troubles()).get(name, "")

    await eventually_here(stands)
    place[0] = 8
    await eventually_here(is_well(name))
    await eventually_here(stands)
    place.clear()
    await eventually_here(is_well(name))
    await owned.stop()


async def test_who_cannot_be_examined_is_in_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "EXAMINED_SECONDS", 0.1)
    name = unlike_any()
    owned = Owned(name, Work(), waiting=asyncio.Event().wait)
    owned.start()
    assert "cannot be seen" in (await troubles())[name]
    await owned.stop()


@pytest.mark.usefixtures("_logging")
@pytest.mark.parametrize("error", ENDS, ids=lambda error: type(error).__name__)
async def test_a_thread_too(error: BaseException | None) -> None:
    name, begun, over, ended = unlike_any(), [0], threading.Event(), threading.Event()

    def work() -> None:
        begun[0] += 1
        if begun[0] == 1:
            if error is not None:
                raise error
            return
        over.wait(PATIENCE_SECONDS)

    thread = OwnedThread(name, work, ended.set)
    thread.start()
    await eventually_here(ended.is_set)
    assert ends(name) == 1
    assert name in await troubles()
    await eventually_here(lambda: begun[0] == 2)
    await eventually_here(is_well(name))
    thread.stop()
    over.set()
    await asyncio.to_thread(thread.join)


def kill(name: str) -> None:
    """As nothing does in life: raised wherever the thread is, its care for itself included."""
    for thread in threading.enumerate():
        if thread.name == name and thread.ident:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(SystemExit))


async def append(store: EventStore, stream: str) -> int:
    event = NewEvent(uuid4(), "motcua.test.Tested", b"", b"{}")
    return (await store.append(stream, [event], NO_STREAM)).revision


async def test_who_appends_gets_an_answer_when_the_writer_dies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = await SqliteStore.open(tmp_path / "events.db")
    assert await append(store, "a") == 0

    def dies(_group: Any) -> Any:
        raise SystemExit("whatever it was")

    with monkeypatch.context() as patched:
        patched.setattr(store, "_commit", dies)
        async with asyncio.timeout(PATIENCE_SECONDS):
            with pytest.raises(StoreUnavailable):
                await append(store, "b")
    assert "event store: writer" in await troubles()
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert await append(store, "c") == 0
    await eventually_here(is_well("event store: writer"))
    await store.close()


async def test_a_writer_that_is_killed_outright_is_replaced(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "events.db")
    before = ends("event store: writer")
    written = 0
    for round_ in range(5):
        kill("event store: writer")
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await append(store, f"stream-{round_}")
            written += 1
        except StoreUnavailable:
            pass
    async with asyncio.timeout(PATIENCE_SECONDS):
        await eventually_here(lambda: ends("event store: writer") > before)
        assert await append(store, "last") == 0
    assert len(await store.read_all()) > written
    await store.close()


async def test_who_waits_when_the_store_is_closed_gets_an_answer(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "events.db")
    waiting = [asyncio.create_task(append(store, f"stream-{number}")) for number in range(50)]
    await asyncio.sleep(0)
    await store.close()
    async with asyncio.timeout(PATIENCE_SECONDS):
        answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(answer == 0 or isinstance(answer, StoreUnavailable) for answer in answers), answers
