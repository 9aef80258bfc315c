from __future__ import annotations


class LedgerError(Exception):
    """Something of a ledger is not as it must be. The text says what, where, what was expected and what was found."""


class FormatError(LedgerError):
    """Bytes that are not in the one form they may have."""


class ProofError(LedgerError):
    """A proof does not prove what it is said to prove."""


class SignatureError(LedgerError):
    """A signature is missing, or does not fit."""
