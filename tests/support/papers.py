"""A PDF as people send them, small and whole. Others are in files.py, which needs what makes them."""

from __future__ import annotations


def pdf(text: str = "", size: int = 0) -> bytes:
    """One empty page; the text is a remark in it. At least of this size."""
    body, places = b"%PDF-1.7\n", []
    remark = (b"% " + text.encode().replace(b"\n", b" ")).ljust(size, b" ") + b"\n"
    objects = (
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]>>",
    )
    body += remark
    for number, content in enumerate(objects, 1):
        places.append(len(body))
        body += b"%d 0 obj%s\nendobj\n" % (number, content)
    rows = b"".join(b"%010d 00000 n \n" % place for place in places)
    end = b"xref\n0 4\n0000000000 65535 f \n" + rows + b"trailer<</Size 4/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n"
    return body + end % len(body)
