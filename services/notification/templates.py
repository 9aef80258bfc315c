"""Renders messages: one template per letter and language, in plain text; the HTML of e-mails follows from the text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from babel.dates import format_datetime
from babel.numbers import format_decimal
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from services.notification.domain import Language
from services.notification.letters import Letter

FOLDER = Path(__file__).parent / "templates"
ZONE = ZoneInfo("Asia/Ho_Chi_Minh")
LOCALES = {Language.VIETNAMESE: "vi", Language.ENGLISH: "en"}
_DAY = {"vi": "dd/MM/yyyy", "en": "d MMMM yyyy"}
_MOMENT = {"vi": "HH:mm 'ngày' dd/MM/yyyy", "en": "d MMMM yyyy, HH:mm"}


@dataclass(frozen=True, slots=True)
class Dossier:
    """What every letter says about its dossier; names are in the letter's language."""

    # Empty: the person was erased, or gave none.
    applicant_name: str
    organisation: bool
    procedure_name: str
    agency_name: str
    # How the result is received: a name of motcua.dossier.events.v1.DeliveryMethod.
    delivery: str
    status_url: str
    component_names: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Text:
    subject: str
    body: str


def render(letter: Letter, dossier: Dossier, language: Language) -> Text:
    """A variable that is missing is an error, never a gap in the text."""
    locale = LOCALES[language]
    template = _environment(locale).get_template(f"{locale}/{letter.template}.txt")
    context = template.new_context({**letter.fields, "dossier": dossier})
    subject = "".join(template.blocks["subject"](context))
    body = "".join(template.root_render_func(context))
    return Text(" ".join(subject.split()), body.strip() + "\n")


def render_html(text: Text, language: Language) -> str:
    locale = LOCALES[language]
    paragraphs = [part.splitlines() for part in text.body.strip().split("\n\n")]
    return (
        _environment(locale)
        .get_template("email.html")
        .render(subject=text.subject, paragraphs=paragraphs, language=locale)
    )


@cache
def version(template: str, language: Language) -> str:
    """The wording's own digest, so that nobody can forget to raise a number."""
    folder = FOLDER / LOCALES[language]
    return sha256((folder / "letter.txt").read_bytes() + (folder / f"{template}.txt").read_bytes()).hexdigest()[:16]


@cache
def _environment(locale: str) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        undefined=StrictUndefined,
        autoescape=select_autoescape(["html"]),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Any] = {
        "day": lambda at: _format(at, _DAY[locale], locale),
        "moment": lambda at: _format(at, _MOMENT[locale], locale),
        "dong": lambda amount: f"{format_decimal(amount, locale=locale)} đồng",
    }
    environment.filters.update(filters)
    return environment


def _format(at: datetime, pattern: str, locale: str) -> str:
    return format_datetime(at, pattern, tzinfo=ZONE, locale=locale)
