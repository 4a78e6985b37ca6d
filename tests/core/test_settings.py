"""Settings refuse what would be unsafe, by name and without the value."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from core.settings import Settings, load

PRODUCTION: dict[str, Any] = {
    "environment": "production",
    "secret_key": "k" * 32,
    "api_database_url": "postgresql+asyncpg://physio_api:pw@db.example/physio?ssl=verify-full",
    "public_url": "https://physio.example",
}


def make(**changes: Any) -> Settings:
    return Settings(_env_file=None, **changes)


def test_the_defaults_serve_a_developer_on_loopback() -> None:
    settings = make()
    assert (settings.environment, settings.host, settings.port, settings.demo) == (
        "development",
        "127.0.0.1",
        8000,
        False,
    )
    assert settings.data_dir == Path(".physio")
    assert settings.database_url is None


def test_settings_never_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        make().port = 1  # type: ignore[misc]


def test_every_setting_says_what_it_is_for() -> None:
    undescribed = {name for name, field in Settings.model_fields.items() if not field.description}
    assert undescribed == {"log_level"}


def test_a_complete_production_starts() -> None:
    make(**PRODUCTION)
    make(**PRODUCTION | {"api_database_url": "postgresql+asyncpg://physio_api:pw@/physio?host=/run/postgresql"})
    make(**PRODUCTION | {"api_database_url": "postgresql+asyncpg://physio_api:pw@db/physio", "plain_database": True})
    make(**PRODUCTION | {"api_database_url": "postgresql://physio_api:pw@db.example/physio?sslmode=verify-full"})
    make(**PRODUCTION | {"public_url": "http://127.0.0.1:8000"})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"secret_key": "development only: never sign a real token with this"}, "PHYSIO_SECRET_KEY"),
        ({"secret_key": "short"}, "PHYSIO_SECRET_KEY"),
        ({"demo": True}, "PHYSIO_DEMO"),
        ({"api_database_url": None}, "PHYSIO_API_DATABASE_URL must be set"),
        ({"api_database_url": "postgresql+asyncpg://physio_api:pw@db.example/physio"}, "without TLS"),
        ({"api_database_url": "postgresql+asyncpg://physio_api:pw@db.example/physio?ssl=prefer"}, "without TLS"),
        (
            {"worker_database_url": "postgresql+asyncpg://physio_worker:pw@10.0.0.1/physio"},
            "PHYSIO_WORKER_DATABASE_URL",
        ),
        ({"public_url": "http://physio.example"}, "https"),
        ({"demo": True, "host": "0.0.0.0", "environment": "development"}, "loopback only"),
        ({"port": 0}, "greater than or equal to 1"),
        ({"twilio_account_sid": "AC1"}, "go together"),
        ({"twilio_url": "http://127.0.0.1:9"}, "PHYSIO_TWILIO_URL must begin with https"),
        ({"fcm_url": "http://127.0.0.1:9"}, "PHYSIO_FCM_URL must begin with https"),
        ({"web_push_loopback": True}, "PHYSIO_WEB_PUSH_LOOPBACK"),
    ],
)
def test_what_is_unsafe_does_not_start(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said) as refused:
        make(**PRODUCTION | changes)
    assert "pw@" not in str(refused.value)


@pytest.mark.parametrize("url", ["physio", "mysql://a:b@h/x", "postgresql://a:b@h:port/x", "postgresql://a:b@h"])
def test_what_is_not_an_address_of_postgresql_is_refused(url: str) -> None:
    with pytest.raises(ValidationError, match="write it as postgresql://"):
        make(database_url=url)


@pytest.mark.parametrize("url", ["postgres://a@h/x", "postgresql+asyncpg://a:b/c@[::1]:5432/x?ssl=require"])
def test_an_address_may_be_spelled_in_several_ways(url: str) -> None:
    make(database_url=url)


def test_an_empty_variable_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHYSIO_DATABASE_URL", "")
    assert make().database_url is None


def test_origins_are_read_as_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHYSIO_CORS_ORIGINS", "https://a.example, https://b.example,")
    assert make().cors_origins == ("https://a.example", "https://b.example")


def test_proxies_are_addresses_or_networks_and_none_is_trusted_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    assert make().trusted_proxies == ()
    monkeypatch.setenv("PHYSIO_TRUSTED_PROXIES", "10.0.0.5, 2001:db8::/32,")
    assert make().trusted_proxies == ("10.0.0.5", "2001:db8::/32")


@pytest.mark.parametrize("wrong", ["*", "proxy.example", "10.0.0.5/24", "10.0.0"])
def test_what_is_no_address_of_a_proxy_is_refused(wrong: str) -> None:
    with pytest.raises(ValidationError, match=r"write addresses \(10.0.0.5\) or networks"):
        make(trusted_proxies=wrong)


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({}, True),
        ({"environment": "test", "demo": True}, True),
        ({"host": "0.0.0.0"}, False),
        ({"environment": "test"}, False),
        (PRODUCTION | {"host": "127.0.0.1"}, False),
    ],
)
def test_codes_of_invitations_show_on_a_developers_own_machine_only(changes: dict[str, Any], shown: bool) -> None:
    assert make(**changes).shows_codes is shown


def test_a_misspelled_name_in_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("PHYSIO_PROT=9000\n")
    with pytest.raises(ValidationError, match="Extra inputs"):
        Settings(_env_file=tmp_path / ".env")


def test_a_refused_start_names_the_variable_and_not_its_value(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PHYSIO_PORT", "not-a-port-secret")
    with pytest.raises(SystemExit) as refused:
        load()
    assert refused.value.code == 78
    said = capsys.readouterr().err
    assert "PHYSIO_PORT" in said
    assert "secret" not in said


def test_links_lead_to_where_we_listen_unless_something_else_is_said() -> None:
    assert make(port=8123).public_url == "http://127.0.0.1:8123"
    assert make(port=8123, public_url="https://physio.example").public_url == "https://physio.example"
