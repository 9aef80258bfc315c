"""Dossier codes as people write them, and the seal of the address in a QR code."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from urllib.parse import parse_qs, unquote, urlsplit

GRAMMAR = re.compile(
    r"(?P<org>(?:\d{3}(?:\.\d{2}){2}\.[A-Z]\d{2})|(?:[A-Z]\d{2}(?:\.\d{1,3}){0,4}))-(?P<date>\d{6}|\d{8})-(?P<seq>\d{4,7})",
    re.ASCII,
)
LONGEST = 200
_DASHES = str.maketrans(dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212", "-"))


def parse(written: str) -> str | None:
    """The code that a person meant: either style, with stray blanks, dashes or small letters, or a page's address."""
    if len(written) > LONGEST:
        return None
    text = unquote(urlsplit(written.strip()).path.rpartition("/")[2]) if "/" in written else written
    text = re.sub(r"\s+", "", text).translate(_DASHES).upper()
    return text if GRAMMAR.fullmatch(text) else None


def scanned_seal(written: str) -> str | None:
    """The seal in a scanned address."""
    seals = parse_qs(urlsplit(written.strip()).query).get("seal", []) if len(written) <= LONGEST else []
    return seals[0] if seals else None


def seal(key: bytes, code: str) -> str:
    """96 bits of HMAC-SHA256 over the code, in base64url. It says that this platform printed the address, no more."""
    digest = hmac.digest(key, b"motcua dossier address v1\0" + code.encode(), hashlib.sha256)
    return base64.urlsafe_b64encode(digest[:12]).decode()


def seal_holds(key: bytes, code: str, claimed: str) -> bool:
    return hmac.compare_digest(seal(key, code).encode(), claimed.encode(errors="surrogatepass"))
