"""Signed notes with Ed25519 signatures (https://c2sp.org/signed-note) and cosignatures (https://c2sp.org/tlog-cosignature)."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from binascii import Error as NoBase64
from collections.abc import Iterable
from dataclasses import dataclass, replace
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from gateway.ledger.format.errors import FormatError, LedgerError, SignatureError

ED25519 = 0x01
COSIGNATURE = 0x04
MAX_NOTE = 1 << 20
MAX_SIGNATURES = 100
MAX_TIME = 2**63 - 1

_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")
_VKEY = re.compile(r"([^+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]+={0,2})")


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature line. `data` is what follows the key's id, by the key's type."""

    name: str
    key_id: bytes
    data: bytes

    def __post_init__(self) -> None:
        require_name(self.name)
        if len(self.key_id) != 4 or not self.data:
            raise LedgerError(f"a signature of {self.name} has a key id of 4 bytes and at least one byte more")

    def line(self) -> str:
        return f"— {self.name} {encode64(self.key_id + self.data)}\n"

    @classmethod
    def parse(cls, line: str) -> Signature:
        """One line, with its line feed."""
        parts = line.removesuffix("\n").split(" ")
        if not line.endswith("\n") or len(parts) != 3 or parts[0] != "—":
            raise FormatError(f"{line!r} is no signature line: expected '— <key name> <base64>'")
        found = decode64(parts[2], "the signature")
        if len(found) < 5:
            raise FormatError(f"the signature of {parts[1]!r} has {len(found)} bytes, expected more than 4")
        try:
            return cls(parts[1], found[:4], found[4:])
        except LedgerError as unusable:
            raise FormatError(str(unusable)) from None


