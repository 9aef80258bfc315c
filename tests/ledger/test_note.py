from __future__ import annotations

from base64 import b64decode, b64encode

import proofbundle.checkpoint
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings

from gateway.ledger.format.checkpoint import Checkpoint, TreeHead
from gateway.ledger.format.errors import FormatError, LedgerError, SignatureError
from gateway.ledger.format.merkle import EMPTY_ROOT
from gateway.ledger.format.note import CoSigner, Note, Signature, Signer, Verifier
from tests.ledger.mutations import mutated
from tests.ledger.samples import LOG, ORIGIN, OTHER_LOG, WITNESS, WITNESS_SEED, SmallLog

# The example of golang.org/x/mod/sumdb/note, whose form the specification took over.
PETER_SEED = b64decode("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz")[1:]
PETER_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PETER_TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
PETER_LINE = (
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
# A checkpoint of the Go checksum database.
SUMDB_KEY = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"
SUMDB_NOTE = """go.sum database tree
65664258
WVVNVD2qx+fTq31zkj6UAqxT5X6HvGphGM+o8Thnbsg=

— sum.golang.org Az3grligJmgX7KGyGPKybykNTh3VgsbLvUuvOwrM5zLVlulmFp2wdvbxOw74/gcNxURShXEpb7RXcs3+BYflYN+w0gQ=
"""
# The text that tlog-cosignature.md shows signed at 1679315147.
COSIGNED = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"


def test_the_reference_example_is_made_and_read() -> None:
    peter = Signer("PeterNeumann", PETER_SEED)
    assert peter.vkey == PETER_KEY
    assert peter.sign(PETER_TEXT).format() == PETER_LINE
    note = Note.parse(f"{PETER_TEXT}\n{PETER_LINE}".encode())
    assert note == Note(PETER_TEXT, (peter.sign(PETER_TEXT),))
    assert note.signed_by([Verifier.parse(PETER_KEY)]) == {PETER_KEY: None}


def test_a_real_logs_checkpoint_is_read_and_verified() -> None:
    note = Note.parse(SUMDB_NOTE.encode())
    assert note.require(Verifier.parse(SUMDB_KEY)) is None
    head = TreeHead.parse(note.text)
    assert (head.origin, head.size) == ("go.sum database tree", 65664258)
    assert head.format() == note.text
    with pytest.raises(FormatError, match="has no fourth line 'heads <base64>'"):
        Checkpoint.parse(note.text)


def test_no_part_of_a_key_is_a_key() -> None:
    for start in range(len(PETER_KEY)):
        for end in range(start + 1, len(PETER_KEY) + 1):
            if (start, end) != (0, len(PETER_KEY)):
                with pytest.raises(FormatError):
                    Verifier.parse(PETER_KEY[start:end])
    for at in range(len(PETER_KEY)):
        with pytest.raises(FormatError):
            Verifier.parse(PETER_KEY[:at] + chr(ord(PETER_KEY[at]) + 1) + PETER_KEY[at + 1 :])
    with pytest.raises(FormatError):
        Verifier.parse("PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==")
    with pytest.raises(FormatError, match="of type 0x65, known are 0x01 and 0x04"):
        Verifier.parse("PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")


def test_a_cosignature_signs_what_the_specification_says() -> None:
    signature = WITNESS.sign(COSIGNED, 1679315147)
    assert len(signature.data) == 72
    assert int.from_bytes(signature.data[:8], "big") == 1679315147
    signed = f"cosignature/v1\ntime 1679315147\n{COSIGNED}".encode()
    plain = Ed25519PrivateKey.from_private_bytes(WITNESS_SEED).public_key()
    plain.verify(signature.data[8:], signed)
    assert Verifier.parse(WITNESS.vkey).verify(COSIGNED, signature) == 1679315147
    later = Signature(signature.name, signature.key_id, (1679315148).to_bytes(8, "big") + signature.data[8:])
    with pytest.raises(SignatureError, match="does not fit"):
        WITNESS.verifier.verify(COSIGNED, later)


def test_the_independent_implementation_reads_ours_and_we_read_its() -> None:
    note = SmallLog([1, 2, 1]).note(witnessed=True)
    text = note.format().decode()
    assert proofbundle.checkpoint.verify_checkpoint(text, LOG.vkey)["ok"]
    found = proofbundle.checkpoint.verify_cosignature(text, WITNESS.vkey)
    assert (found["ok"], found["timestamp"]) == (True, 1782867800)
    assert not proofbundle.checkpoint.verify_checkpoint(text, OTHER_LOG.vkey)["ok"]

    log_key, witness_key = (
        Ed25519PrivateKey.from_private_bytes(PETER_SEED),
        Ed25519PrivateKey.from_private_bytes(WITNESS_SEED),
    )
    theirs = proofbundle.checkpoint.sign_checkpoint("example.com/log", 7, bytes(32), log_key, "example.com/log")
    theirs = proofbundle.checkpoint.cosign_checkpoint(theirs, witness_key, "example.com/w", 1700000000)
    read = Note.parse(theirs.encode())
    log = Signer("example.com/log", PETER_SEED).verifier
    witness = CoSigner("example.com/w", WITNESS_SEED).verifier
    assert read.signed_by([log, witness]) == {log.vkey: None, witness.vkey: 1700000000}
    assert read.text == TreeHead("example.com/log", 7, bytes(32)).format()
    assert read.format() == theirs.encode()
    assert proofbundle.checkpoint.vkey("a/b", log.public) == Verifier("a/b", 1, log.public).vkey
    assert proofbundle.checkpoint.cosign_vkey("a/b", log.public) == Verifier("a/b", 4, log.public).vkey


def test_signatures_of_unknown_keys_are_ignored_of_known_ones_checked() -> None:
    note = SmallLog([1]).note()
    text = note.text
    assert note.signed_by([OTHER_LOG.verifier]) == {}
    with pytest.raises(SignatureError, match=rf"{ORIGIN} \(key {OTHER_LOG.verifier.key_id.hex()}\) did not sign"):
        note.require(OTHER_LOG.verifier)
    both = note.with_signatures([OTHER_LOG.sign(text), WITNESS.sign(text, 1)])
    assert both.signed_by([LOG.verifier, WITNESS.verifier]) == {LOG.vkey: None, WITNESS.vkey: 1}
    assert both.with_signatures([WITNESS.sign(text, 2)]).signed_by([WITNESS.verifier]) == {WITNESS.vkey: 2}
    broken = both.with_signatures([LOG.sign("another text\n")])
    with pytest.raises(SignatureError, match="the text was changed, or another key signed"):
        broken.signed_by([LOG.verifier, WITNESS.verifier])
    assert broken.signed_by([WITNESS.verifier]) == {WITNESS.vkey: 1}


NOTE = Note(PETER_TEXT, (Signer("PeterNeumann", PETER_SEED).sign(PETER_TEXT), LOG.sign(PETER_TEXT))).format()


@settings(max_examples=150)
@given(mutated(NOTE))
def test_a_note_is_read_in_one_form_only(changed: bytes) -> None:
    try:
        note = Note.parse(changed)
    except FormatError:
        return
    assert note.format() == changed
    for verifier in (LOG.verifier, Verifier.parse(PETER_KEY)):  # a change that can be read is no longer signed by both
        try:
            note.require(verifier)
        except SignatureError:
            return
    assert set(note.signatures) == set(Note.parse(NOTE).signatures)
    assert note.text == PETER_TEXT


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        (NOTE[:-1], "the last signature line does not end in a line feed"),
        (NOTE.replace(b"\n\n", b"\n"), "no empty line with signatures after it"),
        (PETER_TEXT.encode() + b"\n", "no empty line with signatures after it"),
        (NOTE.replace(b"is.\n", b"is.\r\n"), "no other control characters"),
        (NOTE.replace(b"is.", b"is\xff"), "the note is no UTF-8 at byte"),
        (NOTE.replace("— P".encode(), b"- P"), "is no signature line"),
        (NOTE.replace(b"PeterNeumann ", b"Peter+Neumann "), "is no name of a key"),
        (NOTE.replace(b"wJnAM=", b"wJnAN="), "the signature is not in standard base64"),
        (NOTE.replace(b"wJnAM=", b"wJnAM"), "the signature is not in standard base64"),
        (NOTE + "— a AAAAAA==\n".encode(), "the signature of 'a' has 4 bytes, expected more than 4"),
        (NOTE + "— a AAAAAAA=\n".encode() * 99, "there are 101 signature lines, at most 100 are read"),
        (bytes(1 << 20) + b"\n", "at most 1048576 are read"),
    ],
)
def test_notes_in_another_form_are_refused(changed: bytes, what: str) -> None:
    with pytest.raises(FormatError, match=what):
        Note.parse(changed)


