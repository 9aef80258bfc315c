"""The sample system of a trial: one of another authority, with a key of its own, for trying out RFC 7523."""

from __future__ import annotations

import hashlib
import hmac
import json
import os

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc.jwk import OKPKey

from services.chassis.platform.settings import Settings

CLIENT_ID = "motcua-sample-system"


def key(settings: Settings) -> OKPKey:
    """The one in the data folder, or the one that follows from the site's service secret, wherever it is made."""
    path = settings.data / "secrets" / "sample-system.jwk"
    if path.exists():
        return OKPKey.import_key(json.loads(path.read_text()))
    service = settings.secret("service", settings.service_secret)
    seed = hmac.new(service.encode(), b"motcua/sample-system", hashlib.sha256).digest()
    made = OKPKey.import_key(Ed25519PrivateKey.from_private_bytes(seed))
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = path.with_suffix(f".{os.getpid()}")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(made.as_dict(private=True), file)
    fresh.replace(path)
    return made
