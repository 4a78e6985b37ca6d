"""The rules of every zone, found once for all tests of a process that ask."""

from collections.abc import Mapping
from functools import cache

from clinical.zones import ZoneRules, every_zone


@cache
def zone_rules() -> Mapping[str, ZoneRules]:
    """Give the rules by the zone's name; it takes a second."""
    return {each.name: each for each in every_zone()}
