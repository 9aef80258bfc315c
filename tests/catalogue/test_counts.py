from __future__ import annotations

from typing import Any

import pytest

from services.law.counts import counts
from tests.catalogue.samples import catalogue, form

PAGES = {"fields": {"sheets": {"en": "Sheets", "count": "page"}, "copies": {"en": "Copies", "count": "copy"}}}


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ({"sheets": 12, "copies": 2.0}, {"page": 12, "copy": 2}),
        ({"sheets": 3, "pages": 9}, {"page": 3}),
        ({"copies": 0, "sheets": "many"}, {}),
        ({}, {}),
    ],
)
def test_the_form_says_what_it_counts(answers: dict[str, Any], expected: dict[str, int]) -> None:
    assert counts(form(ui=PAGES), answers) == expected


def test_a_procedure_without_a_form_counts_nothing() -> None:
    assert counts(None, {"copies": 2}) == {}


def test_every_unit_of_a_sample_is_counted_by_its_form() -> None:
    for procedure in catalogue().procedures:
        charges = procedure.fee.charges if procedure.fee else ()
        units = {unit for charge in charges for unit in (charge.unit, charge.per) if unit}
        answers = dict.fromkeys(("pages", "copies"), 1)
        assert units <= set(counts(procedure.form, answers)), procedure.code
