"""The document against what a real edge reads and writes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema_rs import Draft202012Validator
from starlette.applications import Starlette
from starlette.testclient import TestClient

from gateway.edge.api import Api, read
from gateway.openapi.document import document
from gateway.openapi.pages import page, routes
from scripts.build_protos import ROOT
from services.chassis.calls.stated import DOSSIER, PURPOSE
from tests.edge.conftest import Running
from tests.edge.trial import Trial

DESCRIPTORS = ROOT / "build" / "descriptors.binpb"


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    return document(read(DESCRIPTORS))


def test_every_method_with_a_path_is_described(described: dict[str, Any]) -> None:
    api = Api.read(read(DESCRIPTORS))
    expected = {m.path for methods in api.methods.values() for m in methods if m.http.WhichOneof("pattern")}
    found = {operation["x-grpc"] for verbs in described["paths"].values() for operation in verbs.values()}
    assert found == expected


def test_every_reference_leads_somewhere(described: dict[str, Any]) -> None:
    for reference in references(described):
        place: Any = described
        for part in reference.removeprefix("#/").split("/"):
            place = place[part]


def references(part: Any) -> list[str]:
    if isinstance(part, list):
        return [found for one in part for found in references(one)]
    if isinstance(part, dict):
        own = [part["$ref"]] if "$ref" in part else []
        return own + [found for one in part.values() for found in references(one)]
    return []


def test_every_example_is_valid(described: dict[str, Any]) -> None:
    schema = Draft202012Validator(described["components"]["schemas"]["Status"])
    for response in described["components"]["responses"].values():
        for example in response["content"]["application/json"]["examples"].values():
            schema.validate(example["value"])


def test_request_ids_are_required_uuids(described: dict[str, Any]) -> None:
    body = described["paths"]["/v1/dossiers"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body["properties"]["requestId"]["format"] == "uuid"
    assert "requestId" in body["required"]


def test_headers_are_described_where_they_are_read(described: dict[str, Any]) -> None:
    def headers(path: str) -> dict[str, Any]:
        parameters = described["paths"][path]["get"]["parameters"]
        return {one["name"]: one["schema"] for one in parameters if one["in"] == "header"}

    asked = {
        method.path: {PURPOSE}
        if method.access.lists or method.service.startswith("motcua.dossier.")
        else {PURPOSE, DOSSIER}
        for methods in Api.read(read(DESCRIPTORS)).methods.values()
        for method in methods
        if method.access.opens or method.access.lists
    }
    found = {
        operation["x-grpc"]: {one["name"] for one in operation["parameters"] if one["in"] == "header"}
        for verbs in described["paths"].values()
        for operation in verbs.values()
    }
    assert {path: names for path, names in found.items() if names} == asked
    purposes = headers("/v1/accounts/{accountId}")[PURPOSE]["enum"]
    assert "settle" in purposes
    assert "walk-in" not in purposes


def test_public_methods_need_no_token(trial: Trial) -> None:
    trials = document(read(trial.descriptors))
    assert trials["paths"]["/v1/flaky"]["get"]["security"] == [{"token": []}, {}]


@pytest.mark.asyncio(loop_scope="package")
async def test_what_the_edge_answers_is_as_described(edge: Running) -> None:
    described = document(read(edge.trial.descriptors))
    answer = described["paths"]["/v1/trials/{trialCode}"]["get"]["responses"]["200"]["content"]["application/json"][
        "schema"
    ]
    schema = Draft202012Validator(answer | {"components": described["components"]}, validate_formats=True)
    reply = await edge.http.get("/v1/trials/A-1", params={"amount": "5"}, headers=edge.bearer(sub="reader"))
    schema.validate(reply.json())
    assert not schema.is_valid({"trialCode": "A-1"})  # what is zero is said


@pytest.mark.asyncio(loop_scope="package")
@pytest.mark.parametrize("amount", ["5", 5, "-5", 10**18 - 1, str(10**18 - 1), "5.5", "much", True])
async def test_the_edge_reads_whole_numbers_as_described(edge: Running, amount: Any) -> None:
    described = document(read(edge.trial.descriptors))
    body = described["paths"]["/v1/amounts"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    schema = Draft202012Validator(body | {"components": described["components"]})
    content = {"requestId": "0b6c3f4e-5d0f-4a58-9d0e-2f8a3b1c7d66", "amount": amount}
    reply = await edge.http.post("/v1/amounts", json=content, headers=edge.bearer(sub="counter"))
    assert (reply.status_code == 200) == schema.is_valid(content), reply.text
    if reply.status_code == 200:
        assert reply.json() == {"amount": str(amount)}


def test_the_pages_are_self_contained(described: dict[str, Any]) -> None:
    client = TestClient(Starlette(routes=routes(DESCRIPTORS)))
    assert client.get("/openapi.json").json() == json.loads(json.dumps(described))
    html = client.get("/docs").text
    assert html == page(described)
    assert not [mark for mark in ("<script", "src=", "@import", "url(") if mark in html]
