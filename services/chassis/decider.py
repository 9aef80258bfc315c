"""The decider: what a service knows about deciding, with the world left out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Generic, TypeVar

C = TypeVar("C")
S = TypeVar("S")
E = TypeVar("E")


class Rejected(Exception):
    """A command that the rules refuse. `reason` is a value of the service's error enum; `facts` fill its text."""

    def __init__(self, reason: str, **facts: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.facts = facts


class Words(str):
    """A fact in both languages; as text, and to programs, it is what it was made of: a name, or the English."""

    vi: str
    en: str

    @classmethod
    def of(cls, vi: str, en: str, name: str = "") -> Words:
        words = cls(name or en)
        words.vi, words.en = vi, en
        return words


class Sealed(str):
    """Personal data in an event: encrypted before it is stored.

    A decision sees the clear text only in the command that brings it. In an event read from the store it is empty, because no
    rule may depend on what can be erased.
    """

    __slots__ = ()


@dataclass(frozen=True)
class Decider(Generic[C, S, E]):
    """`decide(command, state) -> events` and `evolve(state, event) -> state`: no clock, no ids, no I/O."""

    initial: S
    decide: Callable[[C, S], Sequence[E]]
    evolve: Callable[[S, E], S]

    def fold(self, history: Iterable[E]) -> S:
        return reduce(self.evolve, history, self.initial)
