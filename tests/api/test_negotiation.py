import pytest

from api.errors import NotAcceptable
from api.negotiation import JSON, PDF, PNG, SVG, VEGA_LITE, choose

CHARTS = [VEGA_LITE, JSON, SVG, PNG]


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("*/*", VEGA_LITE),
        ("application/json", JSON),
        ("application/*", VEGA_LITE),
        ("image/*", SVG),
        ("image/png", PNG),
        ("IMAGE/PNG ; Q=0.9, image/svg+xml;q=0.5", PNG),
        ("image/png;q=0.2, image/svg+xml;q=0.5", SVG),
        ("text/html, image/png;q=0.9, */*;q=0.1", PNG),
        ("image/*, image/svg+xml;q=0", PNG),
        ("*/*;q=0.5, application/*;q=0", SVG),
        ("image/png;level=1;q=1", PNG),
        ("image/png, , ", PNG),
    ],
)
def test_the_liked_best_is_chosen_and_of_equals_the_first_offered(accept: str, chosen: str) -> None:
    assert choose(accept, CHARTS) == chosen


@pytest.mark.parametrize(
    "accept", ["text/html", "image/png;q=0", "image/png;q=x", "image/png;q=2", "image/png;q=nan", ",", "\x00;;q==", "*"]
)
def test_what_fits_nothing_is_not_acceptable(accept: str) -> None:
    with pytest.raises(NotAcceptable):
        choose(accept, CHARTS)


def test_a_browser_gets_json_rather_than_a_file() -> None:
    assert choose("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", [JSON, PDF]) == JSON
