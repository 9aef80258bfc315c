"""The site's own names and keys, from its settings."""

from __future__ import annotations

from gateway.ledger.format.note import CoSigner, Signer
from services.chassis.platform.settings import Settings


def log_key(settings: Settings) -> Signer:
    origin = settings.ledger_origin or f"{settings.site}.motcua.local/ledger"
    return Signer(origin, bytes.fromhex(settings.secret("ledger", settings.ledger_key)))


def witness_key(settings: Settings) -> CoSigner:
    name = settings.ledger_witness_name or f"{settings.site}.motcua.local/witness"
    return CoSigner(name, bytes.fromhex(settings.secret("witness", settings.witness_key)))
