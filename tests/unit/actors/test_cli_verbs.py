"""The command line: exit codes, one sentence for every bad input, JSON and nothing else with --json."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import typer

from actors import cli_verbs
from actors.cli_api import Address, ApiClient, find_api, symbol_path
from actors.cli_output import assignments, check_symbols, exit_code
from trading.adapters.settings_text import FLAGS
from trading.model.errors import (
    ConfigError,
    InvariantViolated,
    NotRunning,
    OutcomeUnknown,
    RateLimited,
    Refused,
    StoreError,
    TradingError,
)


def client(answer: Callable[[httpx.Request], httpx.Response]) -> ApiClient:
    """A client whose network is a function."""
    return ApiClient(Address("http://api", "t" * 32), httpx.MockTransport(answer), lambda _: None)


@pytest.mark.parametrize(
    "arguments",
    [
        ["frobnicate"],
        ["orders", "--limit", "0"],
        ["orders", "--limit", "many"],
        ["kill"],
        ["set", "BTCUSDT"],
        ["spawn", "BTCUSDT", "--set", "edge"],
        ["spawn", "BTCUSDT", "BTCUSDT"],
        ["up", "--symbols", "BTCUSDT,BTCUSDT"],
        ["up", "--symbols", "BTCUSDT", "--count", "3"],
        ["up", "--symbols", "NOSUCHUSDT"],
        ["up", "--venue", "binance"],
        ["up", "--strategy", "astrology"],
        ["up", "--set", "no_such_parameter=1"],
        ["up", "--set", "min_edge_bps=wide"],
        ["up", "--set", "order_quote=sNaN"],
        ["up", "--set", "window_start_min=600", "--set", "window_end_min=600"],
        ["up", "--replay", "absent.parquet"],
        ["up", "--venue", "mexc"],
        ["up", "--speed", "0"],
        ["up", "--api-port", "70000"],
        ["up", "--set", "a=1", "--set", "a=2"],
        ["up", "--venue-rest", "http://127.0.0.1:1"],
        ["up", "--database-url", "mysql://x/y"],
        ["status", "--api", "http://x"],
        ["halt", "--direct", "--flatten"],
        ["import", "absent.jsonl.gz", "-o", "x.parquet"],
        ["import", "absent.jsonl.gz", "-o", "x.parquet", "--skip-broken"],
        ["record", "-o", "folder"],
        ["record", "BTCUSDT"],
        ["record", "BTCUSDT,BTCUSDT", "-o", "folder"],
        ["record", "BTCUSDT", "-o", "folder", "--seconds", "0"],
        ["record", "BTCUSDT", "-o", "folder", "--venue", "binance"],
        ["recover", "absent"],
        ["scan", "--top", "0"],
        ["scan", "--top", "many"],
        ["scan", "--venue-rest", "http://127.0.0.1:1"],
        ["backup", "a.backup", "-o", "b.backup"],
        ["backup"],
        ["restore"],
        ["restore", "absent.backup"],
        ["down", "--bogus"],
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_two(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("MEXCBOT_API_KEY", "MEXCBOT_API_SECRET", "MEXCBOT_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    assert cli_verbs.run(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("mexcbot: ")
    assert err.count("\n") == 1
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments", [["record", "BTCUSDT", "-o", "folder"], ["scan"], ["status"]])
def test_verb_without_an_instance_or_a_venue_is_not_running(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MEXCBOT_DATA_DIR", raising=False)
    assert cli_verbs.run(arguments) == 3
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert list(tmp_path.iterdir()) == []


def test_live_on_mexc_without_keys_is_usage_and_without_arming_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    live = ["up", "--venue", "mexc", "--mode", "live", "--symbols", "BTCUSDT"]
    monkeypatch.delenv("MEXCBOT_API_KEY", raising=False)
    monkeypatch.delenv("MEXCBOT_API_SECRET", raising=False)
    assert cli_verbs.run(live) == 2
    monkeypatch.setenv("MEXCBOT_API_KEY", "k-of-the-test")
    monkeypatch.setenv("MEXCBOT_API_SECRET", "s-of-the-test")
    assert cli_verbs.run(live) == 4
    err = capsys.readouterr().err
    assert "--arm-live" in err
    assert "of-the-test" not in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("verb", [["status"], ["orders"], ["kill", "BTCUSDT"], ["halt"], ["down"], ["pnl", "--json"]])
def test_client_verb_without_an_instance_is_exit_code_three(
    verb: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli_verbs.run([*verb, "--data-dir", str(tmp_path)]) == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert "mexcbot up" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("verb", ["orders", "fills", "positions", "pnl", "sessions"])
def test_every_list_can_be_paged_as_its_hint_says(verb: str, tmp_path: Path) -> None:
    assert cli_verbs.run([verb, "--limit", "5", "--cursor", "x", "--data-dir", str(tmp_path)]) == 3
    assert cli_verbs.run([verb, "--limit", "1001", "--data-dir", str(tmp_path)]) == 2


def test_help_lists_every_verb_that_works(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli_verbs.run(["--help"]) == 0
    text = capsys.readouterr().out
    for verb in VERBS:
        assert f"\n  {verb} " in text


def test_unexpected_error_is_one_sentence_with_the_place_of_its_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert cli_verbs.run(["status"], lambda *_, **__: 1 // 0) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    path = Path(err.rpartition(" is in ")[2].strip())
    assert "ZeroDivisionError" in path.read_text()


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("x"), 2), (NotRunning("x"), 3), (StoreError("x"), 3), (RateLimited("x", 1.0), 3),
        (Refused("x"), 4), (OutcomeUnknown("x"), 1), (InvariantViolated("x"), 1), (TradingError("x"), 1),
    ],
)  # fmt: skip
def test_exit_codes_are_the_contracts(error: TradingError, code: int) -> None:
    assert exit_code(error) == code


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, ConfigError), (404, ConfigError), (422, ConfigError), (409, Refused), (412, Refused), (503, NotRunning),
     (504, OutcomeUnknown), (500, TradingError)],
)  # fmt: skip
def test_problem_of_the_api_becomes_an_error_with_its_sentence(status: int, kind: type[TradingError]) -> None:
    with (
        client(lambda _: httpx.Response(status, json={"detail": "the sentence"})) as api,
        pytest.raises(kind) as caught,
    ):
        api.get("/v1/orders")
    assert type(caught.value) is kind
    assert "token" in str(caught.value) if status == 401 else str(caught.value) == "the sentence"


def test_api_that_does_not_answer_is_not_running_for_reads_and_unknown_for_commands() -> None:
    def cut(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("slow", request=request)

    def refused(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    with client(cut) as api:
        with pytest.raises(NotRunning):
            api.get("/v1/snapshot")
        with pytest.raises(OutcomeUnknown):
            api.command("POST", "/v1/halt", {})
    with client(refused) as api, pytest.raises(NotRunning):
        api.command("POST", "/v1/halt", {})


def test_something_else_on_the_port_is_said() -> None:
    with client(lambda _: httpx.Response(200, text="<html>")) as api, pytest.raises(TradingError, match="not JSON"):
        api.get("/v1/snapshot")


def test_commands_carry_the_token_and_a_key_of_their_own() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(202, json={"operation_id": "1", "status": "succeeded", "error": None})

    with client(answer) as api:
        api.command("POST", symbol_path("币安人生(A)/USDT", "/pause"))
        api.command("POST", "/v1/halt", {})
    assert seen[0].headers["Authorization"] == "Bearer " + "t" * 32
    assert seen[0].headers["Idempotency-Key"] != seen[1].headers["Idempotency-Key"]
    assert seen[0].url.raw_path.endswith(b"%28A%29%2FUSDT/pause")


def test_operation_is_followed_until_it_is_over() -> None:
    states = iter(["running", "running", "failed"])

    def answer(request: httpx.Request) -> httpx.Response:
        assert request.url.path == "/v1/operations/7"
        return httpx.Response(200, json={"operation_id": "7", "status": next(states), "error": "why"})

    with client(answer) as api:
        assert api.await_operation({"operation_id": "7", "status": "pending"}, 5.0)["error"] == "why"
        assert api.await_operation({"operation_id": "7", "status": "pending"}, 0.0)["status"] == "pending"


def test_halt_that_is_confirmed_later_is_told_without_the_failure_of_its_first_call() -> None:
    begun = {"confirmed": False, "state": "HALTED", "operation_id": "o", "status": "failed", "error": "executor died"}
    looks = [
        httpx.Response(503, json={"detail": "the executor is on its way back"}),
        httpx.Response(200, json={"confirmed": False, "state": "HALTED"}),
        httpx.Response(200, json={"confirmed": True, "state": "HALTED", "open_orders": 0}),
    ]
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(f"{request.method} {request.url.raw_path.decode()}")
        return looks.pop(0)

    with client(answer) as api:
        body = api.await_halt(begun, "BTCUSDT", 60.0)
        assert body == {"confirmed": True, "state": "HALTED", "open_orders": 0}
        assert asked == ["GET /v1/halt?symbol=BTCUSDT"] * 3
        assert api.await_halt(body, None, 60.0) == body
        assert api.await_halt(begun, None, 0.0) == begun
    assert len(asked) == 3


def test_api_is_found_by_flags_and_by_run_file(tmp_path: Path) -> None:
    token = tmp_path / "t"
    token.write_text("secret-token\n")
    assert find_api(None, "http://x:1/", token) == Address("http://x:1", "secret-token")
    with pytest.raises(ConfigError, match="belong together"):
        find_api(None, "http://x:1", None)
    with pytest.raises(ConfigError, match="cannot be read"):
        find_api(None, "http://x:1", tmp_path / "absent")
    token.write_text(" \n")
    with pytest.raises(ConfigError, match="holds no token"):
        find_api(None, "http://x:1", token)


def test_assignments_and_symbols_are_read_whole_or_not_at_all() -> None:
    assert assignments(["a=1", "b = x=y"], "--set") == {"a": "1", "b": "x=y"}
    assert check_symbols(["A,B", "C"]) == ("A", "B", "C")
    for bad in (["a"], ["=1"], ["a="], ["a=1", "a=2"]):
        with pytest.raises(ConfigError):
            assignments(bad, "--set")
    for names in ([], [","], ["A", "B,A"]):
        with pytest.raises(ConfigError):
            check_symbols(names)


VERBS = (
    *(
        "up",
        "down",
        "status",
        "doctor",
        "spawn",
        "kill",
        "pause",
        "resume",
        "set",
        "halt",
        "resume-trading",
        "risk",
        "orders",
    ),
    *("fills", "positions", "pnl", "sessions", "explain", "recover", "import", "replay", "migrate", "simulator"),
    *("record", "scan", "backup", "restore"),
    *("sweep", "strategies", "shadow"),
)
SNAPSHOT: dict[str, Any] = {
    "seq": 1, "now_ns": 1, "session": "s", "mode": "paper", "venue": "sim",
    "halt": {"state": "ACTIVE", "confirmed": False, "open_orders": None, "verified_at_ns": 0, "reason": ""},
    "symbols": [
        {
            "symbol": "BTCUSDT", "state": "TRADING", "reason": "", "epoch": 1, "restarts": 0, "strategy": "x",
            "book": {"state": "PROVEN", "version": 1, "bid": "1", "ask": None, "age_ms": 1},
            "position_qty": "0", "realized_pnl": "0", "open_orders": 1,
        }
    ],
    "positions": [], "pnl": {"realized": "1", "unrealized": "0", "fees": "0.1", "net": "0.9"}, "open_orders": 1,
    "alerts": 0,
}  # fmt: skip


def test_tables_show_every_answer_and_say_when_it_is_empty(capsys: pytest.CaptureFixture[str]) -> None:
    from actors import cli_tables

    cli_tables.show(cli_tables.status_view(SNAPSHOT))
    cli_tables.show(cli_tables.list_table(cli_tables.ORDER_COLUMNS, [], "no orders"))
    cli_tables.show(cli_tables.list_table(cli_tables.FILL_COLUMNS, [{"symbol": "BTCUSDT", "is_maker": True}], ""))
    halted = {"state": "HALTED", "confirmed": False, "open_orders": None, "verified_at_ns": 0, "reason": "venue away"}
    cli_tables.show(cli_tables.halt_view(halted))
    cli_tables.show(cli_tables.halt_view({**halted, "confirmed": True, "open_orders": 0, "verified_at_ns": 10**18}))
    out = capsys.readouterr().out
    for text in ("TRADING", "P&L net 0.9", "no orders", "yes", "NOT CONFIRMED: open orders: unknown (venue away)"):
        assert text in out
    assert "open orders: 0, verified at 2001-09-09" in out


def test_status_sums_up_what_was_refused_and_says_nothing_where_nothing_was(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from actors import cli_tables

    cli_tables.show(cli_tables.status_view(SNAPSHOT))
    assert "refused" not in capsys.readouterr().out
    (row,) = SNAPSHOT["symbols"]
    rows = [{**row, "refusals": {"imbalance": 2, "cooldown": 1}}, {**row, "refusals": {"cooldown": 4}}, row]
    cli_tables.show(cli_tables.status_view({**SNAPSHOT, "symbols": rows}))
    assert "cooldown 5, imbalance 2" in capsys.readouterr().out


def test_json_output_is_the_apis_body(capsys: pytest.CaptureFixture[str]) -> None:
    from actors.cli_output import answer_json

    answer_json({"items": [{"price": "0.1"}], "next_cursor": None})
    assert json.loads(capsys.readouterr().out) == {"items": [{"price": "0.1"}], "next_cursor": None}


def test_no_verb_shows_the_whole_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli_verbs.run([]) == 0
    assert "\nCommands:\n" in capsys.readouterr().out


def test_flags_that_sentences_about_settings_name_are_those_of_up() -> None:
    command = typer.main.get_command(cli_verbs.app)
    assert isinstance(command, typer.core.TyperGroup)
    flags = {flag for parameter in command.commands["up"].params for flag in parameter.opts}
    assert flags - {"--top", "--json"} == set(FLAGS.values())


@pytest.mark.parametrize(
    "outputs", [["--report", "IN"], ["--orders-out", "IN"], ["--orders-out", "o", "--report", "./o"]], ids=" ".join
)
def test_replay_writes_over_neither_its_recording_nor_its_own_answer(
    outputs: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("IN").write_bytes(b"days of a market")
    assert cli_verbs.run(["replay", str(tmp_path / "IN"), *outputs]) == 2
    assert "name another file" in capsys.readouterr().err
    assert [(item.name, item.read_bytes()) for item in tmp_path.iterdir()] == [("IN", b"days of a market")]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [(["status"], ".env cannot be read: not UTF-8 text"), (["up", "--symbols", " ,"], "name at least one symbol")],
)
def test_file_or_list_that_says_nothing_is_usage(
    arguments: list[str],
    text: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MEXCBOT_DATA_DIR", raising=False)
    (tmp_path / ".env").write_bytes(b"\xff\xfe")
    assert cli_verbs.run(arguments) == 2
    assert text in capsys.readouterr().err
