"""What the services let in: exactly the limit passes, one more is refused as docs/security.md says."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
import httpx
import pytest
import pytest_asyncio
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp
from grpc_status import rpc_status
from joserfc import jwt
from joserfc.jwk import OKPKey

from motcua.catalogue.v1.catalogue_service_pb2 import LintProcedureRequest, QuoteFeeRequest
from motcua.catalogue.v1.definitions_pb2 import Form, Procedure, Tier
from motcua.dossier.v1 import dossier_service_pb2 as dossiers
from motcua.identity.v1 import identity_service_pb2 as identity
from motcua.identity.v1.identity_pb2 import System
from motcua.identity.v1.identity_service_pb2_grpc import IdentityServiceStub
from motcua.warehouse.v1 import warehouse_service_pb2 as warehouse
from motcua.warehouse.v1.warehouse_service_pb2_grpc import WarehouseServiceStub
from services.catalogue.service import CatalogueService
from services.chassis.access.access import LONGEST_TOKEN, Policy
from services.chassis.calls import requests
from services.chassis.calls.call import Call
from services.chassis.calls.reading import LARGEST_MESSAGE_BYTES, Unread, reader
from services.chassis.calls.statuses import RequestInvalid
from services.chassis.deciding.facts import message_class
from services.chassis.frame.entrypoints import api
from services.chassis.frame.grpc_server import LARGEST_METADATA_BYTES, LARGEST_REQUEST_BYTES
from services.identity.endpoints import LARGEST_FORM_BYTES
from services.identity.service import IdentityService
from services.warehouse.service import WarehouseService
from tests.security.site import PATIENCE, Site, grpc_reason, site
from tests.support.hosted import hosted
from tests.support.keys import MemoryKeys
from tests.support.spending import least_spent, spending
from tests.support.tokens import mint, signing_key

# What a request holds


def form(answer: Any) -> dossiers.SaveDraftRequest:
    made = Struct()
    made["answer"] = answer
    return dossiers.SaveDraftRequest(request_id=str(uuid4()), procedure_code="1.001193", form=made)


def nested(depth: int) -> Any:
    return [nested(depth - 1)] if depth else 1


def filled(size: int) -> dossiers.SaveDraftRequest:
    """A form that takes this many bytes."""
    return form("x" * (size - form("x" * (size - 100)).form.ByteSize() + size - 100))


def work(**fields: Any) -> dossiers.ListWorkRequest:
    return dossiers.ListWorkRequest(**fields)


def overlong(text: str) -> dossiers.RequestSupplementRequest:
    return dossiers.RequestSupplementRequest(
        request_id=str(uuid4()), code="x", component_codes=["deed"], explanation=text
    )


def due(seconds: int) -> dossiers.ExtendDeadlineRequest:
    at = Timestamp(seconds=seconds)
    return dossiers.ExtendDeadlineRequest(request_id=str(uuid4()), code="x", due_at=at, reason="because", signer="x")


@pytest.mark.parametrize(
    ("most", "too_much", "field"),
    [
        (dossiers.GetDossierRequest(code="x" * 200), dossiers.GetDossierRequest(code="x" * 201), "code"),
        (overlong("x" * 20_000), overlong("x" * 20_001), "explanation"),
        (
            identity.GetSubjectKeysRequest(subject_ids=["x"] * 200),
            identity.GetSubjectKeysRequest(subject_ids=["x"] * 201),
            "subject_ids",
        ),
        (filled(128 * 1024), filled(128 * 1024 + 1), "form"),
        (form(nested(19)), form(nested(20)), "form"),
        (form([0.0] * 4_999), form([0.0] * 5_000), "form"),
        (form(2.0**53), form(2.0**53 + 2), "form"),
        (form(-(2.0**53)), form(-(2.0**53) - 2), "form"),
        (work(page_size=200), work(page_size=201), "page_size"),
        (work(page_size=0), work(page_size=-1), "page_size"),
        (work(page_token="x" * 2_000), work(page_token="x" * 2_001), "page_token"),
        (due(0), due(-1), "due_at"),
        (due(4_102_444_799), due(4_102_444_800), "due_at"),
    ],
    ids=[
        "name",
        "prose",
        "list",
        "form",
        "depth",
        "answers",
        "number",
        "negative",
        "page",
        "no page",
        "token",
        "1970",
        "2099",
    ],
)
def test_what_a_request_holds(most: Any, too_much: Any, field: str) -> None:
    requests.check(most)
    with pytest.raises(RequestInvalid) as refused:
        requests.check(too_much)
    assert [violation.field for violation in refused.value.violations] == [field]


def test_messages_within_each_other_are_few() -> None:
    """Lists of lists pass each limit of their own."""
    procedure = Procedure()
    for _ in range(10):
        procedure.fee.charges.add().tiers.extend([Tier()] * 190)
    requests.check(LintProcedureRequest(procedure=procedure))
    for _ in range(10):
        procedure.fee.charges.add().tiers.extend([Tier()] * 190)
    with pytest.raises(RequestInvalid) as refused, spending() as spent:
        requests.check(LintProcedureRequest(procedure=procedure))
    assert spent.seconds < 0.2
    assert [each.en for each in refused.value.violations] == ["The request has more than 3000 parts."]


def test_a_request_is_read_in_a_moment_whatever_it_holds() -> None:
    """It is read before its caller is known, by the loop that serves all."""
    assert {method.name: too_large(method) for method in CatalogueService.rpcs.methods}["LintProcedure"] == 1024 * 1024
    asked = QuoteFeeRequest(counts={str(number): 1 for number in range(200_000)}).SerializeToString()
    read = reader(QuoteFeeRequest, frozenset({"public"}))
    for one in (asked, b"\xff" * 1_000):
        assert isinstance(read(one), Unread)
        assert least_spent(partial(read, one), 0.05) < 0.05


def too_large(method: Any) -> int:
    """The first power of two that is not read."""
    read = reader(message_class(method.input_type.full_name), Policy(method).roles)
    sizes = (2**power for power in range(10, 23))
    return next((size for size in sizes if isinstance(read(b"\x00" * (size + 1)), Unread) and _why(read, size)), 0)


def _why(read: Any, size: int) -> bool:
    return "exceeds" in read(b"\x00" * (size + 1)).en


def test_what_a_nested_message_holds() -> None:
    """Lists inside a message are longer than a request's own, which is what a procedure with its versions needs."""
    requests.check(System(purposes=["x"] * requests.MOST_NESTED_ITEMS))
    with pytest.raises(RequestInvalid) as refused:
        requests.check(System(purposes=["x"] * (requests.MOST_NESTED_ITEMS + 1)))
    assert [violation.field for violation in refused.value.violations] == ["purposes"]
    requests.check(Form(schema="x" * requests.LONGEST_SCHEMA))
    with pytest.raises(RequestInvalid) as refused:
        requests.check(Form(schema="x" * (requests.LONGEST_SCHEMA + 1)))
    assert [violation.field for violation in refused.value.violations] == ["schema"]


