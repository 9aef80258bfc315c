from typing import Any
from uuid import uuid4

from motcua.dossier.v1 import dossier_service_pb2 as pb
from services.chassis.deciding.caller import Caller, Origin

OFFICIAL = Caller("official-1", "official", frozenset({"receptionist"}), "P56")


def test_a_digest_tells_requests_with_the_same_fields_apart() -> None:
    same: dict[str, Any] = {"request_id": str(uuid4()), "code": "H29-20260601-0000001"}
    requests = [
        kind(**same) for kind in (pb.ReceiveDossierRequest, pb.ApproveDossierRequest, pb.GrantWithdrawalRequest)
    ]
    assert len({Origin.of_request(request, OFFICIAL).digest for request in requests}) == 3


def test_a_digest_tells_callers_and_contents_apart() -> None:
    request_id = str(uuid4())
    one = pb.ReceiveDossierRequest(request_id=request_id, code="a")
    other = pb.ReceiveDossierRequest(request_id=request_id, code="b")
    digests = {
        Origin.of_request(one, OFFICIAL).digest,
        Origin.of_request(other, OFFICIAL).digest,
        Origin.of_request(one, Caller("official-2")).digest,
    }
    digests |= {
        Origin.of_request(one, OFFICIAL, stated=stated).digest
        for stated in (("settle", ""), ("settle", "H29-20260601-0000001"), ("inspect", ""))
    }
    assert len(digests) == 6
    assert Origin.of_request(one, OFFICIAL, stated=("", "")) == Origin.of_request(one, OFFICIAL)
    assert Origin.of_request(one, OFFICIAL) == Origin.of_request(one, OFFICIAL)