@dataclass(frozen=True, slots=True)
class Verifier:
    """A public key by which notes are trusted."""

    name: str
    type: int
    public: bytes

    def __post_init__(self) -> None:
        require_name(self.name)
        if self.type not in (ED25519, COSIGNATURE):
            raise LedgerError(f"the key of {self.name} is of type {self.type:#04x}, known are 0x01 and 0x04")
        if len(self.public) != 32:
            raise LedgerError(f"the Ed25519 key of {self.name} has {len(self.public)} bytes, not 32")

    @property
    def key_id(self) -> bytes:
        return sha256(self.name.encode() + b"\n" + bytes([self.type]) + self.public).digest()[:4]

    @property
    def vkey(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{encode64(bytes([self.type]) + self.public)}"

    @classmethod
    def parse(cls, vkey: str) -> Verifier:
        """Accepts only what `vkey` gives."""
        found = _VKEY.fullmatch(vkey)
        if not found:
            raise FormatError(f"{vkey!r} is no verifier key: expected <name>+<8 hex digits>+<base64>")
        name, key_id, encoded = found.groups()
        material = decode64(encoded, "the key")
        try:
            verifier = cls(name, material[0], material[1:])
        except LedgerError as unusable:
            raise FormatError(f"{vkey!r} is no verifier key: {unusable}") from None
        if verifier.key_id.hex() != key_id:
            raise FormatError(f"the verifier key {vkey!r} says its id is {key_id}, it is {verifier.key_id.hex()}")
        return verifier

    def made(self, signature: Signature) -> bool:
        """Whether the signature claims to be of this key."""
        return signature.name == self.name and signature.key_id == self.key_id

    def verify(self, text: str, signature: Signature) -> int | None:
        """The time of a cosignature, in seconds since 1970; None for a log's own signature. Raises SignatureError."""
        time = None
        data, message = signature.data, text.encode()
        if self.type == COSIGNATURE:
            time, data = int.from_bytes(data[:8], "big"), data[8:]
            message = _cosigned(text, time)
        try:
            if time is not None and time > MAX_TIME:
                raise InvalidSignature
            Ed25519PublicKey.from_public_bytes(self.public).verify(data, message)
        except InvalidSignature:
            raise SignatureError(
                f"the signature of {self.name} (key {self.key_id.hex()}) does not fit: "
                "the text was changed, or another key signed"
            ) from None
        return time


@dataclass(frozen=True, slots=True)
class Note:
    """Text, which ends in a line feed, and at least one signature."""

    text: str
    signatures: tuple[Signature, ...]

    def __post_init__(self) -> None:
        if not self.text.endswith("\n") or _CONTROL.search(self.text):
            raise LedgerError("the text of a note ends in a line feed and has no other control characters")
        if not 1 <= len(self.signatures) <= MAX_SIGNATURES:
            raise LedgerError(f"a note has 1 to {MAX_SIGNATURES} signatures, not {len(self.signatures)}")

    def format(self) -> bytes:
        return (self.text + "\n" + "".join(signature.line() for signature in self.signatures)).encode()

    @classmethod
    def parse(cls, note: bytes) -> Note:
        """Accepts only what `format` gives."""
        if len(note) > MAX_NOTE:
            raise FormatError(f"the note has {len(note)} bytes, at most {MAX_NOTE} are read")
        try:
            content = note.decode()
        except UnicodeDecodeError as invalid:
            raise FormatError(f"the note is no UTF-8 at byte {invalid.start}") from None
        text, blank, lines = content.rpartition("\n\n")
        if not blank or not lines:
            raise FormatError("the note has no empty line with signatures after it")
        try:
            return cls(text + "\n", parse_signatures(lines))
        except FormatError:
            raise
        except LedgerError as unusable:
            raise FormatError(str(unusable)) from None

    def signed_by(self, verifiers: Iterable[Verifier]) -> dict[str, int | None]:
        """Which of these keys (as vkeys) signed, and when if they say so. Others' signatures are ignored.

        Raises SignatureError if one signature of a known key does not fit.
        """
        found = {}
        for verifier in verifiers:
            for signature in filter(verifier.made, self.signatures):
                found[verifier.vkey] = verifier.verify(self.text, signature)
        return found

    def require(self, verifier: Verifier) -> int | None:
        """Raises SignatureError if this key did not sign."""
        found = self.signed_by([verifier])
        if verifier.vkey not in found:
            signers = ", ".join(f"{other.name} (key {other.key_id.hex()})" for other in self.signatures)
            raise SignatureError(
                f"{verifier.name} (key {verifier.key_id.hex()}) did not sign; it is signed by {signers}"
            )
        return found[verifier.vkey]

    def with_signatures(self, more: Iterable[Signature]) -> Note:
        """A newer signature of a key takes the place of its older one."""
        lines = {(signature.name, signature.key_id): signature for signature in (*self.signatures, *more)}
        return replace(self, signatures=tuple(lines.values()))


class Signer:
    """A log's key."""

    def __init__(self, name: str, seed: bytes) -> None:
        self._key = _private(name, seed)
        self.verifier = Verifier(name, ED25519, self._key.public_key().public_bytes_raw())

    @property
    def vkey(self) -> str:
        return self.verifier.vkey

    def sign(self, text: str) -> Signature:
        return Signature(self.verifier.name, self.verifier.key_id, self._key.sign(text.encode()))


class CoSigner:
    """A witness's key. It must sign nothing but cosignatures."""

    def __init__(self, name: str, seed: bytes) -> None:
        self._key = _private(name, seed)
        self.verifier = Verifier(name, COSIGNATURE, self._key.public_key().public_bytes_raw())

    @property
    def vkey(self) -> str:
        return self.verifier.vkey

    def sign(self, text: str, time: int) -> Signature:
        """`time` in whole seconds since 1970."""
        if not 0 <= time <= MAX_TIME:
            raise LedgerError(f"{time} is no time")
        signed = time.to_bytes(8, "big") + self._key.sign(_cosigned(text, time))
        return Signature(self.verifier.name, self.verifier.key_id, signed)


def parse_signatures(lines: str) -> tuple[Signature, ...]:
    """Signature lines, as a note ends in and as a witness answers."""
    if not lines.endswith("\n"):
        raise FormatError("the last signature line does not end in a line feed")
    found = lines[:-1].split("\n")
    if len(found) > MAX_SIGNATURES:
        raise FormatError(f"there are {len(found)} signature lines, at most {MAX_SIGNATURES} are read")
    return tuple(Signature.parse(line + "\n") for line in found)


def require_name(name: str) -> None:
    if not name or "+" in name or any(letter.isspace() or letter < " " for letter in name):
        raise LedgerError(f"{name!r} is no name of a key: it must not be empty, nor have spaces or plus signs")


def encode64(value: bytes) -> str:
    return b64encode(value).decode()


def decode64(text: str, what: str) -> bytes:
    """Accepts only what `encode64` gives."""
    try:
        value = b64decode(text, validate=True)
    except (NoBase64, ValueError):
        value = b""
    if not value or encode64(value) != text:
        raise FormatError(f"{what} is not in standard base64: {text!r}")
    return value


def decode_hash(text: str, what: str) -> bytes:
    value = decode64(text, what)
    if len(value) != 32:
        raise FormatError(f"{what} has {len(value)} bytes, not 32")
    return value


def _private(name: str, seed: bytes) -> Ed25519PrivateKey:
    if len(seed) != 32:
        raise LedgerError(f"the seed of the key {name} has {len(seed)} bytes, not 32")
    return Ed25519PrivateKey.from_private_bytes(seed)


def _cosigned(text: str, time: int) -> bytes:
    return f"cosignature/v1\ntime {time}\n{text}".encode()
