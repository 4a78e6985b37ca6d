import pytest

from api.errors import NotAcceptable
from api.negotiation import JSON, MOST_LANGUAGES, PDF, PNG, SVG, VEGA_LITE, choose, languages

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


@pytest.mark.parametrize(
    ("accepted", "wanted"),
    [
        ("", []),
        ("*", []),
        ("de", ["de"]),
        ("en;q=0.5, DE-at, zh-hans-cn;q=0.7", ["de-AT", "zh-Hans-CN", "en"]),
        ("fr;q=0, de;q=0.8, en;q=0.8", ["de", "en"]),
        ("de;q=0.9, *;q=0.5, en;q=0.1", ["de"]),
        ("de, de, nonsense-, \x00;;q==, en;q=2, en;q=x", ["de"]),
    ],
)
def test_languages_are_heard_in_the_order_of_their_weights(accepted: str, wanted: list[str]) -> None:
    assert languages(accepted) == tuple(wanted)


def test_a_long_list_of_languages_is_cut() -> None:
    many = ",".join(f"{first}{second}" for first in "abcdefgh" for second in "xyz")
    assert len(languages(many)) == MOST_LANGUAGES
