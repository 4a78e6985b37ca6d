"""How charts are drawn; loaded by the drawing process only."""

from typing import TYPE_CHECKING

import vl_convert

if TYPE_CHECKING:
    from services.charts import Spec

VEGA_LITE = "6.4"
"""The Vega-Lite release that draws; specifications also work with release 5."""

LARGEST_SCALE = 4.0
"""The most a PNG is enlarged."""


def svg(spec: "Spec") -> str:
    """Draw a specification as SVG. Takes some 25 ms."""
    return vl_convert.vegalite_to_svg(
        spec, vl_version=VEGA_LITE, allowed_base_urls=[], format_locale="en-US", time_format_locale="en-US"
    )


def png(spec: "Spec", scale: float = 2.0) -> bytes:
    """Draw a specification as PNG, `scale` pixels (more than 0, at most 4) for one of the specification's.

    Raises ValueError for another scale.
    """
    if not 0 < scale <= LARGEST_SCALE:
        raise ValueError(f"The scale lies above 0 and at most at {LARGEST_SCALE}")
    return vl_convert.vegalite_to_png(
        spec, vl_version=VEGA_LITE, scale=scale, allowed_base_urls=[], format_locale="en-US", time_format_locale="en-US"
    )