def test_names_of_keys() -> None:
    for name in ("", "a b", "a+b", "a\u00a0b", "a\tb", "a\u2028b", "a\nb"):
        with pytest.raises(LedgerError, match="is no name of a key"):
            Signer(name, bytes(32))
    with pytest.raises(LedgerError, match="has 31 bytes, not 32"):
        Signer("a", bytes(31))


CHECKPOINT = Checkpoint(ORIGIN, 1234, bytes(range(32)), bytes(range(32, 64)))


def test_the_text_of_a_checkpoint() -> None:
    assert CHECKPOINT.format() == (
        "vn-56.motcua.local/ledger\n1234\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"
        "heads ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=\n"
    )
    assert Checkpoint.parse(CHECKPOINT.format()) == CHECKPOINT


@settings(max_examples=150)
@given(mutated(CHECKPOINT.format().encode()))
def test_a_checkpoint_is_read_in_one_form_only(changed: bytes) -> None:
    text = changed.decode(errors="replace")
    for kind in (Checkpoint, TreeHead):
        try:
            found = kind.parse(text)
        except FormatError:
            continue
        assert found.format() == text
        assert found != CHECKPOINT


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("a\n1\n", "has three lines or more"),
        ("a\n1\nAAAA\n", "the root has 3 bytes, not 32"),
        ("\n1\n" + b64encode(bytes(32)).decode() + "\n", "the origin is empty"),
        (
            "a\n01\n" + b64encode(bytes(32)).decode() + "\n",
            "the size is no decimal number without leading zeroes: '01'",
        ),
        ("a\n-1\n" + b64encode(bytes(32)).decode() + "\n", "the size is no decimal number"),
        ("a\n9223372036854775808\n" + b64encode(bytes(32)).decode() + "\n", "the size is no decimal number"),
        ("a\n0\n" + b64encode(bytes(32)).decode() + "\n", "a log of size 0 has the root of the empty tree"),
        ("a\n0\n" + b64encode(EMPTY_ROOT).decode() + "\n\n", "an extension line is empty"),
    ],
)
def test_checkpoints_in_another_form_are_refused(text: str, what: str) -> None:
    with pytest.raises(FormatError, match=what):
        TreeHead.parse(text)
