from pathlib import Path

import grpc
import pytest

from motcua.dossier.v1 import dossier_service_pb2 as pb
from motcua.dossier.v1.dossier_service_pb2_grpc import DossierServiceStub
from services.dossier.service import DossierService
from tests.support.hosted import hosted
from tests.support.keys import MemoryKeys


def test_a_call_without_a_token_is_refused(tmp_path: Path) -> None:
    keys = MemoryKeys()
    service = type("Hosted", (DossierService,), {"key_ring": staticmethod(lambda *_: keys)})
    with hosted(tmp_path, [service]) as host, grpc.insecure_channel(host.address("dossier")) as channel:
        with pytest.raises(grpc.RpcError) as refused:
            DossierServiceStub(channel).GetDossier(pb.GetDossierRequest(code="x"))
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
