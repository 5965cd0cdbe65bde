"""The whole system on paper, as a person meets it: one start, every verb, a drained end."""

from __future__ import annotations

import json
import os
import signal
import stat
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import httpx
import pytest

from actors.cli_replay import run_replay
from tests.up_process import (
    GONE_PATIENCE_S,
    STOP_PATIENCE_S,
    UpProcess,
    alive,
    eventually,
    family_of,
    mexcbot,
    running_up,
)
from trading.adapters.settings import load_settings

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", "DOGEUSDT")
pytestmark = pytest.mark.timeout(600)
# A busy machine's, and a market's that does not always give a fill.
PATIENCE_S = 150.0


@pytest.fixture(scope="module")
def system() -> Iterator[UpProcess]:
    """One system for this module: five generated symbols on paper."""
    with running_up("--seed", "7", "--record") as up:
        yield up


def test_up_ready_line_has_the_contracts_fields_and_private_tokens(system: UpProcess) -> None:
    ready = system.ready
    assert set(ready) == {"ready", "api", "dashboard", "token_file", "read_token_file", "session", "simulator"}
    assert ready["ready"] is True
    assert ready["dashboard"] is None
    assert set(ready["simulator"]) == {"rest", "ws", "api_key", "secret"}
    for name in ("token_file", "read_token_file"):
        path = Path(ready[name])
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert len(path.read_text().split()) == 1
    run = json.loads((system.data_dir / "run.json").read_text())
    assert (run["api"], run["session"], run["pid"]) == (ready["api"], ready["session"], system.process.pid)


def test_up_trades_every_symbol_and_fills(system: UpProcess) -> None:
    assert eventually(lambda: system.read("/v1/fills")["items"], PATIENCE_S)
    assert tuple(sorted(system.symbols())) == tuple(sorted(SYMBOLS))
    assert eventually(lambda: all(row["state"] == "TRADING" for row in system.json("status")["symbols"]), PATIENCE_S), (
        system.json("status")
    )


def test_up_books_orders_fills_and_pnl_that_agree(system: UpProcess) -> None:
    assert eventually(lambda: system.read("/v1/fills")["items"], PATIENCE_S)
    fills = system.json("fills", "--limit", "1000")["items"]
    orders = {row["client_order_id"]: row for row in system.json("orders", "--limit", "1000")["items"]}
    assert {row["client_order_id"] for row in fills} <= set(orders)
    for fill in fills:
        order = orders[fill["client_order_id"]]
        assert 0 < order["committed_ns"] <= order["sent_ns"]
        assert Decimal(order["filled_qty"]) <= Decimal(order["qty"])
    by_symbol = system.json("pnl", "--by", "symbol")["items"]
    for row in by_symbol:
        booked = Decimal(row["realized"]) - Decimal(row["fees"])
        # Net of fees, always; whether what is still held counts too is the API's to say.
        assert Decimal(row["net"]) in (booked, booked + Decimal(row["unrealized"] or 0))
    explained = system.json("explain", fills[-1]["client_order_id"])
    assert explained["decision"]["book_version"]


def test_up_scans_shows_candles_and_is_backed_up_while_it_trades(system: UpProcess, tmp_path: Path) -> None:
    assert eventually(lambda: system.read("/v1/scanner?top=3")["is_complete"], PATIENCE_S)
    found = system.json("scan", "--top", "3")["items"]
    assert len(found) == 3
    # What may not be chosen comes last, whatever its edge.
    ranked = [(row["is_fit"], row["stage"], row["net_edge_bps"]) for row in found]
    assert ranked == sorted(ranked, reverse=True)
    candle = system.read("/v1/symbols/BTCUSDT/candles?limit=2")["items"][-1]
    assert Decimal(candle["low"]) <= Decimal(candle["close"]) <= Decimal(candle["high"])
    backup = system.json("backup", str(tmp_path / "books"))
    assert backup["tables"]["orders"] > 0
    done = system.cli("restore", str(tmp_path / "books"))
    assert done.returncode == 4, "a running system's books are never overwritten"


def test_up_answers_without_a_token_with_401(system: UpProcess) -> None:
    assert httpx.get(system.ready["api"] + "/v1/snapshot", trust_env=False).status_code == 401
    assert system.get("/v1/snapshot").status_code == 200


def test_spawn_and_kill_change_the_fleet(system: UpProcess) -> None:
    done = system.cli("spawn", "ADAUSDT", timeout_s=120)
    assert done.returncode == 0, done.stderr
    assert system.symbols()["ADAUSDT"]["state"] in ("SYNCING", "TRADING")
    done = system.cli("kill", "ADAUSDT", timeout_s=120)
    assert done.returncode == 0, done.stderr
    assert system.symbols()["ADAUSDT"]["state"] == "STOPPED"
    assert system.cli("spawn", "NOSUCHUSDT").returncode == 2
    assert system.cli("kill", "NOSUCHUSDT").returncode == 2


