"""The notification service's entry points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from motcua.notification.v1 import errors_pb2
from motcua.notification.v1 import notification_service_pb2 as pb
from services.chassis.calls.call import Call
from services.chassis.database.database import utc
from services.chassis.deciding.caller import Origin
from services.chassis.deciding.facts import Fact
from services.chassis.following.views import position_token
from services.chassis.frame import dependencies
from services.chassis.frame.entrypoints import api, every, observed, on
from services.chassis.frame.replies import replied
from services.chassis.privacy.sealing import SubjectErased
from services.chassis.store.port import RecordedEvent
from services.chassis.telemetry.gauges import Sample
from services.notification import gauges, requests
from services.notification.channels.carriers import CARRIERS, senders_of
from services.notification.channels.port import Carrier
from services.notification.codec import message_codec, preferences_codec
from services.notification.composing import compose
from services.notification.known import contact_of, dossier_of, known
from services.notification.letters import TOLD, is_told
from services.notification.messages.domain import message
from services.notification.messages.values import message_id
from services.notification.preferences.commands import UpdatePreferences
from services.notification.preferences.domain import preferences
from services.notification.queries import failures, inbox, unread_query, waiting_query
from services.notification.reading import Chosen, address_of, chosen_of, preferences_of, shown
from services.notification.refusals import Refused
from services.notification.replies import failure_of, summary_of
from services.notification.sending import Outbox
from services.notification.views import outgoing

S = TypeVar("S")


def sends_by_each_carrier(service: type[S]) -> type[S]:
    """`send_<work>` every second for each: one that hangs delays no other."""
    for carrier in CARRIERS.values():

        async def send(self: NotificationService, carrier: Carrier = carrier) -> None:
            await self.send(carrier)

        setattr(service, f"send_{carrier.work}", every(seconds=1)(send))
    return service


@sends_by_each_carrier
class NotificationService:
    """Tells applicants what became of their dossiers."""

    name = "notification"
    rpcs = pb.DESCRIPTOR.services_by_name["NotificationService"]
    errors = errors_pb2.NotificationError.DESCRIPTOR

    messages = dependencies.decisions("message", message, message_codec)
    preferences = dependencies.decisions("preferences", preferences, preferences_codec)
    outgoing = dependencies.view(outgoing)
    known = dependencies.view(known)
    senders = dependencies.part(senders_of)
    keys = dependencies.keys()
    clock = dependencies.clock()
    platform = dependencies.platform()

    @api
    async def list_inbox(self, call: Call[pb.ListInboxRequest]) -> pb.ListInboxResponse:
        page = await call.page(self.outgoing, inbox(call.caller.account_id, call.request))
        unread = await self.outgoing.read(lambda db: db.execute(unread_query(call.caller.account_id)).scalar_one())
        found = [await summary_of(row, self.keys) for row in page.rows]
        return pb.ListInboxResponse(messages=found, next_page_token=page.token, unread=unread)

    @api
    async def get_message(self, call: Call[pb.GetMessageRequest]) -> pb.GetMessageResponse:
        state, _ = await self.messages.load(call.request.message_id)
        if state.account_id != call.caller.account_id:
            raise Refused("NOT_FOUND", message_id=call.request.message_id)
        found = await shown(await self.messages.read(call.request.message_id), self.keys)
        return pb.GetMessageResponse(message=found)

    @api
    async def mark_read(self, call: Call[pb.MarkReadRequest]) -> pb.MarkReadResponse:
        outcome = await self.messages.execute(call.request.message_id, requests.mark_read(call), call.origin)
        return replied(pb.MarkReadResponse, outcome)

    @api
    async def get_preferences(self, call: Call[pb.GetPreferencesRequest]) -> pb.GetPreferencesResponse:
        return pb.GetPreferencesResponse(preferences=preferences_of(await self._chosen(call.caller.account_id)))

    @api
    async def update_preferences(self, call: Call[pb.UpdatePreferencesRequest]) -> pb.UpdatePreferencesResponse:
        me = call.caller.account_id

        async def change(history: Sequence[RecordedEvent]) -> UpdatePreferences:
            return requests.update_preferences(call, await self._chosen_in(me, history))

        outcome = await self.preferences.execute_on_history(me, change, call.origin)
        return replied(pb.UpdatePreferencesResponse, outcome)

    @api
    async def list_failures(self, call: Call[pb.ListFailuresRequest]) -> pb.ListFailuresResponse:
        page = await call.page(self.outgoing, failures(call.request))
        return pb.ListFailuresResponse(failures=map(failure_of, page.rows), next_page_token=page.token)

    @api
    async def retry_message(self, call: Call[pb.RetryMessageRequest]) -> pb.RetryMessageResponse:
        outcome = await self.messages.execute(call.request.message_id, requests.retry_message(call), call.origin)
        return replied(pb.RetryMessageResponse, outcome)

    @on(*TOLD)
    async def tell(self, fact: Fact[Any]) -> None:
        event = fact.event
        if not is_told(event):
            return
        now = self.clock.now()
        about, contact = await self.known.read(
            lambda db: (
                dossier_of(db, event.code, getattr(event, "agency", ""), now),
                contact_of(db, event.applicant_id),
            ),
            position_token(fact.position),
        )
        if about is None:
            raise LookupError(f"dossier {event.code} is told of before it was submitted")
        chosen = await self._chosen(event.applicant_id)
        reaching = [
            channel
            for channel in self.senders
            if await address_of(CARRIERS[channel].address, chosen, about, contact, self.keys)
        ]
        origin = Origin.of_fact(fact, "tell", self.name)
        url = self.platform.settings.url
        command = await compose(fact, about, chosen, reaching, self.keys, url, origin.actor, now)
        try:
            await self.messages.execute(message_id(command.fact_id, event.applicant_id), command, origin, creates=True)
        except SubjectErased:
            return  # there is nobody left to tell

    async def send(self, carrier: Carrier) -> None:
        if sender := self.senders.get(carrier.channel):
            await Outbox(
                self.outgoing,
                self.known,
                self.messages,
                self._chosen,
                carrier,
                sender,
                self.keys,
                self.clock,
                self.name,
                self.platform.settings.url,
            ).drain()

    @observed
    async def waiting_messages(self) -> list[Sample]:
        found: list[Sample] = []
        for channel in CARRIERS:
            count, oldest = await self.outgoing.read(
                lambda db, channel=channel: db.execute(waiting_query(channel)).one()  # type: ignore[misc]
            )
            waited = (self.clock.now() - utc(oldest)).total_seconds() if oldest else 0.0
            found.extend(gauges.waiting(channel, count, waited))
        return found

    async def _chosen(self, account_id: str) -> Chosen:
        return await self._chosen_in(account_id, await self.preferences.read(account_id))

    async def _chosen_in(self, account_id: str, history: Sequence[RecordedEvent]) -> Chosen:
        contact = await self.known.read(lambda db: contact_of(db, account_id))
        return await chosen_of(history, contact, self.keys)
