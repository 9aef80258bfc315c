"""What is wrong with a log, told to who has to act on it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    CHECKPOINT_MISSING = "checkpoint missing"
    CHECKPOINT_UNUSABLE = "checkpoint unusable"
    SIGNATURE = "signature"
    WITNESS = "witness"
    FILE_MISSING = "file missing"
    FILE_DAMAGED = "file damaged"
    ENTRY_CHANGED = "entry changed"
    ENTRY_UNUSABLE = "entry unusable"
    TILE_CHANGED = "tile changed"
    ROOT = "root"
    CHAIN = "chain of a dossier"
    EVENT_TWICE = "event twice"
    HEADS = "map of heads"
    ROLLBACK = "rollback"
    FORK = "fork"
    EVENT_CHANGED = "stored event changed"
    EVENT_DROPPED = "stored event dropped"
    EVENT_LEFT_OUT = "stored event left out"
    EVENT_MOVED = "stored event moved"
    KEY_LOST = "key lost"


MEANS = {
    Kind.CHECKPOINT_MISSING: "Without a checkpoint the log promises nothing.",
    Kind.CHECKPOINT_UNUSABLE: "A checkpoint in another form than the one it may have is no promise.",
    Kind.SIGNATURE: "The log does not stand by this checkpoint: it was changed, or it is another log's.",
    Kind.WITNESS: "Nobody independent has seen this checkpoint: it could be shown to you alone.",
    Kind.FILE_MISSING: "The log does not show what its checkpoint promises.",
    Kind.FILE_DAMAGED: "The log does not show what its checkpoint promises.",
    Kind.ENTRY_CHANGED: "What is shown of an event was changed after it was signed.",
    Kind.ENTRY_UNUSABLE: "The log signed something that is no event of a dossier in the one form it may have.",
    Kind.TILE_CHANGED: "Hashes were changed after they were signed: proofs made from them fail. The entries are as signed.",
    Kind.ROOT: "The content is not what was signed.",
    Kind.CHAIN: "Events of this dossier were left out, come twice or in another order, or follow on something else.",
    Kind.EVENT_TWICE: "One event stands in the log more than once.",
    Kind.HEADS: "Receipts of whole dossiers under this checkpoint say something else than the log.",
    Kind.ROLLBACK: "Events that were promised are gone: an old copy is shown, or history was cut off.",
    Kind.FORK: "History was rewritten, or different people are shown different histories. Nobody can undo this proof.",
    Kind.EVENT_CHANGED: "The event store was changed after the event was published, or the ledger shows it wrongly.",
    Kind.EVENT_DROPPED: "An event that the public saw is gone from the event store.",
    Kind.EVENT_LEFT_OUT: "An event that the site acted on was kept from the public.",
    Kind.EVENT_MOVED: "The order of events is not the one that the public saw.",
    Kind.KEY_LOST: "A person's data cannot be opened, though nobody decided to erase them: bring keys.db back from a backup.",
}
_ASK = "Keep this output, and ask the site's operator and the log's witnesses about it."
_OPERATOR = "Keep the data folder as it is, compare it with backups, and find out who wrote to it."
DO = dict.fromkeys(Kind, _ASK) | {
    Kind.WITNESS: "Wait for the next checkpoint, and try again; then ask the witness.",
    Kind.FILE_MISSING: "Try again once; then ask the site's operator: the file can be made again from the ledger's database.",
    Kind.FILE_DAMAGED: "Try again once; then ask the site's operator: the file can be made again from the ledger's database.",
    Kind.TILE_CHANGED: "Ask the site's operator: the tile can be made again from the entries.",
    Kind.ROLLBACK: "Keep the remembered checkpoint: its signature proves that there was more. " + _ASK,
    Kind.FORK: "Keep both checkpoints, and publish them: each is signed by the log's key, and they exclude each other.",
    Kind.EVENT_CHANGED: _OPERATOR,
    Kind.EVENT_DROPPED: _OPERATOR,
    Kind.EVENT_LEFT_OUT: _OPERATOR,
    Kind.EVENT_MOVED: _OPERATOR,
}


@dataclass(frozen=True, slots=True)
class Fault:
    kind: Kind
    where: str
    what: str

    @property
    def means(self) -> str:
        return MEANS[self.kind]

    @property
    def do(self) -> str:
        return DO[self.kind]

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"
