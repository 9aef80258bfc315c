"""Sends what is due by a channel, many at a time, so that a server that hangs on one delays neither the others nor the inbox.

At least once: after a crash between sending and recording it, it goes again, under the same id.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog

from motcua.notification.events.v1 import events_pb2 as e
from services.chassis.clock import Clock
from services.chassis.decider import Rejected
from services.chassis.deciding.caller import Origin
from services.chassis.deciding.codec import from_timestamp
from services.chassis.deciding.facts import fact_of
from services.chassis.deciding.handler import Handler
from services.chassis.following.views import RunningView
from services.chassis.machine import chance
from services.chassis.privacy.sealing import KeyRing
from services.notification.channels.port import Carrier, Dispatch, PermanentError, Sender, SendError
from services.notification.composing import status_page
from services.notification.known import Stored, contact_of, dossier_of
from services.notification.messages.commands import MessageCommand, RecordFailure, RecordSent
from services.notification.messages.domain import Message
from services.notification.messages.events import MessageEvent
from services.notification.messages.values import RetryPolicy
from services.notification.queries import take_due
from services.notification.reading import Chosen, address_of
from services.notification.templates import LOCALES, Text, render_html, shortened
from services.notification.values import Channel, Language, MessageKind

SIDE_BY_SIDE = 16
LOOK_SECONDS = 1.0
SEND_SECONDS = 60.0
# How long another sender leaves alone what one has taken; longer than sending can last.
TAKEN = timedelta(seconds=90)
POLICY = RetryPolicy()

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Outbox:
    """What waits to leave by one channel."""

    outgoing: RunningView
    known: RunningView
    messages: Handler[MessageCommand, Message, MessageEvent]
    chosen: Callable[[str], Awaitable[Chosen]]
    carrier: Carrier
    sender: Sender
    keys: KeyRing
    clock: Clock
    service: str
    # The status pages' root.
    url: str

    @property
    def channel(self) -> Channel:
        return self.carrier.channel

    async def drain(self) -> None:
        """Send until nothing is due. Leaving it abandons what is on its way: it goes again later."""
        async with asyncio.TaskGroup() as group:
            running: set[asyncio.Task[None]] = set()
            while True:
                now, most = self.clock.now(), SIDE_BY_SIDE - len(running)
                if most:
                    rows = await self.outgoing.write(
                        lambda db, now=now, most=most: take_due(db, self.channel, now, now + TAKEN, most)  # type: ignore[misc]
                    )
                    running |= {group.create_task(self._settle(row)) for row in rows}
                if not running:
                    return
                _, running = await asyncio.wait(running, timeout=LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED)

    async def _settle(self, row: Any) -> None:
        try:
            await self._send(row)
        except Exception:
            # Not the mail server's doing, and not an attempt; it is due again when its time is over.
            log.exception("sending failed", message_id=row.message_id)

    async def _send(self, row: Any) -> None:
        by = f"service:{self.service}"
        try:
            dispatch = await self._dispatch(row.message_id)
            async with asyncio.timeout(SEND_SECONDS):
                await self.sender.send(dispatch)
            command: MessageCommand = RecordSent(
                message_id=row.message_id, at=self.clock.now(), by=by, channel=self.channel
            )
        except (SendError, TimeoutError) as error:
            why = error.why if isinstance(error, SendError) else "timeout"
            permanent = isinstance(error, PermanentError)
            log.warning(
                "not accepted", channel=self.channel.name, message_id=row.message_id, why=why, permanent=permanent
            )
            command = RecordFailure(
                message_id=row.message_id,
                at=self.clock.now(),
                by=by,
                channel=self.channel,
                why=why,
                permanent=permanent,
                policy=POLICY,
                jitter=chance.uniform(0, 1),
            )
        key = f"{row.message_id} {self.channel.name} {row.revision} {type(command).__name__}"
        try:
            await self.messages.execute(row.message_id, command, Origin.of_clock(key, self.service))
        except Rejected as rejected:
            if rejected.reason not in ("ALREADY_SENT", "ABANDONED"):  # by another sender, meanwhile
                raise

    async def _dispatch(self, message_id: str) -> Dispatch:
        """Raises PermanentError if there is nobody to send it to any more."""
        first = fact_of((await self.messages.read(message_id))[0])
        event: e.MessageComposed = first.event
        opened = await Stored(event, first.event_id).opened(self.keys)
        dossier, contact = await self.known.read(
            lambda db: (dossier_of(db, event.code, "", self.clock.now()), contact_of(db, event.account_id))
        )
        chosen = await self.chosen(event.account_id)
        address = await address_of(self.carrier.address, chosen, dossier, contact, self.keys)
        if not opened or not address:
            raise PermanentError("no address")
        language = Language(event.language)
        text = Text(opened["subject"], opened["body"])
        return Dispatch(
            message_id=message_id,
            at=from_timestamp(event.at),
            recipient=address,
            language=LOCALES[language],
            subject=text.subject,
            text=shortened(text.body, self.carrier.most),
            html=render_html(text, language, self.url) if self.carrier.html else "",
            kind=MessageKind(event.kind),
            code=event.code,
            url=status_page(self.url, event.code, language),
        )
