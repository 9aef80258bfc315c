from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    # The address that QR codes lead to, without a final slash.
    public_address: str
    # At least 32 bytes, the same on every replica, kept for as long as printed receipts must be recognised.
    qr_key: bytes
    # Where a step's ledger receipt is, with {code} and {revision}; empty where there is no ledger.
    receipt_address: str = ""
    # Where the receipt of all steps is, with {code}.
    whole_receipt_address: str = ""
    # Where the ledger gives its key.
    log_key_address: str = ""
    heartbeat_seconds: float = 15.0
    # Open live connections of one process. Beyond it the page still works, without live updates.
    live_limit: int = 2000
    # Of one address, as the edge tells it.
    live_limit_per_address: int = 100
    # The site where services have certificates and only the edge's word counts; empty without.
    mutual_site: str = ""

    def __post_init__(self) -> None:
        if len(self.qr_key) < 32:
            raise ValueError("qr_key must have at least 32 bytes")
        if self.public_address.endswith("/"):
            raise ValueError("public_address must not end in a slash")
