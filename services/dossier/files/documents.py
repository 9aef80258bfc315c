"""PDFs."""

from __future__ import annotations

import io
from typing import Any

import pikepdf

from services.dossier.files import jpeg
from services.dossier.files.faults import FileFaulty, damaged
from services.dossier.files.judging import judged
from services.dossier.files.kinds import HEADER_WITHIN
from services.dossier.values import PDF

# ISO 32000-1, annex H, note 18: where readers look for the end.
END_WITHIN = 1024
# ISO 32000-1, 7.2.2. Programs fill their files up with them.
_BLANKS = b"\0\t\n\f\r "
MOST_PAGES = 10_000
# What a file that is two begins with; a printer's or a mail's leftovers before a header do not.
_BEGINS_OTHERS = (
    *(b"PK", b"MZ", b"\x7fELF", b"#!", b"Rar!", b"7z\xbc\xaf"),
    *(b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"<", b"\xef\xbb\xbf<"),
)


def judge(content: bytearray, media_type: str, sha256: str, largest: int) -> Any:
    return judged(_keep, content, media_type, sha256, largest)


def _keep(content: bytearray, media_type: str) -> tuple[bytes | bytearray, str]:
    return _checked(content) or content, media_type


def _checked(content: bytearray) -> bytes | None:
    """What is kept in its place; None where that is the content itself. Raises FileFaulty."""
    start = content.find(b"%PDF-", 0, HEADER_WITHIN)
    if start > 0 and bytes(content[:start]).lstrip().startswith(_BEGINS_OTHERS):
        raise FileFaulty("UPLOAD_CONTENT_WRONG", why="%PDF-")
    end = len(content.rstrip(_BLANKS))
    if content.rfind(b"%%EOF", max(0, end - END_WITHIN)) < 0:
        raise damaged(PDF)
    try:
        with pikepdf.open(io.BytesIO(memoryview(content)[:end]), suppress_warnings=True) as pdf:
            if not _is_whole(pdf):
                raise damaged(PDF)
            return _bare(pdf, content)
    except pikepdf.PasswordError:
        raise FileFaulty("UPLOAD_LOCKED") from None
    except (FileFaulty, MemoryError):
        raise
    except Exception:  # of whatever in it cannot be read
        raise damaged(PDF) from None


def _is_whole(pdf: pikepdf.Pdf) -> bool:
    """Raises FileFaulty for what is a whole PDF, and nothing to read."""
    stated = int(pdf.Root.Pages.Count)  # the library corrects it when it counts
    if (pages := len(pdf.pages)) != stated:
        return False
    if not 0 < pages <= MOST_PAGES:
        raise FileFaulty("UPLOAD_PAGES_WRONG", pages=str(pages), limit=str(MOST_PAGES))
    # Where its table did not lead to its objects they were looked for: none may lack.
    return all(_is_there(page.obj) for page in pdf.pages)


def _bare(pdf: pikepdf.Pdf, content: bytearray) -> bytes | None:
    """Without what devices wrote beside its photos; None where there is nothing of that, or where a signature would break."""
    if _is_signed(pdf, content):
        return None
    streams = [each for each in pdf.objects if isinstance(each, pikepdf.Stream)]
    pictures = [each for each in streams if each.get("/Subtype") == pikepdf.Name.Image]
    if not [picture for picture in pictures if _stripped(pdf, picture)]:
        return None
    kept = io.BytesIO()
    pdf.save(kept, encryption=pdf.is_encrypted, deterministic_id=not pdf.is_encrypted)
    return kept.getvalue()


def _is_signed(pdf: pikepdf.Pdf, content: bytearray) -> bool:
    """Or stamped with a time, or certified: ISO 32000-1, 12.7.2, 12.8.1 and 12.8.4. Rather once too often."""
    form = pdf.Root.get("/AcroForm")
    flagged = isinstance(form, pikepdf.Dictionary) and int(form.get("/SigFlags", 0)) & 1
    return bool(flagged) or b"/ByteRange" in content or "/Perms" in pdf.Root or any(map(_holds_signature, pdf.objects))


def _holds_signature(value: pikepdf.Object) -> bool:
    if not isinstance(value, pikepdf.Dictionary):
        return False
    return "/ByteRange" in value or (value.get("/FT") == pikepdf.Name.Sig and "/V" in value)


def _stripped(pdf: pikepdf.Pdf, picture: pikepdf.Stream) -> bool:
    """Whether anything was taken away."""
    described = "/Metadata" in picture
    if described:
        del picture.Metadata
    stated = picture.get("/Filter")
    filters = list(stated) if isinstance(stated, pikepdf.Array) else [stated]
    if filters[-1:] != [pikepdf.Name.DCTDecode]:
        return described
    raw = picture.read_raw_bytes()
    if len(filters) > 1:
        within = pdf.make_stream(raw)
        within.Filter = pikepdf.Array(filters[:-1])
        raw = within.read_bytes()
    try:
        bare = jpeg.bare(raw)
    except ValueError:  # readers may show it all the same
        return described
    if bare == raw:
        return described
    parameters = picture.get("/DecodeParms")
    last = parameters[-1] if isinstance(parameters, pikepdf.Array) and len(parameters) else parameters
    picture.write(
        bare, filter=pikepdf.Name.DCTDecode, decode_parms=last if isinstance(last, pikepdf.Dictionary) else None
    )
    return True


def _is_there(page: pikepdf.Object) -> bool:
    """The page and what is drawn on it."""
    contents = page.get("/Contents")
    if contents is None:
        return "/Contents" not in page.keys()  # noqa: SIM118 - a PDF's dictionary, of which a key may lead nowhere
    parts = list(contents) if isinstance(contents, pikepdf.Array) else [contents]
    return all(isinstance(part, pikepdf.Stream) and len(part.read_raw_bytes()) >= 0 for part in parts)
