"""The shadow twin's figures for Prometheus: how far paper is from live, by symbol. May import prometheus_client.

In paper mode there are both queue models and no live side (`trading.engine.shadow_twin`). What cannot be said yet is
left out, never 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

SIDES = ("live", "pessimistic", "probabilistic")


def twin_metrics(symbols: Sequence[Mapping[str, Any]]) -> Iterator[Metric]:
    """Turn the twins of a snapshot's symbols into families. Label `side`: live, or the paper queue model."""
    twins = [(item["symbol"], item["twin"]) for item in symbols if item.get("twin")]
    orders = CounterMetricFamily("mexcbot_twin_orders", "Resting orders that were mirrored.", labels=("symbol",))
    telling = CounterMetricFamily(
        "mexcbot_twin_telling_orders", "Mirrored orders that tell one queue from another.", labels=("symbol",)
    )
    power = GaugeMetricFamily(
        "mexcbot_twin_queue_power",
        "The queue's n that live orders agree with (bound estimate), and the ends of its 95 % interval (low, high).",
        labels=("symbol", "bound"),
    )
    by_side = ("symbol", "side")
    fill_rate = GaugeMetricFamily("mexcbot_twin_fill_rate", "Share of the mirrored lots that filled.", labels=by_side)
    wait = GaugeMetricFamily("mexcbot_twin_time_to_fill_seconds", "Mean time to an order's first fill.", labels=by_side)
    markout = GaugeMetricFamily("mexcbot_twin_markout_bps", "Mean move for us a second after a fill.", labels=by_side)
    for symbol, twin in twins:
        orders.add_metric((symbol,), twin["orders"])
        queue = twin["queue"]
        telling.add_metric((symbol,), queue["telling"])
        for bound, value in (("estimate", queue["power"]), ("low", queue["low"]), ("high", queue["high"])):
            if value is not None:
                power.add_metric((symbol, bound), value)
        for side in SIDES:
            figures = twin[side]
            if figures is None:
                continue
            if twin["orders"]:
                fill_rate.add_metric((symbol, side), figures["fill_rate"])
            if figures["time_to_fill_ms"] is not None:
                wait.add_metric((symbol, side), figures["time_to_fill_ms"] / 1e3)
            if figures["markout_bps"] is not None:
                markout.add_metric((symbol, side), figures["markout_bps"])
    yield from (orders, telling, power, fill_rate, wait, markout)
