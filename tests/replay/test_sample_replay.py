"""The recorded market, replayed: sane defaults hardly trade on it and say why, the demonstration profile does."""

from __future__ import annotations

from pathlib import Path

import pytest

from trading.adapters.recording.events import market_events, recording_instrument
from trading.adapters.recording.importer import import_public
from trading.adapters.recording.parquet import read_recording
from trading.engine.replay import ReplayRun, ReplaySettings
from trading.engine.replay_result import ReplayResult
from trading.engine.strategy.demonstration import DEMONSTRATION


@pytest.fixture(scope="module")
def recording(sample_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sample") / "btc.parquet"
    import_public(sample_path, path)
    return path


def replay(recording: Path, params: dict[str, str]) -> ReplayResult:
    events = market_events(read_recording(recording))
    return ReplayRun(recording_instrument(recording), events, ReplaySettings(params=tuple(params.items()))).run()


def test_sample_with_sane_defaults_hardly_trades_and_counts_why(recording: Path) -> None:
    result = replay(recording, {})
    refusals = dict(result.refusals)
    assert result.events > 41_000
    assert result.orders < 10
    assert refusals["spread_too_tight"] > 200
    assert result.notes == (("book_proven", 1),)


def test_sample_with_the_demonstration_profile_trades_and_is_the_same_twice(recording: Path) -> None:
    first, second = replay(recording, dict(DEMONSTRATION)), replay(recording, dict(DEMONSTRATION))
    assert first.order_log_sha256 == second.order_log_sha256
    assert first.order_log == second.order_log
    assert first.orders - first.denied >= 50
    assert first.pessimistic.fills >= 10
    assert first.pessimistic.traded <= first.probabilistic.traded
    # It pays no fee to speak of and still loses: that is what it demonstrates.
    assert first.pessimistic.net < 0
