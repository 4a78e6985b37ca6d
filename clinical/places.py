"""Places on earth where a patient may be: countries, and the states and provinces that license on their own."""

import re
from collections.abc import Mapping

from clinical.library import load
from core.errors import Invalid, Problem

_CODES = """
AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT
BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH
ER ES ET FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT
HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS
LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI
NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG
SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG
UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW
"""

COUNTRIES = frozenset(_CODES.split())
"""ISO 3166-1 alpha-2, the officially assigned codes."""

AUSTRALIA = ("ACT", "NSW", "NT", "QLD", "SA", "TAS", "VIC", "WA")
"""ISO 3166-2:AU without its prefix. Australia registers nationally; the state still tells whose health law counts."""

REGION = re.compile(r"[A-Z0-9]{1,3}")


class PlaceUnknown(Invalid):
    """This is not a country, or not one of its states or provinces."""


def regions() -> Mapping[str, tuple[str, ...]]:
    """Return the states and provinces of the countries in which one must be named."""
    book = load().identifiers
    return {"US": book.us_jurisdictions, "CA": book.ca_jurisdictions, "AU": AUSTRALIA}


def check_place(country: str, region: str | None) -> None:
    """Demand a country of the world and, where its parts have their own law, one of them. Raises PlaceUnknown."""
    if country not in COUNTRIES:
        raise PlaceUnknown(Problem("/country", "country_unknown", "Send an ISO 3166-1 alpha-2 code, such as DE."))
    parts = regions().get(country)
    if parts is not None and region is None:
        raise PlaceUnknown(Problem("/region", "region_missing", "In this country the state or province is needed."))
    if region is not None and (REGION.fullmatch(region) is None or (parts is not None and region not in parts)):
        raise PlaceUnknown(Problem("/region", "region_unknown", "Send the part of an ISO 3166-2 code after the dash."))
