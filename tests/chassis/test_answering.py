"""A hosted service's calls: not before it is ready, each measured with its code, streams until their token ends."""

import gc
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
import prometheus_client
import pytest
from google.rpc import error_details_pb2
from google.rpc.status_pb2 import Status
from joserfc import jwt
from joserfc.jwk import OKPKey

from motcua.dossier.v1 import dossier_service_pb2 as pb
from motcua.dossier.v1.dossier_service_pb2_grpc import DossierServiceStub
from services.chassis.deciding.caller import Origin
from services.chassis.deciding.handler import Handler
from services.chassis.frame import watching
from services.chassis.frame.container import AsyncContainer
from services.chassis.frame.load import STREAMS_PER_CALLER
from services.dossier.codec import dossier_codec
from services.dossier.domain import dossier
from services.dossier.service import DossierService
from tests.dossier import world as w
from tests.support.hosted import Host, hosted
from tests.support.keys import MemoryKeys
from tests.support.tokens import mint, signing_key


class Door:
    def __init__(self, host: Host, channel: grpc.Channel, key: OKPKey) -> None:
        self.host, self.key = host, key
        self.stub = DossierServiceStub(channel)

    def bearing(self, token: str) -> Any:
        return (("authorization", f"Bearer {token}"),)

    def citizen(self, account_id: str = "citizen-1") -> Any:
        return self.bearing(mint(self.key, "citizen", kind="citizen", account_id=account_id))


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    keys = MemoryKeys()
    service = type("Hosted", (DossierService,), {"key_ring": staticmethod(lambda *_: keys)})
    patch = pytest.MonkeyPatch()
    patch.setattr(watching, "HEARTBEAT_SECONDS", 0.05)
    folder: Path = tmp_path_factory.mktemp("site")
    with hosted(folder, [service]) as host, grpc.insecure_channel(host.address("dossier")) as channel:
        key = host.run(signing_key(host.platform.store))
        handler: Handler[Any, Any, Any] = Handler(
            "dossier", dossier, dossier_codec, host.platform.store, keys, "vn-56", "test", w.RECEIVED.now
        )
        for command in (w.submit(), w.receive(), w.assign()):
            host.run(handler.execute(w.CODE, command, Origin.outermost(str(uuid4()), "d", "a")))
        yield Door(host, channel, key)
    patch.undo()


def reason(error: grpc.RpcError) -> str:
    call: Any = error
    (packed,) = (value for name, value in call.trailing_metadata() if name == "grpc-status-details-bin")
    for detail in Status.FromString(packed).details:
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info):
            return str(info.reason)
    raise AssertionError("no ErrorInfo")


def refused(call: Any) -> str:
    with pytest.raises(grpc.RpcError) as raised:
        call()
    return reason(raised.value)


def measured(rpc: str) -> set[str]:
    return {
        sample.labels["code"]
        for metric in prometheus_client.REGISTRY.collect()
        for sample in metric.samples
        if sample.name == "motcua_rpc_seconds_count" and sample.labels["rpc"] == rpc and sample.value
    }


def test_a_call_is_measured_with_its_code(door: Door) -> None:
    request = pb.GetDossierRequest(code=w.CODE)
    assert refused(lambda: door.stub.GetDossier(request)) == "TOKEN_MISSING"
    assert refused(lambda: door.stub.GetDossier(request, metadata=door.citizen("citizen-2"))) == "NOT_FOUND"
    assert door.stub.GetDossier(request, metadata=door.citizen()).dossier.code == w.CODE
    assert {"OK", "UNAUTHENTICATED", "NOT_FOUND"} <= measured("GetDossier")


def test_strangers_learn_nothing_of_a_dossier(door: Door) -> None:
    """What is there and what is not look the same, whatever is asked."""
    outsider = door.bearing(mint(door.key, "receptionist", "processor", "approver", agency=w.ELSEWHERE))
    for code in (w.CODE, "P56.22.336-20260302-9999999"):
        for method, request, who in (
            (door.stub.ReceiveDossier, pb.ReceiveDossierRequest, outsider),
            (door.stub.ApproveDossier, pb.ApproveDossierRequest, outsider),
            (door.stub.RequestWithdrawal, pb.RequestWithdrawalRequest, door.citizen("citizen-2")),
        ):
            sent: Any = request(request_id=str(uuid4()), code=code)
            assert refused(lambda: method(sent, metadata=who)) == "NOT_FOUND"  # noqa: B023 - called at once


def test_nothing_is_answered_before_the_views_have_caught_up(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    for one in (thing for thing in gc.get_objects() if type(thing) is AsyncContainer):  # isinstance asks dead proxies
        monkeypatch.setattr(one, "ready", False)
    call = door.stub.GetDossier
    assert refused(lambda: call(pb.GetDossierRequest(code=w.CODE), metadata=door.citizen())) == "NOT_READY"


def test_a_stream_ends_when_its_token_does(door: Door) -> None:
    now = int(time.time())
    claims = {
        "iss": "motcua",
        "aud": "motcua",
        "sub": "citizen-1",
        "kind": "citizen",
        "roles": ["citizen"],
        "exp": now + 2,
    }
    token = jwt.encode({"alg": "EdDSA", "kid": door.key.kid}, claims, door.key, algorithms=["EdDSA"])
    stream = door.stub.WatchDossier(pb.WatchDossierRequest(code=w.CODE), metadata=door.bearing(token), timeout=10)
    assert refused(lambda: list(stream)) == "TOKEN_INVALID"
    assert refused(lambda: door.stub.GetDossier(pb.GetDossierRequest(code=w.CODE))) == "TOKEN_MISSING"
    assert "UNAUTHENTICATED" in measured("WatchDossier")


def test_a_caller_has_so_many_streams(door: Door) -> None:
    who = door.citizen()
    streams = [
        door.stub.WatchDossier(pb.WatchDossierRequest(code=w.CODE), metadata=who, timeout=10)
        for _ in range(STREAMS_PER_CALLER)
    ]
    for stream in streams:
        next(stream)
    one_more = door.stub.WatchDossier(pb.WatchDossierRequest(code=w.CODE), metadata=who, timeout=10)
    assert refused(lambda: next(one_more)) == "OVERLOADED"
    tracked = door.stub.TrackDossier(pb.TrackDossierRequest(code=w.CODE), timeout=10)
    assert next(tracked).entry.event_type.endswith("DossierSubmitted")
    tracked.cancel()
    for stream in streams:
        stream.cancel()


def test_a_resume_token_has_one_form(door: Door) -> None:
    for token, why in (
        ("r" + "1" * 5000, "INVALID_REQUEST"),
        ("r" + "1" * 30, "INVALID_POSITION"),
        ("r99", "POSITION_UNUSABLE"),
    ):
        request = pb.WatchDossierRequest(code=w.CODE, resume_token=token)
        assert refused(lambda: list(door.stub.WatchDossier(request, metadata=door.citizen("citizen-1")))) == why  # noqa: B023
