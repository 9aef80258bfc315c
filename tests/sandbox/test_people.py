from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stdnum.vn import mst

from gateway.sandbox import people
from services.chassis.text.names import same_name

indexes = st.integers(0, people.COUNT - 1)


@given(indexes)
@settings(max_examples=200)
def test_a_personal_number_tells_province_century_gender_and_year_and_gives_its_person_back(index: int) -> None:
    person = people.citizen(index)
    number = person.personal_number
    assert len(number) == 12
    assert number[:3] == "0" + person.place.province_code
    assert int(number[3]) == {1900: 0, 2000: 2}[person.birth_date.year // 100 * 100] + (person.gender == "female")
    assert number[4:6] == f"{person.birth_date:%y}"
    assert people.citizen_by_number(number) == person


@given(indexes)
@settings(max_examples=200)
def test_a_tax_code_is_valid_and_gives_its_organisation_back(index: int) -> None:
    organisation = people.organisation(index)
    assert mst.validate(organisation.tax_code) == organisation.tax_code
    assert people.organisation_by_tax_code(organisation.tax_code) == organisation


def test_a_sample_is_the_same_everywhere() -> None:
    person = people.citizen(0)
    assert (person.personal_number, person.place.province_code) == ("056303271828", "56")


def test_the_first_thousand_are_adults() -> None:
    eighteenth = [
        person.birth_date.replace(year=person.birth_date.year + 18, day=1)
        for person in map(people.citizen, range(1000))
    ]
    assert max(eighteenth) <= people.REFERENCE_DAY


@pytest.mark.parametrize("number", ["", "056090123456", "05609012345", "05609012345a", "٠٥٦٠٩٠١٢٣٤٥٦"])
def test_another_number_is_nobody(number: str) -> None:
    assert people.citizen_by_number(number) is None
    assert people.organisation_by_tax_code(number) is None


def test_names_compare_without_case_spacing_and_encoding_but_with_accents() -> None:
    assert same_name("Nguyễn  Văn An", "NGUYỄN VĂN AN")
    assert same_name("Nguye\u0302\u0303n Văn An", "Nguyễn Văn An")
    assert not same_name("Nguyễn Văn An", "Nguyen Van An")
