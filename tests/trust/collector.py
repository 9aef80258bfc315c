"""A collector of traces: what the platform exports by OTLP, kept in a file."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as pb
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as service


class Collector(service.TraceServiceServicer):
    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = Lock()
        self.names: set[str] = set()

    def Export(self, request: Any, context: Any) -> Any:  # noqa: N802
        with self._lock, self._path.open("ab") as file:
            file.write(request.SerializeToString())
            for resource in request.resource_spans:
                for scope in resource.scope_spans:
                    self.names |= {span.name for span in scope.spans}
        return pb.ExportTraceServiceResponse()


@contextmanager
def collector(path: Path) -> Iterator[tuple[Collector, str]]:
    """With the endpoint to export to."""
    server = grpc.server(ThreadPoolExecutor(4))
    collecting = Collector(path)
    service.add_TraceServiceServicer_to_server(collecting, server)  # type: ignore[no-untyped-call]
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield collecting, f"http://127.0.0.1:{port}"
    finally:
        server.stop(1).wait()
