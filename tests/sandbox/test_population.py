"""The sandbox's population database through the platform's own client."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from gateway.sandbox import population as sandbox
from gateway.sandbox.people import citizen
from services.identity.accounts.values import LookupGap, LookupOutcome, PersonField
from services.identity.population import (
    Answer,
    HttpPopulation,
    Lookup,
    Person,
    PopulationRefused,
    PopulationSettings,
    PopulationUnavailable,
    Residence,
    verified_data,
)

AN = citizen(0)
BORN = AN.birth_date.isoformat()
LOOKUP = Lookup(
    AN.personal_number,
    AN.full_name,
    BORN,
    tuple(PersonField),
    "Tiếp nhận hồ sơ",
    "Điều 10 Luật Căn cước 2023",
    "account",
    "P56.22.336",
)
SETTINGS = PopulationSettings("http://population.test", "motcua", "secret")
PLACED = {"province": "56", "commune": AN.place.commune_code, "address": "1 Lê Lợi"}
MATCHED = {"personal_number": AN.personal_number, "full_name": AN.full_name, "birth_date": BORN}
PERSON = Person(
    AN.personal_number,
    AN.full_name,
    BORN,
    AN.gender,
    "VN",
    Residence("56", AN.place.commune_code, f"{AN.address}, {AN.place.commune}, {AN.place.province}", AN.place_code),
    AN.marital_status,
)


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    app = sandbox.create_app(sandbox.Settings({"motcua": "secret"}, "admin"))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app)) as client:
        yield client


async def test_a_person_is_found_by_number_and_name(http: httpx.AsyncClient) -> None:
    assert await HttpPopulation(SETTINGS, http).look_up(LOOKUP) == Answer(LookupOutcome.FOUND, PERSON)


@pytest.mark.parametrize(
    ("change", "answer"),
    [
        ({"wanted": ()}, Answer(LookupOutcome.FOUND, Person(AN.personal_number, AN.full_name, BORN))),
        (
            {"wanted": (PersonField.GENDER,)},
            Answer(LookupOutcome.FOUND, Person(AN.personal_number, AN.full_name, BORN, AN.gender)),
        ),
        ({"personal_number": "056090123456"}, Answer(LookupOutcome.NOT_FOUND)),
        ({"full_name": "Ai Đó"}, Answer(LookupOutcome.NO_MATCH)),
        ({"birth_date": "1900-01-01"}, Answer(LookupOutcome.NO_MATCH)),
        ({"birth_date": BORN[:7]}, Answer(LookupOutcome.NOT_ENOUGH_BASIS, gap=LookupGap.BIRTH_DATE)),
    ],
)
async def test_an_answer_holds_what_was_asked_for(
    http: httpx.AsyncClient, change: dict[str, Any], answer: Answer
) -> None:
    assert await HttpPopulation(SETTINGS, http).look_up(replace(LOOKUP, **change)) == answer


@pytest.mark.parametrize("missing", ["purpose", "legal_basis", "on_behalf_of"])
async def test_a_lookup_states_purpose_legal_basis_and_who_asks(http: httpx.AsyncClient, missing: str) -> None:
    changes: dict[str, Any] = {missing: ""}
    with pytest.raises(PopulationRefused, match=f"{missing.replace('_', '-')}-missing"):
        await HttpPopulation(SETTINGS, http).look_up(replace(LOOKUP, **changes))


async def test_a_wrong_secret_is_refused(http: httpx.AsyncClient) -> None:
    with pytest.raises(PopulationRefused, match="unauthenticated"):
        await HttpPopulation(replace(SETTINGS, client_secret="guess"), http).look_up(LOOKUP)


async def test_an_outage_is_told_apart_from_an_unknown_person(http: httpx.AsyncClient) -> None:
    admin = {"authorization": "Bearer admin"}
    await http.put("http://population.test/sandbox/outage", json={"down": True}, headers=admin)
    with pytest.raises(PopulationUnavailable, match="503"):
        await HttpPopulation(SETTINGS, http).look_up(LOOKUP)


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, text="<html>"),
        httpx.Response(200, json={"full_name": "x"}),
        httpx.Response(404, json={"answer": "no-data"}),
        httpx.Response(200, json={"answer": "maybe"}),
        httpx.Response(200, json={"answer": "not-enough-basis"}),
        httpx.Response(200, json={"answer": "match"}),
        httpx.Response(200, json={"answer": "match", "person": MATCHED | {"personal_number": "056090123456"}}),
        httpx.Response(200, json={"answer": "match", "person": MATCHED | {"gender": "x"}}),
        httpx.Response(200, json={"answer": "match", "person": MATCHED | {"residence": PLACED | {"place_code": "12"}}}),
        httpx.Response(200, json=["x"]),
    ],
)
async def test_an_answer_in_another_form_is_an_outage(answer: httpx.Response) -> None:
    async with httpx.AsyncClient(transport=httpx.MockTransport(lambda _: answer)) as http:
        with pytest.raises(PopulationUnavailable):
            await HttpPopulation(SETTINGS, http).look_up(LOOKUP)


async def test_no_answer_in_time_is_an_outage() -> None:
    def hang(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("", request=request)

    async with httpx.AsyncClient(transport=httpx.MockTransport(hang)) as http:
        with pytest.raises(PopulationUnavailable, match="ReadTimeout"):
            await HttpPopulation(SETTINGS, http).look_up(LOOKUP)


def test_what_an_answer_lets_people_reuse() -> None:
    at = datetime(2026, 3, 2, tzinfo=UTC)
    items = {item.component_kind: item for item in verified_data(PERSON, at)}
    assert set(items) == {"identity", "residence", "marital-status"}
    assert items["marital-status"].data == f'{{"marital_status": "{AN.marital_status}"}}'
    assert json.loads(items["residence"].data)["place_code"] == AN.place_code
    assert items["marital-status"].valid_until == at + timedelta(days=30)
    assert verified_data(replace(PERSON, gender=None, residence=None, marital_status=None), at) == ()


async def test_a_reason_that_is_new_is_a_reason() -> None:
    told = httpx.Response(200, json={"answer": "not-enough-basis", "reason": "something new"})
    async with httpx.AsyncClient(transport=httpx.MockTransport(lambda _: told)) as http:
        answer = await HttpPopulation(SETTINGS, http).look_up(LOOKUP)
    assert answer == Answer(LookupOutcome.NOT_ENOUGH_BASIS, gap=LookupGap.OTHER)
