"""The page about notifications shows the table of the code."""

import re

from models.notifications import NotificationCategory, NotificationStatus
from services.notifications.policy import CONTACTS_A_WEEK, RINGS_A_DAY, RULES
from tests.docs.pages import ROOT

PAGE = (ROOT / "docs" / "notifications.md").read_text(encoding="utf-8")
SPOKEN = {"email": "e-mail", "push": "push", "sms": "SMS"}


def test_the_table_of_categories_is_the_one_of_the_code() -> None:
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| ([^|]+) \| ([^|]+) \| (\w+) \| (\w+) \|$", PAGE, re.MULTILINE)
    assert [row[0] for row in rows] == [category.value for category in NotificationCategory]
    for name, ways, limits, asleep, off in rows:
        rule = RULES[NotificationCategory(name)]
        assert ways == ", ".join(SPOKEN[channel.value] for channel in rule.order)
        assert (limits[0].isdigit()) == rule.limited
        assert (asleep == "sent", off == "no") == (rule.urgent, rule.mandatory)
    assert f"{RINGS_A_DAY} that ring a day, {CONTACTS_A_WEEK} a week" in PAGE


def test_every_status_is_explained() -> None:
    assert all(f"`{status.value}`" in PAGE for status in NotificationStatus)
