import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio

from motcua.dossier.events.v1.events_pb2 import DossierRated
from services.chassis.database.database import Database
from services.chassis.decider import Rejected
from services.chassis.deciding.facts import Fact
from services.chassis.following import followers, reactions
from services.chassis.following.reactions import ATTEMPTS, Reaction
from services.chassis.privacy.sealing import SubjectErased
from services.chassis.store.memory import MemoryStore
from services.chassis.store.port import ANY, Conflict, NewEvent, StoreUnavailable
from tests.support.postgresql import Engine
from tests.support.waiting import PATIENCE_SECONDS

TYPE = DossierRated.DESCRIPTOR.full_name


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reactions, "FIRST_DELAY_SECONDS", 0.0)
    monkeypatch.setattr(followers, "PAUSE_SECONDS", 0.01)


@pytest_asyncio.fixture
async def database(engine: Engine, tmp_path: Path) -> AsyncIterator[Database]:
    made = Database(engine.url(tmp_path), "test")
    yield made
    await made.close()


class Seen:
    """What a reaction did, fact by fact; `trouble` may raise for one."""

    def __init__(self, trouble: Callable[[int], Awaitable[None]] | None = None) -> None:
        self.scores: list[tuple[str, int]] = []
        self.attempts: Counter[int] = Counter()
        self.trouble = trouble
        self._changed = asyncio.Condition()

    async def react(self, fact: Fact[Any]) -> None:
        score = fact.event.score
        self.attempts[score] += 1
        async with self._changed:
            self._changed.notify_all()
        if self.trouble:
            await self.trouble(score)
        async with self._changed:
            self.scores.append((fact.stream, score))
            self._changed.notify_all()

    def of(self, stream: str) -> list[int]:
        return [score for name, score in self.scores if name == stream]

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS), self._changed:
            await self._changed.wait_for(holds)


async def rate(store: MemoryStore, stream: str, *scores: int) -> None:
    for score in scores:
        event = DossierRated(code=stream, score=score)
        await store.append(stream, [NewEvent(uuid4(), TYPE, event.SerializeToString(), b"{}")], ANY)


def reaction_of(seen: Seen, database: Database, store: MemoryStore) -> Reaction:
    return Reaction("test.rated", [TYPE], seen.react, database, store)


def refusing(reason: str, times: int, score: int = 2) -> tuple[Seen, list[int]]:
    left = [times]

    async def trouble(given: int) -> None:
        if given == score and left[0]:
            left[0] -= 1
            raise Rejected(reason)

    return Seen(trouble), left


async def test_each_fact_is_taken_once_and_in_the_order_of_its_stream(database: Database) -> None:
    store, seen = MemoryStore(), Seen()
    reaction = reaction_of(seen, database, store)
    await asyncio.gather(*(rate(store, f"a-{n}", 1, 2, 3) for n in range(5)))
    await reaction.start()
    await seen.until(lambda: len(seen.scores) == 15)
    await rate(store, "a-0", 4)
    await seen.until(lambda: len(seen.scores) == 16)
    await reaction.stop()
    assert [seen.of(f"a-{n}") for n in range(5)] == [[1, 2, 3, 4], *[[1, 2, 3]] * 4]


async def test_a_fact_that_waits_holds_up_its_stream_and_no_other(database: Database) -> None:
    held = asyncio.Event()

    async def wait(score: int) -> None:
        if score == 1:
            await held.wait()

    store, seen = MemoryStore(), Seen(wait)
    await rate(store, "slow", 1, 2)
    await rate(store, "quick", 7, 8)
    reaction = reaction_of(seen, database, store)
    await reaction.start()
    await seen.until(lambda: seen.of("quick") == [7, 8])
    assert seen.of("slow") == []
    held.set()
    await seen.until(lambda: seen.of("slow") == [1, 2])
    await reaction.stop()


async def test_after_a_crash_facts_come_again_until_the_position_moved(database: Database) -> None:
    """The process dies in the middle of a batch: what follows is at least once and in order."""
    hanging = asyncio.Event()

    async def hang(score: int) -> None:
        if score == 2:
            await hanging.wait()

    store, before, after = MemoryStore(), Seen(hang), Seen()
    await rate(store, "a", 1, 2, 3)
    first = reaction_of(before, database, store)
    await first.start()
    await before.until(lambda: before.attempts[2] == 1)
    await first.stop()
    assert before.of("a") == [1]
    second = reaction_of(after, database, store)
    await second.start()
    await after.until(lambda: after.of("a") == [1, 2, 3])
    await second.stop()
    third_seen = Seen()
    third = reaction_of(third_seen, database, store)
    await third.start()
    await rate(store, "a", 4)
    await third_seen.until(lambda: bool(third_seen.scores))
    await third.stop()
    assert third_seen.of("a")[-1] == 4


