"""PDFs."""

from __future__ import annotations

import io
from typing import Any

import pikepdf

from services.dossier.files.faults import Faulty, damaged
from services.dossier.files.judging import judged
from services.dossier.files.kinds import HEADER_WITHIN, PDF

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


def _keep(content: bytearray, media_type: str) -> tuple[bytearray, str]:
    _check(content)
    return content, media_type


def _check(content: bytearray) -> None:
    """Raises Faulty."""
    start = content.find(b"%PDF-", 0, HEADER_WITHIN)
    if start > 0 and bytes(content[:start]).lstrip().startswith(_BEGINS_OTHERS):
        raise Faulty("UPLOAD_CONTENT_WRONG", why="%PDF-")
    end = len(content.rstrip(_BLANKS))
    if content.rfind(b"%%EOF", max(0, end - END_WITHIN)) < 0:
        raise damaged(PDF)
    if not _opens(memoryview(content)[:end]):
        raise damaged(PDF)


def _opens(content: memoryview) -> bool:
    """Raises Faulty for what is a whole PDF, and nothing to read."""
    try:
        with pikepdf.open(io.BytesIO(content), suppress_warnings=True) as pdf:
            stated = int(pdf.Root.Pages.Count)  # the library corrects it when it counts
            if (pages := len(pdf.pages)) != stated:
                return False
            if not 0 < pages <= MOST_PAGES:
                raise Faulty("UPLOAD_PAGES_WRONG", pages=str(pages), limit=str(MOST_PAGES))
            # Where its table did not lead to its objects they were looked for: none may lack.
            return all(_is_there(page.obj) for page in pdf.pages)
    except pikepdf.PasswordError:
        raise Faulty("UPLOAD_LOCKED") from None
    except (Faulty, MemoryError):
        raise
    except Exception:  # of whatever in it cannot be read
        return False


def _is_there(page: pikepdf.Object) -> bool:
    """The page and what is drawn on it."""
    contents = page.get("/Contents")
    if contents is None:
        return "/Contents" not in page.keys()  # noqa: SIM118 - a PDF's dictionary, of which a key may lead nowhere
    parts = list(contents) if isinstance(contents, pikepdf.Array) else [contents]
    return all(isinstance(part, pikepdf.Stream) and len(part.read_raw_bytes()) >= 0 for part in parts)
