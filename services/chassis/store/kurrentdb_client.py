"""kurrentdbclient, loaded so that it can be in one process with googleapis-common-protos: get it from here alone.

The client carries a copy of google.rpc.Code in a file of another name, and protobuf refuses the same name twice. Here that file
is nothing but a public import of the original. https://github.com/pyeventsourcing/kurrentdbclient/pull/9
"""

from __future__ import annotations

import sys

from google.protobuf import descriptor_pool
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.rpc import code_pb2

_MODULE = "kurrentdbclient.protos.google.rpc.code_pb2"

if _MODULE not in sys.modules:
    _file = FileDescriptorProto(
        name="kurrentdbclient/protos/google/rpc/code.proto",
        package="kurrentdbclient.rpc",
        dependency=[code_pb2.DESCRIPTOR.name],
        public_dependency=[0],
        syntax="proto3",
    )
    descriptor_pool.Default().AddSerializedFile(_file.SerializeToString())
    sys.modules[_MODULE] = code_pb2

import kurrentdbclient as kdb  # noqa: E402
from kurrentdbclient import exceptions as errors  # noqa: E402
from kurrentdbclient.connection_spec import ConnectionSpec  # noqa: E402
from kurrentdbclient.protos.v1 import status_pb2  # noqa: E402

__all__ = ["ConnectionSpec", "errors", "kdb", "status_pb2"]
