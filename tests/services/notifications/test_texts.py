"""The words of every message: no health data in any language, on any channel; a mistake in a file is named."""

import itertools
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import orjson
import pytest

from clinical.reading import BrokenFile
from integrations.web_push import WebPushMessage
from models.notifications import NotificationChannel, Platform
from services import letters
from services.notifications import Leased, Target, policy, texts
from tests.factories import TOKENS

URL = "https://app.example"
CLINIC = "Riverside"
CANARIES = ("Alice", "Moreau", "lumbar", "canary-complaint", "urgent_same_day", "RF07", "9/10")
PARAMETERS = {
    "invitation_id": str(UUID(int=3)),
    "seed": "00" * 32,
    "alert_id": str(UUID(int=9)),
    "name": "Alice Moreau",
    "complaint": "canary-complaint lumbar",
    "level": "urgent_same_day",
    "rule": "RF07",
    "pain": "9/10",
}
HEALTH = re.compile(
    r"pain|schmerz|dolor|douleur|dor\b|physio|fisio|kine|therap|terap|thérap|exerci|übung|ejercicio|red.?flag|injur|symptom",
    re.IGNORECASE,
)
TARGETS = (
    Target(UUID(int=5), Platform.ANDROID, token="token"),
    Target(UUID(int=6), Platform.WEB, endpoint="https://push.example", p256dh="key", auth="secret"),
)


def leased(template: str, language: str, channel: NotificationChannel) -> Leased:
    return Leased(
        id=UUID(int=1),
        clinic_id=UUID(int=2),
        template=template,
        parameters=PARAMETERS,
        address="+15005550006",
        clinic_name=CLINIC,
        attempts=1,
        channel=channel,
        category=policy.CATEGORIES[template],
        language=language,
        targets=TARGETS,
    )


def rendered(template: str, language: str) -> Iterator[tuple[str, str]]:
    """Give what a message says, channel by channel; of a push all that leaves the house."""
    letter = letters.write(
        leased(template, language, NotificationChannel.EMAIL), "a@b.example", url=URL, key=TOKENS.key
    )
    yield "email", letter.subject + "\n" + letter.text
    if template == "invitation":
        return
    yield "sms", letters.text_message(leased(template, language, NotificationChannel.SMS), "+15005550006", url=URL).text
    for _, message in letters.push_messages(leased(template, language, NotificationChannel.PUSH)):
        if isinstance(message, WebPushMessage):
            yield "web_push", message.content.decode()
        else:
            yield "fcm", orjson.dumps([message.title, message.text, dict(message.data)]).decode()


EVERY = list(itertools.product(sorted(policy.CATEGORIES), sorted(texts.languages())))


@pytest.mark.parametrize(("template", "language"), EVERY)
def test_no_message_holds_anything_about_anybody(template: str, language: str) -> None:
    for channel, said in rendered(template, language):
        for canary in CANARIES:
            assert canary not in said, channel
        assert str(UUID(int=9)) not in said, channel
        assert not HEALTH.search(re.sub(r"physio_in_\S+", "", said)), (channel, said)
        assert "$" not in said, channel
        if channel in {"fcm", "web_push"}:
            assert CLINIC not in said, "a locked screen tells nobody where its owner is a patient"
            assert URL not in said


@pytest.mark.parametrize(("template", "language"), EVERY)
def test_only_the_clinic_the_apps_address_and_the_code_are_filled_in(template: str, language: str) -> None:
    _, words = texts.wording(template, language)
    forms = [words.email.subject, words.email.text, words.sms or ""]
    forms += [words.push.title, words.push.text] if words.push else []
    found = set(re.findall(r"\$\{?(\w+)", " ".join(forms)))
    assert found <= {"clinic", "link", "code"}
    assert ("code" in found) == (template == "invitation")