# What a call carries


def token_of(key: OKPKey, length: int) -> str:
    """A good one of this length."""
    for more in ("", "a", "ab", "abc"):
        header = {"alg": "EdDSA", "kid": key.kid}
        claims: dict[str, Any] = jwt.decode(mint(key, "administrator"), key, algorithms=["EdDSA"]).claims
        short = jwt.encode(header, claims | {"x": more}, key, algorithms=["EdDSA"])
        for padding in range((length - len(short)) * 3 // 4 - 4, (length - len(short)) * 3 // 4 + 5):
            made = jwt.encode(header, claims | {"x": more + "y" * padding}, key, algorithms=["EdDSA"])
            if len(made) == length:
                return made
    raise AssertionError(f"no token has {length} characters")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with hosted(tmp_path_factory.mktemp("identity"), [IdentityService]) as host:
        key = host.run(signing_key(host.platform.store))
        with grpc.insecure_channel(host.address("identity")) as channel:
            yield channel, key


def bearing(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)


def test_the_longest_token(served: tuple[grpc.Channel, OKPKey]) -> None:
    channel, key = served
    stub = IdentityServiceStub(channel)
    request = identity.ListSystemsRequest()
    stub.ListSystems(request, metadata=bearing(token_of(key, LONGEST_TOKEN)), timeout=PATIENCE)
    with pytest.raises(grpc.RpcError) as refused:
        stub.ListSystems(request, metadata=bearing(token_of(key, LONGEST_TOKEN + 1)), timeout=PATIENCE)
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert grpc_reason(refused.value) == "TOKEN_INVALID"


def test_metadata_of_a_call(served: tuple[grpc.Channel, OKPKey]) -> None:
    """gRPC itself refuses it, so there are no details. The limit is its own count: 32 bytes more for each pair."""
    channel, _ = served
    call = IdentityServiceStub(channel).GetSigningKeys
    call(identity.GetSigningKeysRequest(), metadata=(("x", "y" * (LARGEST_METADATA_BYTES - 1024)),), timeout=PATIENCE)
    with pytest.raises(grpc.RpcError) as refused:
        call(identity.GetSigningKeysRequest(), metadata=(("x", "y" * LARGEST_METADATA_BYTES),), timeout=PATIENCE)
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_the_largest_message(served: tuple[grpc.Channel, OKPKey]) -> None:
    """One of exactly the limit is read, and refused for what it says; a larger one is not read, one far larger not received."""
    channel, key = served

    def sized(size: int) -> identity.ListSystemsRequest:
        empty = identity.ListSystemsRequest(page_token="x" * (size - 100)).ByteSize() - (size - 100)
        made = identity.ListSystemsRequest(page_token="x" * (size - empty))
        assert made.ByteSize() == size
        return made

    stub = IdentityServiceStub(channel)
    who = bearing(mint(key, "administrator"))
    for size, said in (
        (LARGEST_MESSAGE_BYTES, "page_token"),
        (LARGEST_MESSAGE_BYTES + 1, "exceeds 256 KB"),
        (LARGEST_REQUEST_BYTES, "exceeds 256 KB"),
    ):
        with pytest.raises(grpc.RpcError) as refused:
            stub.ListSystems(sized(size), metadata=who, timeout=PATIENCE)
        assert (refused.value.code(), grpc_reason(refused.value)) == (
            grpc.StatusCode.INVALID_ARGUMENT,
            "INVALID_REQUEST",
        )
        assert said in str(rpc_status.from_call(refused.value))  # type: ignore[arg-type]
        with pytest.raises(grpc.RpcError) as refused:
            stub.ListSystems(sized(size), timeout=PATIENCE)
        assert grpc_reason(refused.value) == "TOKEN_MISSING"
    with pytest.raises(grpc.RpcError) as refused:
        stub.ListSystems(sized(LARGEST_REQUEST_BYTES + 1), metadata=who, timeout=PATIENCE)
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


# How many at a time


def test_calls_at_a_time(tmp_path: Path) -> None:
    """Beyond it callers are told to come back, and the service answers as before when some have ended."""
    going_on = threading.Event()
    asked = threading.Semaphore(0)

    class Slow(IdentityService):
        @api
        async def get_signing_keys(self, call: Call[identity.GetSigningKeysRequest]) -> identity.GetSigningKeysResponse:
            asked.release()
            await asyncio.to_thread(going_on.wait)
            return identity.GetSigningKeysResponse()

    with hosted(tmp_path, [Slow], in_flight=3) as host, grpc.insecure_channel(host.address("identity")) as channel:
        call = IdentityServiceStub(channel).GetSigningKeys
        calls = [call.future(identity.GetSigningKeysRequest(), timeout=PATIENCE) for _ in range(3)]
        for _ in calls:
            assert asked.acquire(timeout=PATIENCE)
        with pytest.raises(grpc.RpcError) as refused:
            call(identity.GetSigningKeysRequest(), timeout=PATIENCE)
        assert (refused.value.code(), grpc_reason(refused.value)) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED")
        going_on.set()
        for one in calls:
            one.result(PATIENCE)
        call(identity.GetSigningKeysRequest(), timeout=PATIENCE)


def test_streams_at_a_time(tmp_path: Path) -> None:
    keys = MemoryKeys()
    service = type("Hosted", (WarehouseService,), {"key_ring": staticmethod(lambda *_: keys)})
    with hosted(tmp_path, [service], streams=3) as host, grpc.insecure_channel(host.address("warehouse")) as channel:
        watch = WarehouseServiceStub(channel).WatchIndicators
        streams: list[Any] = [watch(warehouse.WatchIndicatorsRequest(), timeout=PATIENCE) for _ in range(3)]
        for stream in streams:
            next(stream)
        with pytest.raises(grpc.RpcError) as refused:
            next(watch(warehouse.WatchIndicatorsRequest(), timeout=PATIENCE))
        assert (refused.value.code(), grpc_reason(refused.value)) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED")
        for stream in streams:
            stream.cancel()


# Token requests


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    async with site(tmp_path_factory.mktemp("limits"), mutual=False) as made:
        yield made


@pytest.mark.asyncio(loop_scope="module")
async def test_the_largest_token_request(running: Site) -> None:
    head = "grant_type=nonsense&x="

    async def post(size: int) -> tuple[int, str, str]:
        as_form = {"content-type": "application/x-www-form-urlencoded"}
        async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as http:
            body = head + "y" * (size - len(head))
            reply = await http.post(f"{running.plain}/oauth2/token", content=body, headers=as_form)
        return reply.status_code, reply.json()["error"], reply.json()["error_description"]

    assert (await post(LARGEST_FORM_BYTES))[:2] == (400, "unsupported_grant_type")
    assert await post(LARGEST_FORM_BYTES + 1) == (
        400,
        "invalid_request",
        "A parameter is missing or repeated. (the form is too long)",
    )


async def test_a_burst_and_then_the_rate(tmp_path: Path) -> None:
    """The burst passes at once, and then one a second; the others are told when to come back."""
    async with (
        site(tmp_path, mutual=False, rate=1, burst=5) as slow,
        httpx.AsyncClient(trust_env=False, timeout=PATIENCE, base_url=slow.plain) as http,
    ):
        began = time.monotonic()
        replies = await asyncio.gather(*(http.get("/v1/signing-keys") for _ in range(30)))
        seconds = math.ceil(time.monotonic() - began)
    passed = sum(reply.status_code == 200 for reply in replies)
    assert 5 <= passed < 5 + 1 + seconds
    for refused in replies:
        if refused.status_code != 200:
            assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
            assert refused.json()["details"][0]["reason"] == "OVERLOADED"
