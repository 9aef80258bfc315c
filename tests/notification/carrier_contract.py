"""What is asked of every carrier: its test module makes a class of this for it, with a system that speaks its protocol."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Protocol

import pytest

from services.notification.channels.port import (
    AddressKind,
    Carrier,
    CarrierUnreachable,
    Dispatch,
    PermanentError,
    SendError,
    TransientError,
)
from services.settings import SiteSettings

ADDRESSES = {AddressKind.EMAIL: "binh@example.vn", AddressKind.PHONE: "0905123456"}
DISPATCH = Dispatch(
    message_id="0f3c1c5e-0000-5000-8000-000000000001",
    at=datetime(2026, 3, 2, 2, 5, tzinfo=UTC),
    recipient="",
    language="vi",
    subject="Hồ sơ đã được tiếp nhận",
    text="Kính gửi Ông/Bà,\n\nHồ sơ đã được tiếp nhận.\n",
    html="<p>Kính gửi Ông/Bà,</p>",
    code="P56.22.336-20260302-0000001",
    url="https://motcua.example/dossiers/P56.22.336-20260302-0000001?lang=vi",
)


class Remote(Protocol):
    """The carrier's system. It answers as told, and naming the address in its words."""

    settings: SiteSettings

    def took(self) -> list[str]:
        """The ids, as the carrier sends them, of what was accepted: the same message has the same."""


class CarrierContract(ABC):
    carrier: Carrier

    @abstractmethod
    def remote(self, answer: str) -> AbstractAsyncContextManager[Remote]:
        """`answer`: accepts, busy (it may pass) or refuses (it will not)."""

    @property
    def dispatch(self) -> Dispatch:
        return replace(DISPATCH, recipient=ADDRESSES[self.carrier.address])

    async def failure(self, settings: SiteSettings) -> SendError:
        with pytest.raises(SendError) as failed:
            await self.carrier.open(settings).send(self.dispatch)
        said = f"{failed.value!r}{failed.value.__cause__!r}"
        assert self.dispatch.recipient not in said
        return failed.value

    async def test_a_message_sent_again_is_the_same(self) -> None:
        async with self.remote("accepts") as remote:
            for _ in range(2):
                await self.carrier.open(remote.settings).send(self.dispatch)
            assert len(set(remote.took())) == 1

    @pytest.mark.parametrize(("answer", "kind"), [("busy", TransientError), ("refuses", PermanentError)])
    async def test_a_refusal_is_classified_without_the_address(self, answer: str, kind: type[SendError]) -> None:
        async with self.remote(answer) as remote:
            assert type(await self.failure(remote.settings)) is kind
            assert remote.took() == []

    async def test_it_is_asked_whether_it_is_there(self) -> None:
        async with self.remote("accepts") as remote:
            assert "answers" in await self.carrier.open(remote.settings).probe(5)
            assert remote.took() == []
        with pytest.raises(CarrierUnreachable):
            await self.carrier.open(remote.settings).probe(5)

    async def test_nobody_there_is_tried_later(self) -> None:
        async with self.remote("accepts") as remote:
            pass
        assert type(await self.failure(remote.settings)) is TransientError

    def test_without_its_switch_it_is_off(self) -> None:
        assert self.carrier.sender(SiteSettings()) is None
