"""A private authority, and the certificates that it gives to parts of a site and to other systems."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from pathlib import Path

import grpc
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID

from gateway.edge.certificates import Pair, make, save
from services.chassis.access.certificates import Files, peer_name
from services.chassis.access.tls import EDGE, OPERATOR
from services.registry import SERVICES

BOTH = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)


class Authority:
    def __init__(self, folder: Path, name: str = "test authority") -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.certificate = folder / "authority.pem"
        self._pair = make(name=name, days=10, now=datetime.now(UTC))
        save(self._pair, self.certificate, folder / "authority.key")

    def pair(self, *names: str) -> Pair:
        return make(name=names[0], days=5, now=datetime.now(UTC), issuer=self._pair, names=names, uses=BOTH)

    def give(self, label: str, *names: str) -> Files:
        """A certificate for these names. The same label again replaces its files, the key first."""
        files = Files(self.folder / f"{label}.pem", self.folder / f"{label}.key", self.certificate)
        save(self.pair(*names), files.certificate, files.key)
        return files

    def platform(self, site: str = "vn-56") -> Files:
        """For all that `motcua up` runs in one process, its edge and its operator."""
        parts = (*SERVICES, EDGE, OPERATOR, "admin", "docs", "sandbox")
        return self.give("platform", *(peer_name(part, site) for part in parts))


def credentials(files: Files | None, authority: Path) -> grpc.ChannelCredentials:
    if files is None:
        return grpc.ssl_channel_credentials(authority.read_bytes())
    return grpc.ssl_channel_credentials(authority.read_bytes(), files.key.read_bytes(), files.certificate.read_bytes())


def context(files: Files | None, authority: Path) -> ssl.SSLContext:
    made = ssl.create_default_context(cafile=str(authority))
    if files is not None:
        made.load_cert_chain(files.certificate, files.key)
    return made


def fingerprint(pair: Pair) -> bytes:
    return pair.certificate.fingerprint(hashes.SHA256())
