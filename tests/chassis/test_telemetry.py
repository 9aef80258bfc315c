"""What slips into a log line is taken out of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc import jwe, jwt
from joserfc.jwk import OctKey

from services.chassis.telemetry import telemetry
from tests.support.logs import log_plainly

KEY = OctKey.generate_key(256)
SIGNED = jwt.encode({"alg": "HS256"}, {"sub": "somebody"}, KEY)
SEALED = jwe.encrypt_compact({"alg": "dir", "enc": "A256GCM"}, "a login", KEY)
PEM = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (f"token {SIGNED} refused", "token [redacted] refused"),
        (f"cookie motcua-login={SEALED}", "cookie motcua-login=[redacted]"),
        ("authorization: Bearer abc.def-123456", "authorization: Bearer [redacted]"),
        ("authorization: Basic dXNlcjpwYXNzd29yZA==", "authorization: Basic [redacted]"),
        (f"key {PEM} read", "key [redacted]\n read"),
        ("smtp://motcua:s3cret!@mail.example:587", "smtp://[redacted]@mail.example:587"),
        ("postgresql://:onlypassword@db/motcua", "postgresql://[redacted]@db/motcua"),
        ("dossier 000.00.56.H29-260302-0000001 at http://localhost:8080/x?a=b", None),
        ("Nguyễn Thị Ánh: a sentence of Bearers and basics, 12:30@noon", None),
    ],
    ids=["jwt", "jwe", "bearer", "basic", "key", "address", "password", "code", "prose"],
)
def test_secrets_are_taken_out_of_a_line(tmp_path: Path, said: str, kept: str | None) -> None:
    path = tmp_path / "log"
    telemetry.configure("vn-56", level="DEBUG", sampled=0.0, path=path)
    try:
        structlog.get_logger().info("said", text=said, listed=[said])
        try:
            raise ValueError(said)
        except ValueError:
            structlog.get_logger().exception("failed")
    finally:
        log_plainly()
    first, second = (json.loads(line) for line in path.read_text().splitlines())
    wanted = said if kept is None else kept
    assert (first["text"], first["listed"]) == (wanted, [wanted])
    assert wanted in second["exception"]
