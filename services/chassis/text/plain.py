"""What others wrote, as text that no mail program and no telephone makes a link of; and what a name may be.

Who inserts such a value into a letter of the state's does it through here, so that the letter's links are the state's alone.
"""

from __future__ import annotations

import re
import unicodedata

# As letters and signs that look the same and are read the same: full width, other full stops, slashes, colons.
_FOLDED = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {
    **dict.fromkeys(map(ord, "。｡․﹒"), "."),
    **dict.fromkeys(map(ord, "⁄∕"), "/"),
    **dict.fromkeys(map(ord, "∶︓﹕꞉"), ":"),
    **dict.fromkeys(map(ord, "﹫"), "@"),
    **dict.fromkeys(map(ord, "﹨⧵∖"), "\\"),
}
# Control, format (direction, zero width), surrogates, private, unassigned.
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})
# Letters and marks that nothing is seen of: fillers, joiners, variation selectors.
_UNSEEN = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\uffa0\ufe00-\ufe0f\U000e0100-\U000e01ef]")

_WORD = r"[^\W\d_]"
# From the word's beginning only, so that what is no scheme is read once.
_SCHEME = re.compile(r"(?<![\w+.\-])([\w+.\-]+):(?=(\S))")
_WWW = re.compile(r"(?i)(?<!\w)(www\d{0,3}\.)(?=\S)")
# With whatever is written after it, an address.
_BEGUN = re.compile(r"(?i)(?:[\w+.\-]:|(?<!\w)www\d{0,3}\.)$")
# A full stop before a word of two letters or more, as before a top-level domain.
_DOMAIN = re.compile(rf"(?<=\S)\.(?=[\u0300-\u036f]*{_WORD}[\w\-\u0300-\u036f])")
_OCTET = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_IPV4 = re.compile(rf"(?<![\d.]){_OCTET}(?:\.{_OCTET}){{3}}(?!\d|\.\d)")
_AT = re.compile(r" ?@ ?")
_SHARE = re.compile(r"\\{2,}")
_DATE = re.compile(r"\d{1,2}([.\-])\d{1,2}\1\d{4}")
# Not what follows in a number, as in 1.000.000.000.
_TELEPHONE = re.compile(
    "(?<!\\w)(?<!\\d[.,])(?:(?:\\+|0)[\\d .()\\[\\]~\u2010-\u2015\u2212\\-]{5,}\\d"
    "|1[89]00(?:[ .\\-]?\\d){4,6}(?!\\d)|84(?:[ \\-]?\\d){9}(?!\\d))"
)
_FEWEST_DIGITS = 8
_PERSONAL_NUMBER = re.compile(r"\d{12}")

# Marks on one letter beyond which no language goes (Stream-Safe Text, UAX #15, 13): to sort more takes the square of their number.
_MOST_MARKS = 30
# Of a procedure, the longest.
LONGEST_NAME = 1_000
LONGEST_PERSON = 200

# Of a person's name beside letters and their marks.
_PERSON = frozenset(" '’ʼ‘-‐.,·()")


def plain(text: str) -> str:
    """On one line."""
    return _harmless(" ".join(seen(text).split()))


def inserted(text: str) -> str:
    """The same where a text of ours goes on after it: its full stop must not make an address of `https:`."""
    line = plain(text)
    return f"{line} " if _BEGUN.search(line) else line


def quoted(text: str) -> str:
    """Prose, line by line, each with the sign of a quotation before it (RFC 3676, 4.5)."""
    lines = [plain(line) for line in re.split(r"\r\n|[\n\r\x0b\x0c\x85\u2028\u2029]", text)]
    while lines and not lines[-1]:
        lines.pop()
    return "\n".join(f"> {line}".rstrip() for line in lines)


def seen(text: str) -> str:
    """Only what a reader sees: blanks are blanks, and what hides or turns letters is gone."""
    normal = composed(text).translate(_FOLDED)
    blank = "".join(" " if letter.isspace() else letter for letter in _UNSEEN.sub("", normal))
    # Circled and squared letters, which addresses take for what is in them.
    blank = "".join(unicodedata.normalize("NFKC", c) if unicodedata.category(c) == "So" else c for c in blank)
    # Again: what stood between a letter and its mark is gone.
    return composed("".join(c for c in blank if unicodedata.category(c) not in _HIDDEN))


def unseen(text: str) -> str:
    """The first letter in it that nobody sees, but for tabs and the ends of lines; empty if there is none."""
    if text.isascii() and text.isprintable():
        return ""
    return next((c for c in text if c not in "\t\n\r" and (unicodedata.category(c) in _HIDDEN or _UNSEEN.match(c))), "")


def composed(text: str) -> str:
    """In NFC, less what no reader could tell apart."""
    if text.isascii():
        return text
    kept, marks = [], 0
    for letter in text:
        marks = marks + 1 if unicodedata.combining(letter) else 0
        if marks <= _MOST_MARKS:
            kept.append(letter)
    return unicodedata.normalize("NFC", "".join(kept))


def name_fault(text: str, *, person: bool = False) -> tuple[str, str] | None:
    """What keeps it from being the name of a person, an organisation or a thing: in Vietnamese and English."""
    longest = LONGEST_PERSON if person else LONGEST_NAME
    if len(text) > longest:
        return f"Tên dài quá {longest} ký tự.", f"A name has {longest} characters at most."
    if any(letter.isspace() and letter != " " for letter in text):
        return "Tên phải viết trên một dòng.", "A name is one line."
    if seen(text) != composed(text) or composed(text) != unicodedata.normalize("NFC", text):
        return "Tên có ký tự ẩn hoặc ký tự khác thường.", "It has hidden letters, or unusual forms of them."
    if not any(unicodedata.category(letter).startswith("L") for letter in text):
        return "Tên phải có chữ cái.", "A name has letters."
    if "@" in text or plain(text) != " ".join(seen(text).split()):
        return (
            "Tên không được chứa địa chỉ mạng, thư điện tử hay số điện thoại; sau dấu chấm hãy để một dấu cách.",
            "A name holds no web or e-mail address and no telephone number; write a blank after a full stop.",
        )
    if person and not all(letter in _PERSON or unicodedata.category(letter)[0] in "LM" for letter in text):
        return (
            "Tên người chỉ có chữ cái, dấu cách, dấu nháy và dấu gạch nối.",
            "A person's name has letters, blanks, apostrophes and hyphens only.",
        )
    return None


def _harmless(text: str) -> str:
    text = _SHARE.sub(r"\\", text)
    text = _AT.sub(" @ ", text)
    text = _SCHEME.sub(
        lambda found: found[0] if found[1].isdecimal() and found[2].isdecimal() else f"{found[1]}: ", text
    )
    text = _WWW.sub(r"\1 ", text)
    text = _IPV4.sub(lambda found: found[0].replace(".", ". "), text)
    text = _DOMAIN.sub(". ", text)
    text = _TELEPHONE.sub(_grouped, text)
    return text.strip()


def _grouped(found: re.Match[str]) -> str:
    digits = re.sub(r"\D", "", found[0])
    if len(digits) < _FEWEST_DIGITS or _DATE.fullmatch(found[0]) or _PERSONAL_NUMBER.fullmatch(found[0]):
        return found[0]
    plus = "+" if found[0].startswith("+") else ""
    return plus + "·".join(digits[start : start + 3] for start in range(0, len(digits), 3))
