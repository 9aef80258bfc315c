"""Secrets of the data folder that are made once and must stay: the keys of the ledger, of the witness and of printed QR codes.

keys.db keeps a hash of each, so that a file that is missing or another one is not replaced in silence. The master key needs none:
keys.db opens with it or does not. What the environment sets is the operator's to change.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping

from services.chassis.platform.settings import Settings
from services.chassis.site.marks import Mark

KEPT = {
    "ledger": "the public ledger cannot go on",
    "witness": "nobody takes our cosignatures for ours any more",
    "qr": "printed QR codes lead nowhere",
}
PREFIX = "secret "


def marks_of(settings: Settings, site_id: str) -> Mapping[str, Mark]:
    """Of those that are there."""
    found = {name: held for name in KEPT if (held := _held(settings, name))}
    return {f"{PREFIX}{name}": Mark(site_id, 0, 0, _hash(name, held)) for name, held in found.items()}


def faults(settings: Settings, remembered: Mapping[str, Mark]) -> Iterator[str]:
    for name, without in KEPT.items():
        mark = remembered.get(f"{PREFIX}{name}")
        if mark is None or _given(settings, name):
            continue
        path, held = settings.data / "secrets" / name, _held(settings, name)
        if held is None or _hash(name, held) != mark.event:
            what = "is not the one that the site was made with"
            if held is None:
                what = "cannot be read" if path.exists() else "is missing"
            yield f"{path} {what}, and without it {without}: bring it back, or set MOTCUA_{name.upper()}_KEY"


def _given(settings: Settings, name: str) -> str:
    return str(getattr(settings, f"{name}_key"))


def _held(settings: Settings, name: str) -> str | None:
    if given := _given(settings, name):
        return given
    try:
        return (settings.data / "secrets" / name).read_text().strip() or None
    except (OSError, UnicodeDecodeError):
        return None


def _hash(name: str, secret: str) -> str:
    """It is random, of 32 bytes: nobody finds it from this."""
    return hashlib.sha256(f"motcua/secret/{name}/{secret}".encode()).hexdigest()[:32]
