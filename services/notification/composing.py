"""A fact becomes a message in the recipient's language."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

from motcua.catalogue.events.v1.definitions_pb2 import Text as Name
from motcua.dossier.events.v1 import events_pb2 as dossier
from services.chassis.deciding.facts import Fact
from services.chassis.privacy.sealing import KeyRing
from services.law.dated import holds
from services.notification.known import Handling as Known
from services.notification.known import KnownDossier, Stored
from services.notification.letters import letter
from services.notification.messages.commands import ComposeMessage
from services.notification.preferences.domain import channels_for
from services.notification.reading import Chosen
from services.notification.templates import LOCALES, Dossier, Handling, Ours, render, version
from services.notification.values import Channel, Language


async def compose(
    fact: Fact[Any],
    about: KnownDossier,
    chosen: Chosen,
    reaching: Collection[Channel],
    keys: KeyRing,
    url: str,
    by: str,
    now: datetime,
) -> ComposeMessage:
    """`reaching`: the channels that are on and for which there is an address. `url` is the status pages' root."""
    event, language = fact.event, chosen.language
    at = event.at.ToDatetime(tzinfo=UTC)
    told = letter(event, await Stored(event, fact.event_id).opened(keys))
    status_url = status_page(url, event.code, language)
    text = render(told, await _dossier(about, language, keys, status_url, at), language)
    return ComposeMessage(
        account_id=event.applicant_id,
        at=now,
        by=by,
        template=told.template,
        template_version=version(told.template, language),
        kind=told.kind,
        fact_id=str(fact.event_id),
        fact_type=fact.event_type,
        code=event.code,
        language=language,
        channels=channels_for(told.kind, chosen.choices, reaching),
        subject=text.subject,
        body=text.body,
    )


def status_page(url: str, code: str, language: Language) -> Ours:
    return Ours(f"{url}/dossiers/{code}?lang={LOCALES[language]}")


async def _dossier(about: KnownDossier, language: Language, keys: KeyRing, status_url: Ours, at: datetime) -> Dossier:
    submitted = about.submitted.event
    return Dossier(
        applicant_name=(await about.submitted.opened(keys)).get("applicant_name", ""),
        organisation=submitted.applicant_kind == dossier.APPLICANT_KIND_ORGANISATION,
        procedure_name=_in(language, about.procedure.name),
        agency_name=_in(language, about.agency),
        delivery=dossier.DeliveryMethod.Name(submitted.delivery_method),
        status_url=status_url,
        component_names={each.code: _in(language, each.name) for each in about.procedure.components},
        handling=await _handling(about.handling, keys) if holds("full_notices", at) else None,
    )


async def _handling(known: Known, keys: KeyRing) -> Handling:
    return Handling(
        await _name(known.receiver, keys),
        known.received_at,
        await _name(known.handler, keys),
        known.handled_at,
        known.due_at,
        known.provisional,
        known.result_at,
    )


async def _name(person: Stored | None, keys: KeyRing) -> str:
    return (await person.opened(keys)).get("full_name", "") if person else ""


def _in(language: Language, name: Name) -> str:
    return name.en if language is Language.ENGLISH and name.en else name.vi
