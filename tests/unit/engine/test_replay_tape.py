"""What a replay leaves to look at: it listens only, and its sums are those of the books."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.engine_desk import EAGER
from tests.market_scenes import MS, S, delta, instrument, snapshot, trade
from trading.engine import replay_tape
from trading.engine.account import Account
from trading.engine.account_limits import AccountLimits
from trading.engine.matching_models import NO_LATENCY, QueueModel
from trading.engine.replay import ReplayRun, ReplaySettings
from trading.engine.replay_result import ReplayResult
from trading.engine.replay_tape import HORIZONS_NS, ReplayTape, markout_curve
from trading.model.market import MarketEvent, Side
from trading.model.orders import Fill, Purpose

Market = list[tuple[int, MarketEvent]]
PARAMS = {**EAGER, "order_quote": "25", "cooldown_s": "60", "min_depth_quote": "0"}


def round_trip() -> Market:
    """Entry at 99.91 hit at 2 s, exit at 100.09 at 4 s; the bid moves up four ticks at 2.4 s."""
    return [
        (S, snapshot([(9_990, 100)], [(10_010, 100)], 1, S)),
        (S + 1, delta(2, at_ns=S + 1)),
        (2 * S, trade(9_991, 10_000, Side.SELL, 2 * S)),
        (2 * S + 400 * MS, delta(3, bids=[(9_994, 100)], at_ns=2 * S + 400 * MS)),
        (4 * S, trade(10_009, 10_000, Side.BUY, 4 * S)),
        (5 * S, delta(4, at_ns=5 * S)),
    ]


def replay(tape: ReplayTape | None, maker: str = "0.0001", trade_from_ns: int = 0) -> ReplayResult:
    settings = ReplaySettings(params=tuple(PARAMS.items()), latency=NO_LATENCY, trade_from_ns=trade_from_ns)
    return ReplayRun(instrument(maker=maker), round_trip(), settings, tape).run()


def test_tape_changes_nothing_and_sums_what_the_books_say() -> None:
    tape = ReplayTape(instrument(maker="0.0001"))
    with_tape, without = replay(tape), replay(None)
    assert with_tape == without
    model = with_tape.pessimistic
    (reason, sums), *others = tape.exits.items()
    assert (reason, others) == ("passive", [])
    assert (sums.orders, sums.fills, sums.wins) == (1, 1, 1)
    assert (sums.gross, sums.fees, sums.net) == (model.gross, model.fees, model.net)
    assert sums.held_ns == 2 * S
    mine = [item for item in tape.fills if item.model is QueueModel.PESSIMISTIC]
    assert [item.purpose for item in mine] == [Purpose.ENTRY, Purpose.EXIT]
    assert sum((item.fill.fee for item in mine), Decimal(0)) == model.fees
    assert tape.marks[-1].pessimistic == model.net
    assert tape.marks[-1].probabilistic == with_tape.probabilistic.net


def test_markout_is_the_mid_at_its_horizon_and_open_horizons_do_not_count() -> None:
    tape = ReplayTape(instrument(maker="0.0001"))
    replay(tape)
    entry = tape.fills[0]
    price = entry.fill.price_ticks
    before, after = (10_000 - price) / price * 10_000, (10_002 - price) / price * 10_000
    # 0, 0.1 and 0.25 s are before the move at 0.4 s, the rest after it; 5 s and more the recording did not see.
    expected = {0: before, 1: before, 2: before, 3: after, 4: after, 5: after}
    for index, value in expected.items():
        assert entry.markout_bps(index) == pytest.approx(value)
    assert [entry.markout_bps(index) for index in range(6, len(HORIZONS_NS))] == [None] * 4
    curve = markout_curve([entry])
    assert [point.horizon_ns for point in curve] == list(HORIZONS_NS[:6])
    assert {point.fills for point in curve} == {1}
    assert curve[0].error_bps == 0.0


def test_drawdown_is_the_deepest_fall_from_a_peak() -> None:
    tape = ReplayTape(instrument())
    empty = replay(None).pessimistic
    for second, net in enumerate((0, 5, 2, 4, -1, 3)):
        model = type(empty)(0, Decimal(0), Decimal(net), Decimal(0), Decimal(0))
        tape.on_mark(second * S, 100, 101, model, empty)
    assert tape.max_drawdown == 6


def test_marks_and_fills_have_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay_tape, "MARKS_MAX", 100)
    tape = ReplayTape(instrument())
    model = replay(None).pessimistic
    for second in range(3 * replay_tape.MARKS_MAX):
        tape.on_mark(second * S, 100, 101, model, model)
    assert len(tape.marks) <= replay_tape.MARKS_MAX
    assert tape.marks[0].now_ns == 0
    assert tape.marks[-1].now_ns > (3 * replay_tape.MARKS_MAX - 10) * S
    monkeypatch.setattr(replay_tape, "FILLS_MAX", 1)
    bounded = ReplayTape(instrument(maker="0.0001"))
    replay(bounded)
    assert len(bounded.fills) == 1
    assert bounded.uncounted_fills > 0
    assert bounded.exits["passive"].fills == 1  # sums go on


def test_nothing_is_entered_before_the_warm_up_is_over() -> None:
    assert replay(None).orders == 2
    assert replay(None, trade_from_ns=10 * S).orders == 0
    late = replay(None, trade_from_ns=S + 500 * MS)
    assert late.orders == 2
    assert int(late.order_log[0].split()[0]) >= S + 500 * MS


def test_holding_time_begins_with_the_first_purchase_after_a_trip_that_left_dust() -> None:
    """By the account's word of when a trip has ended: sold but for dust, and an hour later bought and sold again."""
    pair = instrument()
    tape, account = ReplayTape(pair), Account(AccountLimits(), {pair.symbol: pair})

    def fill(number: int, side: Side, lots: int, at_ns: int) -> None:
        value = pair.notional(10_000, lots)
        purpose = Purpose.EXIT if side is Side.SELL else Purpose.ENTRY
        made = Fill(
            "paper", f"t{number}", f"o{number}", "v", pair.symbol, side, 10_000, lots,
            value, Decimal(0), "BBB", True, at_ns, at_ns,
        )  # fmt: skip
        trip_ns, before = account.trip_record(pair.symbol).ended_ns, account.position(pair.symbol)
        after, _ = account.on_fill(made)
        tape.on_fill(QueueModel.PESSIMISTIC, made, purpose, "x", before, after, at_ns, trip_ns)

    fill(1, Side.BUY, 105, S)
    fill(2, Side.SELL, 100, 2 * S)  # five lots are left, worth half the venue's minimum
    fill(3, Side.BUY, 60, 3_600 * S)
    fill(4, Side.BUY, 40, 3_601 * S)
    fill(5, Side.SELL, 100, 3_603 * S)
    assert (tape.exits["x"].fills, tape.exits["x"].held_ns) == (2, 4 * S)
