"""What all replies of a kind have in common: of every mutation, of every stream of news."""

from __future__ import annotations

from typing import Any, TypeVar, assert_never

from google.protobuf.message import Message

from services.chassis.deciding.handler import Outcome
from services.chassis.following.views import position_token
from services.chassis.frame.watching import CaughtUp, Happened, News, Silence

M = TypeVar("M", bound=Message)


def replied(reply: type[M], outcome: Outcome[Any], **fields: Any) -> M:
    """The reply with the stream's revision and the change's place in the log."""
    return reply(revision=outcome.revision, position=position_token(outcome.position), **fields)


def told(reply: type[M], news: News, entry: Message | None) -> M:
    """The news as a message of a stream; `entry`: what happened, if something did."""
    match news:
        case Happened():
            return reply(entry=entry, resume_token=news.resume_token)
        case CaughtUp():
            return reply(caught_up=True, resume_token=news.resume_token)
        case Silence():
            return reply(heartbeat=True, resume_token=news.resume_token)
        case _:
            assert_never(news)
