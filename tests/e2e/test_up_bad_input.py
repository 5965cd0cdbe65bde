"""Bad input of a start: one sentence, the contract's exit code, nothing left running or half-made."""

from __future__ import annotations

import socket
import time
from pathlib import Path

from tests.simulator_process import running_simulator
from tests.up_process import GONE_PATIENCE_S, eventually, family_of, mexcbot

UP = ("up", "--json", "--no-dashboard", "--api-port", "0")


def refused(code: int, *arguments: str, data_dir: Path, says: str, **environment: str) -> None:
    """Start with bad input: it must end at once with this code and one sentence, and leave no process."""
    done = mexcbot(*UP, *arguments, "--data-dir", str(data_dir), timeout_s=150, **environment)
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("mexcbot: "), done.stderr
    assert says in last
    # What watches over a start may outlive it by a moment.
    assert eventually(lambda: not family_of(0, data_dir), GONE_PATIENCE_S), family_of(0, data_dir)
    assert not (data_dir / "run.json").exists()


def test_port_in_use_names_its_flag(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        refused(2, "--api-port", port, data_dir=tmp_path / "d", says="--api-port")


def test_unreachable_database_is_said_within_five_seconds_of_the_start(tmp_path: Path) -> None:
    began = time.monotonic()
    url = "postgresql://bot:of-the-test@127.0.0.1:1/bot"
    refused(3, "--database-url", url, data_dir=tmp_path / "d", says="not reachable")
    # The start of two Pythons is in it too, on busy cores.
    assert time.monotonic() - began < 60


def test_database_url_of_another_system_is_usage(tmp_path: Path) -> None:
    refused(2, "--database-url", "mysql://x/y", data_dir=tmp_path / "d", says="postgresql")


def test_data_directory_of_another_version_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "version").write_text("99\n")
    refused(2, data_dir=tmp_path, says="version '99'")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lock", "logs", "version"]


def test_broken_recording_is_usage(tmp_path: Path) -> None:
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 nothing PAR1")
    refused(2, "--replay", str(tmp_path / "broken.parquet"), data_dir=tmp_path / "d", says="broken.parquet")
    refused(2, "--replay", str(tmp_path / "absent.parquet"), data_dir=tmp_path / "d", says="absent.parquet")


def test_venue_that_does_not_answer_is_unreachable(tmp_path: Path) -> None:
    urls = ("--venue-rest", "http://127.0.0.1:1", "--venue-ws", "ws://127.0.0.1:1/ws")
    refused(3, *urls, data_dir=tmp_path / "d", says="does not answer")


def test_key_that_the_venue_refuses_is_said_before_anything_is_started(tmp_path: Path) -> None:
    with running_simulator("--symbols", "BTCUSDT") as simulator:
        urls = ("--venue-rest", simulator.rest, "--venue-ws", simulator.ws)
        keys = {"MEXCBOT_API_KEY": simulator.api_key, "MEXCBOT_API_SECRET": "not-the-secret-of-it"}
        refused(2, "--mode", "live", *urls, data_dir=tmp_path / "d", says="check MEXCBOT_API_KEY", **keys)
        assert not (tmp_path / "d" / "postgres").exists()


def test_unknown_symbol_is_usage(tmp_path: Path) -> None:
    refused(2, "--symbols", "NOSUCHUSDT", data_dir=tmp_path / "d", says="NOSUCHUSDT")


def test_ray_that_does_not_answer_is_unreachable(tmp_path: Path) -> None:
    refused(3, "--ray-address", "127.0.0.1:1", data_dir=tmp_path / "d", says="127.0.0.1:1", RAY_AUTH_MODE="disabled")
