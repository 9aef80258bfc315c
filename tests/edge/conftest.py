from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
import pytest_asyncio
from joserfc import jwt
from joserfc.jwk import KeySet, OKPKey

from gateway.edge import certificates
from gateway.edge.envoy import Address, Edge, Jwt, Tls
from gateway.edge.process import EdgeProcess
from tests.edge.trial import Trial, compile_trial, grpc_server, web_server


@dataclass
class Running:
    """An edge before the trial service, and ways to call it."""

    process: EdgeProcess
    trial: Trial
    authority: Path
    token: Callable[..., str]
    http: httpx.AsyncClient
    channel: grpc.aio.Channel

    @property
    def stub(self) -> Any:
        return self.trial.rpc.TrialServiceStub(self.channel)

    def bearer(self, **claims: Any) -> dict[str, str]:
        return {"authorization": f"Bearer {self.token(**claims)}"}


@pytest.fixture(scope="session")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Trial:
    return compile_trial(tmp_path_factory.mktemp("trial"))


@pytest_asyncio.fixture(loop_scope="package", scope="package")
async def edge(trial: Trial, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    folder = tmp_path_factory.mktemp("edge")
    key = OKPKey.generate_key("Ed25519", {"kid": "test", "alg": "EdDSA"})
    (folder / "jwks.json").write_text(json.dumps(KeySet([key]).as_dict()))

    def token(*, sub: str = "someone", seconds: int = 60, **claims: Any) -> str:
        body = {"iss": "motcua", "aud": "motcua", "sub": sub, "exp": int(time.time()) + seconds} | claims
        return jwt.encode({"alg": "EdDSA", "kid": "test"}, body, key, algorithms=["EdDSA"])

    files = certificates.ensure(folder / "certificates")
    async with grpc_server(trial) as grpc_port, web_server(trial) as web_port:
        web = Address("127.0.0.1", web_port)
        settings = Edge(
            port=0,
            host="127.0.0.1",
            tls=Tls(port=0, certificate=files.certificate, key=files.key, client_ca=files.authority),
            descriptors=trial.descriptors,
            services={"trial": Address("127.0.0.1", grpc_port)},
            platform=Address("127.0.0.1", grpc_port),
            pages=dict.fromkeys(("admin", "identity", "payment", "status", "sandbox"), web),
            jwt=Jwt(jwks=folder / "jwks.json"),
            rate=1,
            burst=60,
            max_request_bytes=100_000,
            access_log=folder / "access.log",
        )
        process = EdgeProcess(settings, folder / "envoy")
        await process.start()
        try:
            async with (
                httpx.AsyncClient(base_url=f"http://127.0.0.1:{process.port}", trust_env=False) as http,
                grpc.aio.insecure_channel(f"127.0.0.1:{process.port}") as channel,
            ):
                yield Running(process, trial, files.authority, token, http, channel)
        finally:
            await process.stop(1)
