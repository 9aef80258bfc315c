"""A JPEG's parts (ITU-T T.81, annex B), and which of them make the picture."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

APP1, START_OF_SCAN = 0xE1, 0xDA
BEGINS, ENDS = b"\xff\xd8", b"\xff\xd9"
EXIF = b"Exif\x00\x00"
_ICC, _JFIF, _ADOBE = b"ICC_PROFILE\x00", b"JFIF\x00", b"Adobe"
# In the scan: whatever follows FF is a marker, but for stuffed zeros, restarts and filling.
_MARKER = re.compile(rb"\xff+[^\x00\xd0-\xd7\xff]")


def parts(content: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Each marker between the picture's beginning and end, its segment, and what of the scan follows. Raises ValueError."""
    at = len(BEGINS)
    try:
        while True:
            if content[at] != 0xFF:
                raise ValueError("no marker")
            while content[at] == 0xFF:
                at += 1
            marker, at = content[at], at + 1
            if marker == ENDS[1]:
                return
            (length,) = struct.unpack_from(">H", content, at)
            segment = content[at + 2 : at + length]
            if length < 2 or len(segment) != length - 2:
                raise ValueError("it ends too early")
            at += length
            scan = _MARKER.search(content, at) if marker == START_OF_SCAN else None
            if marker == START_OF_SCAN and scan is None:
                raise ValueError("it ends too early")
            begun, at = at, scan.start() if scan else at
            yield marker, segment, content[begun:at]
    except (struct.error, IndexError):
        raise ValueError("it ends too early") from None


def is_kept(marker: int, segment: bytes) -> bool:
    """Whether the segment stays. What is beside the picture goes: place, time, device, owner, remarks, previews."""
    match marker:
        case 0xE0:
            return segment.startswith(_JFIF)
        case 0xE2:
            return segment.startswith(_ICC)
        case 0xEE:
            return segment.startswith(_ADOBE)
        case _:
            return not 0xE1 <= marker <= 0xEF and marker != 0xFE


def written(marker: int, segment: bytes, scan: bytes = b"") -> bytes:
    return bytes((0xFF, marker)) + struct.pack(">H", len(segment) + 2) + segment + scan


def bare(content: bytes) -> bytes:
    """The picture alone; how it is to be turned goes, too. Raises ValueError."""
    return b"".join([BEGINS, *(written(*part) for part in parts(content) if is_kept(*part[:2])), ENDS])
