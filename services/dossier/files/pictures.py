"""Photos and scans: the picture is kept, and not what the device wrote beside it (place, time, owner, remarks, other files)."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import pi_heif
from PIL import Image, ImageFile, MpoImagePlugin, TiffImagePlugin

from services.dossier.files import jpeg
from services.dossier.files.faults import FileFaulty, damaged
from services.dossier.files.judging import judged
from services.dossier.values import HEIC, JPEG, PNG

# A3 at 400 dpi has 31 million, the largest picture of a common phone 50.
MOST_PIXELS = 52_000_000
QUALITY = 90
ORIENTATION = 0x0112

# All that decoding needs is loaded here: later no file can be opened.
Image.preinit()
_LOADED = (MpoImagePlugin, TiffImagePlugin)
Image.MAX_IMAGE_PIXELS = None  # ours is asked first
ImageFile.LOAD_TRUNCATED_IMAGES = False
pi_heif.options.DECODE_THREADS = 1

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_KEPT = frozenset(
    {
        b"IHDR",
        b"PLTE",
        b"IDAT",
        b"IEND",
        b"tRNS",
        b"gAMA",
        b"cHRM",
        b"sRGB",
        b"iCCP",
        b"sBIT",
        b"pHYS",
        b"bKGD",
        b"cICP",
    }
)


def judge(content: bytearray, media_type: str, sha256: str, largest: int) -> Any:
    return judged(_keep, content, media_type, sha256, largest)


def _keep(content: bytearray, media_type: str) -> tuple[bytes, str]:
    match media_type:
        case "image/jpeg":
            return _jpeg(content), JPEG
        case "image/png":
            return _png(content), PNG
        case _:
            return _heic_as_jpeg(content), JPEG


def _jpeg(content: bytearray) -> bytes:
    """Raises FileFaulty."""
    try:
        kept = b"".join(_jpeg_parts(bytes(content)))
    except ValueError:
        raise damaged(JPEG) from None
    _decode(kept, "JPEG", JPEG)
    return kept


def _png(content: bytearray) -> bytes:
    """Raises FileFaulty."""
    kept = b"".join(_png_parts(bytes(content)))
    _decode(kept, "PNG", PNG)
    return kept


def _heic_as_jpeg(content: bytearray) -> bytes:
    """Raises FileFaulty."""
    try:
        image = pi_heif.open_heif(io.BytesIO(content), convert_hdr_to_8bit=True)
        _bounded(image.size)
        picture = Image.frombytes(image.mode, image.size, bytes(image.data), "raw", image.mode, image.stride)
    except (FileFaulty, MemoryError):
        raise
    except Exception:
        raise damaged(HEIC) from None
    kept = io.BytesIO()
    # It is turned already, as it is to be looked at.
    picture.convert("RGB").save(kept, "JPEG", quality=QUALITY, icc_profile=image.info.get("icc_profile"))
    return kept.getvalue()


def _decode(content: bytes, form: str, media_type: str) -> None:
    """Raises FileFaulty."""
    try:
        with Image.open(io.BytesIO(content), formats=(form,)) as picture:
            _bounded(picture.size)
            picture.draft("RGB", (1, 1))  # a JPEG is read whole, and a small picture made of it
            picture.load()
    except (FileFaulty, MemoryError):
        raise
    except Exception:
        raise damaged(media_type) from None


def _bounded(size: tuple[int, int]) -> None:
    pixels = size[0] * size[1]
    if pixels > MOST_PIXELS:
        raise FileFaulty("UPLOAD_PIXELS", pixels=f"{size[0]} x {size[1]}", limit=str(MOST_PIXELS // 1_000_000))


def _jpeg_parts(content: bytes) -> Iterator[bytes]:
    """Raises ValueError."""
    yield jpeg.BEGINS
    turned, first = b"", True
    for marker, segment, scan in jpeg.parts(content):
        if marker == jpeg.APP1 and segment.startswith(jpeg.EXIF):
            turned = turned or _turned(segment[len(jpeg.EXIF) :])
            continue
        if not jpeg.is_kept(marker, segment):
            continue
        if turned and not (first and marker == 0xE0):
            yield jpeg.written(jpeg.APP1, jpeg.EXIF + turned)
            turned = b""
        first = False
        yield jpeg.written(marker, segment, scan)
    yield jpeg.ENDS


def _turned(exif: bytes) -> bytes:
    """An Exif block that says how the picture is to be turned, and nothing else; empty where it stands upright."""
    try:
        found = Image.Exif()
        found.load(jpeg.EXIF + exif)
        orientation = found.get(ORIENTATION, 1)
    except MemoryError:
        raise
    except Exception:  # whatever it is, it is not kept
        return b""
    if orientation not in range(2, 9):
        return b""
    # TIFF 6.0: big-endian, one directory of one SHORT.
    return b"MM\x00*" + struct.pack(">IHHHIHHI", 8, 1, ORIENTATION, 3, 1, orientation, 0, 0)


def _png_parts(content: bytes) -> Iterator[bytes]:
    """Raises FileFaulty. https://www.w3.org/TR/png-3/#5DataRep"""
    yield _PNG_SIGNATURE
    at, turned = len(_PNG_SIGNATURE), b""
    while True:
        head = content[at : at + 8]
        length, name = (struct.unpack(">I4s", head)) if len(head) == 8 else (0, b"")
        chunk = content[at : at + 12 + length]
        if len(chunk) != 12 + length or not name:
            raise damaged(PNG)
        if zlib.crc32(chunk[4:-4]) != int.from_bytes(chunk[-4:], "big"):
            raise damaged(PNG)
        at += len(chunk)
        if name == b"eXIf":
            turned = _turned(chunk[8:-4])
        if name in _PNG_KEPT:
            if turned and name in (b"IDAT", b"IEND"):
                body = b"eXIf" + turned
                yield struct.pack(">I", len(turned)) + body + struct.pack(">I", zlib.crc32(body))
                turned = b""
            yield chunk
        elif not name[0] & 0x20:  # critical, and unknown
            raise damaged(PNG)
        if name == b"IEND":
            return
