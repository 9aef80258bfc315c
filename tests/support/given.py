"""given(decider, *history).when(command).then(*events), .then_nothing() or .then_rejected(reason)"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from services.chassis.decider import Decider, Rejected


@dataclass(frozen=True)
class given:  # noqa: N801 - reads as a sentence
    decider: Decider[Any, Any, Any]
    history: tuple[Any, ...]

    def __init__(self, decider: Decider[Any, Any, Any], *history: Any) -> None:
        object.__setattr__(self, "decider", decider)
        object.__setattr__(self, "history", history)

    def when(self, command: Any) -> Outcome:
        state = self.decider.fold(self.history)
        try:
            events = tuple(self.decider.decide(command, state))
        except Rejected as rejected:
            return Outcome((), rejected)
        self.decider.fold((*self.history, *events))  # what decide says, evolve must accept
        return Outcome(events, None)


@dataclass(frozen=True)
class Outcome:
    events: tuple[Any, ...]
    rejected: Rejected | None

    def then(self, first: Any, /, *more: Any) -> None:
        assert self.rejected is None, f"rejected: {self.rejected.reason}"
        assert self.events == (first, *more)  # exact, in order

    def then_nothing(self) -> None:
        """Accepted, and nothing happens."""
        assert self.rejected is None, f"rejected: {self.rejected.reason}"
        assert self.events == ()

    def then_rejected(self, reason: str, **facts: str) -> None:
        assert self.rejected is not None, f"accepted: {self.events}"
        assert (self.rejected.reason, self.rejected.facts) == (reason, facts)
