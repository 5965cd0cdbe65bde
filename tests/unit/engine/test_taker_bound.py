"""How far below the bid a taker may sell: never further than promised, whatever the tick."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.model.units import lowest_sale_ticks


@pytest.mark.parametrize(
    ("bid_ticks", "bound_bps", "lowest"),
    [
        (10_000, 20, 9_980),
        (9_991, 20, 9_972),  # 9971.018: a tick lower would be 21 bps
        (10, 20, 10),  # a coarse tick: one is ten per cent
        (600, 20, 599),
        (1, 5_000, 1),
        (10_000, 0, 10_000),
        (4, 5_000, 2),
    ],
)
def test_lowest_sale_is_rounded_up(bid_ticks: int, bound_bps: float, lowest: int) -> None:
    assert lowest_sale_ticks(bid_ticks, bound_bps) == lowest


@given(st.integers(1, 10**9), st.integers(0, 5_000))
def test_lowest_sale_is_a_price_from_the_bound_to_the_bid(bid_ticks: int, bound_bps: int) -> None:
    lowest = lowest_sale_ticks(bid_ticks, bound_bps)
    assert 1 <= lowest <= bid_ticks
    assert lowest * 10_000 >= bid_ticks * (10_000 - bound_bps)
    assert (lowest - 2) * 10_000 < bid_ticks * (10_000 - bound_bps)  # no more than a tick of rounding, and of float
