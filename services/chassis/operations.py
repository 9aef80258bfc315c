"""Parked facts, shown to the operator and tried again: motcua.operations.v1, beside every service's API."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from google.protobuf.message import Message

from motcua.operations.v1 import errors_pb2
from motcua.operations.v1 import operations_service_pb2 as pb
from motcua.operations.v1.operations_service_pb2_grpc import OperationsServiceServicer
from services.chassis import requests
from services.chassis.access import Policy, Verifier
from services.chassis.codec import to_timestamp
from services.chassis.decider import Rejected
from services.chassis.errors import CODES, Errors
from services.chassis.reactions import Reaction
from services.chassis.tls import connection_of

SERVICE = pb.DESCRIPTOR.services_by_name["OperationsService"]
_ERRORS = Errors(errors_pb2.OperationsError.DESCRIPTOR)


class Operations(OperationsServiceServicer):
    def __init__(self, verifier: Verifier, reactions: Mapping[str, Reaction], mutual_site: str) -> None:
        self._verifier = verifier
        self._mutual_site = mutual_site
        self._reactions = reactions
        self._policies = {method.name: Policy(method) for method in SERVICE.methods}

    async def _admit(self, rpc: str, request: Message, context: Any) -> None:
        metadata = dict(context.invocation_metadata() or ())
        try:
            connection = connection_of(context, metadata, self._mutual_site)
            self._policies[rpc].check(await self._verifier.caller(metadata.get("authorization"), connection))
            requests.check(request)
        except Rejected as rejected:
            await _refuse(rejected, context)

    async def ListParked(self, request: pb.ListParkedRequest, context: Any) -> pb.ListParkedResponse:  # noqa: N802
        await self._admit("ListParked", request, context)
        reply = pb.ListParkedResponse()
        for reaction in self._reactions.values():
            for row in await reaction.list_parked():
                reply.parked.add(
                    reaction=row["reaction"],
                    event_id=row["event_id"],
                    event_type=row["event_type"],
                    stream=row["stream"],
                    error=row["error"],
                    attempts=row["attempts"],
                    parked_at=to_timestamp(datetime.fromisoformat(row["parked_at"])),
                )
        return reply

    async def RetryParked(self, request: pb.RetryParkedRequest, context: Any) -> pb.RetryParkedResponse:  # noqa: N802
        await self._admit("RetryParked", request, context)
        reaction = self._reactions.get(request.reaction)
        try:
            found = reaction is not None and await reaction.retry(request.event_id)
        except Exception as error:
            return pb.RetryParkedResponse(error=f"{error!r} {getattr(error, 'facts', '')}".strip())
        if not found:
            await _refuse(Rejected("PARKED_UNKNOWN", reaction=request.reaction, event_id=request.event_id), context)
        return pb.RetryParkedResponse()


async def _refuse(rejected: Rejected, context: Any) -> None:
    """Raises in the caller's place."""
    status = _ERRORS.status(rejected)
    details = (("grpc-status-details-bin", status.SerializeToString()),)
    await context.abort(CODES[status.code], status.message, trailing_metadata=details)
