"""A sweep over Ray is killed with -9 and started again: it goes on, and the answer is that of an unbroken one."""

from __future__ import annotations

import gzip
import json
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from itertools import islice
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from actors.cli_replay import replay_settings
from actors.cli_sweep import _plan
from actors.sweep_job import JobUnread, SweepJob, run_job
from trading.adapters.recording.events import recording_instrument
from trading.adapters.recording.importer import import_public
from trading.adapters.recording.pieces import pieces_of, recording_span
from trading.adapters.settings import load_settings
from trading.engine.strategy.demonstration import DEMONSTRATION
from trading.engine.sweep.ranking import PieceResult
from trading.engine.sweep.space import Space, parse_grid

pytestmark = pytest.mark.timeout(900)
ROWS = 7_000
FIXED = {name: value for name, value in DEMONSTRATION if name != "stop_loss_bps"}


@pytest.fixture(scope="module")
def recording(sample_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample's first minute."""
    folder = tmp_path_factory.mktemp("sweep")
    with gzip.open(sample_path, "rb") as file:
        (folder / "first.jsonl").write_bytes(b"".join(islice(file, ROWS)))
    import_public(folder / "first.jsonl", folder / "a.parquet")
    return folder / "a.parquet"


def command(recording: Path, out: Path) -> list[str]:
    fixed = [word for name, value in FIXED.items() for word in ("--set", f"{name}={value}")]
    varied = ["--grid", "stop_loss_bps=1,2,4", "--folds", "2", "--warmup-s", "2", "--jobs", "2", "--json"]
    return [sys.executable, "-m", "actors.cli", "sweep", str(recording), "-o", str(out), *varied, *fixed]


def test_job_whose_worker_lacks_the_recording_has_no_result_and_gets_one_later(recording: Path, tmp_path: Path) -> None:
    instrument = recording_instrument(recording)
    assumed = replay_settings(load_settings({"strategy_params": FIXED}), instrument)
    (piece, *_) = pieces_of(recording_span(recording), 3, 2 * 10**9)
    job = SweepJob(4, tmp_path / "away.parquet", instrument, piece, assumed)
    found = run_job(job)
    assert isinstance(found, JobUnread)
    assert (found.trial, found.piece) == (4, 0)
    assert "away.parquet" in found.reason
    (tmp_path / "away.parquet").write_bytes(recording.read_bytes())
    assert isinstance(run_job(job), PieceResult)


def test_sets_that_say_the_same_twice_are_tried_once(recording: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assumed = replay_settings(load_settings({}), recording_instrument(recording))
    space = Space(parse_grid(["timeout_s=20,20.0,5", "order_quote=20,20.00"]), {})
    plan = _plan(recording, space, None, assumed, 2, 10**9)
    assert plan.trials == ((("timeout_s", "20"), ("order_quote", "20")), (("timeout_s", "5"), ("order_quote", "20")))
    assert "4 of 6 sets repeat" in capsys.readouterr().err


def test_sweep_that_is_told_to_end_keeps_what_it_has_and_says_how_to_go_on(recording: Path, tmp_path: Path) -> None:
    """By SIGTERM, which Ray takes for itself while it starts; Ctrl-C takes the same way."""
    out = tmp_path / "s.parquet"
    with subprocess.Popen(
        command(recording, out), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            deadline = time.monotonic() + 120
            while not (tmp_path / "s.parquet.journal").exists():
                assert process.poll() is None, process.communicate()
                assert time.monotonic() < deadline
                time.sleep(0.02)
            process.send_signal(signal.SIGTERM)
            answer, said = process.communicate(timeout=120)
        finally:
            process.kill()
    assert (process.returncode, answer) == (130, ""), said
    assert "the same command goes on from there" in said
    assert "Traceback" not in said
    assert pq.read_table(out).num_rows < 9


def test_sweep_killed_half_way_goes_on_and_answers_as_if_nothing_had_happened(recording: Path, tmp_path: Path) -> None:
    out = tmp_path / "s.parquet"
    journal = tmp_path / "s.parquet.journal"
    with subprocess.Popen(command(recording, out), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as first:
        try:
            deadline = time.monotonic() + 240
            while not journal.exists() or journal.read_bytes().count(b"\n") < 3:
                assert first.poll() is None, first.communicate()
                assert time.monotonic() < deadline
                time.sleep(0.005)
        finally:
            first.kill()
            first.communicate()
    kept = journal.read_bytes().count(b"\n") - 1
    assert kept >= 2
    again = subprocess.run(command(recording, out), capture_output=True, timeout=300)
    assert again.returncode == 0, again.stderr
    body = json.loads(again.stdout)
    assert (body["trials"], body["replays"], body["resumed"]) == (3, 9, kept)

    # The same replays, one by one in this process.
    instrument = recording_instrument(recording)
    assumed = replay_settings(load_settings({"strategy_params": FIXED}), instrument)
    pieces = pieces_of(recording_span(recording), 3, 2 * 10**9)
    rows = {(row["trial"], row["piece"]): row for row in pq.read_table(out).to_pylist()}
    assert len(rows) == 9
    for piece in pieces:
        for trial, stop in enumerate(("1", "2", "4")):
            params = tuple(sorted({**dict(assumed.params), "stop_loss_bps": stop}.items()))
            settings = type(assumed)(
                params=params, seed=assumed.seed, limits=assumed.limits, balances=assumed.balances,
                allocation_quote=assumed.allocation_quote, trade_from_ns=piece.from_ns,
            )  # fmt: skip
            done = run_job(SweepJob(trial, recording, instrument, piece, settings))
            assert isinstance(done, PieceResult)
            expected = asdict(done)
            row = rows[(trial, piece.number)]
            assert row["param_stop_loss_bps"] == stop
            assert {name: row[name] for name in ("orders", "fills", "net", "net_probabilistic")} == {
                name: expected[name] for name in ("orders", "fills", "net", "net_probabilistic")
            }
            assert sum(row["periods"]) == pytest.approx(row["net"])
    assert sum(row["fills"] for row in rows.values()) > 0
    ranked = body["ranking"]
    assert [item["rank"] for item in ranked] == [1, 2, 3]
    nets = [sum(rows[(item["trial"], number)]["net"] for number in (0, 1)) for item in ranked]
    assert nets == sorted(nets, reverse=True)
    assert [item["in_sample"]["net"] for item in ranked] == pytest.approx(nets)
    after = [rows[(item["trial"], 2)]["net"] for item in ranked]
    assert [item["out_of_sample"]["net"] for item in ranked] == pytest.approx(after)
    assert body["luck"]["warning"]
