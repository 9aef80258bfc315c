from __future__ import annotations

import re
import string
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path

import pytest

from gateway.status import model
from gateway.status.texts import LANGUAGES, choose, load
from motcua.catalogue.events.v1 import definitions_pb2 as definitions
from motcua.dossier.events.v1 import events_pb2 as facts
from services.law.course import PauseKind, Settlement

PACKAGE = Path(model.__file__).parent
SOURCE = "\n".join(path.read_text() for folder in ("templates", ".") for path in (PACKAGE / folder).glob("*.*ml*"))
CODE = "\n".join(path.read_text() for path in PACKAGE.glob("*.py"))
WORDS = {language: load(language).words for language in LANGUAGES}


def values(kind: type[Enum]) -> set[str]:
    return {str(item.value) for item in kind}


def numbers(kind: object) -> set[str]:
    return {str(number) for number in kind.values() if number}  # type: ignore[attr-defined]


LEVELS = ("nation", "province", "agency")
TODAY_AND_ABOUT = {"shown", "withheld", "time", "true", "qr", "device"}
# Families whose last words are made up at run time, with exactly the words that can occur.
# What verify.js says.
SCRIPT = (PACKAGE / "static" / "verify.js").read_text()
VERDICTS = {"verified", "not-verified", "could-not"}
THEN = {f"then-{verdict}" for verdict in VERDICTS}
VERIFIED = set(re.findall(r'say\("(verified-[a-z]+)"', SCRIPT))
REASONS = {f"reason-{reason}" for reason in re.findall(r'(?:wrong\(|unknown\(|must\(.*, )"([a-z]+)"\)', SCRIPT)}
FAMILIES: dict[str, set[str]] = {
    "settlement": {
        f"{item.value}.{part}" for item in set(Settlement) - {Settlement.ABSENT} for part in ("name", "todo")
    },
    "finance": values(model.Finance),
    "delivery": values(model.Delivery),
    "synchronisation": values(model.Synchronisation),
    "step": values(model.StepKind),
    "method": numbers(facts.DeliveryMethod),
    "channel": numbers(facts.Channel),
    "condition": numbers(facts.FeeCondition),
    "todo-first": {str(facts.FEE_CONDITION_RECEPTION), str(facts.FEE_CONDITION_RESULT)},
    "online": numbers(definitions.OnlineLevel),
    "cause": {f"{number}.says" for number in numbers(facts.StopCause)},
    "role": {"receptionist", "processor", "approver", "cashier"},
    "counted": {"page", "copy", "person", "day", "document"},
    "term": {f"{unit}.{form}" for unit in ("working-days", "days", "hours", "months") for form in ("one", "other")}
    | {"same-day"},
    "verify": {"checking", "download", *VERDICTS, *THEN, *VERIFIED, *REASONS},
    "about-heading": TODAY_AND_ABOUT,
    "about-text": TODAY_AND_ABOUT,
}


def family(key: str) -> str:
    return key.partition(".")[0]


def test_both_languages_have_the_same_keys() -> None:
    assert WORDS["vi"].keys() == WORDS["en"].keys()


@pytest.mark.parametrize("key", WORDS["vi"])
def test_both_languages_have_the_same_placeholders_and_say_something(key: str) -> None:
    def placeholders(text: str) -> set[str]:
        return {name for _, name, _, _ in string.Formatter().parse(text) if name}

    vi, en = (WORDS[language][key] for language in LANGUAGES)
    assert vi.strip()
    assert en.strip()
    assert placeholders(vi) == placeholders(en)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_has_exactly_the_words_that_can_occur(name: str) -> None:
    assert {key.partition(".")[2] for key in WORDS["vi"] if family(key) == name} == FAMILIES[name]


def test_timings_and_pauses_are_all_worded() -> None:
    for timing in model.Timing:
        assert f"timing.{timing.value}.label" in WORDS["vi"]
    for kind in PauseKind:
        assert {f"pause.{kind.value}.name", f"pause.{kind.value}.says"} <= WORDS["vi"].keys()
    for level in LEVELS:
        assert {f"board.{level}-{part}" for part in ("lead", "caption", "rows")} <= WORDS["vi"].keys()


def mentioned() -> set[str]:
    """Every key or pattern of keys between quotes in the templates and the code."""
    return set(re.findall(r"""["']([a-z][a-z0-9.%-]+)["']""", SOURCE + CODE))


def test_no_text_is_unused() -> None:
    patterns = [re.escape(text).replace("%s", "[a-z-]+").replace("%d", r"\d+") for text in mentioned()]
    known = re.compile("|".join(f"{pattern}(?:\\.one|\\.other)?" for pattern in patterns))
    unused = {key for key in WORDS["vi"] if family(key) not in FAMILIES and not known.fullmatch(key)}
    assert unused == set()


def test_every_text_that_a_page_asks_for_exists() -> None:
    asked = set(re.findall(r"""\bt\(["']([a-z0-9.-]+)["'][,)]""", SOURCE + CODE))
    assert asked <= WORDS["vi"].keys()
    counted = set(re.findall(r"""\bn\(["']([a-z0-9.-]+)["'],""", SOURCE + CODE))
    assert {f"{key}.{form}" for key in counted for form in ("one", "other")} <= WORDS["vi"].keys()


def test_dates_and_numbers_are_written_as_each_language_does() -> None:
    at = datetime(2026, 11, 24, 17, 30, tzinfo=UTC)
    vi, en = load("vi"), load("en")
    assert (vi.day(at), en.day(at)) == ("25/11/2026", "25 November 2026")
    assert (vi.moment(at), vi.clock(at), vi.weekday(at)) == ("00:30, 25/11/2026", "00:30", "Thứ Tư")
    assert (vi.date("2026-08-08"), en.date("2026-08-08")) == ("08/08/2026", "8 August 2026")
    assert (vi.money(160_000), en.money(160_000)) == ("160.000 đồng", "160,000 đồng")
    assert (en.n("count.days", 1), en.n("count.days", 2), vi.n("count.days", 2)) == ("1 day", "2 days", "2 ngày")


@pytest.mark.parametrize(
    ("asked", "remembered", "accept", "chosen"),
    [
        (None, None, "", "vi"),
        ("en", "vi", "vi", "en"),
        ("fr", "en", "vi", "en"),
        (None, None, "fr,en-GB;q=0.8,vi;q=0.5", "en"),
        (None, None, "vi;q=0.2,en;q=0.1", "vi"),
        (None, None, "en;q=0,fr;q=x", "vi"),
        (None, None, "EN ; Q=0.9 ,\tvi;q=0.8", "en"),
        (None, None, "english, vietnamese;q=0.1", "vi"),
        (None, None, "enm, vi;q=0", "en"),
        (None, None, "*", "vi"),
        (None, None, "vi;q=0.1, *;q=0.5", "en"),
        (None, None, "en;q=0.5, *", "vi"),
        (None, None, "en;q=2, en;q=0.3333, vi;q=0.1", "vi"),
        (None, None, "en, vi", "en"),
        (None, None, "vi-VN, en;q=1.000", "vi"),
        (None, None, "en-latn-gb-x-a;q=0.2", "en"),
        (None, None, ",, ,en", "en"),
    ],
)
def test_a_language_is_chosen(asked: str | None, remembered: str | None, accept: str, chosen: str) -> None:
    assert choose(asked, remembered, accept) == chosen
