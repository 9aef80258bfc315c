"""A whole platform under mutual TLS, as its users and its operator see it: as without, but for whoever goes past the edge."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import grpc
import httpx
import pytest

from command import main
from gateway.sandbox.day.door import Door
from motcua.identity.v1.identity_service_pb2 import GetSigningKeysRequest
from motcua.identity.v1.identity_service_pb2_grpc import IdentityServiceStub
from tests.platform.deployment import Deployment
from tests.support.authority import Authority

SECONDS = 60


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


def refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], **variables: str) -> str:
    """What the command says of its settings, without the terminal's line breaks."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit):
        main.settings()
    written = capsys.readouterr()
    return "".join((written.out + written.err).split())


def test_a_certificate_that_cannot_be_used_stops_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files, other = (Authority(tmp_path / name).platform() for name in ("authority", "other"))
    said = refused(
        monkeypatch,
        capsys,
        MOTCUA_TLS_CERTIFICATE=str(files.certificate),
        MOTCUA_TLS_KEY=str(other.key),
        MOTCUA_TLS_AUTHORITY=str(files.authority),
    )
    assert f"{other.key}isnotthekeyof{files.certificate}" in said
    missing = refused(monkeypatch, capsys, MOTCUA_TLS_KEY=str(tmp_path / "none"))
    assert "Nosuchfileordirectory" in missing


def test_a_secret_that_cannot_be_used_is_not_repeated(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused(
        monkeypatch,
        capsys,
        MOTCUA_SERVICE_SECRET="short-but-secret",
        MOTCUA_MASTER_KEY="0123",
        MOTCUA_SITE="nowhere",
    )
    assert "MOTCUA_SERVICE_SECRET:itmustbeatleast32characters" in said
    assert "MOTCUA_MASTER_KEY:itmustbe64digits" in said
    assert "(itis'nowhere')" in said
    assert "short-but-secret" not in said
    assert "0123" not in said


def test_half_a_certificate_repeats_no_other_setting(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = "a-secret-that-is-long-enough-for-a-site"
    said = refused(monkeypatch, capsys, MOTCUA_TLS_KEY="key.pem", MOTCUA_SERVICE_SECRET=secret)
    assert "MOTCUA_TLS_CERTIFICATE,MOTCUA_TLS_AUTHORITYtoo,ornoneofthethree" in said
    assert secret not in said
