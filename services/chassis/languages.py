"""Which language a page speaks: Vietnamese first, English."""

from __future__ import annotations

LANGUAGES = ("vi", "en")
COOKIE = "lang"
"""In which every page of the site remembers the choice."""


def choose(asked: str | None, remembered: str | None, accept_language: str) -> str:
    """The address, then the cookie, then the browser; Vietnamese otherwise."""
    for wish in (asked, remembered):
        if wish in LANGUAGES:
            return wish
    return _preferred(accept_language) or LANGUAGES[0]


def _preferred(header: str) -> str | None:
    wishes: list[tuple[float, str]] = []
    for item in header.split(","):
        tag, _, weight = item.strip().partition(";q=")
        try:
            wishes.append((float(weight or 1), tag[:2].lower()))
        except ValueError:
            continue
    ranked = sorted((wish for wish in wishes if wish[0] > 0), key=lambda wish: -wish[0])
    return next((tag for _, tag in ranked if tag in LANGUAGES), None)
