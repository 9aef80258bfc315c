"""Signed XML: whole, without a document type, and with a signature in it. Who signed, and whether rightly, is not asked here."""

from __future__ import annotations

from xml.parsers import expat

from services.dossier.files.faults import FileFaulty, damaged
from services.dossier.values import XML

DEEPEST = 200
# https://www.w3.org/TR/xmldsig-core1/#sec-Signature
_SIGNATURE = "http://www.w3.org/2000/09/xmldsig# "


class _Reader:
    def __init__(self) -> None:
        self.path: list[str] = []
        self.signed_info = self.value = False

    def start(self, name: str, _: dict[str, str]) -> None:
        self.path.append(name.removeprefix(_SIGNATURE) if name.startswith(_SIGNATURE) else "")
        if len(self.path) > DEEPEST:
            raise damaged(XML)
        self.signed_info |= self.path[-2:] == ["Signature", "SignedInfo"]

    def end(self, _: str) -> None:
        self.path.pop()

    def text(self, text: str) -> None:
        self.value |= self.path[-2:] == ["Signature", "SignatureValue"] and bool(text.strip())

    def refuse(self, *_: object) -> None:
        """A document type could name files, or make much of little."""
        raise FileFaulty("UPLOAD_CONTENT_WRONG", why="<!DOCTYPE")


def check(content: bytearray) -> None:
    """Raises FileFaulty."""
    reader = _Reader()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.StartDoctypeDeclHandler = reader.refuse
    try:
        parser.Parse(bytes(content), True)
    except (expat.ExpatError, ValueError, LookupError):
        raise damaged(XML) from None
    if not (reader.signed_info and reader.value):
        raise FileFaulty("UPLOAD_UNSIGNED")


def is_xml(content: bytearray) -> bool:
    head = bytes(content[:256])
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        head = head.decode("utf-16", "ignore").encode()
    return head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<")
