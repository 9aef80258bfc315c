"""Certificates: what the site's parts show each other, and what the edge shows the world."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from time import time
from urllib.parse import urlsplit

from command.doctor.finding import SECONDS, Finding, Patient, bad, doubtful, good, lasting, said
from services.chassis.access.certificates import Files, certificate_names, ends_first, parts_of, peer_name

# Seconds, and shares of a certificate's life: short-lived ones are renewed late.
SOON, VERY_SOON = (14 * 86400, 0.25), (3 * 86400, 0.1)
RENEW = "Renew it: kubectl get certificates says why cert-manager did not; without it, put new files in the place of the old ones."


async def examine(patient: Patient) -> AsyncIterator[Finding]:
    settings = patient.settings
    if settings.tls_files:
        for finding in await asyncio.to_thread(_site, patient, settings.tls_files):
            yield finding
    elif settings.distributed:
        yield doubtful(
            "site's certificates",
            "none: the parts of the site talk in clear",
            "Whoever is on the network between pods reads and changes what they say.",
            "mutualTls.enabled=true in the chart, or MOTCUA_TLS_CERTIFICATE, _KEY, _AUTHORITY.",
        )
    if settings.client_authority:
        yield _expiry(
            "other systems' authority",
            settings.client_authority,
            "Other systems' certificates are refused.",
            "Put their new authority into MOTCUA_CLIENT_AUTHORITY.",
        )
    url = urlsplit(settings.url)
    own = settings.data / "tls" / "server.pem"
    if url.scheme == "https" and patient.sees_the_edge:
        yield await _public(url.hostname or "", url.port or 443)
    elif own.exists() and patient.sees_the_edge:
        yield _expiry(
            "edge's certificate", own, "The TLS port is refused.", "Start the platform again: it renews its own."
        )


def _site(patient: Patient, files: Files) -> list[Finding]:
    settings = patient.settings
    why = "The other parts of the site refuse to talk to this one."
    try:
        parts = parts_of(files.certificate.read_bytes(), settings.site)
    except (OSError, ValueError) as unusable:
        wanted = peer_name("<part>", settings.site)
        return [bad("site's certificate", f"{files.certificate}: {said(unusable)}", why, f"Issue it for {wanted}.")]
    if missing := [part for part in patient.services if patient.running and part not in parts]:
        wanted = ", ".join(peer_name(part, settings.site) for part in missing)
        what = f"{files.certificate} is for {', '.join(parts)}, not for {', '.join(missing)}"
        return [bad("site's certificate", what, why, f"Issue it with the DNS name {wanted}.")]
    try:
        _shake_hands(files, peer_name(parts[0], settings.site))
    except (OSError, ValueError) as refused:
        what = f"{files.certificate} is refused by {files.authority}: {said(refused)}"
        return [bad("site's certificate", what, why, RENEW)]
    return [
        _expiry("site's certificate", files.certificate, why, RENEW),
        _expiry("site's authority", files.authority, "No certificate of the site is believed.", RENEW),
    ]


def _shake_hands(files: Files, name: str) -> None:
    """A handshake with oneself: chain, names, times, uses and key as any other part would judge them. Raises ssl.SSLError."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    client = ssl.create_default_context(cafile=str(files.authority))
    server.verify_mode = ssl.CERT_REQUIRED
    server.load_verify_locations(files.authority)
    for context in (server, client):
        context.load_cert_chain(files.certificate, files.key)
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [client.wrap_bio(back, there, server_hostname=name), server.wrap_bio(there, back, server_side=True)]
    for _ in range(10):
        done = [_done(end.do_handshake) for end in ends]
        if all(done):
            return
    raise ssl.SSLError("the handshake does not end")


def _done(step: Callable[[], None]) -> bool:
    try:
        step()
    except ssl.SSLWantReadError:
        return False
    return True


def _expiry(about: str, path: Path, why: str, do: str) -> Finding:
    try:
        found = ends_first(path.read_bytes())
    except (OSError, ValueError) as unusable:
        return bad(about, f"{path}: {said(unusable)}", why, do)
    began, ends = found.not_valid_before_utc.timestamp(), found.not_valid_after_utc.timestamp()
    return _left(about, str(path), began, ends, why, do)


def _left(about: str, which: str, began: float, ends: float, why: str, do: str) -> Finding:
    left = ends - time()
    if left <= 0:
        return bad(about, f"{which} ended {lasting(-left)} ago", why, do)
    text = f"{which} ends in {lasting(left)}"
    if _within(left, ends - began, *VERY_SOON):
        return bad(about, text, why, do)
    return doubtful(about, text, why, do) if _within(left, ends - began, *SOON) else good(about, text)


def _within(left: float, life: float, seconds: float, share: float) -> bool:
    return left < seconds and left < share * life


async def _public(host: str, port: int) -> Finding:
    why = "Nobody gets in: browsers and other systems refuse to connect."
    try:
        async with asyncio.timeout(SECONDS):
            _, writer = await asyncio.open_connection(host, port, ssl=ssl.create_default_context())
    except ssl.SSLCertVerificationError as refused:
        return bad("edge's certificate", f"{host}:{port}: {refused.verify_message}", why, RENEW)
    except OSError as silent:
        do = "Is the name in DNS, does the load balancer lead to the edge, does the edge run?"
        return bad("edge's certificate", f"{host}:{port}: {said(silent)}", why, do)
    shown = writer.get_extra_info("ssl_object").getpeercert()
    writer.close()
    names = ", ".join(sorted(certificate_names(shown)))
    began, ends = (ssl.cert_time_to_seconds(shown[name]) for name in ("notBefore", "notAfter"))
    return _left("edge's certificate", f"{host} ({names})", began, ends, why, RENEW)
