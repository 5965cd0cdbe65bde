"""What the benchmarks compute with: percentiles, verdicts, the selection of orders, sizes, rows of results."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from bench.figures import CannotRunError, Effort, Figure, median, percentile, shown
from bench.order_latency import SAME_STEP_NS, OrderTimes, figures, times_of
from bench.process_tree import kind_of, pss_bytes
from bench.report import COLUMNS, Conditions, append, head, line

QUIET = Conditions("2026-11-22T10:00:00Z", "abc123", "a machine, 2 cores", 0.1, 2)
BUSY = Conditions("2026-11-22T10:00:00Z", "abc123", "a machine, 2 cores", 5.0, 2)
FRAME_NS = 1_790_000_000_000_000_000


@pytest.mark.parametrize(("percent", "expected"), [(1, 1.0), (50, 5.0), (51, 6.0), (99, 10.0), (100, 10.0)])
def test_percentile_is_the_nearest_rank(percent: float, expected: float) -> None:
    assert percentile([10.0, 9.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], percent) == expected


def test_percentile_of_nothing_or_of_a_bad_percent_is_refused() -> None:
    for values, percent in (([], 50), ([1.0], 0), ([1.0], 101)):
        with pytest.raises(ValueError, match="expected values"):
            percentile(values, percent)


def test_median_of_an_even_number_is_a_measured_value() -> None:
    assert median([4.0, 1.0, 3.0, 2.0]) == 2.0


def test_verdict_depends_on_the_side_of_the_target() -> None:
    assert Figure("start", "s", 15.0, 15.0).verdict == "ok"
    assert Figure("start", "s", 15.1, 15.0).verdict == "short"
    assert Figure("rate", "1/s", 99.0, 100.0, is_more_better=True).verdict == "short"
    assert Figure("rate", "1/s", 100.0, 100.0, is_more_better=True).verdict == "ok"
    assert Figure("rate", "1/s", 1.0).verdict == ""


def test_line_names_value_target_and_verdict() -> None:
    text = line(Figure("warm_run_to_ready", "s", 16.25, 15.0, "three times"))
    assert [part for part in text.split(" ") if part] == [
        *("warm_run_to_ready", "16.2", "s", "<=", "15", "short", "three", "times")
    ]


@pytest.mark.parametrize(
    ("value", "expected"), [(0.0, "0"), (0.12345, "0.123"), (12.345, "12.3"), (123.5, "124"), (26845.2, "26,845")]
)
def test_shown_keeps_three_digits(value: float, expected: str) -> None:
    assert shown(value) == expected


def test_append_writes_the_header_once_and_quotes_what_has_commas(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    append(path, QUIET, "start", Figure("warm", "s", 12.5, 15.0, "a, b"))
    append(path, BUSY, "start", Figure("cold", "s", 80.0))
    with path.open(encoding="utf-8", newline="") as file:
        header, first, second = csv.reader(file)
    assert tuple(header) == COLUMNS
    assert first == [QUIET.date_utc, "abc123", QUIET.machine, "start", "warm", "s", "12.5", "15.0", "a, b"]
    assert second[6:] == ["80", "", "busy machine, load 5.0"]


def test_head_warns_of_a_busy_machine_only() -> None:
    assert not any("warning" in text for text in head(QUIET))
    assert any("load 5.0 on 2 cores" in text for text in head(BUSY))


def test_effort_chooses_by_its_kind() -> None:
    assert (Effort().choose(300, 40), Effort(is_short=True).choose(300, 40)) == (300, 40)


# --- orders --------------------------------------------------------------------------------------------------------


def an_order(after_frame_ns: int) -> OrderTimes:
    """Make an order decided so long after its frame: committed 2 ms later, sent at once, answered 1 ms later."""
    created = FRAME_NS + after_frame_ns
    return OrderTimes(FRAME_NS, created, created + 2_000_000, created + 2_000_000, created + 3_000_000)


def test_times_of_an_order_are_read_from_row_and_decision() -> None:
    row = {"created_ns": 11, "committed_ns": 12, "sent_ns": 13, "acked_ns": 14, "symbol": "BTCUSDT"}
    assert times_of(row, {"book_recv_ns": "10"}) == OrderTimes(10, 11, 12, 13, 14)
    assert times_of({**row, "sent_ns": 0}, {"book_recv_ns": "10"}) is None
    assert times_of({**row, "acked_ns": None}, {"book_recv_ns": "10"}) is None
    assert times_of(row, {}) is None


def test_order_is_of_a_frame_when_decided_in_its_step() -> None:
    assert an_order(0).is_of_a_frame
    assert an_order(SAME_STEP_NS - 1).is_of_a_frame
    assert not an_order(SAME_STEP_NS).is_of_a_frame
    assert not an_order(-1).is_of_a_frame


def test_latency_counts_from_the_frame_for_orders_of_frames_only() -> None:
    orders = [an_order(100_000)] * 6 + [an_order(50_000_000)] * 4
    found = {figure.metric: figure for figure in figures("paper", orders, 3)}
    assert found["paper_frame_to_acked_p99"].value == pytest.approx(3.1)
    assert found["paper_frame_to_acked_p50"].target == 5.0
    assert found["paper_frame_to_acked_p99"].target == 25.0
    assert found["paper_decision_to_committed_p99"].value == pytest.approx(2.0)
    assert found["paper_frame_to_acked_p50"].note.startswith("6 of 10 orders")
    assert "3 not sent" in found["paper_frame_to_acked_p50"].note


def test_latency_of_too_few_orders_is_not_told() -> None:
    with pytest.raises(CannotRunError, match="4 of 5 orders"):
        list(figures("live", [an_order(1)] * 4 + [an_order(90_000_000)], 0))


# --- memory --------------------------------------------------------------------------------------------------------


def test_pss_is_read_in_bytes_and_not_taken_for_its_parts() -> None:
    text = "55d0-7ffd ---p 00000000 00:00 0 [rollup]\nRss:  90000 kB\nPss:  70123 kB\nPss_Anon:  60000 kB\n"
    assert pss_bytes(text) == 70_123 * 1024
    with pytest.raises(ValueError, match="Pss"):
        pss_bytes("Rss: 1 kB\nPss_Anon: 1 kB\n")


@pytest.mark.parametrize(
    ("name", "command", "kind"),
    [
        ("raylet", "site-packages/ray/core/src/ray/raylet/raylet --x", "ray_system"),
        ("gcs_server", "site-packages/ray/core/src/ray/gcs/gcs_server", "ray_system"),
        ("ray::_Host", "ray::_Host", "executor_and_supervisor"),
        ("ray::IDLE", "ray::IDLE", "ray_idle_workers"),
        ("ray::DashboardA", "ray::DashboardAgent", "ray_system"),
        ("postgres", "postgres: checkpointer", "postgres"),
        ("python", "python -m streamlit run dashboard/app.py", "dashboard"),
        ("python", "python -m api --config api.json", "api"),
        ("python", "python -m simulator --port 0", "simulator"),
        ("python", "python -m actors.watchdog 5 mark", "launcher"),
        ("sleep", "sleep 5", "other"),
    ],
)
def test_kind_of_a_process_is_the_part_it_belongs_to(name: str, command: str, kind: str) -> None:
    assert kind_of(name, command) == kind