@pytest.mark.parametrize(("template", "language"), [pair for pair in EVERY if pair[0] != "invitation"])
def test_a_text_message_goes_in_one_piece_also_for_a_clinic_with_a_long_name(template: str, language: str) -> None:
    long = replace(
        leased(template, language, NotificationChannel.SMS),
        clinic_name="Łódź Ærø Clinic of Spine, Knee and Everything 漢",
    )
    text = letters.text_message(long, "+15005550006", url=URL).text
    assert texts.segments(text) == 1, text
    assert "Lódz" not in text


def test_pieces_of_a_text_message_are_counted_as_networks_do() -> None:
    assert [texts.segments("a" * size) for size in (1, 160, 161, 306, 307)] == [1, 1, 2, 2, 3]
    assert [texts.segments("€" * size) for size in (80, 81)] == [1, 2], "an extended character counts twice"
    assert [texts.segments("ş" * size) for size in (70, 71, 134, 135)] == [1, 2, 2, 3]
    assert [texts.segments("🦴" * size) for size in (35, 36)] == [1, 2]
    assert texts.plain("Łódź Ærø 漢 é€") == ".odz Ærø . é€"


def test_a_language_that_we_do_not_speak_falls_back() -> None:
    assert texts.wording("check_in_open", "pt-BR")[0].language == "pt"
    assert texts.wording("check_in_open", "it")[0].language == "en"
    assert texts.wording("check_in_open", None)[0].language == "en"
    assert texts.shown("check_in_open", "de").title == "Ein neuer Check-in wartet"
    assert texts.shown("invitation", "en").title.startswith("You are invited")
    assert texts.shown("of_a_newer_version", "en").title == "Something is waiting for you"


def test_what_cannot_be_written_says_why() -> None:
    strange = replace(leased("alert_raised", "en", NotificationChannel.EMAIL), template="strange")
    with pytest.raises(letters.Unwritable, match="no_template"):
        letters.write(strange, "a@b.example", url=URL, key=TOKENS.key)
    with pytest.raises(letters.Unwritable, match="no_form"):
        letters.text_message(leased("invitation", "en", NotificationChannel.SMS), "+15005550006", url=URL)
    with pytest.raises(letters.Unwritable, match="no_form"):
        list(letters.push_messages(leased("invitation", "en", NotificationChannel.PUSH)))


ENGLISH = (Path(texts.__file__).parent / "templates" / "en.yaml").read_text(encoding="utf-8")


SMS = '    sms: "$clinic: you have a new check-in. $link Reply STOP to end messages."\n'


@pytest.mark.parametrize(
    ("old", "new", "where", "reason"),
    [
        ("you have a new check-in. $link", "you have $complaint. $link", "$complaint", "placeholder $complaint"),
        ('push: {title: "You have a new', 'push: {title: "You, $clinic', "You, $clinic", "placeholder $clinic"),
        ("$clinic: you have a new check-in.", "$clinic: vous êtes attendu.", "êtes", "ê"),
        ("you have a new check-in. $link", "and more " * 10 + "$link", "and more", "too long"),
        ("  alert_raised:", "  alert_rised:", "messages:", "alert_raised is missing"),
        (SMS, "", "  check_in_open:", "sms and push"),
        ("language: en", "language: xx", "language: xx", "named after its language"),
        (
            "  alert_raised:",
            "  strange:\n    email: {subject: a, text: b}\n  alert_raised:",
            "  strange:",
            "nobody owes",
        ),
        ('subject: "Something new', 'subjekt: "Something new', "subjekt:", "subjekt"),
        ("$clinic\n  $link", "$clinic\n  $100", "footer:", "placeholder $"),
    ],
)
def test_a_mistake_in_a_file_stops_the_start_and_is_named(
    old: str, new: str, where: str, reason: str, tmp_path: Path
) -> None:
    assert old in ENGLISH
    changed = ENGLISH.replace(old, new, 1)
    (tmp_path / "en.yaml").write_text(changed, encoding="utf-8")
    with pytest.raises(BrokenFile) as broken:
        texts.load_from(tmp_path)
    assert broken.value.name == "en.yaml"
    assert reason in broken.value.reason
    assert broken.value.line == changed[: changed.index(where)].count("\n") + 1
