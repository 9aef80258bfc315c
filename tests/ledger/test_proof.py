from __future__ import annotations

import re
from dataclasses import replace

import proofbundle.tlogproof
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.ledger.format import heads, merkle
from gateway.ledger.format.errors import FormatError, LedgerError, ProofError, SignatureError
from gateway.ledger.format.heads import HeadProof
from gateway.ledger.format.note import Note
from gateway.ledger.format.proof import DossierReceipt, TlogProof, verify_dossier, verify_event
from tests.ledger.mutations import mutated
from tests.ledger.samples import LOG, ORIGIN, OTHER_LOG, START, WITNESS, SmallLog, code

ORDER = [1, 2, 1, 3, 1, 2, 4, 5, 1, 6, 7, 1, *range(8, 28)]
SMALL = SmallLog(ORDER)
EVENT = SMALL.event_receipt(4, witnessed=True)
DOSSIER = SMALL.dossier_receipt(1, witnessed=True)
ABSENT = next(number for number in range(100, 999) if heads.prove(SMALL.pages, code(number))[1].other)
NOBODY = next(number for number in range(100, 9999) if not heads.prove(SMALL.pages, code(number))[1].other)


def test_the_form_of_a_receipt_of_an_event() -> None:
    lines = EVENT.format().decode().split("\n")
    assert lines[0] == "c2sp.org/tlog-proof@v1"
    assert lines[1].startswith("extra eyJjb2RlIjoi")
    assert lines[2] == "index 4"
    assert [len(line) for line in lines[3:9]] == [44, 44, 44, 44, 44, 0]
    assert lines[9:11] == [ORIGIN, "32"]
    assert lines[12].startswith("heads ")
    assert [line[:2] for line in lines[13:]] == ["", "— ", "— ", ""]
    assert TlogProof.parse(EVENT.format()) == EVENT


@given(index=st.integers(0, len(ORDER) - 1))
def test_every_event_is_proved_offline(index: int) -> None:
    proof = TlogProof.parse(SMALL.event_receipt(index, witnessed=True).format())
    found = verify_event(proof, LOG.verifier, [WITNESS.verifier])
    assert (found.leaf, found.index, found.checkpoint) == (SMALL.leaves[index], index, SMALL.checkpoint())
    assert found.witnesses == ((WITNESS.verifier.name, 1782867800),)


def test_the_independent_implementation_verifies_our_receipt() -> None:
    text = EVENT.format().decode()
    found = proofbundle.tlogproof.verify_tlog_proof(text, EVENT.extra, LOG.vkey, [WITNESS.vkey], threshold=1)
    assert (found["ok"], found["index"], found["tree_size"]) == (True, 4, 32)
    assert proofbundle.tlogproof.parse_tlog_proof(text)["extra"] == EVENT.extra
    wrong = proofbundle.tlogproof.verify_tlog_proof(
        text, SMALL.leaves[3].format(), LOG.vkey, [WITNESS.vkey], threshold=1
    )
    assert not wrong["ok"]
    again = proofbundle.tlogproof.format_tlog_proof(
        4, list(EVENT.hashes), EVENT.checkpoint.format().decode(), EVENT.extra
    )
    assert again == text


@pytest.mark.parametrize(
    ("proof", "what"),
    [
        (replace(EVENT, index=3), "the inclusion proof of leaf 3 of 32 leads to root"),
        (replace(EVENT, index=32), "there is no leaf 32 in a tree of 32 leaves"),
        (replace(EVENT, hashes=EVENT.hashes[1:]), "the inclusion proof of leaf 4 of 32"),
        (replace(EVENT, extra=SMALL.leaves[3].format()), "the inclusion proof of leaf 4 of 32 leads to root"),
        (replace(EVENT, extra=b"{}"), "the entry has not the fields"),
        (replace(EVENT, extra=b""), "the proof does not hold its entry"),
        (replace(EVENT, checkpoint=SMALL.note(signer=OTHER_LOG)), "did not sign; it is signed by"),
        (replace(EVENT, checkpoint=SMALL.note()), "motcua.local/witness .* did not sign"),
    ],
)
def test_receipts_of_events_that_prove_nothing(proof: TlogProof, what: str) -> None:
    with pytest.raises(LedgerError, match=what):
        verify_event(TlogProof.parse(proof.format()), LOG.verifier, [WITNESS.verifier])


