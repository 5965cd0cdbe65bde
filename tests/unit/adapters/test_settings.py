"""Settings: precedence, sentences for wrong values, secrets that stay secret, and the fresh example file."""

import os
from decimal import Decimal
from pathlib import Path

import pytest

from trading.adapters.settings import MEXC_REST, MEXC_WS, Settings, load_settings
from trading.adapters.settings_text import example_text
from trading.model.errors import ConfigError, Refused
from trading.model.session import Mode, VenueName

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.upper().startswith("MEXCBOT_")]:
        monkeypatch.delenv(name)


def private_file(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


def test_settings_without_any_source_are_the_safe_defaults() -> None:
    settings = load_settings(env_file=None)
    assert (settings.venue, settings.mode, settings.arm_live) == (VenueName.SIM, Mode.PAPER, False)
    assert settings.paper_balances == {"USDT": Decimal(10_000)}
    assert settings.venue_urls() is None
    assert settings.credentials() is None
    settings.check_start()


def test_settings_flag_beats_environment_beats_env_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    env_file = private_file(tmp_path / ".env", "MEXCBOT_SEED=1\nMEXCBOT_API_PORT=1\nMEXCBOT_DASHBOARD_PORT=1\n", 0o644)
    monkeypatch.setenv("MEXCBOT_API_PORT", "2")
    monkeypatch.setenv("MEXCBOT_DASHBOARD_PORT", "2")
    settings = load_settings({"dashboard_port": 3}, env_file)
    assert (settings.seed, settings.api_port, settings.dashboard_port) == (1, 2, 3)


def test_settings_collections_are_read_from_plain_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEXCBOT_SYMBOLS", "BTCUSDT, 龙虾USDT,GOLD(PAXG)USDT")
    monkeypatch.setenv("MEXCBOT_STRATEGY_PARAMS", "min_edge_bps=-1,mode=a=b")
    monkeypatch.setenv("MEXCBOT_PAPER_BALANCES", "USDT=500.50,BTC=0")
    settings = load_settings(env_file=None)
    assert settings.symbols == ("BTCUSDT", "龙虾USDT", "GOLD(PAXG)USDT")
    assert settings.strategy_params == {"min_edge_bps": "-1", "mode": "a=b"}
    assert settings.paper_balances == {"USDT": Decimal("500.50"), "BTC": Decimal(0)}


def test_settings_empty_variable_means_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEXCBOT_API_PORT", "")
    assert load_settings(env_file=None).api_port == 8000


def test_settings_named_symbols_take_away_the_environments_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEXCBOT_COUNT", "3")
    settings = load_settings({"symbols": ["BTCUSDT"]}, None)
    assert (settings.symbols, settings.count) == (("BTCUSDT",), None)
    monkeypatch.delenv("MEXCBOT_COUNT")
    monkeypatch.setenv("MEXCBOT_SYMBOLS", "BTCUSDT")
    settings = load_settings({"count": 2}, None)
    assert (settings.symbols, settings.count) == ((), 2)


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        ({"api_port": "x"}, "--api-port (MEXCBOT_API_PORT): expected a whole number, was 'x'"),
        ({"api_port": 70_000}, "--api-port (MEXCBOT_API_PORT): expected at most 65535, was '70000'"),
        ({"venue": "binance"}, "--venue (MEXCBOT_VENUE): expected one of sim, mexc, was 'binance'"),
        ({"depth_interval": "1s"}, "MEXCBOT_DEPTH_INTERVAL: expected one of 10ms, 100ms, was '1s'"),
        ({"speed": "nan"}, "--speed (MEXCBOT_SPEED): expected a number, was 'nan'"),
        ({"allocation": "-1"}, "MEXCBOT_ALLOCATION: expected more than 0, was '-1'"),
        ({"arm_live": "maybe"}, "--arm-live (MEXCBOT_ARM_LIVE): expected true or false, was 'maybe'"),
        ({"recv_window_ms": 5_000}, "MEXCBOT_RECV_WINDOW_MS: expected at most 2000, was '5000'"),
        ({"symbols": "BTCUSDT,BTCUSDT"}, "symbol BTCUSDT is named twice: name it once"),
        ({"symbols": "BTCUSDT", "count": 3}, "give either symbols or count, not both"),
        (
            {"strategy_params": "spread"},
            "--set (MEXCBOT_STRATEGY_PARAMS): expected name=value, was 'spread'",
        ),
        ({"strategy_params": "a=1,a=2"}, "--set (MEXCBOT_STRATEGY_PARAMS): a is given twice"),
        (
            {"paper_balances": {"USDT": "lots"}},
            "MEXCBOT_PAPER_BALANCES: expected an amount for USDT, was 'lots'",
        ),
        ({"venue_rest": "http://127.0.0.1:1"}, "venue_rest and venue_ws belong together: give both or neither"),
        (
            {"venue_ws": "http://127.0.0.1:1", "venue_rest": "http://127.0.0.1:1"},
            "--venue-ws (MEXCBOT_VENUE_WS): expected an address that begins with ws:// or wss://",
        ),
        ({"simbols": "BTCUSDT"}, "unknown setting 'simbols': did you mean 'symbols'?"),
        ({"replay": "a.parquet", "venue": "mexc"}, "a recording is replayed by the simulator: use venue sim"),
        (
            {"order_rate": "12"},
            "request_rate (12) must be above order_rate (12): orders go first and would leave no query a turn",
        ),
        (
            {"request_rate": "5"},
            "request_rate (5) must be above order_rate (10): orders go first and would leave no query a turn",
        ),
    ],
)
def test_settings_wrong_value_is_one_sentence(overrides: dict[str, object], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings(overrides, None)
    assert str(caught.value) == sentence


def test_settings_secrets_never_show(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEXCBOT_API_KEY", "mx0-very-key")
    monkeypatch.setenv("MEXCBOT_API_SECRET", "very-secret")
    monkeypatch.setenv("MEXCBOT_DATABASE_URL", "postgresql://bot:pass-word@127.0.0.1:5432/bot")
    settings = load_settings(env_file=None)
    credentials = settings.credentials()
    assert credentials is not None
    assert (credentials.api_key, credentials.api_secret) == ("mx0-very-key", "very-secret")
    shown = f"{settings!r} {settings} {settings.masked()} {credentials!r} {credentials}"
    assert not [secret for secret in ("mx0-very-key", "very-secret", "pass-word") if secret in shown]
    assert settings.masked()["database_url"] == "postgresql://bot:***@127.0.0.1:5432/bot"
    assert settings.masked()["api_secret"] == "***"


def test_settings_wrong_database_url_is_refused_without_its_password() -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings({"database_url": "mysql://bot:pass-word@host/db"}, None)
    assert "postgresql://" in str(caught.value)
    assert "pass-word" not in str(caught.value)


def test_settings_env_file_with_secret_must_be_private(tmp_path: Path) -> None:
    env_file = private_file(tmp_path / ".env", "MEXCBOT_API_KEY=k\nMEXCBOT_API_SECRET=s\n", 0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        load_settings(env_file=env_file)
    env_file.chmod(0o600)
    assert load_settings(env_file=env_file).credentials() is not None


def test_settings_env_file_with_unknown_name_is_refused_with_a_hint(tmp_path: Path) -> None:
    env_file = private_file(tmp_path / ".env", "OTHER=1\nMEXCBOT_SIMBOLS=BTCUSDT\n")
    with pytest.raises(ConfigError, match=r"did you mean MEXCBOT_SYMBOLS\?"):
        load_settings(env_file=env_file)


def test_settings_env_file_that_is_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".env").mkdir()
    with pytest.raises(ConfigError, match="it is a folder"):
        load_settings(env_file=tmp_path / ".env")


def test_settings_variable_that_is_nearly_a_setting_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEXCBOT_RISK_LIMIT", "daily_loss=1")
    with pytest.raises(ConfigError, match=r"did you mean MEXCBOT_RISK_LIMITS\?"):
        load_settings(env_file=None)


def test_settings_variable_that_only_shares_the_prefix_is_somebody_elses(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MEXCBOT_API", "MEXCBOT_TOKEN_FILE", "MEXCBOT_CHROMIUM", "MEXCBOT_HOME", "SYMBOL"):
        monkeypatch.setenv(name, "x")
    assert load_settings(env_file=None).symbols == ()


def test_settings_half_a_key_pair_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEXCBOT_API_KEY", "k")
    with pytest.raises(ConfigError, match="belong together"):
        load_settings(env_file=None)


def test_settings_live_on_mexc_needs_symbols_keys_and_arming(tmp_path: Path) -> None:
    live: dict[str, object] = {"venue": "mexc", "mode": "live"}
    with pytest.raises(ConfigError, match="--symbols"):
        load_settings(live, None).check_start()
    live["symbols"] = "BTCUSDT"
    with pytest.raises(ConfigError, match="needs keys"):
        load_settings(live, None).check_start()
    live["key_file"] = private_file(tmp_path / "key", "# mine\napi_key = k\nMEXCBOT_API_SECRET='s'\n")
    with pytest.raises(Refused, match="--arm-live"):
        load_settings(live, None).check_start()
    settings = load_settings({**live, "arm_live": True}, None)
    settings.check_start()
    assert settings.is_armed
    assert settings.venue_urls() == (MEXC_REST, MEXC_WS)


def test_settings_live_on_the_simulator_is_armed_by_itself() -> None:
    settings = load_settings({"mode": "live"}, None)
    settings.check_start()
    assert settings.is_armed


@pytest.mark.parametrize(
    ("host", "is_armed"),
    [
        ("127.0.0.1:5000", True),
        ("localhost:5000", True),
        ("[::1]:5000", True),
        ("api.mexc.com", False),
        ("127.0.0.1.example.org", False),
        ("10.0.0.7:5000", False),
        ("[::1", False),
    ],
)
def test_settings_live_under_the_name_sim_is_armed_by_itself_on_this_machine_only(host: str, is_armed: bool) -> None:
    live = {"mode": "live", "venue_rest": f"http://{host}", "venue_ws": f"ws://{host}/ws"}
    settings = load_settings(live, None)
    assert settings.is_armed is is_armed
    if is_armed:
        settings.check_start()
    else:
        with pytest.raises(Refused, match="--arm-live"):
            settings.check_start()
    load_settings({**live, "arm_live": True}, None).check_start()


@pytest.mark.parametrize(
    ("text", "mode", "words"),
    [
        ("api_key=k\napi_secret=s\n", 0o640, "chmod 600"),
        ("api_key=k\n", 0o600, "lacks api_secret"),
        ("api_key=k\nsecret=very\n", 0o600, "line 2"),
        ("api_key=k\nvery-secret\n", 0o600, "line 2"),
    ],
)
def test_key_file_wrong_is_refused_without_its_content(tmp_path: Path, text: str, mode: int, words: str) -> None:
    settings = load_settings({"key_file": private_file(tmp_path / "key", text, mode)}, None)
    with pytest.raises(ConfigError, match=words) as caught:
        settings.credentials()
    assert "very" not in str(caught.value)


def test_key_file_missing_or_folder_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load_settings({"key_file": tmp_path / "absent"}, None).credentials()
    with pytest.raises(ConfigError, match="not a regular file"):
        load_settings({"key_file": tmp_path}, None).credentials()


def test_env_example_is_fresh_and_readable(tmp_path: Path) -> None:
    text = example_text(Settings.model_fields)
    assert (ROOT / ".env.example").read_text(encoding="utf-8") == text, (
        "stale: python -m trading.adapters.settings > .env.example"
    )
    uncommented = "\n".join(line[2:] if line.startswith("# MEXCBOT_") else line for line in text.splitlines())
    assert load_settings(env_file=private_file(tmp_path / ".env", uncommented)) == load_settings(env_file=None)


def test_env_example_names_every_setting_with_a_description() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, name
