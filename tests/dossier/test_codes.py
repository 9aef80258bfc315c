import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from uuid import uuid4

import pytest
import pytest_asyncio
from sqlalchemy import insert, select

from motcua.dossier.events.v1.events_pb2 import DossierSubmitted
from services.chassis.database.database import Database
from services.dossier.codes import CODE, LAST, Given, Wanted, allocate, codes, codes_of_request, counters, forget
from tests.support.facts import fact_of
from tests.support.postgresql import Engine

HERE, THERE, TODAY, TOMORROW = "P56.22.336", "000.00.01.H29", "20260302", "20260303"


async def opened(engine: Engine, folder: Path) -> Database:
    database = Database(engine.url(folder), "dossier")
    await database.create(codes.metadata)
    return database


@pytest_asyncio.fixture
async def database(engine: Engine, tmp_path: Path) -> AsyncIterator[Database]:
    made = await opened(engine, tmp_path)
    yield made
    await made.close()


async def give(database: Database, *wanted: Wanted) -> list[Given | None]:
    found = await database.write(lambda db: allocate(db, wanted))
    return [found.get(one) for one in wanted]


def requests(count: int, organisation: str = HERE, day: str = TODAY) -> list[Wanted]:
    return [Wanted(organisation, day, str(uuid4())) for _ in range(count)]


def codes_of(found: Sequence[Given | None]) -> list[str]:
    return [one.code for one in found if one]


async def fold(database: Database, code: str, request_id: str) -> None:
    fact = fact_of(DossierSubmitted(code=code), request_id=request_id)
    await database.write(lambda db: codes.folds[fact.event_type](db, [fact]))


async def test_codes_count_per_organisation_and_day(database: Database) -> None:
    asked = [*requests(2), *requests(1, THERE), *requests(1, day=TOMORROW)]
    assert sorted(codes_of(await give(database, *asked))) == [
        "000.00.01.H29-20260302-0000001",
        "P56.22.336-20260302-0000001",
        "P56.22.336-20260302-0000002",
        "P56.22.336-20260303-0000001",
    ]


async def test_what_is_given_is_a_code(database: Database) -> None:
    (found,) = codes_of(await give(database, *requests(1)))
    match = CODE.match(found)
    assert match
    assert match.groupdict() == {"org": HERE, "date": TODAY, "seq": "0000001"}


async def test_no_code_is_given_twice_under_concurrency(database: Database, engine: Engine, tmp_path: Path) -> None:
    """Two replicas on one database, and many requests at once."""
    other = await opened(engine, tmp_path)
    asked = requests(200)
    groups = [asked[start : start + 5] for start in range(0, len(asked), 5)]
    answers = await asyncio.gather(*(give((database, other)[i % 2], *group) for i, group in enumerate(groups)))
    await other.close()
    found = [code for answer in answers for code in codes_of(answer)]
    assert sorted(found) == [f"{HERE}-{TODAY}-{sequence:07d}" for sequence in range(1, 201)]


async def test_a_request_sent_again_finds_its_code_and_those_of_other_days(database: Database) -> None:
    (today,) = requests(1)
    tomorrow, there = today._replace(day=TOMORROW), today._replace(organisation=THERE)
    first = await give(database, today)
    assert first == await give(database, today) == [Given(f"{HERE}-{TODAY}-0000001")]
    assert await give(database, tomorrow) == [Given(f"{HERE}-{TOMORROW}-0000001", (f"{HERE}-{TODAY}-0000001",))]
    (elsewhere,) = await give(database, there)
    assert elsewhere
    assert set(elsewhere.others) == {f"{HERE}-{TODAY}-0000001", f"{HERE}-{TOMORROW}-0000001"}
    known = await database.read(lambda db: codes_of_request(db, today.request_id))
    assert set(known) == {elsewhere.code, *elsewhere.others}


async def test_a_code_that_was_taken_is_not_given_again(database: Database) -> None:
    (wanted,) = requests(1)
    (taken,) = codes_of(await give(database, wanted))
    await database.write(lambda db: forget(db, taken))
    assert codes_of(await give(database, wanted)) == [f"{HERE}-{TODAY}-0000002"]


async def test_a_lost_database_fills_itself_from_the_log(database: Database) -> None:
    (wanted,) = requests(1)
    await fold(database, f"{HERE}-{TODAY}-0000007", wanted.request_id)
    await fold(database, f"{HERE}-{TODAY}-0000003", str(uuid4()))
    assert codes_of(await give(database, wanted, *requests(1))) == [
        f"{HERE}-{TODAY}-0000007",
        f"{HERE}-{TODAY}-0000008",
    ]


async def test_folding_what_was_given_changes_nothing(database: Database) -> None:
    (wanted,) = requests(1)
    (code,) = codes_of(await give(database, wanted))
    await fold(database, code, wanted.request_id)
    assert codes_of(await give(database, wanted, *requests(1))) == [code, f"{HERE}-{TODAY}-0000002"]


async def test_a_day_has_an_end_of_codes(database: Database) -> None:
    await database.write(lambda db: db.execute(insert(counters).values(organisation=HERE, day=TODAY, last=LAST - 1)))
    assert [one is not None for one in await give(database, *requests(3))].count(True) == 1
    assert await give(database, *requests(1)) == [None]


async def test_what_is_no_code_stops_the_view(database: Database) -> None:
    with pytest.raises(ValueError, match="not a dossier code"):
        await fold(database, "nonsense", str(uuid4()))
    assert await database.read(lambda db: db.execute(select(counters)).all()) == []