def test_only_a_witnesss_key_can_witness() -> None:
    for key in (LOG, OTHER_LOG):  # the log's own signature is no cosignature, and another log's would be none
        what = f"the key {key.vkey} is of type 0x01 (a log's), here it must be of type 0x04 (a witness's)"
        with pytest.raises(LedgerError, match=re.escape(what)):
            verify_event(EVENT, LOG.verifier, [key.verifier])
        with pytest.raises(LedgerError, match=re.escape(what)):
            verify_dossier(DOSSIER, LOG.verifier, [WITNESS.verifier, key.verifier])


@settings(max_examples=200)
@given(mutated(EVENT.format()))
def test_a_changed_receipt_of_an_event_is_refused(changed: bytes) -> None:
    try:
        proof = TlogProof.parse(changed)
    except FormatError:
        return
    assert proof.format() == changed
    # Lines of signatures may be dropped, doubled or in another order: they prove the same.
    same = (proof.index, proof.hashes, proof.extra, proof.checkpoint.text) == (
        4,
        EVENT.hashes,
        EVENT.extra,
        EVENT.checkpoint.text,
    )
    if not same or not set(EVENT.checkpoint.signatures) <= set(proof.checkpoint.signatures):
        with pytest.raises(LedgerError):
            verify_event(proof, LOG.verifier, [WITNESS.verifier])


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5, 6, 7])
def test_all_events_of_every_dossier(number: int) -> None:
    receipt = DossierReceipt.parse(SMALL.dossier_receipt(number, witnessed=True).format())
    found = verify_dossier(receipt, LOG.verifier, [WITNESS.verifier])
    assert found.leaves == tuple(leaf for leaf in SMALL.leaves if leaf.code == code(number))
    assert [leaf.revision for leaf in found.leaves] == list(range(len(found.leaves)))
    assert found.checkpoint == SMALL.checkpoint()


@pytest.mark.parametrize("number", [ABSENT, NOBODY])
def test_that_there_is_no_such_dossier(number: int) -> None:
    receipt = DossierReceipt.parse(SMALL.dossier_receipt(number).format())
    assert verify_dossier(receipt, LOG.verifier).leaves == ()
    with pytest.raises(ProofError):
        verify_dossier(replace(receipt, code=code(1)), LOG.verifier)


def test_the_form_of_a_receipt_of_a_dossier() -> None:
    lines = DOSSIER.format().decode().split("\n")
    assert lines[:2] == ["motcua.dossier-receipt/v1", f"code {code(1)}"]
    assert [line.split(" ")[0] for line in lines[2:7]] == ["event"] * 5
    assert {line.split(" ")[0] for line in lines[7 : lines.index("")]} == {"head"}
    assert lines[lines.index("") + 1] == ORIGIN
    absent = SMALL.dossier_receipt(ABSENT).format().decode().split("\n")
    assert absent[2].startswith("other ")


_OTHER = SMALL.dossier_receipt(ABSENT).proof.other


@pytest.mark.parametrize(
    ("receipt", "what"),
    [
        (replace(DOSSIER, entries=DOSSIER.entries[:-1]), "the map with this head .* has the root"),
        (replace(DOSSIER, entries=DOSSIER.entries[1:]), "event 0 of .* says it has revision 1"),
        (replace(DOSSIER, entries=DOSSIER.entries[:1] + DOSSIER.entries[2:]), "event 1 of .* says it has revision 2"),
        (replace(DOSSIER, entries=()), "the map with this head .* has the root"),
        (replace(DOSSIER, code=code(2)), f"event 0 is of the dossier {code(1)}, expected {code(2)}"),
        (replace(DOSSIER, entries=(*DOSSIER.entries[:-1], SMALL.leaves[1].format())), "event 4 is of the dossier"),
        (replace(DOSSIER, proof=HeadProof(DOSSIER.proof.siblings[1:])), "the map with this head .* has the root"),
        (replace(DOSSIER, checkpoint=SmallLog(ORDER[:-1]).note()), "the map with this head .* has the root"),
        (replace(DOSSIER, checkpoint=SMALL.note(signer=OTHER_LOG)), "did not sign"),
    ],
)
def test_receipts_of_dossiers_that_prove_nothing(receipt: DossierReceipt, what: str) -> None:
    with pytest.raises(LedgerError, match=what):
        verify_dossier(DossierReceipt.parse(receipt.format()), LOG.verifier)


