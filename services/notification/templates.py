"""Renders messages: one template per letter and language, in plain text; the HTML of e-mails follows from the text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from hashlib import sha256
from itertools import groupby
from pathlib import Path
from typing import Any

from babel.dates import format_datetime
from babel.numbers import format_decimal
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from services.chassis.text.plain import inserted, quoted
from services.law.days import ZONE
from services.notification.letters import Letter
from services.notification.values import Language

FOLDER = Path(__file__).parent / "templates"
LOCALES = {Language.VIETNAMESE: "vi", Language.ENGLISH: "en"}
_DAY = {"vi": "dd/MM/yyyy", "en": "d MMMM yyyy"}
_PROVISIONAL = {"vi": " (tạm tính)", "en": " (provisional)"}
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
    status_url: Ours
    component_names: Mapping[str, str] = field(default_factory=dict)
    # Where the law asks for it.
    handling: Handling | None = None


@dataclass(frozen=True, slots=True)
class Handling:
    """Empty names: nobody yet, or erased."""

    receiver: str = ""
    received_at: datetime | None = None
    handler: str = ""
    handled_at: datetime | None = None
    due_at: datetime | None = None
    provisional: bool = False
    result_at: datetime | None = None


class Ours(str):
    """Made by the site itself: it stands in a letter as it is."""

    __slots__ = ()


# Of the facts' fields, those that the site makes.
_OURS = ("code", "payment_id", "receipt_number")


@dataclass(frozen=True, slots=True)
class Text:
    subject: str
    body: str


def render(letter: Letter, dossier: Dossier, language: Language) -> Text:
    """A variable that is missing is an error, never a gap in the text. What is not the site's own is no link and no address."""
    locale = LOCALES[language]
    template = _letters(locale).get_template(f"{locale}/{letter.template}.txt")
    ours = {name: Ours(letter.fields[name]) for name in _OURS if name in letter.fields}
    context = template.new_context({**letter.fields, **ours, "dossier": dossier})
    subject = "".join(template.blocks["subject"](context))
    body = "".join(template.root_render_func(context))
    return Text(" ".join(subject.split()), body.strip() + "\n")


def shortened(text: str, most: int) -> str:
    """At most so many characters; 0: all."""
    return text if not most or len(text) <= most else f"{text[: most - 1].rstrip()}…"


def render_html(text: Text, language: Language, url: str) -> str:
    """`url` is the status pages' root: nothing else becomes a link."""
    # Also as letters had it that carried no language.
    own = re.compile(rf"({re.escape(url)}/dossiers/[\w.\-]+(?:\?lang=(?:vi|en))?)(?![\w.\-/?#%@:&=])")
    paragraphs = [
        [(is_quoted, [own.split(line.removeprefix("> ")) for line in lines]) for is_quoted, lines in _parts(part)]
        for part in text.body.strip().split("\n\n")
    ]
    return _pages().render(subject=text.subject, paragraphs=paragraphs, language=LOCALES[language])


def _parts(paragraph: str) -> Iterator[tuple[bool, Iterator[str]]]:
    return groupby(paragraph.split("\n"), lambda line: line.startswith(">"))


@cache
def version(template: str, language: Language) -> str:
    """The wording's own digest, so that nobody can forget to raise a number."""
    folder = FOLDER / LOCALES[language]
    parts = ((folder / f"{name}.txt").read_bytes() for name in ("letter", "provisional", template))
    return sha256(b"".join(parts)).hexdigest()[:16]


@cache
def _pages() -> Template:
    loader = FileSystemLoader(FOLDER)
    environment = Environment(
        loader=loader, undefined=StrictUndefined, autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("email.html")


@cache
def _letters(locale: str) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        undefined=StrictUndefined,
        # The text is no HTML; render_html escapes it.
        autoescape=False,
        finalize=_inserted,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Any] = {
        "day": lambda at: Ours(_format(at, _DAY[locale], locale)),
        "moment": lambda at: Ours(_format(at, _MOMENT[locale], locale)),
        # A due date, which says of itself when it is not certain yet.
        "due": lambda at, provisional: Ours(_due(at, provisional, _MOMENT, locale)),
        "due_day": lambda at, provisional: Ours(_due(at, provisional, _DAY, locale)),
        "dong": lambda amount: Ours(f"{format_decimal(amount, locale=locale)} đồng"),
        "quoted": lambda prose: Ours(quoted(prose)),
    }
    environment.filters.update(filters)
    return environment


def _inserted(value: Any) -> Any:
    """Every value that a template inserts passes here."""
    return inserted(value) if isinstance(value, str) and not isinstance(value, Ours) else value


def _due(at: datetime, provisional: bool, patterns: Mapping[str, str], locale: str) -> str:
    return _format(at, patterns[locale], locale) + (_PROVISIONAL[locale] if provisional else "")


def _format(at: datetime, pattern: str, locale: str) -> str:
    return format_datetime(at, pattern, tzinfo=ZONE, locale=locale)
