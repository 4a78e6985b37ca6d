"""Places where a patient may be."""

import pytest

from clinical.places import COUNTRIES, PlaceUnknown, check_place
from core.errors import Invalid


def test_all_249_countries_are_known() -> None:
    assert len(COUNTRIES) == 249


@pytest.mark.parametrize(
    ("country", "region"), [("DE", None), ("DE", "BY"), ("US", "CA"), ("CA", "ON"), ("AU", "NSW"), ("FR", "75")]
)
def test_a_real_place_passes(country: str, region: str | None) -> None:
    check_place(country, region)


@pytest.mark.parametrize(
    ("country", "region", "pointer", "code"),
    [
        ("XX", None, "/country", "country_unknown"),
        ("UK", None, "/country", "country_unknown"),
        ("US", None, "/region", "region_missing"),
        ("AU", None, "/region", "region_missing"),
        ("US", "ON", "/region", "region_unknown"),
        ("DE", "bavaria", "/region", "region_unknown"),
    ],
)
def test_a_place_that_is_none_is_refused_with_its_field(
    country: str, region: str | None, pointer: str, code: str
) -> None:
    with pytest.raises(PlaceUnknown) as refusal:
        check_place(country, region)
    assert isinstance(refusal.value, Invalid)
    assert [(each.pointer, each.code) for each in refusal.value.problems] == [(pointer, code)]
