"""Every RPC, called by every kind of caller: refused or admitted as its (access) declares."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool
from joserfc.jwk import OKPKey

from command.registry import service_classes
from motcua.options.v1 import options_pb2
from services.chassis.access.access import Policy
from tests.access.callers import PURPOSES, REFUSALS, Caller
from tests.support.rpcs import NAMES, RPCS, Client, Rpc


@pytest.mark.parametrize("rpc", RPCS, ids=str)
def test_a_method_admits_whom_it_declares(
    services: tuple[Client, OKPKey], every_caller: list[Caller], rpc: Rpc
) -> None:
    client, _ = services
    for caller in every_caller:
        answer = client.call(rpc, rpc.request(), caller.authorization)
        expected = caller.refusal(rpc)
        if expected:
            assert (answer.code, answer.reason) == expected, f"{caller.name}: {answer}"
        else:
            assert (answer.code, answer.reason) not in REFUSALS, f"{caller.name}: {answer}"
            assert answer.code not in (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN), f"{caller.name}: {answer}"
        if answer.code is not grpc.StatusCode.OK:
            assert answer.languages == {"vi", "en"}, f"{caller.name}: {answer}"


def test_every_method_of_every_service_is_called() -> None:
    served = {method.full_name for cls in service_classes(NAMES) for method in cls.rpcs.methods}  # type: ignore[attr-defined]
    assert served <= {rpc.descriptor.full_name for rpc in RPCS}
    assert {role for rpc in RPCS for role in rpc.access.roles} == set(options_pb2.Role.values()) - {0}
    assert {rpc.access.purpose for rpc in RPCS} <= {"", *PURPOSES}


def test_a_method_that_declares_nothing_stops_the_start() -> None:
    with pytest.raises(TypeError, match=r"trial\.Trial\.Silent declares no \(access\)"):
        Policy(_method("Silent"))


def test_a_method_that_admits_nobody_stops_the_start() -> None:
    options = descriptor_pb2.MethodOptions()
    options.Extensions[options_pb2.access].mutation = True
    with pytest.raises(TypeError, match=r"trial\.Trial\.Closed lets nobody call it"):
        Policy(_method("Closed", options))


def _method(name: str, options: descriptor_pb2.MethodOptions | None = None) -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="trial.proto", package="trial", syntax="proto3")
    file.message_type.add(name="Nothing")
    file.service.add(name="Trial").method.add(
        name=name, input_type=".trial.Nothing", output_type=".trial.Nothing", options=options
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return pool.FindServiceByName("trial.Trial").methods_by_name[name]
