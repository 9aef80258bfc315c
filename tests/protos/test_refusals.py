"""The reasons that a service's rules may give, held against its protos."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import get_args

import pytest
from google.protobuf.descriptor import EnumDescriptor

import services
from motcua.options.v1 import errors_pb2 as common


def reasons_of(enum: EnumDescriptor) -> set[str]:
    prefix = enum.values_by_number[0].name.removesuffix("UNSPECIFIED")
    return {value.name.removeprefix(prefix) for value in enum.values if value.number}


SERVICES = sorted(path.parent.name for path in Path(services.__file__).parent.glob("*/refusals.py"))


@pytest.mark.parametrize("service", SERVICES)
def test_reasons_are_those_of_the_protos(service: str) -> None:
    [enum] = import_module(f"motcua.{service}.v1.errors_pb2").DESCRIPTOR.enum_types_by_name.values()
    reasons = set(get_args(import_module(f"services.{service}.refusals").Reason))
    own, shared = reasons_of(enum), reasons_of(common.CommonError.DESCRIPTOR)
    assert own - reasons == set()
    assert reasons - own - shared == set()
