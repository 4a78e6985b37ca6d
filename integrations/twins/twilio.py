"""Twilio on this machine: creates messages, refuses as documented, signs receipts and what people write back.

The numbers that fail are Twilio's own test numbers (https://www.twilio.com/docs/iam/test-credentials).
"""

import base64
import re
from collections.abc import Mapping
from types import MappingProxyType

from integrations.sms import signature
from integrations.twins.server import Reply, Request, Twin, json_reply

FAILING: Mapping[str, int] = MappingProxyType(
    {
        "+15005550001": 21211,  # invalid
        "+15005550002": 21612,  # no route
        "+15005550003": 21408,  # region not allowed
        "+15005550004": 21610,  # has answered STOP
        "+15005550009": 21614,  # not a mobile number
    }
)


class TwilioTwin(Twin):
    """One account."""

    def __init__(self, account_sid: str, auth_token: str) -> None:
        super().__init__()
        self._sid, self._token = account_sid, auth_token

    def handle(self, request: Request) -> Reply:
        """Create a message."""
        right = base64.b64encode(f"{self._sid}:{self._token}".encode()).decode()
        if request.headers.get("authorization") != f"Basic {right}":
            return _error(401, 20003)
        if (request.method, request.path) != ("POST", f"/2010-04-01/Accounts/{self._sid}/Messages.json"):
            return _error(404, 20404)
        form = request.form()
        fault = self._fault(form)
        if fault is not None:
            return _error(400, fault)
        sid = f"SM{len(self.taken) + 1:032x}"
        self.taken.append({"sid": sid, **form})
        return json_reply(
            201,
            {"sid": sid, "status": "queued", "to": form["To"], "body": form["Body"], "error_code": None},
        )

    @staticmethod
    def _fault(form: Mapping[str, str]) -> int | None:
        to = form.get("To", "")
        if not to:
            return 21604
        if not (form.get("From") or form.get("MessagingServiceSid")):
            return 21603
        if not form.get("Body"):
            return 21602
        if len(form["Body"]) > 1600:  # noqa: PLR2004 - Twilio's number
            return 21617
        return FAILING.get(to, None if re.fullmatch(r"\+[1-9]\d{6,14}", to) else 21211)

    def sign(self, url: str, form: Mapping[str, str]) -> dict[str, str]:
        """Give the headers of a request that Twilio would send to `url` with this form."""
        return {"x-twilio-signature": signature(url, form.items(), self._token)}

    def receipt(self, index: int, status: str, error: int | None = None) -> tuple[str, dict[str, str], dict[str, str]]:
        """Give address, form and headers of a receipt for the message that was taken as number `index`."""
        message = self.taken[index]
        form = {"MessageSid": message["sid"], "MessageStatus": status, "To": message["To"], "AccountSid": self._sid}
        if error is not None:
            form["ErrorCode"] = str(error)
        url = message["StatusCallback"]
        return url, form, self.sign(url, form)

    def incoming(self, url: str, sender: str, text: str) -> tuple[dict[str, str], dict[str, str]]:
        """Give form and headers of a message that somebody sends to our number."""
        form = {"MessageSid": f"SM{len(text):032x}", "From": sender, "To": "+15005550006", "Body": text}
        return form, self.sign(url, form)


def _error(status: int, code: int) -> Reply:
    return json_reply(
        status,
        {"code": code, "message": "as documented", "more_info": f"https://www.twilio.com/docs/errors/{code}"}
        | {"status": status},
    )
