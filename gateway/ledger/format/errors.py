from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class LedgerError(Exception):
    """Something of a ledger is not as it must be. The text says what, where, what was expected and what was found."""


class FormatError(LedgerError):
    """Bytes that are not in the one form they may have."""


class ProofError(LedgerError):
    """A proof does not prove what it is said to prove."""


class SignatureError(LedgerError):
    """A signature is missing, or does not fit."""


@contextmanager
def parsing(what: str, *refusals: type[Exception]) -> Iterator[None]:
    """Within, what a constructor refuses is a form that `what` may not have: FormatError.

    It refuses by LedgerError, and by these `refusals`. A FormatError stays as it is.
    """
    kinds: tuple[type[Exception], ...] = (LedgerError, *refusals)
    try:
        yield
    except FormatError:
        raise
    except kinds as refused:
        raise FormatError(f"{what} is not usable: {refused}") from None
