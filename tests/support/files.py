"""Pictures, drawings and signed XML as people send them, small and whole."""

from __future__ import annotations

import io
import struct
from typing import Any

import pillow_heif
from PIL import Image

ORIENTATION = 0x0112
REMARK = "nhà số 7, hẻm 12"


def photo(form: str = "JPEG", size: tuple[int, int] = (40, 30), **more: Any) -> bytes:
    """A picture, with a place, a device and a remark beside it, to be turned by a quarter."""
    picture = Image.linear_gradient("L").resize(size).convert("RGB")
    exif = Image.Exif()
    exif[ORIENTATION], exif[0x010F], exif[0x010E] = 6, "Máy của tôi", REMARK
    exif.get_ifd(0x8825).update({1: "N", 2: (10.0, 46.0, 12.0), 3: "E", 4: (106.0, 41.0, 34.0)})
    file = io.BytesIO()
    picture.save(file, form, **({"exif": exif, "comment": REMARK} | more))
    return file.getvalue()


def heic(size: tuple[int, int] = (64, 48)) -> bytes:
    exif = Image.Exif()
    exif.get_ifd(0x8825).update({1: "N", 2: (10.0, 46.0, 12.0)})
    picture = pillow_heif.from_pillow(Image.linear_gradient("L").resize(size).convert("RGB"))
    file = io.BytesIO()
    picture.save(file, quality=60, exif=exif.tobytes())
    return file.getvalue()


def dwg(version: bytes = b"AC1032") -> bytes:
    """The head of one, and some of its sections."""
    if version in (b"AC1012", b"AC1014", b"AC1015"):
        sections = b"".join(struct.pack("<BII", number, 200 + 100 * number, 100) for number in range(3))
        end = bytes.fromhex("95A04E2899821AE55E41E05F9D3A4D00")
        head = version.ljust(0x15, b"\0") + struct.pack("<I", 3) + sections + b"\0\0" + end
        return head.ljust(500, b"\0")
    hidden = bytes.fromhex("6840f8f7922ab5ef18dd0bf1")  # "AcFssFcAJMB", as the format's specification hides it
    return version.ljust(0x80, b"\0") + hidden + bytes(0x400)


def dxf(newline: str = "\r\n") -> bytes:
    pairs = (
        *("999", "Bản vẽ", "0", "SECTION", "2", "HEADER", "9", "$ACADVER", "1", "AC1032", "0", "ENDSEC"),
        *("0", "SECTION", "2", "ENTITIES", "0", "LINE", "8", "0", "10", "0.0", "20", "0.0", "11", "1.0", "21", "1.0"),
        *("0", "ENDSEC", "0", "EOF"),
    )
    return newline.join([*pairs, ""]).encode()


def signed_xml(content: str = "<so>12</so>", before: str = "") -> bytes:
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>{before}<giayTo>{content}<ds:Signature '
        'xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><ds:SignedInfo><ds:Reference URI=""/></ds:SignedInfo>'
        "<ds:SignatureValue>3q2+7w==</ds:SignatureValue></ds:Signature></giayTo>"
    ).encode()
