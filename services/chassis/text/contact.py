"""How somebody can be written to and called: one rule, wherever an address or a number comes in."""

from __future__ import annotations

import re
from collections.abc import Callable

import phonenumbers
from email_validator import EmailNotValidError, ValidatedEmail, validate_email

# Numbers without a country's prefix are of this one.
REGION = "VN"
LONGEST_EMAIL = 254
LONGEST_PHONE = 40
_PHONE = re.compile(r"[+\d][\d .()/\-\u2010-\u2015]*|\(\+?\d[\d .()/\-\u2010-\u2015]*", re.ASCII)


def load_all() -> None:
    """What is known of all countries' numbers, for a process that can read no file later. It takes some 0.2 s."""
    phonenumbers.PhoneMetadata.load_all()


def email_of(text: str) -> str:
    """As it is kept: its domain in the letters that people read. Raises ValueError."""
    return _validated(text).normalized


def sent_to(email: str) -> str:
    """As mail servers take it: an internationalised domain in ASCII (RFC 5891). Raises ValueError."""
    ascii_email = _validated(email).ascii_email
    assert ascii_email is not None
    return ascii_email


def phone_of(text: str) -> str:
    """On one line. Raises ValueError for what is no number of any telephone network."""
    written = " ".join(text.split())
    if len(written) > LONGEST_PHONE or not _PHONE.fullmatch(written):
        raise ValueError("no telephone number")
    try:
        number = phonenumbers.parse(written, REGION)
    except phonenumbers.NumberParseException as error:
        raise ValueError("no telephone number") from error
    if not phonenumbers.is_valid_number(number):
        raise ValueError("no telephone number")
    return written


def is_email(text: str) -> bool:
    return _holds(email_of, text)


def is_phone(text: str) -> bool:
    return _holds(phone_of, text)


def _holds(rule: Callable[[str], str], text: str) -> bool:
    try:
        rule(text)
    except ValueError:
        return False
    return True


def _validated(text: str) -> ValidatedEmail:
    """Only of ASCII before the @: what is beyond it few servers take. Whether the domain exists is not asked."""
    if len(text) > LONGEST_EMAIL:
        raise ValueError("no e-mail address")
    try:
        found = validate_email(
            text.strip(), check_deliverability=False, allow_smtputf8=False, globally_deliverable=False
        )
    except EmailNotValidError as error:
        raise ValueError("no e-mail address") from error
    if "." not in found.ascii_domain:
        raise ValueError("no e-mail address")
    return found
