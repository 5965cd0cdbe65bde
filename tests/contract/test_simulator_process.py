"""The simulator as a process: flags, ready line, exit codes, same seed same market."""

import signal
import socket
import subprocess
import sys
from typing import Any

from simulator_process import ROOT, running, start


def run_wrong(*flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "simulator", *flags], cwd=ROOT, capture_output=True, text=True, timeout=30
    )


def test_process_with_a_wrong_flag_says_one_sentence_and_exits_2() -> None:
    ended = run_wrong("--symbols", "btcusdt")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("simulator: ")
    assert ended.stderr.count("\n") == 1


def test_process_on_a_port_in_use_exits_2() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ended = run_wrong("--port", str(taken.getsockname()[1]))
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert "--port" in ended.stderr


def test_process_ends_with_0_on_sigterm_while_streams_are_open() -> None:
    simulator = start("--symbols", "XRPUSDT")
    with simulator.stream("spot@public.aggre.depth.v3.api.pb@100ms@XRPUSDT"):
        simulator.process.send_signal(signal.SIGTERM)
        assert simulator.process.wait(timeout=8) == 0
    assert simulator.process.stdout is not None
    simulator.process.stdout.close()
    simulator.client.close()


def test_process_lists_the_symbols_and_accounts_that_it_was_given() -> None:
    with running("--count", "33", "--api-key", "mine", "--api-secret", "hidden", "--account", "b:c") as simulator:
        symbols = simulator.get("/api/v3/defaultSymbols").json()["data"]
        assert symbols[:5] == ["BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", "DOGEUSDT"]
        assert (len(set(symbols)), symbols[-1]) == (33, "SIM033USDT")
        assert (simulator.api_key, simulator.secret) == ("mine", "hidden")
        accounts: dict[str, Any] = simulator.state()["accounts"]
        assert set(accounts) == {"mine", "b"}
        assert accounts["b"]["balances"]["USDT"] == {"free": "100000", "locked": "0"}
