import json
from typing import Any

import pytest

from core.errors import NotFound
from dev.pictures import sample_progress
from schemas.progress import ChartName, Point, Progress
from services import charts
from services.documents import pictures


def without_data(progress: Progress) -> Progress:
    def empty(series: Any) -> Any:
        return series.model_copy(update={"points": [Point(on=point.on, value=None) for point in series.points]})

    return progress.model_copy(
        update={
            "pain": progress.pain.model_copy(
                update={"now": empty(progress.pain.now), "worst_24h": empty(progress.pain.worst_24h)}
            ),
            "function": empty(progress.function),
            "sessions": [],
            "outcomes": [],
            "flares": [],
        }
    )


def outcome(progress: Progress, index: int = 0, **changes: Any) -> Progress:
    series = progress.outcomes[index].model_copy(update=changes)
    return progress.model_copy(update={"outcomes": [series]})


@pytest.mark.parametrize("name", ChartName)
def test_every_chart_is_drawn_the_same_every_time(name: ChartName) -> None:
    spec = charts.spec(name, sample_progress())

    drawing = pictures.svg(spec)

    assert drawing.startswith("<svg")
    assert pictures.svg(charts.spec(name, sample_progress())) == drawing
    assert pictures.png(spec, 1) == pictures.png(spec, 1)


@pytest.mark.parametrize("name", ChartName)
def test_a_specification_is_plain_json_with_its_data_inline_and_says_in_words_what_it_shows(
    name: ChartName,
) -> None:
    spec = charts.spec(name, sample_progress())

    text = json.dumps(spec, allow_nan=False)

    assert '"url"' not in text
    assert spec["description"]
    assert spec["title"]
    assert "vega-lite/v6" in spec["$schema"]


def test_the_words_of_the_pain_chart_say_where_pain_began_and_ended_and_what_is_missing() -> None:
    words = charts.spec(ChartName.PAIN, sample_progress())["description"]

    assert "6 on 2026-10-05, 3 on 2026-11-01, lowest 2, highest 8; answered 25 of 28 times" in words
    assert "Flare-ups: 1." in words


def test_a_day_without_an_answer_breaks_the_line_instead_of_being_bridged() -> None:
    drawing = pictures.svg(charts.spec(ChartName.FUNCTION, without_flares(sample_progress())))

    line = next(path for path in drawing.split("<path") if "line mark" in path and "stroke-width" in path)

    assert line.count("M") == 3  # four days, then ten, then the rest: two gaps


def without_flares(progress: Progress) -> Progress:
    return progress.model_copy(update={"flares": []})


def test_the_axis_spans_the_whole_period_even_where_answers_are_missing_at_its_ends() -> None:
    spec = charts.spec(ChartName.FUNCTION, without_flares(sample_progress()))

    scale = spec["layer"][0]["encoding"]["x"]["scale"]

    assert scale == {"type": "utc", "domain": [1_791_158_400_000, 1_793_491_200_000], "nice": False}


@pytest.mark.parametrize("name", [ChartName.PAIN, ChartName.FUNCTION, ChartName.ADHERENCE])
def test_a_chart_of_nothing_says_that_there_is_nothing(name: ChartName) -> None:
    spec = charts.spec(name, without_data(sample_progress()))

    drawing = pictures.svg(spec)

    assert "No answers in this period" in drawing or "Nothing was scheduled" in drawing
    assert "no answers" in spec["description"] or "nothing was scheduled" in spec["description"]


def test_axes_say_their_unit_and_which_end_is_better() -> None:
    drawing = pictures.svg(charts.spec(ChartName.OUTCOMES, sample_progress(), instrument="psfs"))

    assert "Score (0-10, higher is better)" in drawing


def test_the_baseline_and_an_important_change_are_drawn_and_told() -> None:
    spec = charts.spec(ChartName.OUTCOMES, sample_progress(), instrument="rmdq24")

    drawing = pictures.svg(spec)

    assert "Baseline 14" in drawing
    assert "Important change 9" in drawing
    assert "An important change from the baseline of 14 is 9." in spec["description"]


def test_an_important_change_upwards_lies_above_the_baseline() -> None:
    assert "Important change 5.3" in pictures.svg(charts.spec(ChartName.OUTCOMES, sample_progress(), instrument="psfs"))


def test_a_threshold_known_only_in_percent_is_taken_from_the_baseline() -> None:
    progress = outcome(sample_progress(), mic_points=None, mic_percent=30)

    assert "Important change 9.8" in pictures.svg(charts.spec(ChartName.OUTCOMES, progress))


@pytest.mark.parametrize(
    "changes",
    [
        {"mic_points": None, "mic_percent": None},  # no threshold is known
        {"mic_points": 15},  # beyond the end of the scale
    ],
)
def test_no_threshold_is_drawn_where_there_is_none_to_reach(changes: dict[str, Any]) -> None:
    drawing = pictures.svg(charts.spec(ChartName.OUTCOMES, outcome(sample_progress(), **changes)))

    assert "Baseline 14" in drawing
    assert "Important change" not in drawing


def test_a_first_score_has_no_change_and_an_instrument_without_ends_fits_its_scores() -> None:
    point = sample_progress().outcomes[0].points[:1]
    progress = outcome(sample_progress(), change=None, points=point, minimum=None, maximum=None, unit="")

    spec = charts.spec(ChartName.OUTCOMES, progress)

    assert "Baseline" not in pictures.svg(spec)
    assert "answered 1 of 1 time." in spec["description"]
    assert "(lower is better)" in spec["description"]


def test_an_instrument_that_was_never_taken_has_no_chart() -> None:
    with pytest.raises(NotFound):
        charts.spec(ChartName.OUTCOMES, sample_progress(), instrument="odi")
    with pytest.raises(NotFound):
        charts.spec(ChartName.OUTCOMES, without_data(sample_progress()))


def test_an_instruments_name_is_text_in_the_drawing_and_never_markup() -> None:
    progress = outcome(sample_progress(), name="</text><script>alert(1)</script>")

    drawing = pictures.svg(charts.spec(ChartName.OUTCOMES, progress))

    assert "<script>" not in drawing
    assert "&lt;script&gt;" in drawing


@pytest.mark.parametrize(("width", "height"), [(119, 300), (300, 1_601), (10**9, 10**9)])
def test_sizes_are_bounded(width: int, height: int) -> None:
    with pytest.raises(ValueError, match="pixels wide and high"):
        charts.spec(ChartName.PAIN, sample_progress(), width=width, height=height)


@pytest.mark.parametrize("scale", [0, -1, 4.1, float("inf"), float("nan")])
def test_scales_of_pictures_are_bounded(scale: float) -> None:
    with pytest.raises(ValueError, match="scale"):
        pictures.png(charts.spec(ChartName.PAIN, sample_progress()), scale)


def test_a_specification_that_asks_for_data_from_elsewhere_gets_none() -> None:
    spec = {"data": {"url": "http://127.0.0.1:9/data.json"}, "mark": "bar", "encoding": {"x": {"field": "a"}}}

    with pytest.raises(ValueError, match="allowed"):
        pictures.svg(spec)
