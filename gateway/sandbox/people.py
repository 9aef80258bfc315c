"""Sample persons and organisations, each derived from its index alone: the same on every machine, none of them real."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Literal

from stdnum.vn import mst

COUNT = 1_000_000
# index -> (index * MULTIPLIER + OFFSET) % COUNT is a permutation: neighbours get numbers that do not look alike.
MULTIPLIER, OFFSET = 387_421, 271_828
INVERSE = pow(MULTIPLIER, -1, COUNT)

SURNAMES = (
    *("Nguyễn",) * 8, *("Trần",) * 3, *("Lê",) * 2, "Phạm", "Huỳnh", "Hoàng", "Phan", "Vũ", "Võ", "Đặng", "Bùi", "Đỗ",
    "Hồ", "Ngô", "Dương", "Lý", "Cao", "Mai", "Đinh", "Trịnh", "Lương", "Chamaléa", "Pinăng",
)  # fmt: skip
MIDDLE = {
    "male": ("Văn", "Đức", "Minh", "Quang", "Hữu", "Công", "Quốc", "Thành", "Xuân", "Anh"),
    "female": ("Thị", "Ngọc", "Thu", "Thanh", "Kim", "Mỹ", "Phương", "Bích", "Diệu", "Khánh"),
}
GIVEN = {
    "male": ("An", "Bình", "Cường", "Dũng", "Hải", "Hiếu", "Hùng", "Khoa", "Long", "Nam", "Phúc", "Sơn", "Thắng"),
    "female": ("Anh", "Chi", "Dung", "Hà", "Hạnh", "Hương", "Lan", "Linh", "Mai", "Nga", "Nhung", "Trang", "Yến"),
}  # fmt: skip
TRADES = ("Thương mại", "Xây dựng", "Du lịch", "Vận tải", "Thủy sản", "Nông nghiệp", "Công nghệ", "Dịch vụ")
BRANDS = ("Biển Xanh", "Hòn Tằm", "Trầm Hương", "Sao Mai", "Đại Dương", "An Khang", "Tân Lập", "Yến Sào", "Phú Lộc")
STREETS = ("Lê Lợi", "Trần Phú", "Nguyễn Trãi", "Hùng Vương", "Quang Trung", "Lý Thường Kiệt", "Ngô Quyền")
# The first sample lives in Khánh Hòa, and so does every third person: most trials are of one province.
HOME_PROVINCE = "56"
# Everybody's age is reckoned to this day, so that a sample never changes.
REFERENCE_DAY = date(2026, 1, 1)


@dataclass(frozen=True, slots=True)
class Place:
    province_code: str
    province: str
    commune_code: str
    commune: str


@dataclass(frozen=True, slots=True)
class Citizen:
    index: int
    personal_number: str
    full_name: str
    birth_date: date
    gender: Literal["male", "female"]
    place: Place
    address: str
    marital_status: Literal["single", "married", "divorced", "widowed"]
    email: str
    phone: str
    level_of_assurance: int
    # Of the address; every fourth has none yet.
    place_code: str | None


@dataclass(frozen=True, slots=True)
class Organisation:
    index: int
    tax_code: str
    name: str
    representative: Citizen
    email: str


class _Draw:
    """Choices that depend on the index and on what is chosen, never on their order."""

    def __init__(self, kind: str, index: int) -> None:
        self._seed = f"{kind}:{index}"

    def below(self, what: str, limit: int) -> int:
        return int.from_bytes(hashlib.sha256(f"{self._seed}:{what}".encode()).digest()[:8], "big") % limit

    def one(self, what: str, options: tuple[str, ...]) -> str:
        return options[self.below(what, len(options))]


@cache
def _places() -> dict[str, tuple[Place, ...]]:
    document = json.loads((Path(__file__).parent / "places.json").read_text())
    return {
        province["code"]: tuple(
            Place(province["code"], province["name"], commune["code"], commune["name"])
            for commune in province["communes"]
        )
        for province in document
    }


def _place(draw_home: bool, province: int, commune: int) -> Place:
    codes = tuple(_places())
    communes = _places()[HOME_PROVINCE if draw_home else codes[province % len(codes)]]
    return communes[commune % len(communes)]


def citizen(index: int) -> Citizen:
    if not 0 <= index < COUNT:
        raise IndexError(index)
    draw = _Draw("citizen", index)
    gender: Literal["male", "female"] = "female" if draw.below("gender", 2) else "male"
    # The first thousand are adults: they are the ones that people log in as.
    youngest = 18 if index < 1000 else 0
    age_days = draw.below("age", (90 - youngest) * 365) + youngest * 366
    born = REFERENCE_DAY - timedelta(days=age_days)
    place = _place(index % 3 == 0, draw.below("province", 1 << 16), draw.below("commune", 1 << 16))
    name = f"{draw.one('surname', SURNAMES)} {draw.one('middle', MIDDLE[gender])} {draw.one('given', GIVEN[gender])}"
    # Province of birth registration, then century and gender (0 and 1: 20th; 2 and 3: 21st), year, six more digits.
    century = 2 * (born.year // 100 - 19) + (gender == "female")
    number = f"0{place.province_code}{century}{born.year % 100:02d}{(index * MULTIPLIER + OFFSET) % COUNT:06d}"
    slug = unaccented(name).replace(" ", ".")
    return Citizen(
        index,
        number,
        name,
        born,
        gender,
        place,
        f"{draw.below('house', 300) + 1} {draw.one('street', STREETS)}",
        _marital_status(draw, age_days // 365),
        f"{slug}.{index}@example.com",
        f"09{draw.below('phone', 100_000_000):08d}",
        1 if index % 10 == 9 else 2,
        None if index % 4 == 3 else f"{draw.below('place code', 10**12):012d}",
    )


def _marital_status(draw: _Draw, age: int) -> Literal["single", "married", "divorced", "widowed"]:
    if age < 20:
        return "single"
    roll = draw.below("marital", 100)
    if roll < (60 if age < 30 else 12):
        return "single"
    if roll < 90:
        return "married"
    return "widowed" if age > 60 else "divorced"


def organisation(index: int) -> Organisation:
    if not 0 <= index < COUNT:
        raise IndexError(index)
    draw = _Draw("organisation", index)
    name = f"Công ty TNHH {draw.one('trade', TRADES)} {draw.one('brand', BRANDS)} {index + 1}"
    head = f"42{(index * MULTIPLIER + OFFSET) % COUNT:06d}"
    # Some sequences have no check digit of one figure; the ninth digit is the first that gives one.
    tax_code = next(
        code for tail in "1234567890" if mst.is_valid(code := head + tail + mst.calc_check_digit(head + tail))
    )
    return Organisation(index, tax_code, name, citizen(index), f"office.{index}@example.com")


def citizen_by_number(number: str) -> Citizen | None:
    """The number's last six digits give the index back: no table is needed."""
    if len(number) != 12 or not (number.isascii() and number.isdigit()):
        return None
    found = citizen((int(number[6:]) - OFFSET) * INVERSE % COUNT)
    return found if found.personal_number == number else None


def organisation_by_tax_code(code: str) -> Organisation | None:
    if len(code) != 10 or not (code.isascii() and code.isdigit()):
        return None
    found = organisation((int(code[2:8]) - OFFSET) * INVERSE % COUNT)
    return found if found.tax_code == code else None


def unaccented(text: str) -> str:
    decomposed = unicodedata.normalize("NFD", text.lower().replace("đ", "d"))
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter))
