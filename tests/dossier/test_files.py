"""A file is taken for what it is: whole, readable, in bounds, and without what the device wrote beside the picture."""

from __future__ import annotations

import hashlib
import io
import struct
import zlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pikepdf
import pytest
import pytest_asyncio
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from services.chassis.blobs.port import FolderBlobs
from services.chassis.blobs.sealed import SealedBlobs
from services.chassis.database.database import Database
from services.chassis.work.confined import Produced
from services.dossier.files import documents, judging, pictures
from services.dossier.uploads import LARGEST_BYTES, LARGEST_CHUNK_BYTES, Owner, Uploads
from services.dossier.values import DWG, DXF, HEIC, JPEG, PDF, PNG, XML, File
from tests.support.files import ORIENTATION, REMARK, dwg, dxf, heic, photo, signed_xml
from tests.support.keys import MemoryKeys
from tests.support.papers import pdf

PROGRAMS = {PDF: documents.judge, PNG: pictures.judge, JPEG: pictures.judge, HEIC: pictures.judge}
SAMPLES = {
    PDF: pdf("a deed"),
    JPEG: photo(),
    PNG: photo("PNG"),
    HEIC: heic(),
    DWG: dwg(),
    DXF: dxf(),
    XML: signed_xml(),
}
TAKEN, TURNED = "taken as it is", "another picture is kept"


def judged(content: bytes, media_type: str) -> Any:
    program = PROGRAMS.get(media_type, judging.judge)
    return program(bytearray(content), media_type, hashlib.sha256(content).hexdigest(), LARGEST_BYTES)


def verdict(content: bytes, media_type: str) -> str:
    """TAKEN, TURNED, or the reason for which it is not."""
    found = judged(content, media_type)
    if isinstance(found, Produced):
        return TURNED
    return str(found["reason"]) if found else TAKEN


def kept(content: bytes, media_type: str) -> bytes:
    found = judged(content, media_type)
    return bytes(found.content) if isinstance(found, Produced) else content


def saved(pages: int = 1, **options: Any) -> bytes:
    with pikepdf.new() as document:
        for _ in range(pages):
            document.add_blank_page()
        file = io.BytesIO()
        document.save(file, **options)
    return file.getvalue()


def untabled(content: bytes) -> bytes:
    """As some programs write it: whole, but that its table leads nowhere."""
    start = content.index(b"xref")
    return content[:start] + content[content.index(b"trailer") :].replace(str(start).encode(), b"7")


WHOLE = {
    "a page": pdf(),
    "linearised": saved(3, linearize=True),
    "of object streams": saved(object_stream_mode=pikepdf.ObjectStreamMode.generate),
    "locked against changes": saved(encryption=pikepdf.Encryption(user="", owner="o")),
    "after a printer's words": b"\x1b%-12345X@PJL\r\n".ljust(1019, b" ") + pdf(),
    "before blanks": pdf() + b"\r\n" * 100,
    "filled up with line ends": pdf() + b"\n" * 70_000,
    "filled up with zeros": pdf() + bytes(70_000),
    "a table that leads nowhere": untabled(pdf("x")),
}
NOT_WHOLE = {
    "only its beginning": (b"%PDF-1.7 " + b"x" * 90, "UPLOAD_DAMAGED"),
    "cut off": (saved(3)[:-30], "UPLOAD_DAMAGED"),
    "cut off, linearised": (saved(3, linearize=True)[:-300], "UPLOAD_DAMAGED"),
    "without its page": (pdf().replace(b"3 0 obj", b"9 0 obj"), "UPLOAD_PAGES_WRONG"),
    "much behind its end": (pdf() + b"x" * 2000, "UPLOAD_DAMAGED"),
    "of no page": (saved(0), "UPLOAD_PAGES_WRONG"),
    "behind a password": (saved(encryption=pikepdf.Encryption(user="u", owner="o")), "UPLOAD_LOCKED"),
    "its header too late": (b" " * 1020 + pdf(), "UPLOAD_CONTENT_WRONG"),
    "an archive too": (b"PK\x03\x04".ljust(200, b"\0") + pdf(), "UPLOAD_CONTENT_WRONG"),
    "a page of the web too": (b"<html><script>alert(1)</script>" + pdf(), "UPLOAD_CONTENT_WRONG"),
    "a picture": (SAMPLES[PNG], "UPLOAD_CONTENT_WRONG"),
}