def test_halt_is_verified_blocks_orders_and_is_lifted(system: UpProcess) -> None:
    halted = system.cli("halt", "--reason", "test", "--timeout", "120", "--json", timeout_s=PATIENCE_S)
    body = json.loads(halted.stdout)
    assert (halted.returncode, body["state"], body["confirmed"], body["open_orders"]) == (0, "HALTED", True, 0)
    assert system.read("/v1/orders?status=OPEN")["items"] == []
    sent = [row["sent_ns"] for row in system.read("/v1/orders?limit=1000")["items"]]
    assert max(sent) < body["verified_at_ns"]
    assert system.json("resume-trading")["state"] == "ACTIVE"
    assert eventually(
        lambda: system.read("/v1/orders?limit=1")["items"][0]["sent_ns"] > body["verified_at_ns"], PATIENCE_S
    )


def test_symbol_actor_killed_by_the_host_trades_again_and_no_other_notices(system: UpProcess) -> None:
    before = system.symbols()
    os.kill(before["ETHUSDT"]["pid"], signal.SIGKILL)

    def is_back() -> bool:
        row = system.symbols()["ETHUSDT"]
        return bool(row["restarts"] > before["ETHUSDT"]["restarts"] and row["state"] == "TRADING")

    assert eventually(is_back, PATIENCE_S)
    after = system.symbols()
    for symbol in ("BTCUSDT", "SOLUSDT"):
        assert (after[symbol]["pid"], after[symbol]["restarts"]) == (before[symbol]["pid"], before[symbol]["restarts"])


def test_api_process_that_dies_is_started_again_on_the_same_port(system: UpProcess) -> None:
    api = system.find("api.json")
    api.kill()
    assert eventually(lambda: not alive((api,)), GONE_PATIENCE_S)

    def answers() -> bool:
        try:
            return system.get("/v1/snapshot").status_code == 200
        except httpx.HTTPError:
            return False

    assert eventually(answers, PATIENCE_S)
    assert system.cli("status").returncode == 0


def newest_fill_ns(system: UpProcess) -> int:
    """When the newest fill was received; 0 while the API cannot say."""
    try:
        answer = system.get("/v1/fills?limit=1")
    except httpx.HTTPError:
        return 0
    return int(answer.json()["items"][0]["recv_ts_ns"]) if answer.status_code == 200 else 0


@pytest.mark.parametrize("name", ["postgres", "simulator"])
def test_child_that_is_killed_is_started_again_and_trading_goes_on(system: UpProcess, name: str) -> None:
    if name == "postgres":
        pid = int((system.data_dir / "postgres" / "cluster" / "postmaster.pid").read_text().split()[0])
    else:
        pid = system.find("simulator", "--json").pid
    assert pid in {item.pid for item in system.family()}
    killed_ns = time.time_ns()
    os.kill(pid, signal.SIGKILL)
    # Two seconds on, so that nothing that was on its way counts.
    assert eventually(lambda: newest_fill_ns(system) > killed_ns + 2_000_000_000, PATIENCE_S)


def test_second_instance_in_the_same_directory_is_refused_with_the_pid(system: UpProcess) -> None:
    done = mexcbot("up", "--json", "--api-port", "0", "--no-dashboard", "--data-dir", str(system.data_dir))
    assert done.returncode == 2
    assert done.stdout == ""
    assert f"pid {system.process.pid}" in done.stderr
    assert "Traceback" not in done.stderr


def test_signal_to_the_whole_group_drains_and_leaves_nothing(system: UpProcess) -> None:
    family = system.family()
    assert len(family) > 10
    os.killpg(system.process.pid, signal.SIGINT)
    assert system.process.wait(STOP_PATIENCE_S) == 0
    report = json.loads((system.data_dir / "last_shutdown.json").read_text())
    assert (report["is_confirmed"], report["open_orders"]) == (True, 0)
    assert eventually(lambda: not alive(family) and not family_of(0, system.data_dir), GONE_PATIENCE_S)
    assert not (system.data_dir / "run.json").exists()
    assert system.cli("status").returncode == 3
    recordings = sorted((system.data_dir / "recordings").iterdir())
    assert {path.suffix for path in recordings} == {".parquet"}
    assert {path.name.partition("-")[0] for path in recordings} >= set(SYMBOLS)
    longest = max(recordings, key=lambda path: path.stat().st_size)
    assert run_replay(longest, load_settings({}, None)).body["events"] > 100
