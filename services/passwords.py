"""Which passwords are taken: long ones that are not on everybody's list (NIST SP 800-63B-4), and no other rules."""

import re
from itertools import pairwise

from core.crypto import normal
from core.errors import Invalid, Problem

SHORTEST = 15
"""Fewest characters, since there is no second factor."""
LONGEST = 128

# The commonest long passwords and what people make of a rule that asks for fifteen characters, in lower case.
_COMMON = """\
passwordpassword password12345678 password123456789 password1234567890 passwordpassword1 passwordpassword123
password123password mypassword123456 thisismypassword thisisapassword thisismypassword1 thisisapassword123
ilovemypassword changemechangeme changeme12345678 changemeplease123 letmeinletmein123 letmein1234567890
welcome123456789 welcomewelcome123 administrator123 administrator1234 administrator12345 adminadminadmin
qwertyuiopasdfg qwertyuiopasdfgh qwertyuiopasdfghj qwertyuiopasdfghjkl qwertyuiopasdfghjklzxcvbnm qwertyuiop12345
qwertyuiop123456 qwertyuiop1234567890 qwertyqwertyqwerty qwerty1234567890 1qaz2wsx3edc4rfv 1qaz2wsx3edc4rfv5tgb
1q2w3e4r5t6y7u8i 1q2w3e4r5t6y7u8i9o 1q2w3e4r5t6y7u8i9o0p q1w2e3r4t5y6u7i8 q1w2e3r4t5y6u7i8o9p0 zaq12wsxcde34rfv
asdfghjklqwertyuiop asdfghjkl123456 zxcvbnmasdfghjkl abcdefghijklmno abcdefghijklmnop abcdefghijklmnopqrstuvwxyz
abcdefg12345678 iloveyouiloveyou iloveyou12345678 iloveyousomuch1 iloveyouforever
123456789abcdef 0123456789abcdef 1234567890abcdef 1234567890qwerty 1234567890qwertyuiop 123456789987654321
12345678987654321 1234567890987654321 12345678910111213 1234567891011121314 123456789101112 098765432109876
princessprincess footballfootball baseballbaseball sunshinesunshine liverpoolfootballclub dragondragondragon
supermansuperman startrekstarwars maytheforcebewithyou correcthorsebatterystaple
physiotherapy123 physiotherapist physiotherapist1 physiotherapyphysiotherapy
physicaltherapy physicaltherapy1 physicaltherapist physicaltherapist1
"""
COMMON = frozenset(_COMMON.split())


class PasswordRefused(Invalid):
    """This password is not safe enough."""


def check(password: str, email: str, pointer: str = "/password") -> str:
    """Give the password as it is hashed (NFC), when it may be taken. Raises PasswordRefused."""
    password = normal(password)
    folded = password.casefold()
    problem = None
    if len(password) < SHORTEST:
        problem = ("password_short", f"Use at least {SHORTEST} characters; a short sentence is good")
    elif len(password) > LONGEST:
        problem = ("password_long", f"Use at most {LONGEST} characters")
    elif re.sub(r"[\s_.-]", "", folded) in COMMON or re.fullmatch(r"(.{1,6}?)\1+.{0,5}", folded) or _counts(folded):
        problem = ("password_common", "This is among the first that anybody would try")
    elif email.casefold() in folded or folded in email.casefold():
        problem = ("password_email", "The password may not be the e-mail address")
    if problem is not None:
        raise PasswordRefused(Problem(pointer, *problem))
    return password


def _counts(text: str) -> bool:
    """Tell whether the text only counts up or down, as 123456789012345 does."""
    if not text.isdecimal():
        return False
    return len({(int(after) - int(before)) % 10 for before, after in pairwise(text)}) == 1
