"""What every mutation's reply carries."""

from __future__ import annotations

from typing import Any, TypeVar

from google.protobuf.message import Message

from services.chassis.deciding.handler import Outcome
from services.chassis.following.views import position_token

M = TypeVar("M", bound=Message)


def replied(reply: type[M], outcome: Outcome[Any], **fields: Any) -> M:
    """The reply with the stream's revision and the change's place in the log."""
    return reply(revision=outcome.revision, position=position_token(outcome.position), **fields)
