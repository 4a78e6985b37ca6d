"""Rounding as clinicians do it: half up, away from zero, on the stated decimals."""

from decimal import Decimal
from fractions import Fraction
from math import floor

Number = int | Decimal


def half_up(value: Fraction | Number, decimals: int = 0) -> Decimal:
    """`value` on `decimals` places, computed exactly; 0.25 becomes 0.3 and -0.25 becomes -0.3."""
    exact = Fraction(value)
    scaled = floor(abs(exact) * 10**decimals + Fraction(1, 2))
    return Decimal(-scaled if exact < 0 else scaled).scaleb(-decimals)


def percent(part: Fraction | Number, whole: Fraction | Number) -> Decimal | None:
    """`part` of `whole` in percent with one decimal; None when there is no whole."""
    return half_up(Fraction(part) / Fraction(whole) * 100, 1) if whole else None
