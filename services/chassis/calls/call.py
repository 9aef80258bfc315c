"""What an entry point is given of a call: the request, who calls, when, and what asks for a change."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import astuple, dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, Generic, TypeVar

from google.protobuf.message import Message

from services.chassis.calls.masks import updated
from services.chassis.calls.paging import AsOf, Key, Listing, Page, Pages
from services.chassis.calls.stated import NOTHING, Stated
from services.chassis.deciding.caller import Caller, Origin
from services.chassis.following.views import RunningView
from services.chassis.telemetry import telemetry

Q = TypeVar("Q", bound=Message, covariant=True)
T = TypeVar("T")


@dataclass(frozen=True)
class Call(Generic[Q]):
    """Admitted: the caller may ask for this, and the request keeps its limits."""

    request: Q
    caller: Caller
    now: datetime
    """When it was admitted. All that one call decides and shows is of this moment."""
    pages: Pages
    stated: Stated = NOTHING
    """What the caller opens others' data for. Nothing, where nothing is opened."""

    @cached_property
    def origin(self) -> Origin:
        """The origin of a mutation: the same however often the request is sent."""
        return Origin.of_request(self.request, self.caller, telemetry.traceparent(), stated=astuple(self.stated))

    @cached_property
    def updates(self) -> frozenset[str]:
        """Of an update: the fields that it changes. Raises RequestInvalid."""
        return updated(self.request)

    @property
    def validate_only(self) -> bool:
        """The caller asks what would be: nothing of it may be kept (https://google.aip.dev/163)."""
        return bool(getattr(self.request, "validate_only", False))

    async def page(self, view: RunningView, listing: Listing | AsOf) -> Page[Any]:
        """The page of a view's rows that the request asks for. Raises Rejected INVALID_POSITION, and as RunningView.read does."""
        return await self.pages.read(self.request, self.caller, view, listing)

    async def follow(self, read: Callable[[int], Awaitable[Sequence[T]]], at: Callable[[T], int]) -> Page[T]:
        """The page of a stream, which is read from where the page begins. Raises Rejected INVALID_POSITION."""
        return await self.pages.follow(self.request, self.caller, read, at)

    def cut(self, rows: Sequence[T], key: Callable[[T], Key]) -> Page[T]:
        """The page of rows in memory that the request asks for. Raises Rejected INVALID_POSITION."""
        return self.pages.cut(self.request, self.caller, rows, key)
