"""Logging: one line an event, secrets masked wherever they hide, the standard library's loggers included."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from trading.adapters.telemetry import LogSettings, bound, logger, redact_text, set_up_logging
from trading.model.errors import ConfigError


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    for handler in root.handlers[:]:
        root.removeHandler(handler)
        if handler not in handlers:
            handler.close()
    for handler in handlers:
        root.addHandler(handler)
    root.setLevel(level)
    logging.captureWarnings(False)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_log_line_carries_event_level_time_and_bound_fields(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "executor.log"
    set_up_logging(LogSettings(file=path, console="off"))
    with bound(symbol="BTCUSDT"):
        logger("executor", session=7).info("order_denied", reason="halted", client_order_id="mx-1-1-1")
    logger("executor").info("idle")
    first, second = lines(path)
    assert (first["event"], first["level"], first["logger"], first["symbol"], first["session"]) == (
        "order_denied",
        "info",
        "executor",
        "BTCUSDT",
        7,
    )
    assert first["timestamp"].endswith("Z")
    assert "symbol" not in second


def test_log_level_below_the_threshold_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    set_up_logging(LogSettings(level="warning", file=path, console="off"))
    logger("a").info("quiet")
    logging.getLogger("b").info("quiet")
    logger("a").warning("loud")
    assert [line["event"] for line in lines(path)] == ["loud"]


def test_log_secrets_are_masked_in_fields_texts_and_tracebacks(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    set_up_logging(LogSettings(level="debug", file=path, console="off"))
    log = logger("rest")
    log.info("sent", api_key="SECRET1", headers={"X-MEXC-APIKEY": "SECRET2"}, url="/order?a=1&signature=SECRET3")
    log.info("nested", request={"body": ["listenKey=SECRET4&x=1"], "X-MEXC-APIKEY": "SECRET5"}, raw=b"token=SECRET6")
    logging.getLogger("foreign").warning("GET %s", "postgresql://bot:SECRET7@host/db")
    try:
        raise RuntimeError("failed: Authorization Bearer SECRET8")
    except RuntimeError as error:
        log.exception("broken", error=error)
    text = path.read_text(encoding="utf-8")
    assert "SECRET" not in text
    assert "RuntimeError" in text
    assert len(lines(path)) == 4


def test_log_of_http_and_websocket_libraries_is_silent_below_warning(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    set_up_logging(LogSettings(level="debug", file=path, console="off"))
    logging.getLogger("httpx").info("HTTP Request: GET https://host/?signature=abc")
    logging.getLogger("websockets.client").debug("> GET /ws?listenKey=abc HTTP/1.1")
    assert path.read_text(encoding="utf-8") == ""


def test_log_console_writes_to_stderr_only(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging(LogSettings(console="text"))
    logger("cli").info("ready", port=8000)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "ready" in captured.err
    assert "port=8000" in captured.err


def test_log_set_up_twice_writes_each_line_once(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    for _ in range(2):
        set_up_logging(LogSettings(file=path, console="off"))
    logger("a").info("once")
    assert len(lines(path)) == 1


def test_log_file_that_cannot_be_opened_is_a_config_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be opened"):
        set_up_logging(LogSettings(file=tmp_path / "file" / "a.log", console="off"))


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("a=1&signature=0af&b=2", "a=1&signature=***&b=2"),
        ('{"listenKey": "0af"}', '{"listenKey": "***"}'),
        ("X-MEXC-APIKEY: mx0", "X-MEXC-APIKEY: ***"),
        ("postgresql://bot:p:w@host/db", "postgresql://bot:***@host/db"),
        ("the token bucket is empty", "the token bucket is empty"),
        ("price=1.5 symbol=BTCUSDT", "price=1.5 symbol=BTCUSDT"),
    ],
)
def test_redact_text_masks_only_secrets(text: str, masked: str) -> None:
    assert redact_text(text) == masked
