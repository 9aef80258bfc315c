"""Which language a page speaks: Vietnamese first, English."""

from __future__ import annotations

import re

LANGUAGES = ("vi", "en")
_RANGE = re.compile(
    r"(?P<language>\*|[A-Za-z]{1,8})(?:-[A-Za-z0-9]{1,8})*(?:[ \t]*;[ \t]*[Qq]=(?P<weight>0(?:\.\d{0,3})?|1(?:\.0{0,3})?))?",
    re.ASCII,
)
COOKIE = "lang"
"""In which every page of the site remembers the choice."""


def choose(asked: str | None, remembered: str | None, accept_language: str) -> str:
    """The address, then the cookie, then the browser; Vietnamese otherwise."""
    for wish in (asked, remembered):
        if wish in LANGUAGES:
            return wish
    return _preferred(accept_language)


def _preferred(header: str) -> str:
    """RFC 9110, 12.5.4; a range stands for the language that it narrows, as "en-GB" for English (RFC 4647, 3.4)."""
    named: dict[str, tuple[float, int]] = {}
    for place, item in enumerate(header.split(",")):
        if not (match := _RANGE.fullmatch(item.strip(" \t"))):
            continue
        language = match["language"].lower()
        # What is refused comes after what is not spoken of.
        weight = float(match["weight"] or 1) or -0.5
        # Of two that name the same language the better liked one counts; among equals the first.
        if weight > named.get(language, (-1.0, 0))[0]:
            named[language] = (weight, -place)
    others = named.get("*", (0.0, 0))
    return max(LANGUAGES, key=lambda each: named.get(each, others))
