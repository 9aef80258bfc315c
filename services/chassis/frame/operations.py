"""Parked facts, shown to the operator and tried again: motcua.operations.v1, beside every service's API."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from operator import itemgetter
from typing import Any, NoReturn

from google.protobuf.message import Message

from motcua.operations.v1 import errors_pb2
from motcua.operations.v1 import operations_service_pb2 as pb
from motcua.operations.v1.operations_service_pb2_grpc import OperationsServiceServicer
from services.chassis.access.access import Policy, Verifier
from services.chassis.access.tls import connection_of
from services.chassis.calls import requests
from services.chassis.calls.paging import Pages
from services.chassis.calls.statuses import CODES, Errors
from services.chassis.decider import Rejected
from services.chassis.deciding.caller import Caller
from services.chassis.deciding.codec import to_timestamp
from services.chassis.following.reactions import Reaction

SERVICE = pb.DESCRIPTOR.services_by_name["OperationsService"]
_ERRORS = Errors(errors_pb2.OperationsError.DESCRIPTOR)


class Operations(OperationsServiceServicer):
    def __init__(self, verifier: Verifier, reactions: Mapping[str, Reaction], mutual_site: str, pages: Pages) -> None:
        self._verifier = verifier
        self._pages = pages
        self._mutual_site = mutual_site
        self._reactions = reactions
        self._policies = {method.name: Policy(method) for method in SERVICE.methods}

    async def _admit(self, rpc: str, request: Message, context: Any) -> Caller:
        metadata = dict(context.invocation_metadata() or ())
        connection = connection_of(context, metadata, self._mutual_site)
        caller = await self._verifier.caller(metadata.get("authorization"), connection)
        self._policies[rpc].check(caller)
        requests.check(request)
        return caller

    async def ListParked(self, request: pb.ListParkedRequest, context: Any) -> pb.ListParkedResponse:  # noqa: N802
        try:
            caller = await self._admit("ListParked", request, context)
            rows = [row for reaction in self._reactions.values() for row in await reaction.list_parked()]
            page = self._pages.cut(request, caller, rows, itemgetter("reaction", "position"))
        except Rejected as rejected:
            await _refuse(rejected, context)
        return pb.ListParkedResponse(parked=map(_parked, page.rows), next_page_token=page.token)

    async def RetryParked(self, request: pb.RetryParkedRequest, context: Any) -> pb.RetryParkedResponse:  # noqa: N802
        try:
            await self._admit("RetryParked", request, context)
        except Rejected as rejected:
            await _refuse(rejected, context)
        reaction = self._reactions.get(request.reaction)
        try:
            found = reaction is not None and await reaction.retry(request.event_id)
        except Exception as error:
            return pb.RetryParkedResponse(error=f"{error!r} {getattr(error, 'facts', '')}".strip())
        if not found:
            await _refuse(Rejected("PARKED_UNKNOWN", reaction=request.reaction, event_id=request.event_id), context)
        return pb.RetryParkedResponse()


def _parked(row: Mapping[str, Any]) -> pb.Parked:
    return pb.Parked(
        reaction=row["reaction"],
        event_id=row["event_id"],
        event_type=row["event_type"],
        stream=row["stream"],
        error=row["error"],
        attempts=row["attempts"],
        parked_at=to_timestamp(datetime.fromisoformat(row["parked_at"])),
    )


async def _refuse(rejected: Rejected, context: Any) -> NoReturn:
    """Raises in the caller's place."""
    status = _ERRORS.status(rejected)
    details = (("grpc-status-details-bin", status.SerializeToString()),)
    await context.abort(CODES[status.code], status.message, trailing_metadata=details)
    raise AssertionError("abort raises")
