"""The examples in the docstrings of the formats and in docs/ledger.md are what the code prints, and parses."""

from __future__ import annotations

import doctest
import inspect
import re
from datetime import timedelta
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from google.protobuf import json_format
from google.protobuf.message import Message

from gateway.ledger.audit.remembering import Remembered
from gateway.ledger.format import merkle, tiles
from gateway.ledger.format.note import Note
from gateway.ledger.keep.witness import AddCheckpoint
from motcua.dossier.events.v1 import events_pb2 as facts
from services.chassis.privacy.public_view import public_view
from tests.ledger.samples import LOG, START, SmallLog, code


def _add(log: SmallLog, number: int, event: Message) -> None:
    event.code = code(number)  # type: ignore[attr-defined]
    event.at.FromDatetime(START + timedelta(seconds=len(log.leaves)))  # type: ignore[attr-defined]
    shown = json_format.MessageToDict(public_view(event), preserving_proto_field_name=True)
    log.add(number, type=event.DESCRIPTOR.full_name, event=shown)


SMALL = SmallLog(())
_add(SMALL, 1, facts.StepAssigned(by="official", step_code="review", role="reviewer", agency="G09.20"))
_add(SMALL, 2, facts.StepAssigned(by="official", step_code="review", role="reviewer", agency="G09.20"))
OLD = SMALL.checkpoint()
_add(SMALL, 1, facts.StepCompleted(by="official", step_code="review", agency="G09.20", next_step_code="approval"))
NOTE = SMALL.note(witnessed=True)
GREW = merkle.consistency_proof(SMALL.tree.read, OLD.size, len(SMALL.leaves))
FORMS: dict[str, Any] = {
    type(form).__name__: form
    for form in (
        SMALL.checkpoint(),
        NOTE,
        LOG.verifier,
        SMALL.leaves[2],
        SMALL.event_receipt(2, witnessed=True),
        SMALL.dossier_receipt(1, witnessed=True),
        AddCheckpoint(OLD.size, tuple(GREW), Note(NOTE.text, NOTE.signatures[:1])),
        Remembered("https://dichvucong.example/ledger", LOG.verifier, NOTE),
    )
}


def printed(name: str) -> str:
    form = FORMS[name]
    content = form.vkey if name == "Verifier" else form.format()
    return content.decode() if isinstance(content, bytes) else content.removesuffix("\n")


def shows(example: str, content: str) -> bool:
    """… stands for anything."""
    return bool(re.fullmatch(".*".join(map(re.escape, example.split("…"))), content.removesuffix("\n"), re.DOTALL))


def example_of(form: object) -> str:
    """The indented block of a docstring. A line that is indented further goes on the one above."""
    indented = re.search(r"^ {4}.*\n(?: {4}.*\n|\n)*", f"{inspect.getdoc(form)}\n", re.MULTILINE)
    assert indented, f"{form} shows no example"
    return re.sub(r"\n +", "", dedent(indented[0]).strip("\n"))


@pytest.mark.parametrize("name", FORMS)
def test_a_docstrings_example_is_what_is_printed_and_parsed(name: str) -> None:
    form = FORMS[name]
    example = example_of(type(form))
    assert shows(example, printed(name)), f"{example}\n is not \n{printed(name)}"
    assert type(form).parse(form.vkey if name == "Verifier" else form.format()) == form
    if "…" not in example and name in ("Verifier", "Leaf"):
        assert type(form).parse(example.encode() if name == "Leaf" else example) == form


def test_the_examples_of_names_and_bundles() -> None:
    outcome = doctest.testmod(tiles)
    assert (outcome.failed, outcome.attempted) == (0, 5)


def test_the_examples_for_outsiders_are_what_is_printed() -> None:
    formats = (Path(__file__).parents[2] / "docs/ledger.md").read_text().partition("\n## Formats\n")[2]
    blocks = re.findall(r"^```\n(.*?)\n```$", formats, re.MULTILINE | re.DOTALL)
    found = [[name for name in FORMS if shows(block, printed(name))] for block in blocks]
    assert found == [["Note"], ["Leaf"], ["TlogProof"], ["DossierReceipt"]]
