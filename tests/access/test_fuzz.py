"""Any request, from a caller who may call: never INTERNAL, never a call that hangs, every refusal says what to do."""

from __future__ import annotations

import grpc
import pytest
from google.protobuf.message import Message
from hypothesis import HealthCheck, given, settings
from joserfc.jwk import OKPKey

from motcua.options.v1 import options_pb2
from tests.access.callers import mint
from tests.support.messages import messages
from tests.support.rpcs import RPCS, Client, Rpc

EXAMPLES = 24
ACCOUNT = "7d0f4a5e-0000-4000-8000-000000000001"
UNEXPECTED = (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.DEADLINE_EXCEEDED)


def authorization(rpc: Rpc, client: Client, key: OKPKey) -> str:
    roles = [options_pb2.Role.Name(role).removeprefix("ROLE_").lower() for role in rpc.access.roles]
    if roles == ["service"]:
        return f"Bearer {client.host.service_token()}"
    applicant = "citizen" in roles
    kind = "citizen" if applicant else "system" if roles == ["system"] else "official"
    office = {} if applicant else {"agency": "P56.22.336", "province": "56"}
    held = ["citizen"] if applicant else [role for role in roles if role not in ("public", "organisation", "service")]
    purposes = [rpc.access.purpose]
    return f"Bearer {mint(key, sub=ACCOUNT, kind=kind, roles=held, purposes=purposes, **office)}"


@pytest.mark.parametrize("rpc", {rpc.path: rpc for rpc in RPCS}.values(), ids=str)
def test_whatever_is_sent_is_answered(services: tuple[Client, OKPKey], rpc: Rpc) -> None:
    client, key = services
    bearer = authorization(rpc, client, key)

    @settings(
        max_examples=EXAMPLES,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(messages(rpc.request))
    def answered(request: Message) -> None:
        answer = client.call(rpc, request, bearer)
        assert answer.code not in UNEXPECTED, answer
        if answer.code is not grpc.StatusCode.OK:
            assert answer.reason, answer
            assert answer.languages == {"vi", "en"}, answer

    answered()
