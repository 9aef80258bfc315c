"""Parked facts of all services."""

from __future__ import annotations

import grpc

from command.console import fail, out
from command.running import addresses
from motcua.operations.v1 import operations_service_pb2 as pb
from motcua.operations.v1.operations_service_pb2_grpc import OperationsServiceStub
from services.chassis.access.access import service_token
from services.chassis.access.certificates import parts_of
from services.chassis.access.tls import OPERATOR, Credentials
from services.chassis.platform.settings import Settings

PAGE = 200


def _metadata(settings: Settings) -> tuple[tuple[str, str], ...]:
    """The operator of this machine holds the site's service secret. Whoever shows a certificate goes by the name in it."""
    files = settings.tls_files
    parts = parts_of(files.certificate.read_bytes(), settings.site) if files else [OPERATOR]
    name = OPERATOR if OPERATOR in parts else parts[0]
    token = service_token(name, settings.secret("service", settings.service_secret))
    return (("authorization", f"Bearer {token}"),)


def _channel(settings: Settings, service: str, address: str) -> grpc.aio.Channel:
    """With the certificate that the settings name, if the site has certificates."""
    if settings.tls_files is None:
        return grpc.aio.insecure_channel(address)
    return Credentials(settings.tls_files, settings.site).channel(service, address)


async def list_all(settings: Settings) -> list[pb.Parked]:
    found: list[pb.Parked] = []
    for name, address in addresses(settings)["grpc"].items():
        async with _channel(settings, name, address) as channel:
            request = pb.ListParkedRequest(page_size=PAGE)
            while True:
                reply = await OperationsServiceStub(channel).ListParked(request, metadata=_metadata(settings))
                found.extend(reply.parked)
                if not reply.next_page_token:
                    break
                request.page_token = reply.next_page_token
    return found


async def retry(settings: Settings, event_id: str) -> int:
    rows = [row for row in await list_all(settings) if event_id in ("all", row.event_id)]
    if not rows and event_id != "all":
        fail(f"No parked fact has the id {event_id}.", "`motcua parked list` shows them.")
    failed = 0
    for row in rows:
        service = row.reaction.partition(".")[0]
        async with _channel(settings, service, addresses(settings)["grpc"][service]) as channel:
            request = pb.RetryParkedRequest(reaction=row.reaction, event_id=row.event_id)
            reply = await OperationsServiceStub(channel).RetryParked(request, metadata=_metadata(settings))
        failed += bool(reply.error)
        out.print(f"{'✗' if reply.error else '✓'} {row.reaction} {row.event_id} {reply.error}")
    return 1 if failed else 0