def test_an_event_that_does_not_name_the_one_before_it() -> None:
    log = SmallLog([1, 1])
    log.add(1, previous=merkle.leaf_hash(b"another"))
    with pytest.raises(
        ProofError, match=f"event 2 of {code(1)} names {merkle.leaf_hash(b'another').hex()} as the event before"
    ):
        verify_dossier(log.dossier_receipt(1), LOG.verifier)


@settings(max_examples=200)
@given(mutated(DOSSIER.format()) | mutated(SMALL.dossier_receipt(ABSENT, witnessed=True).format()))
def test_a_changed_receipt_of_a_dossier_is_refused(changed: bytes) -> None:
    try:
        receipt = DossierReceipt.parse(changed)
    except FormatError:
        return
    assert receipt.format() == changed
    original = DOSSIER if receipt.code == DOSSIER.code else SMALL.dossier_receipt(ABSENT, witnessed=True)
    same = (
        replace(receipt, checkpoint=original.checkpoint) == original
        and receipt.checkpoint.text == original.checkpoint.text
    )
    if receipt.code not in {original.code, *SMALL.known} and not receipt.entries:
        return  # of another dossier that there is not, in the same place: if it is proved, it is true
    if not same or not set(original.checkpoint.signatures) <= set(receipt.checkpoint.signatures):
        with pytest.raises(LedgerError):
            verify_dossier(receipt, LOG.verifier, [WITNESS.verifier])


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "no empty line before the checkpoint"),
        (b"c2sp.org/tlog-proof@v2\nindex 0\n\n" + SMALL.note().format(), "the first line is 'c2sp.org/tlog-proof@v2'"),
        (b"c2sp.org/tlog-proof@v1\n\n" + SMALL.note().format(), "no line 'index <number>'"),
        (b"c2sp.org/tlog-proof@v1\nindex 00\n\n" + SMALL.note().format(), "index is no decimal number"),
        (b"c2sp.org/tlog-proof@v1\nextra \nindex 0\n\n" + SMALL.note().format(), "extra is not in standard base64: ''"),
        (
            b"c2sp.org/tlog-proof@v1\nindex 0\nAAAA\n\n" + SMALL.note().format(),
            "hash 0 of the proof has 3 bytes, not 32",
        ),
        (b"c2sp.org/tlog-proof@v1\nindex 0\n\n" + SMALL.note().text.encode(), "no empty line with signatures"),
    ],
)
def test_proofs_in_another_form_are_refused(content: bytes, what: str) -> None:
    with pytest.raises(FormatError, match=what):
        TlogProof.parse(content)


@pytest.mark.parametrize(
    ("lines", "what"),
    [
        ("", "no line 'code <code>'"),
        ("code \n", "no line 'code <code>'"),
        ("code a b\n", "'a b' is no code of a dossier"),
        ("code a\nevent \n", "event 0 is not in standard base64: ''"),
        ("code a\nhead AAAA\n", "head 0 has 3 bytes, not 32"),
        ("code a\nother AAAA\n", "a placed head has 72 bytes, not 3"),
        ("code a\nother AAAA\nother AAAA\n", "a line where none may be: 'other'"),
        ("code a\nevent AAAA\nother AAAA\n", "a line where none may be: 'other'"),
        ("code a\nhead " + "A" * 43 + "=\nevent AAAA\n", "a line where none may be: 'event AAAA'"),
        ("code a\nnews\n", "a line where none may be: 'news'"),
    ],
)
def test_receipts_in_another_form_are_refused(lines: str, what: str) -> None:
    content = f"motcua.dossier-receipt/v1\n{lines}\n".encode() + SMALL.note().format()
    with pytest.raises(FormatError, match=what):
        DossierReceipt.parse(content)


def test_a_checkpoint_of_another_log_is_refused() -> None:
    log = SmallLog([1])
    renamed = replace(log.checkpoint(), origin="vn-01.motcua.local/ledger").format()
    proof = replace(log.event_receipt(0), checkpoint=Note(renamed, (LOG.sign(renamed),)))
    with pytest.raises(ProofError, match=r"the checkpoint is of the log vn-01\.motcua\.local/ledger, the key is vn-56"):
        verify_event(proof, LOG.verifier)
    with pytest.raises(SignatureError):
        verify_event(replace(proof, checkpoint=Note(renamed, (OTHER_LOG.sign(renamed),))), LOG.verifier)
    assert log.leaves[0].time == START
