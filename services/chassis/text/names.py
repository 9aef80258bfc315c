"""When two spellings are one name."""

from __future__ import annotations

import unicodedata

# Grave, acute, tilde, hook above, dot below.
TONES = frozenset("\u0300\u0301\u0303\u0309\u0323")
_SIGNS = str.maketrans("’‘ʼ–—‐", "'''---")


def folded(name: str) -> str:
    """The same for one name however it is typed: a tone may stand on either vowel (hòa, hoà), and i for y is another name."""
    return " ".join(map(_word, unicodedata.normalize("NFKD", name.casefold()).translate(_SIGNS).split()))


def _word(decomposed: str) -> str:
    """Its letters, then its tones."""
    return "".join(sorted(decomposed, key=TONES.__contains__))


def same_name(one: str, other: str) -> bool:
    return folded(one) == folded(other)