@pytest.mark.parametrize("which", WHOLE)
def test_a_whole_pdf_is_taken_as_it_is(which: str) -> None:
    assert verdict(WHOLE[which], PDF) == TAKEN


@pytest.mark.parametrize("which", NOT_WHOLE)
def test_a_pdf_that_is_not_whole_is_refused(which: str) -> None:
    content, reason = NOT_WHOLE[which]
    assert verdict(content, PDF) == reason


def with_photo(taken: bytes, *, signature: str = "", packed: bool = False, **saving: Any) -> bytes:
    """A page that shows it. `signature`: where a PDF holds one."""
    with pikepdf.new() as document:
        page = document.add_blank_page()
        shown = document.make_stream(zlib.compress(taken) if packed else taken)
        shown.Filter = (
            pikepdf.Array([pikepdf.Name.FlateDecode, pikepdf.Name.DCTDecode]) if packed else pikepdf.Name.DCTDecode
        )
        shown.Type, shown.Subtype, shown.Width, shown.Height = pikepdf.Name.XObject, pikepdf.Name.Image, 40, 30
        shown.ColorSpace, shown.BitsPerComponent = pikepdf.Name.DeviceRGB, 8
        shown.Metadata = document.make_stream(REMARK.encode())
        page.obj.Resources = pikepdf.Dictionary(XObject=pikepdf.Dictionary(I=shown))
        page.obj.Contents = document.make_stream(b"/I Do")
        signed = pikepdf.Dictionary(Type=pikepdf.Name.Sig, ByteRange=pikepdf.Array([0, 1, 2, 3]))
        match signature:
            case "in a field":
                field = document.make_indirect(pikepdf.Dictionary(FT=pikepdf.Name.Sig, V=signed))
                document.Root.AcroForm = pikepdf.Dictionary(Fields=pikepdf.Array([field]))
            case "a time stamp":
                document.Root.Stamp = document.make_indirect(signed)
            case "said by a flag":
                document.Root.AcroForm = pikepdf.Dictionary(Fields=pikepdf.Array(), SigFlags=3)
            case "of who certified it":
                document.Root.Perms = pikepdf.Dictionary(DocMDP=pikepdf.Dictionary())
        written = io.BytesIO()
        document.save(written, **saving)
        return written.getvalue()


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"packed": True},
        {"encryption": pikepdf.Encryption(user="", owner="o")},
        {"object_stream_mode": pikepdf.ObjectStreamMode.generate, "linearize": True},
    ],
)
def test_a_photo_in_a_pdf_loses_its_place_and_is_the_same_picture(how: dict[str, Any]) -> None:
    sent = photo()
    made = kept(with_photo(sent, **how), PDF)
    with pikepdf.open(io.BytesIO(made)) as document:
        shown = document.pages[0].Resources.XObject.I
        left = shown.read_raw_bytes()
        assert "/Metadata" not in shown
        assert document.is_encrypted is ("encryption" in how)
    assert picture_of(left).tobytes() == picture_of(sent).tobytes()
    assert dict(picture_of(left).getexif()) == {}
    assert not any(word in left + made for word in (REMARK.encode(), "Máy của tôi".encode()))
    assert verdict(made, PDF) == TAKEN


@pytest.mark.parametrize("signature", ["in a field", "a time stamp", "said by a flag", "of who certified it"])
@pytest.mark.parametrize("objects", list(pikepdf.ObjectStreamMode))
def test_a_pdf_that_may_be_signed_is_not_touched(signature: str, objects: pikepdf.ObjectStreamMode) -> None:
    assert verdict(with_photo(photo(), signature=signature, object_stream_mode=objects), PDF) == TAKEN


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2000), st.binary(max_size=3)), max_size=3), st.integers(0, 2000))
def test_a_pdf_with_any_bytes_for_a_photo_is_still_a_pdf(wounds: list[tuple[int, bytes]], length: int) -> None:
    """A picture that cannot be read stays as it is."""
    bytes_ = bytearray(photo())
    for place, wound in wounds:
        bytes_[place : place + len(wound)] = wound
    assert verdict(with_photo(bytes(bytes_[:length])), PDF) in (TAKEN, TURNED)


