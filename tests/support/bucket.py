"""An S3 server of this process: moto's, with conditional writes that are atomic, as a bucket's are.

moto 5.2 compares If-Match and If-None-Match and writes in two steps, without a lock, in a thread for each request.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import httpx
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import BaseWSGIServer, make_server

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
CONDITIONS = ("HTTP_IF_MATCH", "HTTP_IF_NONE_MATCH")


class BucketServer:
    def __init__(self) -> None:
        self._application: Application = DomainDispatcherApplication(create_backend_app)
        self._one_at_a_time = threading.Lock()
        self._server: BaseWSGIServer | None = None
        self._thread: threading.Thread | None = None
        self._port = 0
        self._buckets = 0
        self.requests: list[str] = []
        """Method and path of each, in order."""
        self.overlooks_conditions = False

    def start(self) -> None:
        self._server = make_server("127.0.0.1", self._port, self._serve, threaded=True, request_handler=_Quiet)
        self._port = self._server.port
        self._thread = threading.Thread(target=self._server.serve_forever, name="bucket", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Connections are refused; what is stored stays."""
        assert self._server is not None
        assert self._thread is not None
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def environment(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self._port}",
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test-secret",
        }

    def create(self) -> str:
        """The URL of a place in a new bucket."""
        self._buckets += 1
        name = f"bucket-{self._buckets}"
        httpx.put(f"{self.environment['AWS_ENDPOINT_URL']}/{name}").raise_for_status()
        return f"s3://{name}/vn-56"

    def _serve(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        self.requests.append(f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}")
        if self.overlooks_conditions:
            for name in CONDITIONS:
                environ.pop(name, None)
        with self._one_at_a_time:
            return list(self._application(environ, start_response))


class _Quiet(MotoRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:
        pass


@contextmanager
def bucket_server() -> Iterator[BucketServer]:
    """With the environment that leads clients to it."""
    server = BucketServer()
    server.start()
    try:
        with mock.patch.dict("os.environ", server.environment):
            yield server
    finally:
        server.stop()
