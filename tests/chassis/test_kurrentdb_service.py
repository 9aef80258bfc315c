"""A service on KurrentDB's protocol: views and reactions follow what it writes, and all outlive the store's absence."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import error_details_pb2
from google.rpc.status_pb2 import Status

from motcua.dossier.v1 import dossier_service_pb2 as pb
from motcua.dossier.v1.dossier_service_pb2_grpc import DossierServiceStub
from motcua.payment.events.v1 import events_pb2 as payment
from motcua.types.v1 import types_pb2 as types
from services.chassis.store import kurrentdb
from services.dossier.service import DossierService
from tests.dossier.test_service import Site
from tests.doubles.running import Running, running
from tests.support.hosted import hosted
from tests.support.keys import MemoryKeys
from tests.support.waiting import eventually

PATIENCE_SECONDS = 3.0


@dataclass
class OnKurrent:
    site: Site
    server: Running

    def paid(self, code: str) -> str:
        """Assess a fee and let it be paid elsewhere: that the dossier notes it is a reaction."""
        item = pb.AssessedItem(name="Lệ phí", amount=20_000)
        fee = self.site.stub.AssessFee(
            pb.AssessFeeRequest(
                request_id=str(uuid4()), code=code, items=[item], condition=types.FEE_CONDITION_RECEPTION
            ),
            metadata=self.site.official(),
        )
        at = Timestamp()
        at.FromDatetime(datetime.now(UTC))
        confirmed = payment.PaymentConfirmed(code=code, fee_id=fee.fee_id, amount=20_000, payment_id="p-1", at=at)
        self.site.put(f"payment-{fee.fee_id}", confirmed)
        return str(fee.fee_id)

    def listed(self) -> list[str]:
        mine = self.site.stub.ListMyDossiers(pb.ListMyDossiersRequest(page_size=100), metadata=self.site.citizen())
        return [dossier.code for dossier in mine.dossiers]


@pytest.fixture(scope="module")
def on_kurrent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OnKurrent]:
    folder, keys = tmp_path_factory.mktemp("site"), MemoryKeys()
    service = type("Hosted", (DossierService,), {"key_ring": staticmethod(lambda *_: keys)})
    shift = folder / "shift"
    with (
        pytest.MonkeyPatch.context() as patience,
        running() as server,
    ):
        patience.setattr(kurrentdb, "PATIENCE_SECONDS", PATIENCE_SECONDS)
        with (
            hosted(folder, [service], clock_shift_file=shift, event_store=server.double.uri) as host,
            grpc.insecure_channel(host.address("dossier")) as channel,
        ):
            site = Site(host, DossierServiceStub(channel), keys, shift)
            site.open()
            site.upload(site.citizen())
            yield OnKurrent(site, server)


def test_what_is_written_is_seen_by_views_and_reactions(on_kurrent: OnKurrent) -> None:
    code = on_kurrent.site.submit(on_kurrent.site.citizen()).code
    on_kurrent.paid(code)
    eventually(lambda: "FeePaid" in on_kurrent.site.history(code))
    eventually(lambda: code in on_kurrent.listed())
    assert on_kurrent.server.double.nodes[0].subscriptions == 1


def test_a_request_whose_answer_was_lost_is_answered_by_what_was_stored(on_kurrent: OnKurrent) -> None:
    request_id = str(uuid4())

    def lose(number: int) -> None:
        on_kurrent.server.do(lambda double: setattr(double.faults, "lost_answers", number))

    lose(1000)
    with pytest.raises(grpc.RpcError) as unavailable:
        on_kurrent.site.submit(on_kurrent.site.citizen(), request_id=request_id)
    lose(0)
    error: Any = unavailable.value
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    (packed,) = (value for name, value in error.trailing_metadata() if name == "grpc-status-details-bin")
    assert any(detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR) for detail in Status.FromString(packed).details)
    first = on_kurrent.site.submit(on_kurrent.site.citizen(), request_id=request_id)
    assert on_kurrent.site.submit(on_kurrent.site.citizen(), request_id=request_id) == first
    assert on_kurrent.site.history(first.code) == ["DossierSubmitted"]
    eventually(lambda: on_kurrent.listed().count(first.code) == 1)


def test_a_store_that_goes_and_comes_back_is_used_again_without_a_restart(on_kurrent: OnKurrent) -> None:
    site, server = on_kurrent.site, on_kurrent.server
    code = site.submit(site.citizen()).code
    server.run(server.double.stop())
    with pytest.raises(grpc.RpcError) as unavailable:
        site.submit(site.citizen())
    error: Any = unavailable.value
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    eventually(lambda: code in on_kurrent.listed())  # lists are of the views, and stay
    server.run(server.double.start())
    on_kurrent.paid(code)
    eventually(lambda: "FeePaid" in site.history(code))
    later = site.submit(site.citizen()).code
    eventually(lambda: later in on_kurrent.listed())
    shown = site.stub.GetDossier(pb.GetDossierRequest(code=code), metadata=site.citizen()).dossier
    assert shown.code == code
