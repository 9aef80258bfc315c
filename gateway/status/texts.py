"""The words of the pages, in Vietnamese and English, and how dates and numbers are written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from pathlib import Path

from babel.dates import format_date, format_datetime
from babel.numbers import format_decimal

from gateway.status.model import Bilingual, Term
from motcua.catalogue.events.v1.definitions_pb2 import Text
from motcua.dossier.events.v1 import events_pb2 as events
from services.chassis.pages.languages import LANGUAGES, choose
from services.chassis.pages.words import words_of
from services.law.days import ZONE

__all__ = ["LANGUAGES", "Texts", "choose", "load"]

_FOLDER = Path(__file__).parent / "texts"
_LOCALES = {"vi": "vi", "en": "en_GB"}
_DAY = {"vi": "dd/MM/yyyy", "en": "d MMMM yyyy"}
_MOMENT = {"vi": "HH:mm, dd/MM/yyyy", "en": "HH:mm, d MMMM yyyy"}

_UNITS: dict[int, str] = {
    events.TERM_UNIT_WORKING_DAYS: "working-days",
    events.TERM_UNIT_DAYS: "days",
    events.TERM_UNIT_HOURS: "hours",
    events.TERM_UNIT_MONTHS: "months",
}


@dataclass(frozen=True)
class Texts:
    language: str
    words: Mapping[str, str]

    def t(self, key: str, /, **facts: object) -> str:
        return self.words[key].format_map(facts) if facts else self.words[key]

    def n(self, key: str, count: int, /) -> str:
        return self.t(f"{key}.{'one' if count == 1 else 'other'}", count=self.number(count))

    def say(self, name: Bilingual | Text) -> str:
        """Not every name of the catalogue has been translated."""
        return (name.en if self.language == "en" else name.vi) or name.vi

    def name(self, names: Mapping[str, Bilingual | Text], code: str) -> str:
        """A catalogue's name; the code itself until the catalogue's facts have come."""
        return self.say(names[code]) if code in names else code

    def known(self, family: str, word: str) -> str:
        """The word of a family, or the word itself where the family does not have it."""
        return self.words.get(f"{family}.{word}", word)

    def term(self, term: Term | events.Term) -> str:
        if term.unit == events.TERM_UNIT_SAME_DAY:
            return self.t("term.same-day")
        return self.n(f"term.{_UNITS[term.unit]}", term.amount)

    def day(self, at: datetime) -> str:
        return format_date(at.astimezone(ZONE), _DAY[self.language], locale=_LOCALES[self.language])

    def date(self, written: str) -> str:
        """Of an ISO 8601 date."""
        return format_date(date.fromisoformat(written), _DAY[self.language], locale=_LOCALES[self.language])

    def weekday(self, at: datetime) -> str:
        return format_date(at.astimezone(ZONE), "EEEE", locale=_LOCALES[self.language])

    def clock(self, at: datetime) -> str:
        return f"{at.astimezone(ZONE):%H:%M}"

    def moment(self, at: datetime) -> str:
        return format_datetime(at.astimezone(ZONE), _MOMENT[self.language], locale=_LOCALES[self.language])

    def number(self, value: int) -> str:
        return format_decimal(value, locale=_LOCALES[self.language])

    def money(self, value: int) -> str:
        return self.t("money", amount=self.number(value))

    def percent(self, value: float) -> str:
        return f"{format_decimal(value, '0.#', locale=_LOCALES[self.language])}%"


@cache
def load(language: str) -> Texts:
    return Texts(language, words_of(_FOLDER, language))
