"""Dossier codes as people write, copy and paste them: one reading for pages, commands, the ledger and the API."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import unquote

LONGEST = 2_000
_ORGANISATION = r"(?:\d{3}(?:\.\d{2}){2}\.[A-Z]\d{2}|[A-Z]\d{2}(?:\.\d{1,3}){0,4})"
_CODE = rf"{_ORGANISATION}-(?:\d{{6}}|\d{{8}})-\d{{4,7}}"
# The receipt's number is its dossier's code behind these letters.
_RECEIPT = r"(?:TN-)?"
_ALONE = re.compile(rf"{_RECEIPT}({_CODE})", re.ASCII)
# In other text: nothing that would make a longer code of it.
_WITHIN = re.compile(rf"(?<![\w.\-]){_RECEIPT}({_CODE})(?![\w\-]|\.\w)", re.ASCII)
_DASHES = str.maketrans(dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212", "-"))
_AROUND = re.compile(r"\s*([-.])\s*")


def code_in(written: str) -> str | None:
    """The one code that a person meant: with stray blanks, dashes or small letters, in an address or in other text.

    None where there is none, or more than one.
    """
    found = codes_in(written)
    return next(iter(found)) if len(found) == 1 else None


def codes_in(written: str) -> frozenset[str]:
    if len(written) > LONGEST or any(unicodedata.category(c) == "Cc" and not c.isspace() for c in written):
        return frozenset()
    folded = unicodedata.normalize("NFKC", unquote(written))
    seen = "".join(c for c in folded if unicodedata.category(c) != "Cf")
    text = seen.translate(_DASHES).upper()
    alone = re.sub(r"\s+", "", text)
    if one := _ALONE.fullmatch(alone):
        return frozenset({one[1]})
    return frozenset(_WITHIN.findall(_AROUND.sub(r"\1", text)) or _WITHIN.findall(text))
