"""A local authority and a server certificate, for machines that nobody gave one. Kept, and renewed before they end."""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from services.chassis.machine import moments

LOCAL = ("localhost", "127.0.0.1", "::1")
AUTHORITY_DAYS = 3650
SERVER_DAYS = 365
RENEW_DAYS = 30


class Certificates(NamedTuple):
    authority: Path
    certificate: Path
    key: Path


class Pair(NamedTuple):
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def ensure(
    folder: Path, names: tuple[str, ...] = ("localhost", "127.0.0.1", "::1"), now: datetime | None = None
) -> Certificates:
    now = now or moments.now()
    folder.mkdir(parents=True, exist_ok=True)
    authority = load(folder / "ca.pem", folder / "ca.key")
    if authority is None or ends_soon(authority, now):
        authority = make(name="Motcua local authority", days=AUTHORITY_DAYS, now=now)
        save(authority, folder / "ca.pem", folder / "ca.key")
    server = load(folder / "server.pem", folder / "server.key")
    if server is None or ends_soon(server, now) or not issued(server, authority) or names_of(server) != set(names):
        server = make(name=names[0], days=SERVER_DAYS, now=now, issuer=authority, names=names)
        save(server, folder / "server.pem", folder / "server.key")
    return Certificates(folder / "ca.pem", folder / "server.pem", folder / "server.key")


def make(
    *,
    name: str,
    days: int,
    now: datetime,
    issuer: Pair | None = None,
    names: tuple[str, ...] = (),
    uses: tuple[x509.ObjectIdentifier, ...] = (ExtendedKeyUsageOID.SERVER_AUTH,),
) -> Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))  # clocks differ
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.BasicConstraints(ca=issuer is None, path_length=0 if issuer is None else None), critical=True
        )
        .add_extension(usage(signs=issuer is None), critical=True)
    )
    if issuer:
        authority_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key())
        builder = (
            builder.add_extension(x509.SubjectAlternativeName([general_name(n) for n in names]), critical=False)
            .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
            .add_extension(authority_key, critical=False)
        )
    return Pair(builder.sign(issuer.key if issuer else key, hashes.SHA256()), key)


def usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def names_of(pair: Pair) -> set[str]:
    names = pair.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return {str(name.value) for name in names}


def ends_soon(pair: Pair, now: datetime) -> bool:
    return pair.certificate.not_valid_after_utc - now < timedelta(days=RENEW_DAYS)


def issued(server: Pair, authority: Pair) -> bool:
    try:
        server.certificate.verify_directly_issued_by(authority.certificate)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def load(certificate: Path, key: Path) -> Pair | None:
    try:
        loaded = serialization.load_pem_private_key(key.read_bytes(), password=None)
        found = x509.load_pem_x509_certificate(certificate.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    if not isinstance(loaded, ec.EllipticCurvePrivateKey) or loaded.public_key() != found.public_key():
        return None
    return Pair(found, loaded)


def save(pair: Pair, certificate: Path, key: Path) -> None:
    """The key first, at once and readable by its owner only: a pair torn by a crash is made again."""
    private = pair.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    for path, content, mode in (
        (key, private, 0o600),
        (certificate, pair.certificate.public_bytes(serialization.Encoding.PEM), 0o600),
    ):
        temporary = path.with_suffix(".new")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with open(descriptor, "wb") as file:
            file.write(content)
        temporary.replace(path)
