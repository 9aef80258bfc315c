"""A whole platform under mutual TLS, as its users and its operator see it: as without, but for whoever goes past the edge."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import grpc
import httpx
import pytest

from loadtests.door import Door
from motcua.identity.v1.identity_service_pb2 import GetSigningKeysRequest
from motcua.identity.v1.identity_service_pb2_grpc import IdentityServiceStub
from tests.platform.deployment import Deployment
from tests.support.authority import Authority

SECONDS = 30


def test_a_platform_with_certificates(tmp_path: Path) -> None:
    files = Authority(tmp_path / "authority").platform()
    settings = {
        "MOTCUA_TLS_CERTIFICATE": str(files.certificate),
        "MOTCUA_TLS_KEY": str(files.key),
        "MOTCUA_TLS_AUTHORITY": str(files.authority),
    }
    platform = Deployment(tmp_path / "data", settings=settings)
    platform.start()
    try:
        for path in (
            "/healthz",
            "/",
            "/docs",
            "/ledger/checkpoint",
            "/sandbox/officials",
            "/.well-known/jwks.json",
            "/v1/signing-keys",
        ):
            assert httpx.get(platform.url + path, timeout=SECONDS).status_code == 200, path
        official = platform.officials()[0]
        assert asyncio.run(log_in(platform, official["person"], official["appointment_id"]))
        listed = platform.run("parked", "list")
        assert (listed.returncode, listed.stdout.strip()) == (0, "Nothing is parked."), listed.stderr
        running = json.loads((platform.data / "running.json").read_text())
        with grpc.insecure_channel(running["grpc"]["identity"]) as channel, pytest.raises(grpc.RpcError):
            IdentityServiceStub(channel).GetSigningKeys(GetSigningKeysRequest(), timeout=SECONDS)
        with pytest.raises(httpx.TransportError):
            httpx.get(f"http://{running['http']['identity']}/livez", timeout=SECONDS)
    finally:
        platform.stop()
    assert platform.logged("error", "critical") == []


async def log_in(platform: Deployment, person: int, appointment_id: str) -> str:
    door = Door(platform.url)
    try:
        return await door.log_in(person, appointment_id)
    finally:
        await door.close()


def test_a_certificate_that_cannot_be_used_stops_the_start(tmp_path: Path) -> None:
    files = Authority(tmp_path / "authority").platform()
    other = Authority(tmp_path / "other").platform()
    settings = {
        "MOTCUA_TLS_CERTIFICATE": str(files.certificate),
        "MOTCUA_TLS_KEY": str(other.key),
        "MOTCUA_TLS_AUTHORITY": str(files.authority),
    }
    ran = Deployment(tmp_path / "data", settings=settings).run("up")
    assert ran.returncode != 0
    said = " ".join(ran.stderr.split())  # the terminal breaks long lines
    assert f"{other.key} is not the key of {files.certificate}".replace(" ", "") in said.replace(" ", "")
    assert "Traceback" not in ran.stderr


def test_a_secret_that_cannot_be_used_is_not_repeated(tmp_path: Path) -> None:
    settings = {"MOTCUA_SERVICE_SECRET": "short-but-secret", "MOTCUA_MASTER_KEY": "0123", "MOTCUA_SITE": "nowhere"}
    ran = Deployment(tmp_path / "data", settings=settings).run("serve", "identity")
    assert ran.returncode == 1
    assert "MOTCUA_SERVICE_SECRET: String should match pattern" in ran.stderr
    assert "MOTCUA_SITE" in ran.stderr
    assert "'nowhere'" in ran.stderr
    assert "short-but-secret" not in ran.stdout + ran.stderr
    assert "'0123'" not in ran.stdout + ran.stderr
