"""Words as people look for them: one fold for the API and the pages, so that both find the same."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

T = TypeVar("T")

# Grave, acute, tilde, hook above, dot below.
_TONES = frozenset("\u0300\u0301\u0303\u0309\u0323")
# Eth and African d look the same as the letter of Vietnamese, and keyboards write them in its place.
_D = str.maketrans(dict.fromkeys("ðɖ", "đ"))
_QUOTES = frozenset("'\"`´’‘‚‛“”„‟ʼʹ′″«»‹›")


@dataclass(frozen=True, slots=True)
class Word:
    plain: str
    """Without any diacritics: "hoa" of "hòa" and "hoà", "dang" of "đăng"."""
    letters: str
    """With those that make other letters: "đăng"."""
    tone: str

    def begins(self, other: Word) -> bool:
        """Whether this begins the other, as exactly as it is written: "ha" begins "hà", "há" does not."""
        bare = self.plain == self.letters
        same = _begin(self.plain, other.plain) if bare else _begin(self.letters, other.letters)
        return same and self.tone in ("", other.tone)

    def nearly_begins(self, other: Word) -> bool:
        """The same whatever the marks are."""
        return _begin(self.plain, other.plain)


def _begin(sought: str, known: str) -> bool:
    """At a syllable's end i and y are alike: "kí" and "ký"."""
    return known.startswith(sought) or _with_i(known) == _with_i(sought)


def _with_i(text: str) -> str:
    return f"{text[:-1]}i" if text.endswith("y") else text


def cleaned(text: str) -> str:
    """As it is seen: without what has no width, in usual forms of letters."""
    return "".join(c for c in unicodedata.normalize("NFKC", text) if unicodedata.category(c) != "Cf")


@lru_cache(maxsize=20_000)
def words(text: str) -> tuple[Word, ...]:
    decomposed = unicodedata.normalize("NFD", cleaned(text).casefold().translate(_D))
    kept = (c for c in decomposed if c not in _QUOTES)
    spaced = "".join(c if c.isalnum() or unicodedata.combining(c) else " " for c in kept)
    return tuple(_word(each) for each in spaced.split())


def _word(decomposed: str) -> Word:
    letters = "".join(c for c in decomposed if c not in _TONES)
    plain = "".join(c for c in letters if not unicodedata.combining(c)).replace("đ", "d")
    return Word(plain, letters, next((c for c in decomposed if c in _TONES), ""))


@lru_cache(maxsize=64)
def _sought(search: str) -> tuple[Word, ...]:
    """Each word once: what is long then matches little."""
    return tuple(dict.fromkeys(words(search)))


def matches(search: str, names: Iterable[str], code: str, *, nearly: bool = False) -> bool:
    """Every word begins a word of one of the names; or the code begins so."""
    known = [word for name in names for word in words(name)]
    sought = _sought(search)
    begins = Word.nearly_begins if nearly else Word.begins
    return code.startswith(cleaned(search).strip()) or (
        bool(sought) and all(any(begins(each, word) for word in known) for each in sought)
    )


def search(text: str, items: Iterable[T], named: Callable[[T], tuple[Iterable[str], str]]) -> list[T]:
    """Those that match as it is written; where none does, those that match whatever the marks are."""
    having = [(item, *named(item)) for item in items]
    exactly = [item for item, names, code in having if matches(text, names, code)]
    return exactly or [item for item, names, code in having if matches(text, names, code, nearly=True)]
