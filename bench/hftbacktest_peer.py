"""Plays one order list in hftbacktest and tells what filled. Run by `bench.queue_models` with the peers' interpreter.

    python hftbacktest_peer.py EVENTS ORDERS MODEL ENTRY_NS RESPONSE_NS

EVENTS: rows of hftbacktest's own event format, prices in ticks and quantities in lots. ORDERS: rows of eight int64,
by time of placing: place at, cancel at, id, side (1 or -1), price in ticks, quantity in lots, 0, 0. MODEL:
risk_adverse, log, log2 or power:N. Prints one JSON object {id: [filled lots, time of the last fill at the exchange]}.
May import numpy, numba and hftbacktest only: the project's own packages are not installed there.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
from hftbacktest import GTX, LIMIT, BacktestAsset, HashMapMarketDepthBacktest
from hftbacktest.types import event_dtype
from numba import njit

PLACE, CANCEL = 0, 1
MARGIN_NS = 2_000_000_000


@njit  # type: ignore[untyped-decorator]
def _play(hbt: Any, actions: Any) -> int:
    """Carry out actions (at, kind, id, side, price, lots) at their times; return how many of them went wrong."""
    wrong = 0
    hbt.elapse(0)  # before it there is no time
    for row in range(len(actions)):
        at, kind, order_id = actions[row, 0], actions[row, 1], actions[row, 2]
        if at > hbt.current_timestamp and hbt.elapse(at - hbt.current_timestamp) != 0:
            return wrong + len(actions) - row
        if kind == CANCEL:
            hbt.cancel(0, order_id, False)  # answers with an error code when the order is over: nothing to do then
            continue
        price, lots = float(actions[row, 4]), float(actions[row, 5])
        if actions[row, 3] > 0:
            done = hbt.submit_buy_order(0, order_id, price, lots, GTX, LIMIT, False)
        else:
            done = hbt.submit_sell_order(0, order_id, price, lots, GTX, LIMIT, False)
        wrong += done != 0
    hbt.elapse(MARGIN_NS)
    return wrong


def _actions(orders: Any) -> Any:
    """Turn the order list into one list of actions in order of time."""
    rows = []
    for place_at, cancel_at, order_id, side, price, lots, *_ in orders.tolist():
        rows.append((place_at, PLACE, order_id, side, price, lots))
        rows.append((cancel_at, CANCEL, order_id, side, price, lots))
    return np.array(sorted(rows), dtype=np.int64)


def _asset(events: Any, model: str, entry_ns: int, response_ns: int) -> Any:
    asset = (
        BacktestAsset()
        .data([events])
        .linear_asset(1.0)
        .constant_order_latency(entry_ns, response_ns)
        .partial_fill_exchange()
        .trading_value_fee_model(0.0, 0.0)
        .tick_size(1.0)
        .lot_size(1.0)
        .last_trades_capacity(0)
    )
    name, _, power = model.partition(":")
    if name == "risk_adverse":
        return asset.risk_adverse_queue_model()
    if name == "log":
        return asset.log_prob_queue_model()
    if name == "log2":
        return asset.log_prob_queue_model2()
    return asset.power_prob_queue_model(float(power))


def main(arguments: list[str]) -> int:
    """Play, and print."""
    events = np.fromfile(arguments[0], dtype=event_dtype)
    orders = np.fromfile(arguments[1], dtype=np.int64).reshape(-1, 8)
    hbt = HashMapMarketDepthBacktest([_asset(events, arguments[2], int(arguments[3]), int(arguments[4]))])
    wrong = _play(hbt, _actions(orders))
    found = {}
    values = hbt.orders(0).values()
    while values.has_next():
        order = values.get()
        found[int(order.order_id)] = [round(float(order.qty - order.leaves_qty)), int(order.exch_timestamp)]
    hbt.close()
    print(json.dumps({"wrong": int(wrong), "orders": found}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
