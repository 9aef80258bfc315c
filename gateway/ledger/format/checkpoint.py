"""The text that a log signs: https://c2sp.org/tlog-checkpoint."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gateway.ledger.format.errors import FormatError, LedgerError, parsing
from gateway.ledger.format.merkle import EMPTY_ROOT, HASH_BYTES, MAX_SIZE
from gateway.ledger.format.note import decode_hash, encode64, require_name

_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}")


@dataclass(frozen=True, slots=True)
class TreeHead:
    """Any log's checkpoint, as a witness reads it: origin, size, root, and `extensions`, lines whose meaning it does not know."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _require(self.origin != "", "the origin is empty")
        _require(0 <= self.size <= MAX_SIZE, f"{self.size} is no size of a log")
        _require(len(self.root) == HASH_BYTES, f"the root has {len(self.root)} bytes, not {HASH_BYTES}")
        _require(self.size > 0 or self.root == EMPTY_ROOT, "a log of size 0 has the root of the empty tree")
        _require(all(self.extensions), "an extension line is empty")
        _require("\n" not in self.origin + "".join(self.extensions), "a line holds a line feed")

    def format(self) -> str:
        return "".join(f"{line}\n" for line in (self.origin, self.size, encode64(self.root), *self.extensions))

    @classmethod
    def parse(cls, text: str) -> TreeHead:
        lines = text.removesuffix("\n").split("\n")
        if not text.endswith("\n") or len(lines) < 3:
            raise FormatError("a checkpoint has three lines or more: origin, size, root")
        origin, size, root, *extensions = lines
        with parsing("the checkpoint"):
            return cls(origin, decimal(size, "the size"), decode_hash(root, "the root"), tuple(extensions))


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Our ledger's checkpoint: besides the tree's root it commits to the map of all dossiers' heads (heads.py).

        vn-56.motcua.local/ledger
        3
        n9YLoWqPYP2MbIr1wF9JsYwOdsKR4rbZ8/l7cjW0z5w=
        heads nM1sgCGgMNSf80A0Cl4C+SiF9X5KKbRBjUxeLiMS+Cc=

    Origin, size, root, and the map's root; each line ends in a line feed.
    """

    origin: str
    size: int
    root: bytes
    heads: bytes

    def __post_init__(self) -> None:
        require_name(self.origin)
        _require(len(self.heads) == HASH_BYTES, f"the map's root has {len(self.heads)} bytes, not {HASH_BYTES}")
        self._tree_head()

    def format(self) -> str:
        return self._tree_head().format()

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        head = TreeHead.parse(text)
        if len(head.extensions) != 1 or not head.extensions[0].startswith("heads "):
            raise FormatError(f"the checkpoint of {head.origin} has no fourth line 'heads <base64>', or more than that")
        heads = decode_hash(head.extensions[0].removeprefix("heads "), "the root of the map of heads")
        with parsing("the checkpoint"):
            return cls(head.origin, head.size, head.root, heads)

    def _tree_head(self) -> TreeHead:
        return TreeHead(self.origin, self.size, self.root, (f"heads {encode64(self.heads)}",))


def decimal(text: str, what: str) -> int:
    """Accepts only what str(int) gives, from 0 to the largest size of a log."""
    if not _DECIMAL.fullmatch(text) or int(text) > MAX_SIZE:
        raise FormatError(f"{what} is no decimal number without leading zeroes: {text!r}")
    return int(text)


def _require(condition: bool, otherwise: str) -> None:
    if not condition:
        raise LedgerError(otherwise)
