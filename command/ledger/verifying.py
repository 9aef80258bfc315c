"""`motcua verify`: receipts of the public ledger, offline."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any

from command.console import harmless, out
from command.ledger.ledger import RIGHT, UNKNOWN, WRONG, log_key_of, witness_keys_of
from gateway.ledger.audit.remembering import Memory
from gateway.ledger.format.errors import LedgerError, SignatureError
from gateway.ledger.format.leaf import Leaf
from gateway.ledger.format.note import Cosigned, Note, Verifier
from gateway.ledger.format.proof import (
    DOSSIER_RECEIPT,
    TLOG_PROOF,
    DossierReceipt,
    TlogProof,
    VerifiedDossier,
    VerifiedEvent,
    verify_dossier,
    verify_event,
)
from services.law.days import ZONE


class Verdict(Enum):
    VERIFIED = "verified"
    NOT_VERIFIED = "not verified"
    COULD_NOT = "could not verify"


_SIGNS = {
    Verdict.VERIFIED: "[bold green]✓[/]",
    Verdict.NOT_VERIFIED: "[bold red]✗[/]",
    Verdict.COULD_NOT: "[bold yellow]?[/]",
}


@dataclass
class _Verdict:
    outcome: Verdict
    lines: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)


def verify(files: Sequence[Path], key: str, witnesses: Sequence[str], memory: Path, as_json: bool) -> int:
    given = log_key_of(key) if key else None
    trusted = witness_keys_of(witnesses)
    outcomes = set()
    for file in files:
        verdict = _judge(file, given, trusted, Memory(memory))
        outcomes.add(verdict.outcome)
        if as_json:
            found = {"file": str(file), "outcome": verdict.outcome.value, "told": verdict.lines} | verdict.facts
            print(json.dumps(found, ensure_ascii=False))
            continue
        out.print(
            f"{_SIGNS[verdict.outcome]} {harmless(str(file))}: {verdict.outcome.value}", highlight=False, soft_wrap=True
        )
        for line in verdict.lines:
            out.print(f"  {harmless(line)}", highlight=False, soft_wrap=True)
    if Verdict.NOT_VERIFIED in outcomes:
        return WRONG
    return UNKNOWN if Verdict.COULD_NOT in outcomes else RIGHT


def _judge(file: Path, given: Verifier | None, witnesses: Sequence[Verifier], memory: Memory) -> _Verdict:
    try:
        content = file.read_bytes()
    except OSError as error:
        return _Verdict(Verdict.COULD_NOT, [f"It cannot be read: {error.strerror}."])
    first = content.split(b"\n", 1)[0]
    try:
        receipt: TlogProof | DossierReceipt
        if first == TLOG_PROOF.encode():
            receipt = TlogProof.parse(content)
        elif first == DOSSIER_RECEIPT.encode():
            receipt = DossierReceipt.parse(content)
        else:
            what = f"It is no receipt of a ledger: its first line is neither {TLOG_PROOF} nor {DOSSIER_RECEIPT}."
            return _Verdict(Verdict.COULD_NOT, [what, "Download the receipt again, as the file that the site gives."])
        key = given or _remembered(receipt.checkpoint, memory)
        if key is None:
            origin = receipt.checkpoint.text.partition("\n")[0]
            return _Verdict(
                Verdict.COULD_NOT,
                [
                    f"The key of the log {origin} is not known here.",
                    "Give it with --key, from a place that you trust, or let `motcua ledger check` remember it.",
                ],
            )
        if isinstance(receipt, TlogProof):
            return _event(verify_event(receipt, key, witnesses))
        return _dossier(verify_dossier(receipt, key, witnesses))
    except SignatureError as unsigned:
        return _Verdict(
            Verdict.NOT_VERIFIED,
            [
                f"Why: {unsigned}.",
                "Compare the keys that you gave with those that you trust. A witness may sign a little later than the log: "
                "then a receipt that is downloaded again has its line.",
            ],
        )
    except LedgerError as unproved:
        return _Verdict(
            Verdict.NOT_VERIFIED,
            [
                f"Why: {unproved}.",
                "Do not rely on it: it was changed, or the log does not hold what it says.",
                "Download it again from the site. If that one fails, too, keep both and ask the log's witnesses.",
            ],
        )


def _remembered(checkpoint: Note, memory: Memory) -> Verifier | None:
    known = memory.known_keys(checkpoint.text.partition("\n")[0])
    return Verifier.parse(known.pop()) if len(known) == 1 else None


def _event(found: VerifiedEvent) -> _Verdict:
    size = found.checkpoint.size
    lines = [
        f"This event is leaf {found.index} of {found.checkpoint.origin}, under its checkpoint of {size} leaves:",
        _told(found.leaf),
        json.dumps(found.leaf.event, ensure_ascii=False),
        *_witnessed(found.witnesses),
    ]
    facts = {"code": found.leaf.code, "revision": found.leaf.revision, "index": found.index, "size": size}
    return _Verdict(Verdict.VERIFIED, lines, facts)


def _dossier(found: VerifiedDossier) -> _Verdict:
    size, count = found.checkpoint.size, len(found.leaves)
    under = f"as of the checkpoint of {size} leaves of {found.checkpoint.origin}"
    if not count:
        lines = [f"There is no dossier {found.code} {under}."]
    else:
        these = "This is the only event" if count == 1 else f"These are all {count} events"
        lines = [f"{these} of the dossier {found.code} {under}:", *map(_told, found.leaves)]
    facts = {"code": found.code, "events": count, "size": size}
    return _Verdict(Verdict.VERIFIED, [*lines, *_witnessed(found.witnesses)], facts)


def _told(leaf: Leaf) -> str:
    moment = leaf.time.astimezone(ZONE).strftime("%d/%m/%Y %H:%M:%S")
    return f"{leaf.code}, revision {leaf.revision}, {moment}: {leaf.type.rpartition('.')[2]}"


def _witnessed(witnesses: Sequence[Cosigned]) -> list[str]:
    if not witnesses:
        return ["No witness was asked for (--witness): the log alone vouches for its checkpoint."]
    return [
        f"{name} witnessed this checkpoint at {datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC."
        for name, seconds in witnesses
    ]
