"""The Prometheus page: the API's own counters, and the fleet's figures as the cached view has them.

May import prometheus_client and the API. A scrape asks no symbol actor: heartbeats brought the figures. Labels are
bounded: symbols of the fleet, reasons of the closed set, route templates.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from actors.executor_values import ExecutorStatus
from trading.model.session import HaltState, RunState

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# From a cached read (well under a millisecond) to a halt that waits for the venue.
BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class ApiMetrics:
    """What the API counts about itself."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(namespace="mexcbot_api", registry=self.registry)
        self.requests = Counter(
            "mexcbot_api_requests", "Requests answered.", ("method", "route", "status"), registry=self.registry
        )
        self.duration = Histogram(
            "mexcbot_api_request_seconds",
            "Time to answer a request, streams excepted.",
            ("route",),
            buckets=BUCKETS_S,
            registry=self.registry,
        )

    def page(self, fleet: Iterable[Metric]) -> bytes:
        """Render everything as one page."""
        return generate_latest(self.registry) + generate_latest(_Once(fleet))


class _Once(CollectorRegistry):
    """Families that were made for one scrape, in the shape that prometheus_client renders."""

    def __init__(self, families: Iterable[Metric]) -> None:
        super().__init__()
        self._families = tuple(families)

    def collect(self) -> Iterator[Metric]:
        """Give the families."""
        return iter(self._families)


def fleet_metrics(
    snapshot: Mapping[str, Any], status: ExecutorStatus | None, stream: Mapping[str, int]
) -> Iterator[Metric]:
    """Turn the snapshot's body, the executor's status (None: no answer) and the stream's counters into families."""
    symbols: Sequence[Mapping[str, Any]] = snapshot["symbols"]
    yield _single("mexcbot_up", "1 while fleet and database answer.", 0 if snapshot["is_stale"] else 1)
    yield _single("mexcbot_executor_up", "1 while the executor answers.", 0 if status is None else 1)
    halt = GaugeMetricFamily("mexcbot_halt_state", "1 for the account's present halt state.", labels=("state",))
    for state in HaltState:
        halt.add_metric((state.value,), int(snapshot["halt"]["state"] == state.value))
    yield halt
    counts = GaugeMetricFamily("mexcbot_symbols", "Symbols by state of their run.", labels=("state",))
    for run_state in RunState:
        counts.add_metric((run_state.value,), sum(item["state"] == run_state.value for item in symbols))
    yield counts
    for name, value in snapshot["pnl"].items():
        if name != "unmarked":
            yield _single(f"mexcbot_pnl_{name}_quote", f"P&L of the account: {name}, in the quote asset.", float(value))
    yield _single("mexcbot_orders_open", "Orders that are not terminal.", snapshot["open_orders"])
    yield _total("mexcbot_alerts", "Alerts of this session.", snapshot["alerts"])
    for name, count in stream.items():
        make = _single if name == "clients" else _total
        yield make(f"mexcbot_stream_{name}", f"Stream: {name}.", count)
    yield from _symbol_metrics(symbols)
    if status is not None:
        yield from _executor_metrics(status)


def _symbol_metrics(symbols: Sequence[Mapping[str, Any]]) -> Iterator[Metric]:
    """The figures of each symbol's last heartbeat. Counters begin anew with the actor's process."""
    gauges = (
        ("open_orders", "Open orders.", lambda item: item["open_orders"]),
        ("position_qty", "Position in base units.", lambda item: float(item["position_qty"])),
        ("net_pnl_quote", "Realised P&L after fees.", lambda item: float(item["net_pnl"])),
        ("book_proven", "1 while the book is proven.", lambda item: int(item["book"]["state"] == "PROVEN")),
        ("book_proven_ratio", "Share of time with a proven book.", lambda item: item.get("proven_ratio", 0.0)),
        ("book_age_seconds", "Age of the book's last change.", lambda item: (item["book"]["age_ms"] or 0) / 1e3),
        ("epoch", "Owner epoch.", lambda item: item["epoch"]),
    )
    counters = (
        ("frames", "Market-data frames received.", lambda item: item.get("frames", 0)),
        ("book_gaps", "Broken version chains.", lambda item: item.get("gaps", 0)),
        ("book_resyncs", "Resynchronisations.", lambda item: item.get("resyncs", 0)),
        ("restarts", "Actor processes after the first.", lambda item: item["restarts"]),
    )
    for name, text, value in gauges:
        family: Metric = GaugeMetricFamily(f"mexcbot_symbol_{name}", text, labels=("symbol",))
        for item in symbols:
            family.add_sample(f"mexcbot_symbol_{name}", {"symbol": item["symbol"]}, value(item))
        yield family
    for name, text, value in counters:
        family = CounterMetricFamily(f"mexcbot_symbol_{name}", text, labels=("symbol",))
        for item in symbols:
            family.add_sample(f"mexcbot_symbol_{name}_total", {"symbol": item["symbol"]}, value(item))
        yield family
    refusals = CounterMetricFamily("mexcbot_symbol_refusals", "Refused wishes by reason.", labels=("symbol", "reason"))
    for item in symbols:
        for reason, count in item.get("refusals", {}).items():
            refusals.add_metric((item["symbol"], reason), count)
    yield refusals


def _executor_metrics(status: ExecutorStatus) -> Iterator[Metric]:
    for name, value in (
        ("ready", status.is_ready),
        ("lease_valid", status.is_lease_valid),
        ("lease_epoch", status.lease_epoch),
        ("journal_down", status.is_journal_down),
        ("stream_up", status.is_stream_up),
        ("open_orders", status.open_orders),
        ("unknown_orders", status.unknown_orders),
        ("foreign_orders", status.foreign_orders),
        ("queue", status.queue),
        ("queue_high", status.queue_high),
        ("order_tokens", status.order_tokens),
        ("outcome_backlog", status.outcome_backlog),
        ("exposure_quote", status.equity.exposure),
        ("net_pnl_today_quote", status.net_pnl_today),
        ("drawdown_quote", status.drawdown),
    ):
        yield _single(f"mexcbot_executor_{name}", f"Executor: {name.replace('_', ' ')}.", float(value))
    yield _total("mexcbot_executor_rate_limited", "Times the venue asked to slow down.", status.rate_limited)
    events = CounterMetricFamily("mexcbot_executor_events", "Events since its start, by name.", labels=("name",))
    for name, count in status.counters:
        events.add_metric((name,), count)
    yield events
    latency = GaugeMetricFamily(
        "mexcbot_executor_latency_ms", "Latency of the last orders.", labels=("leg", "quantile")
    )
    for item in status.latencies:
        for quantile, value_ms in (("0.5", item.p50_ms), ("0.99", item.p99_ms)):
            if value_ms is not None:
                latency.add_metric((item.name, quantile), value_ms)
    yield latency


def _single(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)


def _total(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(name, text, value=value)
