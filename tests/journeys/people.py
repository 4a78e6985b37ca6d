"""People of a journey: each holds a token and speaks HTTP."""

from dataclasses import dataclass
from typing import Any

import httpx

PASSWORD = "seven quiet otters row"


@dataclass
class Caller:
    """Somebody signed in. Refusals fail the test, unless the status is said to be expected."""

    client: httpx.Client
    token: str
    me: dict[str, Any]

    def ask(
        self, method: str, path: str, body: Any = None, *, expect: int | None = None, **headers: str
    ) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = self.client.request(
            method, path, json=body, headers={"Authorization": f"Bearer {self.token}", **named}
        )
        if expect is None:
            assert answer.is_success, (method, path, answer.status_code, answer.text)
        else:
            assert answer.status_code == expect, (method, path, answer.status_code, answer.text)
        return answer

    def get(self, path: str, **more: Any) -> Any:
        return self.ask("GET", path, **more).json()

    def post(self, path: str, body: Any = None, **more: Any) -> Any:
        return self.ask("POST", path, body, **more).json()

    def put(self, path: str, body: Any, **more: Any) -> Any:
        return self.ask("PUT", path, body, **more).json()

    def change(self, method: str, path: str, body: Any, version: int, **more: Any) -> Any:
        return self.ask(method, path, body, If_Match=f'"{version}"', **more).json()


def sign_in(client: httpx.Client, email: str, password: str = PASSWORD) -> Caller:
    answer = client.post("/v1/auth/login", json={"email": email, "password": password})
    assert answer.is_success, answer.text
    return _caller(client, answer)


def accept(client: httpx.Client, code: str) -> Caller:
    answer = client.post("/v1/invitations/accept", json={"code": code, "password": PASSWORD})
    assert answer.is_success, answer.text
    return _caller(client, answer)


def _caller(client: httpx.Client, answer: httpx.Response) -> Caller:
    told = answer.json()
    return Caller(client, told["access_token"], told["membership"])
