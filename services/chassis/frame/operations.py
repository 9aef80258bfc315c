"""Parked facts, shown to the operator and tried again: motcua.operations.v1, beside every service's API."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from operator import itemgetter
from typing import Any

from motcua.operations.v1 import errors_pb2
from motcua.operations.v1 import operations_service_pb2 as pb
from services.chassis.calls.call import Call
from services.chassis.decider import Rejected
from services.chassis.deciding.codec import to_timestamp
from services.chassis.following.reactions import Reaction

SERVICE = pb.DESCRIPTOR.services_by_name["OperationsService"]
ERRORS = errors_pb2.OperationsError.DESCRIPTOR


class Operations:
    """Answers whether or not the views have caught up: what parked may be why they have not."""

    def __init__(self, reactions: Mapping[str, Reaction]) -> None:
        self._reactions = reactions

    async def list_parked(self, call: Call[pb.ListParkedRequest]) -> pb.ListParkedResponse:
        rows = [row for reaction in self._reactions.values() for row in await reaction.list_parked()]
        page = call.cut(rows, itemgetter("reaction", "position"))
        return pb.ListParkedResponse(parked=map(_parked, page.rows), next_page_token=page.token)

    async def retry_parked(self, call: Call[pb.RetryParkedRequest]) -> pb.RetryParkedResponse:
        name, event_id = call.request.reaction, call.request.event_id
        reaction = self._reactions.get(name)
        try:
            found = reaction is not None and await reaction.retry(event_id)
        except Exception as error:
            return pb.RetryParkedResponse(error=f"{error!r} {getattr(error, 'facts', '')}".strip())
        if not found:
            raise Rejected("PARKED_UNKNOWN", reaction=name, event_id=event_id)
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
