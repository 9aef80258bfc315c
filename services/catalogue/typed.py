"""What people type into files and spreadsheets: whether it can be taken as it is, and if not, what to write instead.

Each function answers with the fault in an editor's words, or with nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date, timedelta
from decimal import Decimal
from difflib import get_close_matches

from services.chassis.text.plain import unseen
from services.law.days import is_day

YEARS = range(1900, 2200)
_NUMBER = re.compile(r"-?(0|[1-9]\d{0,14}|[1-9]\d{0,2}(_\d{3}){1,4})", re.ASCII)
_TIME = re.compile(r"([01]\d|2[0-3]):[0-5]\d", re.ASCII)
_DIGITS = re.compile(r"\d+", re.ASCII)

# No-break, thin, wide: blanks all the same.
_BLANKS = re.compile("[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]")
_PRINTED_QUOTES = re.compile("[“”„‟«‹‘‚]([^“”„‟«»‹›‘’‚]*)[“”„‟»›’‘]", re.DOTALL)

_DAY_MEANT = (
    re.compile(r"(?P<y>\d{4})[-/. ](?P<m>\d{1,2})[-/. ](?P<d>\d{1,2})(?:[ T].*)?", re.IGNORECASE),
    re.compile(r"(?P<y>\d{4})(?P<m>\d{2})(?P<d>\d{2})", re.IGNORECASE),
    re.compile(r"(?P<d>\d{1,2})[-/. ](?P<m>\d{1,2})[-/. ](?P<y>\d{4})(?: .*)?", re.IGNORECASE),
    re.compile(r"(?:ngày )?(?P<d>\d{1,2}) tháng (?P<m>\d{1,2}) năm (?P<y>\d{4})", re.IGNORECASE),
)
# The day 0 of spreadsheets.
_SERIAL_ZERO = date(1899, 12, 30)
_CURRENCY = re.compile(r"\s*(?:đồng|dong|vnđ|vnd|đ|₫)\.?$")
_GROUPS = re.compile(r"[+-]?\d{1,3}(?:[., _'’]\d{3})+")
_WHOLE = re.compile(r"([+-]?\d{1,15})(?:[.,]0+)?")
_POWER = re.compile(r"\d(?:\.\d{1,14})?e\+?\d{1,2}", re.ASCII)
_TIME_MEANT = re.compile(r"(\d{1,2})\s*(?:[:h.]|giờ)\s*(\d{1,2})?(?:\s*phút|:00)?", re.IGNORECASE)
# How a spreadsheet is made to keep digits as text, and what it makes of them otherwise.
_AROUND = re.compile(r"""^[='"]+|["']+$|[.,]0+$""")
_YES = frozenset({"yes", "y", "true", "t", "có", "co", "đúng", "dung", "on", "x", "1"})
_NO = frozenset({"no", "n", "false", "f", "không", "khong", "sai", "off", "0"})


def settled(text: str) -> str:
    """A blank is a blank, whichever of them it is; those at the ends are none of it."""
    return _BLANKS.sub(" ", text).strip()


def letters_fault(text: str) -> str:
    if text.isascii() and text.isprintable():
        return ""
    if letter := unseen(text):
        return f"{text!r} holds U+{ord(letter):04X}, which nobody sees: write it anew"
    if "\ufffd" in text:
        return f"{text!r} has lost letters: save the file as UTF-8 (in a spreadsheet: CSV UTF-8) where they are still right"
    if quoted := _PRINTED_QUOTES.fullmatch(text):
        return f"{text} stands in curly quotes, which would become part of it: write {quoted[1].strip()}"
    if meant := _misread(text):
        return f"{text!r} was {meant!r} before it was opened in another encoding: open it as UTF-8 and save it as UTF-8"
    return ""


def day_fault(text: str) -> str:
    if is_day(text):
        far = int(text[:4]) not in YEARS
        return f"{text!r} is too far away; where there is no last day, write nothing" if far else ""
    if not text:
        return "a day is missing: write it as 2026-07-01"
    return f"{text!r} is no day: write {_day_meant(text) or 'it as 2026-07-01 (year-month-day)'}"


def number_fault(text: str, most: int) -> str:
    """A whole number, perhaps with _ between thousands."""
    if _NUMBER.fullmatch(text):
        return "" if abs(int(text)) <= most else f"{text} is too large: {most} at most"
    if not text:
        return "a number is missing: write it in digits, as 10000"
    return f"{text!r} is no whole number: write {_number_meant(text) or 'it in digits, as 10000'}"


def truth_fault(text: str) -> str:
    if text in ("true", "false"):
        return ""
    meant = text.casefold()
    right = "true" if meant in _YES else "false" if meant in _NO else "true or false"
    return f"{text!r} is neither true nor false: write {right}"


def time_fault(text: str) -> str:
    if _TIME.fullmatch(text):
        return ""
    found = _TIME_MEANT.fullmatch(text)
    meant = f"{int(found[1]):02}:{int(found[2] or 0):02}" if found else ""
    return f"{text!r} is no time of day: write {meant if _TIME.fullmatch(meant) else 'it as 07:30'}"


def digits_fault(name: str, text: str, count: int) -> str:
    """A code of the statistical office."""
    if _DIGITS.fullmatch(text) and len(text) == count:
        return ""
    bare = _AROUND.sub("", text)
    meant = ""
    if _DIGITS.fullmatch(bare):
        meant = f", write {bare}" if len(bare) == count else ""
        if len(bare) < count:
            meant = f"; the zeros before it are lost, write {bare:0>{count}}"
    return f"{name} {text!r} has not {count} digits{meant}"


def listed_fault(text: str, names: Iterable[str]) -> str:
    """For what is none of them."""
    names = list(names)
    return f"{text!r} is none of {', '.join(names)}{perhaps(text, names)}"


def perhaps(text: str, names: Iterable[str]) -> str:
    near = get_close_matches(text.casefold(), list(names), 1, 0.8)
    return f"; perhaps {near[0]!r} is meant" if near else ""


def _day_meant(text: str) -> str:
    try:
        if _DIGITS.fullmatch(text) and len(text) == 5:
            meant = _SERIAL_ZERO + timedelta(days=int(text))
        else:
            found = next(filter(None, (pattern.fullmatch(text) for pattern in _DAY_MEANT)), None)
            if not found:
                return ""
            meant = date(int(found["y"]), int(found["m"]), int(found["d"]))
    except ValueError:
        return ""
    return meant.isoformat() if meant.year in YEARS else ""


def _number_meant(text: str) -> str:
    bare = _CURRENCY.sub("", text.casefold()).strip()
    if _GROUPS.fullmatch(bare):
        return str(int(re.sub("[., _'’]", "", bare)))
    if found := _WHOLE.fullmatch(bare):
        return str(int(found[1]))
    if _POWER.fullmatch(bare):
        value = Decimal(bare)
        return str(int(value)) if value == value.to_integral_value() and value < 10**15 else ""
    return ""


def _misread(text: str) -> str:
    """UTF-8 that was opened as something else, letter by letter."""
    for encoding in ("cp1252", "cp1258"):
        try:
            return text.encode(encoding).decode()
        except UnicodeError:
            continue
    return ""