def picture_of(content: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(content))
    picture.load()
    return picture


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
@pytest.mark.parametrize("more", [{}, {"progressive": True}, {"icc_profile": b"\0" * 200}])
def test_of_a_photo_the_picture_is_kept_and_how_it_is_turned(form: str, more: dict[str, Any]) -> None:
    sent = photo(form, **more)
    made = kept(sent, f"image/{form.lower()}")
    before, after = picture_of(sent), picture_of(made)
    assert after.tobytes() == before.tobytes()
    assert dict(after.getexif()) == {ORIENTATION: 6}
    assert after.info.get("icc_profile") == before.info.get("icc_profile")
    assert not any(word in made for word in (REMARK.encode(), "Máy của tôi".encode(), b"comment"))
    assert verdict(made, f"image/{form.lower()}") == TAKEN  # nothing is left to take away


def test_a_heic_is_kept_as_a_jpeg_without_its_place() -> None:
    made = kept(SAMPLES[HEIC], HEIC)
    assert (picture_of(made).format, picture_of(made).size, dict(picture_of(made).getexif())) == ("JPEG", (64, 48), {})
    assert verdict(made, JPEG) == TAKEN


@pytest.mark.parametrize(
    ("media_type", "hidden"),
    [(JPEG, b"PK\x03\x04 an archive"), (PNG, b"<script>alert(1)</script>"), (JPEG, SAMPLES[PDF])],
)
def test_nothing_hides_behind_a_picture(media_type: str, hidden: bytes) -> None:
    clean = kept(SAMPLES[media_type], media_type)
    assert kept(clean + hidden, media_type) == clean


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def bomb(width: int, height: int) -> bytes:
    """Some kilobytes that would be as large a picture."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress(b"\0" * min((3 * width + 1) * height, 10_000_000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("content", "media_type", "reason"),
    [
        (bomb(20_000, 20_000), PNG, "UPLOAD_PIXELS"),
        (bomb(2**31 - 1, 1), PNG, "UPLOAD_PIXELS"),
        (SAMPLES[JPEG].replace(struct.pack(">HH", 30, 40), struct.pack(">HH", 65_000, 65_000)), JPEG, "UPLOAD_PIXELS"),
        (bomb(4_000, 4_000), PNG, "UPLOAD_DAMAGED"),  # it ends before the picture does
        *((SAMPLES[each][:-40], each, "UPLOAD_DAMAGED") for each in (JPEG, PNG, HEIC, DXF)),
        *((SAMPLES[each][:9], each, "UPLOAD_DAMAGED") for each in (JPEG, PNG, DWG)),
        (SAMPLES[PNG].replace(b"IDAT", b"IDAt"), PNG, "UPLOAD_DAMAGED"),
        (dwg(b"AC1015")[:450], DWG, "UPLOAD_DAMAGED"),
        (dwg(b"AC1032")[:0x90], DWG, "UPLOAD_DAMAGED"),
        (dwg(b"AC9999"), DWG, "UPLOAD_CONTENT_WRONG"),
        (dxf().replace(b"ENTITIES", b"OBJECTS"), DXF, "UPLOAD_DAMAGED"),
        (signed_xml()[:-5], XML, "UPLOAD_DAMAGED"),
        (signed_xml().replace(b"3q2+7w==", b" "), XML, "UPLOAD_UNSIGNED"),
        (signed_xml().replace(b"2000/09/xmldsig", b"2000/09/other"), XML, "UPLOAD_UNSIGNED"),
        (signed_xml("&a;", '<!DOCTYPE a [<!ENTITY a SYSTEM "file:///etc/passwd">]>'), XML, "UPLOAD_CONTENT_WRONG"),
        (signed_xml("<a>" * 300 + "</a>" * 300), XML, "UPLOAD_DAMAGED"),
        (b"GIF89a" + bytes(50), PNG, "UPLOAD_CONTENT_WRONG"),
        (SAMPLES[PNG], JPEG, "UPLOAD_CONTENT_WRONG"),
    ],
)
def test_what_is_damaged_too_large_or_something_else_is_refused(content: bytes, media_type: str, reason: str) -> None:
    assert verdict(content, media_type) == reason


@pytest.mark.parametrize(
    ("content", "media_type"),
    [
        *((dwg(version), DWG) for version in (b"AC1012", b"AC1015", b"AC1018", b"AC1027", b"AC1032")),
        *((dxf(newline), DXF) for newline in ("\r\n", "\n", "\r")),
        (signed_xml(), XML),
        (b"\xef\xbb\xbf" + signed_xml(), XML),
        (signed_xml().decode().replace("UTF-8", "UTF-16").encode("utf-16"), XML),
    ],
)
def test_drawings_and_signed_xml_are_taken_as_they_are(content: bytes, media_type: str) -> None:
    assert verdict(content, media_type) == TAKEN


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_whatever_is_sent_has_a_verdict_and_what_is_kept_stays_so(data: st.DataObject) -> None:
    """Cut, changed, joined: never a failure, and never a picture that would be changed once more."""
    media_type = data.draw(st.sampled_from(sorted(SAMPLES)))
    content = bytearray(SAMPLES[media_type])
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(0, len(content)))
        match data.draw(st.sampled_from(["cut", "change", "put"])):
            case "cut":
                del content[at : at + data.draw(st.integers(0, 200))]
            case "change":
                content[at : at + 4] = data.draw(st.binary(min_size=4, max_size=4))
            case _:
                content[at:at] = data.draw(st.binary(max_size=40) | st.sampled_from([*SAMPLES.values()]))
    found = judged(bytes(content), media_type)
    if isinstance(found, Produced):
        assert verdict(found.content, found.answer["kept"]["media_type"]) == TAKEN


# Where it is done: in a process that can open nothing, and ends.


@pytest_asyncio.fixture
async def uploads(tmp_path: Path, keys: MemoryKeys) -> AsyncIterator[Uploads]:
    database = Database(f"sqlite:///{tmp_path}/uploads.db", "uploads", durable=True)
    made = Uploads(FolderBlobs(tmp_path / "blobs"), keys, database)
    yield made
    await made.close()
    await database.close()


@pytest.fixture
def keys() -> MemoryKeys:
    return MemoryKeys()


async def send(uploads: Uploads, owner: Owner, content: bytes, media_type: str) -> Any:
    """What is kept of it."""
    upload = await uploads.create(owner, media_type, len(content), hashlib.sha256(content).hexdigest())
    for start in range(0, len(content), LARGEST_CHUNK_BYTES):
        chunk = content[start : start + LARGEST_CHUNK_BYTES]
        upload = await uploads.add(owner, upload.upload_id, start, chunk)
    assert upload.complete
    return upload.kept


ME, OFFICIAL = Owner("citizen-1", "citizen-1"), Owner("official-1", "")


@pytest.mark.parametrize("owner", [ME, OFFICIAL])
async def test_every_kind_is_read_where_nothing_can_be_opened(
    uploads: Uploads, owner: Owner, keys: MemoryKeys, tmp_path: Path
) -> None:
    blobs = SealedBlobs(FolderBlobs(tmp_path / "blobs"), keys)
    for media_type, content in SAMPLES.items():
        sent, left = hashlib.sha256(content).hexdigest(), kept(content, media_type)
        file = await send(uploads, owner, content, media_type)
        expected = File(hashlib.sha256(left).hexdigest(), JPEG if media_type == HEIC else media_type, len(left))
        assert File(file.sha256, file.media_type, file.size) == expected
        # By either hash.
        assert await uploads.owned(owner, {sent}) == {sent: expected}
        assert await uploads.owned(owner, {file.sha256}) == {file.sha256: expected}
        await uploads.take(owner, "citizen-2", {sent})
        assert b"".join([piece async for piece in blobs.read("citizen-2", file.sha256)]) == left


LARGE: dict[str, tuple[Callable[[], bytes], str]] = {
    "the largest picture": (lambda: photo("PNG", (7_200, 7_200)), PNG),
    "a photo of 49 MiB in a document": (lambda: with_photo(photo()[:-2].ljust(49 << 20, b"\0") + b"\xff\xd9"), PDF),
    "a document of 50 MiB": (lambda: pdf("large", LARGEST_BYTES - 1000), PDF),
}


@pytest.mark.parametrize("which", LARGE)
async def test_what_is_large_is_taken(uploads: Uploads, which: str) -> None:
    make, media_type = LARGE[which]
    assert (await send(uploads, ME, make(), media_type)).media_type == media_type
