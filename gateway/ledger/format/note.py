"""Signed notes with Ed25519 signatures (https://c2sp.org/signed-note) and cosignatures (https://c2sp.org/tlog-cosignature)."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from binascii import Error as NoBase64
from collections.abc import Iterable
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from gateway.ledger.format.errors import FormatError, LedgerError, SignatureError, parsing

ED25519 = 0x01
COSIGNATURE = 0x04
MAX_NOTE = 1 << 20
MAX_SIGNATURES = 100
MAX_TIME = 2**63 - 1

_WHOSE = {ED25519: "a log's", COSIGNATURE: "a witness's"}
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")
_VKEY = re.compile(r"([^+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]+={0,2})")


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature line: `— <name of the key> <base64 of key_id and data>`.

    `data` is, by the key's type, 64 bytes of Ed25519 over the text; or 8 bytes of seconds since 1970, big-endian, and 64 of Ed25519
    over `cosignature/v1`, `time <seconds>` and the text.
    """

    name: str
    key_id: bytes
    data: bytes

    def __post_init__(self) -> None:
        require_name(self.name)
        if len(self.key_id) != 4 or not self.data:
            raise LedgerError(f"a signature of {self.name} has a key id of 4 bytes and at least one byte more")

    def format(self) -> str:
        """One line, with its line feed."""
        return f"— {self.name} {encode64(self.key_id + self.data)}\n"

    @classmethod
    def parse(cls, line: str) -> Signature:
        parts = line.removesuffix("\n").split(" ")
        if not line.endswith("\n") or len(parts) != 3 or parts[0] != "—":
            raise FormatError(f"{line!r} is no signature line: expected '— <key name> <base64>'")
        signed = decode64(parts[2], "the signature")
        if len(signed) < 5:
            raise FormatError(f"the signature of {parts[1]!r} has {len(signed)} bytes, expected more than 4")
        with parsing("the signature"):
            return cls(parts[1], signed[:4], signed[4:])


@dataclass(frozen=True, slots=True)
class Verifier:
    """A public key by which notes are trusted. Its `vkey`:

        vn-56.motcua.local/ledger+c27bed49+AZsfhHkc/HZjBFhU04netcqVRJ2HXydqg4QLBgqznPxx

    The name; the id (4 bytes of SHA-256 over the name, a line feed, and what follows); base64 of the type's byte and the key's 32.
    `type` is ED25519 (a log's) or COSIGNATURE (a witness's).
    """

    name: str
    type: int
    public: bytes

    def __post_init__(self) -> None:
        require_name(self.name)
        if self.type not in _WHOSE:
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
        matched = _VKEY.fullmatch(vkey)
        if not matched:
            raise FormatError(f"{vkey!r} is no verifier key: expected <name>+<8 hex digits>+<base64>")
        name, key_id, encoded = matched.groups()
        material = decode64(encoded, "the key")
        with parsing(f"the verifier key {vkey!r}"):
            verifier = cls(name, material[0], material[1:])
        if verifier.key_id.hex() != key_id:
            raise FormatError(f"the verifier key {vkey!r} says its id is {key_id}, it is {verifier.key_id.hex()}")
        return verifier

    def require_type(self, type_: int) -> None:
        """Raises LedgerError: who expects a witness's key is not served by a log's, nor the other way round."""
        if self.type != type_:
            raise LedgerError(
                f"the key {self.vkey} is of type {self.type:#04x} ({_WHOSE[self.type]}), here it must be of type {type_:#04x} "
                f"({_WHOSE[type_]})"
            )

    def is_named_in(self, signature: Signature) -> bool:
        """Whether the signature says that it is of this key. `verify` tells whether that is true."""
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


class Cosigned(NamedTuple):
    """Who has seen a checkpoint, and when."""

    name: str
    """Of the witness's key."""
    time: int
    """Seconds since 1970."""


@dataclass(frozen=True, slots=True)
class Note:
    """Text, which ends in a line feed, an empty line, and at least one signature:

        vn-56.motcua.local/ledger
        3
        n9YLoWqPYP2MbIr1wF9JsYwOdsKR4rbZ8/l7cjW0z5w=
        heads nM1sgCGgMNSf80A0Cl4C+SiF9X5KKbRBjUxeLiMS+Cc=

        — vn-56.motcua.local/ledger wnvtSUQU…jXws=
        — vn-01.motcua.local/witness 7ZschwAAAABqRGdY…7Dw==

    This text is a checkpoint, which its log signed, and a witness.
    """

    text: str
    signatures: tuple[Signature, ...]

    def __post_init__(self) -> None:
        if not self.text.endswith("\n") or _CONTROL.search(self.text):
            raise LedgerError("the text of a note ends in a line feed and has no other control characters")
        if not 1 <= len(self.signatures) <= MAX_SIGNATURES:
            raise LedgerError(f"a note has 1 to {MAX_SIGNATURES} signatures, not {len(self.signatures)}")

    def format(self) -> bytes:
        return (self.text + "\n" + "".join(signature.format() for signature in self.signatures)).encode()

    @classmethod
    def parse(cls, note: bytes) -> Note:
        if len(note) > MAX_NOTE:
            raise FormatError(f"the note has {len(note)} bytes, at most {MAX_NOTE} are read")
        try:
            content = note.decode()
        except UnicodeDecodeError as invalid:
            raise FormatError(f"the note is no UTF-8 at byte {invalid.start}") from None
        text, blank, lines = content.rpartition("\n\n")
        if not blank or not lines:
            raise FormatError("the note has no empty line with signatures after it")
        with parsing("the note"):
            return cls(text + "\n", parse_signatures(lines))

    def signed_by(self, verifiers: Iterable[Verifier]) -> dict[str, int | None]:
        """Which of these keys (as vkeys) signed, with the time of a cosignature. Others' signatures are ignored.

        Raises SignatureError if one signature of a known key does not fit.
        """
        times = {}
        for verifier in verifiers:
            for signature in filter(verifier.is_named_in, self.signatures):
                times[verifier.vkey] = verifier.verify(self.text, signature)
        return times

    def require(self, verifier: Verifier) -> int | None:
        """The time of a cosignature, None of a log's own signature. Raises SignatureError if this key did not sign."""
        times = self.signed_by([verifier])
        if verifier.vkey not in times:
            signers = ", ".join(f"{other.name} (key {other.key_id.hex()})" for other in self.signatures)
            raise SignatureError(
                f"{verifier.name} (key {verifier.key_id.hex()}) did not sign; it is signed by {signers}"
            )
        return times[verifier.vkey]

    def require_cosigned(self, witness: Verifier) -> Cosigned:
        """Raises SignatureError if this witness did not sign, LedgerError if the key is not a witness's."""
        witness.require_type(COSIGNATURE)
        time = self.require(witness)
        assert time is not None  # a cosignature has its time
        return Cosigned(witness.name, time)

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
    split = lines[:-1].split("\n")
    if len(split) > MAX_SIGNATURES:
        raise FormatError(f"there are {len(split)} signature lines, at most {MAX_SIGNATURES} are read")
    return tuple(Signature.parse(line + "\n") for line in split)


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
