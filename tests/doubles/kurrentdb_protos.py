"""The messages of KurrentDB that kurrentdbclient brings."""

from __future__ import annotations

from contextlib import suppress

with suppress(ImportError):  # in a container of its own, nothing else defines google.rpc.Code
    from services.chassis.store import kurrentdb_client  # noqa: F401

from kurrentdbclient.protos.v1 import (
    gossip_pb2,
    gossip_pb2_grpc,
    shared_pb2,
    status_pb2,
    streams_pb2,
    streams_pb2_grpc,
)

__all__ = ["gossip_pb2", "gossip_pb2_grpc", "shared_pb2", "status_pb2", "streams_pb2", "streams_pb2_grpc"]
