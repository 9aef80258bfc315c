"""The certificates of the platform's parts: which files, what they say, whether they fit together.

A part of the site is known by a DNS name in its certificate: `dossier.vn-56.internal`. The authority is the site's own.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization


def peer_name(part: str, site: str) -> str:
    return f"{part}.{site}.internal"


@dataclass(frozen=True, slots=True)
class Files:
    certificate: Path
    key: Path
    authority: Path

    def stamp(self) -> tuple[tuple[int, int, int], ...]:
        found = (path.stat() for path in (self.certificate, self.key, self.authority))
        return tuple((one.st_mtime_ns, one.st_ino, one.st_size) for one in found)


@dataclass(frozen=True, slots=True)
class Material:
    stamp: tuple[tuple[int, int, int], ...]
    certificate: bytes
    key: bytes
    authority: bytes
    context: ssl.SSLContext


def certificate_names(certificate: Mapping[str, Any] | None) -> frozenset[str]:
    """The DNS names of what `ssl.SSLObject.getpeercert` returns."""
    alternatives = (certificate or {}).get("subjectAltName", ())
    return frozenset(value for kind, value in alternatives if kind == "DNS")


def parts_of(pem: bytes, site: str) -> list[str]:
    """The parts of the site that a certificate is for. Raises ValueError if it is for none."""
    leaf, ending = x509.load_pem_x509_certificates(pem)[0], peer_name("", site)
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        raise ValueError("it names nobody") from None
    dns = names.get_values_for_type(x509.DNSName)
    if parts := sorted(name.removesuffix(ending) for name in dns if name.endswith(ending)):
        return parts
    raise ValueError(f"it names {', '.join(dns) or 'nobody'}, and no {peer_name('<part>', site)}")


def ends_first(pem: bytes) -> x509.Certificate:
    """The certificate among them that ends first. Raises ValueError if there is none."""
    return min(x509.load_pem_x509_certificates(pem), key=lambda one: one.not_valid_after_utc)


def read(files: Files) -> Material:
    """Raises OSError for what cannot be read, ValueError for what does not fit together."""
    stamp = files.stamp()
    certificate, key, authority = (path.read_bytes() for path in (files.certificate, files.key, files.authority))
    public = x509.load_pem_x509_certificates(certificate)[0].public_key()
    if serialization.load_pem_private_key(key, password=None).public_key() != public:
        raise ValueError(f"{files.key} is not the key of {files.certificate}")
    x509.load_pem_x509_certificates(authority)
    return Material(stamp, certificate, key, authority, server_context(files))


def server_context(files: Files) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # Whoever shows none reaches the probes only; one of another authority ends the handshake.
    context.verify_mode = ssl.CERT_OPTIONAL
    # A resumed session would be checked against the authorities of the day when it began.
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    context.load_cert_chain(files.certificate, files.key)
    context.load_verify_locations(files.authority)
    return context