async def test_a_fact_that_the_rules_refuse_is_parked_and_delays_nobody(database: Database) -> None:
    store, (seen, left) = MemoryStore(), refusing("FEE_SETTLED", 2)
    reaction = reaction_of(seen, database, store)
    await rate(store, "a", 1, 2, 3)
    await reaction.start()
    await seen.until(lambda: seen.of("a") == [1, 3])
    (parked,) = await reaction.list_parked()
    assert (parked["reaction"], parked["event_type"], parked["stream"], parked["attempts"]) == (
        "test.rated",
        TYPE,
        "a",
        1,
    )
    assert "FEE_SETTLED" in parked["error"]
    with pytest.raises(Rejected, match="FEE_SETTLED"):
        await reaction.retry(parked["event_id"])
    assert left == [0]
    assert len(await reaction.list_parked()) == 1
    assert await reaction.retry(parked["event_id"])
    assert seen.of("a") == [1, 3, 2]
    assert await reaction.list_parked() == []
    assert not await reaction.retry(parked["event_id"])
    await reaction.stop()


@pytest.mark.parametrize("error", [SubjectErased("citizen-1"), Rejected("NOT_FOUND")])
async def test_what_cannot_change_is_tried_once(database: Database, error: Exception) -> None:
    async def fail(_: int) -> None:
        raise error

    store, seen = MemoryStore(), Seen(fail)
    reaction = reaction_of(seen, database, store)
    await rate(store, "a", 1)
    await reaction.start()
    await asyncio.wait_for(reaction.caught_up.wait(), PATIENCE_SECONDS)
    assert seen.attempts[1] == 1
    assert len(await reaction.list_parked()) == 1
    await reaction.stop()


async def test_a_failure_of_unknown_kind_is_tried_several_times(database: Database) -> None:
    async def fail(_: int) -> None:
        raise RuntimeError("a bug")

    store, seen = MemoryStore(), Seen(fail)
    reaction = reaction_of(seen, database, store)
    await rate(store, "a", 1)
    await reaction.start()
    await asyncio.wait_for(reaction.caught_up.wait(), PATIENCE_SECONDS)
    assert seen.attempts[1] == ATTEMPTS
    (parked,) = await reaction.list_parked()
    assert "a bug" in parked["error"]
    await reaction.stop()


@pytest.mark.parametrize(
    "error",
    [
        Rejected("NOT_READY"),
        Rejected("OVERLOADED"),
        Rejected("UNAVAILABLE"),
        Rejected("REVISION_CONFLICT"),
        StoreUnavailable("no answer"),
        Conflict("a", 1, 2),
    ],
    ids=str,
)
async def test_what_passes_is_tried_until_it_does(database: Database, error: Exception) -> None:
    left = [ATTEMPTS * 3]

    async def fail(_: int) -> None:
        if left[0]:
            left[0] -= 1
            raise error

    store, seen = MemoryStore(), Seen(fail)
    reaction = reaction_of(seen, database, store)
    await rate(store, "a", 1, 2)
    await reaction.start()
    await seen.until(lambda: seen.of("a") == [1, 2])
    assert await reaction.list_parked() == []
    await reaction.stop()


async def test_of_two_replicas_every_fact_is_taken_and_one_takes_over(
    database: Database, engine: Engine, tmp_path: Path
) -> None:
    store, held, seen = MemoryStore(), Database(engine.url(tmp_path), "test"), Seen()
    one, other = reaction_of(seen, database, store), reaction_of(seen, held, store)
    await one.start()
    await other.start()
    for score in range(20):
        await rate(store, "a", score)
        await asyncio.sleep(0.002)
    await seen.until(lambda: set(seen.of("a")) == set(range(20)))
    await one.stop()
    await rate(store, "a", 99)
    await seen.until(lambda: 99 in seen.of("a"))
    await other.stop()
    await held.close()
    assert list(dict.fromkeys(seen.of("a"))) == [*range(20), 99]
