"""Parked facts, shown to the operator and tried again: motcua.operations.v1, beside every service's API."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import grpc

from motcua.operations.v1 import operations_service_pb2 as pb
from motcua.operations.v1.operations_service_pb2_grpc import OperationsServiceServicer
from services.chassis.access import Policy, Verifier
from services.chassis.codec import to_timestamp
from services.chassis.decider import Rejected
from services.chassis.reactions import Reaction

SERVICE = pb.DESCRIPTOR.services_by_name["OperationsService"]


class Operations(OperationsServiceServicer):
    def __init__(self, verifier: Verifier, reactions: Mapping[str, Reaction]) -> None:
        self._verifier = verifier
        self._reactions = reactions
        self._policies = {method.name: Policy(method) for method in SERVICE.methods}

    async def _admit(self, rpc: str, context: Any) -> None:
        metadata = dict(context.invocation_metadata() or ())
        try:
            self._policies[rpc].check(await self._verifier.caller(metadata.get("authorization")))
        except Rejected as rejected:
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, rejected.reason)

    async def ListParked(self, request: pb.ListParkedRequest, context: Any) -> pb.ListParkedResponse:  # noqa: N802
        await self._admit("ListParked", context)
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
        await self._admit("RetryParked", context)
        reaction = self._reactions.get(request.reaction)
        try:
            found = reaction is not None and await reaction.retry(request.event_id)
        except Exception as error:
            return pb.RetryParkedResponse(error=f"{error!r} {getattr(error, 'facts', '')}".strip())
        if not found:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"{request.reaction} has no parked fact {request.event_id}")
        return pb.RetryParkedResponse()
