"""The simulator as a process: flags, ready line, exit codes, same seed same market."""

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from simulator_process import ROOT, running, start


def run_wrong(*flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "simulator", *flags], cwd=ROOT, capture_output=True, text=True, timeout=90
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
        assert simulator.process.wait(timeout=60) == 0
    assert simulator.process.stdout is not None
    simulator.process.stdout.close()
    simulator.client.close()


def test_process_with_the_same_seed_has_the_same_books_whatever_else_is_listed() -> None:
    keep = {"symbol": "XRPUSDT", "keep": 100_000}
    with (
        running("--symbols", "XRPUSDT,BTCUSDT", "--seed", "7") as one,
        running("--symbols", "XRPUSDT", "--seed", "7") as two,
    ):
        for simulator in (one, two):
            assert simulator.client.post(simulator.rest + "/sim/book_history", json=keep).status_code == 200
        until = time.monotonic() + 60
        while True:  # the later one has to come to versions that the earlier one keeps
            latest = min(sim.state("XRPUSDT")["symbols"]["XRPUSDT"]["version"] for sim in (one, two))
            books = [sim.get("/sim/book", symbol="XRPUSDT", version=latest) for sim in (one, two)]
            if all(book.status_code == 200 for book in books):
                break
            assert time.monotonic() < until
            time.sleep(0.1)
        assert books[0].json() == books[1].json()
        assert books[0].json()["version"] == latest


def test_process_lists_the_symbols_and_accounts_that_it_was_given() -> None:
    with running("--count", "33", "--api-key", "mine", "--api-secret", "hidden", "--account", "b:c") as simulator:
        symbols = simulator.get("/api/v3/defaultSymbols").json()["data"]
        assert symbols[:5] == ["BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", "DOGEUSDT"]
        assert (len(set(symbols)), symbols[-1]) == (33, "SIM033USDT")
        assert (simulator.api_key, simulator.secret) == ("mine", "hidden")
        accounts: dict[str, Any] = simulator.state()["accounts"]
        assert set(accounts) == {"mine", "b"}
        assert accounts["b"]["balances"]["USDT"] == {"free": "100000", "locked": "0"}


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("delay_s", [0.0, 0.5])
def test_process_that_is_ended_while_it_opens_its_market_exits_0_without_a_word(
    signum: signal.Signals, delay_s: float
) -> None:
    command = [sys.executable, "-m", "simulator", "--port", "0", "--count", "2000"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        # From the moment on which it catches SIGTERM; opening so many pairs takes seconds.
        status = Path(f"/proc/{process.pid}/status")
        until = time.monotonic() + 60
        while not int(status.read_text().partition("SigCgt:")[2].split()[0], 16) >> (signal.SIGTERM - 1) & 1:
            assert time.monotonic() < until
            time.sleep(0.02)
        time.sleep(delay_s)
        process.send_signal(signum)
        assert process.stderr is not None
        assert (process.wait(60), process.stderr.read()) == (0, "")
