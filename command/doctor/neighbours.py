"""Who answers: the edge, the services, identity, and the systems outside."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import grpc
import httpx
from grpc_health.v1 import health_pb2, health_pb2_grpc

from command.doctor.finding import SECONDS, Finding, Patient, bad, doubtful, good, said
from command.doctor.stores import skew
from gateway.ledger.format.errors import LedgerError
from gateway.ledger.running import remotes
from services.chassis.access.tls import Credentials
from services.chassis.platform.settings import Settings
from services.dossier.files.scanner import Clamd, ScannerUnavailable
from services.notification.channels.carriers import CARRIERS
from services.notification.channels.port import Carrier, CarrierUnreachable
from services.notification.settings import ChannelSettings


async def examine(patient: Patient) -> AsyncIterator[Finding]:
    settings = patient.settings
    if patient.sees_the_edge:
        async for finding in _edge(settings):
            yield finding
    addresses = dict(patient.running.get("grpc", {}))
    if settings.identity_address:
        addresses.setdefault("identity", settings.identity_address)
    for service, address in addresses.items():
        yield await _service(settings, service, address)
    on = [carrier for carrier in CARRIERS.values() if getattr(settings, carrier.switch)]
    for carrier in on:
        yield await _carrier(carrier, ChannelSettings.of(settings))
    if not on and not settings.sandbox and "notification" in patient.services:
        names = ", ".join(carrier.name for carrier in CARRIERS.values())
        switches = " or ".join(f"MOTCUA_{carrier.switch.upper()}" for carrier in CARRIERS.values())
        yield doubtful(names, "switched off", "People hear of their dossiers in the inbox alone.", f"Set {switches}.")
    if settings.clamd_url:
        yield await _scanner(settings)
    elif not settings.sandbox and "dossier" in patient.services:
        yield doubtful(
            "malware scanner", "switched off", "Files are taken without being scanned.", "Set MOTCUA_CLAMD_URL."
        )
    outside = {
        "VNeID": settings.vneid_url and f"{settings.vneid_url.rstrip('/')}/.well-known/openid-configuration",
        "population database": settings.population_url,
        "payment provider": settings.vnpay_api_url,
    }
    for name, url in outside.items():
        if url:
            yield await _system(name, url, strict=name == "VNeID")
    if collector := os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        yield await _collector(collector)
    try:
        witnesses = remotes(settings)
    except LedgerError as unusable:
        yield bad("witnesses", said(unusable), "The ledger does not start.", "Correct MOTCUA_LEDGER_WITNESSES.")
        return
    for witness in witnesses:
        yield await _system(f"witness {witness.verifier.name}", witness.url)


async def _edge(settings: Settings) -> AsyncIterator[Finding]:
    url = f"{settings.url}/healthz"
    why = "Citizens and other systems come in here."
    try:
        async with httpx.AsyncClient(timeout=SECONDS) as client:
            before = datetime.now(UTC)
            answer = await client.get(url)
            middle = before + (datetime.now(UTC) - before) / 2
    except httpx.HTTPError as silent:
        do = "Does the edge run, does MOTCUA_PUBLIC_URL lead to it from here?"
        yield bad("edge", f"{url}: {said(silent)}", why, do)
        return
    if answer.status_code == 200:
        yield good("edge", f"{settings.url}: every service serves")
    else:
        do = "Look at the service that it waits for: its log, and this command in its pod."
        yield bad("edge", f"{url} answered {answer.status_code}: {answer.text.strip()[:200]}", why, do)
    if date := answer.headers.get("date"):
        # The header has whole seconds: what it cut off is half of one in the middle.
        told = parsedate_to_datetime(date).replace(microsecond=500_000)
        yield skew("edge", told - middle)


async def _service(settings: Settings, service: str, address: str) -> Finding:
    why = (
        "The others ask it for keys: nothing personal is written or read."
        if service == "identity"
        else "Its calls fail."
    )
    do = f"kubectl logs deploy/motcua-{service}, or logs/motcua.jsonl in the data folder"
    credentials = Credentials(settings.tls_files, settings.site) if settings.tls_files else None
    channel = credentials.channel(service, address) if credentials else grpc.aio.insecure_channel(address)
    try:
        stub = health_pb2_grpc.HealthStub(channel)
        reply = await stub.Check(health_pb2.HealthCheckRequest(), timeout=SECONDS)
    except grpc.aio.AioRpcError as error:
        return bad(service, f"{address}: {error.code().name} {error.details()}"[:300], why, do)
    finally:
        await channel.close()
    if reply.status != health_pb2.HealthCheckResponse.SERVING:
        return bad(
            service, "answers, and does not serve yet: its views catch up", why, "Wait; the lag below says how long."
        )
    return good(service, "serves")


async def _carrier(carrier: Carrier, settings: ChannelSettings) -> Finding:
    try:
        return good(carrier.name, await carrier.open(settings).probe(SECONDS))
    except (CarrierUnreachable, OSError, ValueError) as refused:
        why = f"No {carrier.name} is sent; what waits is tried again."
        return bad(carrier.name, said(refused), why, carrier.check)


async def _scanner(settings: Settings) -> Finding:
    try:
        async with asyncio.timeout(SECONDS):
            await Clamd(settings.clamd_url).ping()
    except (ScannerUnavailable, TimeoutError) as silent:
        do = "Is clamd up, and does networkPolicy.egress let this pod out? MOTCUA_CLAMD_URL says where it is asked."
        return bad("malware scanner", said(silent), "Every upload is refused until it answers.", do)
    return good("malware scanner", "answers")


async def _system(name: str, url: str, *, strict: bool = False) -> Finding:
    """Whatever it answers, it is there; `strict`: it must be the document that was asked for."""
    why, do = (
        f"What needs the {name} is answered with UNAVAILABLE.",
        "Is it up, and does networkPolicy.egress let this pod out?",
    )
    try:
        async with httpx.AsyncClient(timeout=SECONDS) as client:
            answer = await client.get(url)
    except httpx.HTTPError as silent:
        return bad(name, f"{url}: {said(silent)}", why, do)
    if answer.status_code >= 500 or (strict and answer.status_code != 200):
        return bad(name, f"{url} answered {answer.status_code}", why, f"Ask whoever keeps the {name}.")
    return good(name, f"{urlsplit(url).netloc} answers")


async def _collector(endpoint: str) -> Finding:
    url = urlsplit(endpoint)
    try:
        async with asyncio.timeout(SECONDS):
            _, writer = await asyncio.open_connection(url.hostname, url.port or 4317)
        writer.close()
    except OSError as silent:
        return doubtful(
            "traces", f"{endpoint}: {said(silent)}", "Traces are lost.", "Check OTEL_EXPORTER_OTLP_ENDPOINT."
        )
    return good("traces", f"{endpoint} answers")
