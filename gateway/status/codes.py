"""The seal of the address in a QR code."""

from __future__ import annotations

import base64
import hashlib
import hmac
from urllib.parse import parse_qs

from services.chassis.text.dossier_codes import LONGEST


def scanned_seal(written: str) -> str | None:
    """The seal in a scanned address."""
    queries = (word.partition("?")[2].partition("#")[0] for word in written.split()) if len(written) <= LONGEST else ()
    seals = [seal for query in queries for seal in parse_qs(query).get("seal", [])]
    return seals[0] if seals else None


def seal(key: bytes, code: str) -> str:
    """96 bits of HMAC-SHA256 over the code, in base64url. It says that this platform printed the address, no more."""
    digest = hmac.digest(key, b"motcua dossier address v1\0" + code.encode(), hashlib.sha256)
    return base64.urlsafe_b64encode(digest[:12]).decode()


def seal_holds(key: bytes, code: str, claimed: str) -> bool:
    return hmac.compare_digest(seal(key, code).encode(), claimed.encode(errors="surrogatepass"))
