"""The Prometheus page: the API's own counters, and the fleet's figures as the cached view has them.

May import prometheus_client and the API. A scrape asks no symbol actor: heartbeats brought the figures. Labels are
bounded: symbols of the fleet, reasons of the closed set, route templates.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, SummaryMetricFamily
from prometheus_client.metrics_core import Metric

from actors.executor_values import ExecutorStatus
from actors.fleet import SupervisorStatus
from api.twin_metrics import twin_metrics
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
    snapshot: Mapping[str, Any],
    status: ExecutorStatus | None,
    stream: Mapping[str, int],
    fleet: SupervisorStatus | None = None,
) -> Iterator[Metric]:
    """Turn the snapshot's body, the actors' status (None: no answer) and the stream's counters into families."""
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
    yield from _market_metrics(symbols)
    yield from twin_metrics(symbols)
    if status is not None:
        yield from _drift_metrics(symbols, status)
        yield from _executor_metrics(status)
    if fleet is not None:
        yield from _supervisor_metrics(fleet)


# Figures of `MarketHealth` by field: (field, metric, help).
_MARKET_GAUGES = (
    ("proven_percent", "book_proven_percent", "Share of time with a proven book, 0 to 100: the SLO."),
    ("inbox_max", "inbox_limit", "Frames that the inbox holds before the book loses its proof."),
)
_MARKET_COUNTERS = (
    ("proofs", "book_proofs", "Times the book was proven."),
    ("stale", "book_stale", "Times nothing was heard for too long."),
    ("crossed", "book_crossed", "Times the book stood crossed."),
    ("outrun", "book_outrun", "Books lost because the market came to the depth that their snapshot gave."),
    ("dead_lines", "dead_depth_lines", "Connections given up because depth pushes stayed away."),
    ("duplicates", "book_duplicates", "Depth pushes that the book had already."),
    ("overlaps", "book_overlaps", "Depth pushes that began inside the book's version."),
    ("snapshots", "snapshots", "REST snapshots taken."),
    ("snapshots_lagging", "snapshots_lagging", "REST snapshots that were behind the stream."),
    ("snapshots_failed", "snapshots_failed", "REST snapshots that failed."),
    ("ticker_checks", "ticker_checks", "Comparisons of the book's best with the book ticker."),
    ("ticker_mismatches", "ticker_mismatches", "Those that differed."),
    ("audits", "book_audits", "Comparisons of the book with a REST snapshot of its version."),
    ("audits_differing", "book_audits_differing", "Those that differed."),
    ("audits_without_verdict", "book_audits_without_verdict", "Audits that could not be judged."),
    ("connects", "feed_connects", "Market-data connections opened."),
    ("losses", "feed_losses", "Market-data connections lost."),
    ("rollovers", "feed_rollovers", "Market-data connections replaced in time."),
    ("overflows", "inbox_overflows", "Times the inbox was full."),
    ("decode_errors", "decode_errors", "Frames that could not be decoded."),
)


def _market_metrics(symbols: Sequence[Mapping[str, Any]]) -> Iterator[Metric]:
    """How each symbol's market data fares: proof, resyncs, age, inbox, drift."""
    reporting = [item for item in symbols if "market" in item]
    market = [(item["symbol"], item["market"]) for item in reporting]
    for field, name, text in _MARKET_GAUGES:
        yield _by_symbol(GaugeMetricFamily, name, text, ((symbol, body[field]) for symbol, body in market))
    for field, name, text in _MARKET_COUNTERS:
        yield _by_symbol(CounterMetricFamily, name, text, ((symbol, body[field]) for symbol, body in market))
    for name, text in (("inbox_depth", "Frames that wait for the engine."), ("inbox_high", "Most that ever waited.")):
        yield _by_symbol(GaugeMetricFamily, name, text, ((item["symbol"], item[name]) for item in reporting))
    yield _by_symbol(
        CounterMetricFamily, "bytes", "Market-data bytes received.", ((i["symbol"], i["bytes_in"]) for i in reporting)
    )
    resyncs = SummaryMetricFamily(
        "mexcbot_symbol_resync_seconds", "From the loss of the proof (or the start) to the next.", labels=("symbol",)
    )
    for symbol, body in market:
        resyncs.add_metric((symbol,), body["proofs"], body["resync_ms"] / 1e3)
    yield resyncs
    seconds = (
        ("resync_last_ms", "resync_last_seconds", "Duration of the last resynchronisation."),
        ("resync_longest_ms", "resync_longest_seconds", "Duration of the longest one."),
        ("event_age_ms", "event_age_seconds", "From the venue's stamp to arrival, last depth push."),
        ("event_age_max_ms", "event_age_max_seconds", "The largest of these in about a second."),
    )
    for field, name, text in seconds:
        yield _by_symbol(GaugeMetricFamily, name, text, ((symbol, body[field] / 1e3) for symbol, body in market))
    drifting = ((symbol, int(bool(body["drift"]))) for symbol, body in market)
    yield _by_symbol(GaugeMetricFamily, "wire_drift", "1 while the venue's wire is not as we know it.", drifting)
    shares = [body["proven_percent"] for _, body in market]
    if shares:
        text = "Share of time with a proven book, mean over the symbols."
        yield _single("mexcbot_book_proven_percent", text, sum(shares) / len(shares))


def _by_symbol(
    family: type[GaugeMetricFamily] | type[CounterMetricFamily],
    name: str,
    text: str,
    values: Iterable[tuple[str, float]],
) -> Metric:
    metric = family(f"mexcbot_symbol_{name}", text, labels=("symbol",))
    for symbol, value in values:
        metric.add_metric((symbol,), value)
    return metric


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


def _supervisor_metrics(status: SupervisorStatus) -> Iterator[Metric]:
    """The pace of the nodes' addresses, and the venue's clock."""
    waits = CounterMetricFamily("mexcbot_ip_wait_seconds", "Waiting for turns at the venue.", labels=("kind",))
    for kind, seconds in status.ip_waits:
        waits.add_metric((kind,), seconds)
    grants = CounterMetricFamily("mexcbot_ip_turns", "Turns at the venue handed out.", labels=("kind",))
    for kind, count in status.ip_grants:
        grants.add_metric((kind,), count)
    yield from (waits, grants)
    if status.clock_skew_ms is not None and status.clock_bound_ms is not None:
        yield _single("mexcbot_clock_skew_seconds", "The venue's clock minus ours.", status.clock_skew_ms / 1e3)
        yield _single("mexcbot_clock_bound_seconds", "How far off that may be.", status.clock_bound_ms / 1e3)


def _drift_metrics(symbols: Sequence[Mapping[str, Any]], status: ExecutorStatus) -> Iterator[Metric]:
    """Three ways to count our open orders: the venue's, the journal's, the symbol's own. They should agree."""
    drift = GaugeMetricFamily(
        "mexcbot_order_drift",
        "Open orders of ours on one side only: venue against journal at the last comparison; actor minus journal now.",
        labels=("symbol", "between"),
    )
    live, one_sided = dict(status.live_orders), dict(status.order_drift)
    for item in symbols:
        name = item["symbol"]
        drift.add_metric((name, "venue_journal"), one_sided.get(name, 0))
        drift.add_metric((name, "actor_journal"), item["open_orders"] - live.get(name, 0))
    yield drift


def _executor_metrics(status: ExecutorStatus) -> Iterator[Metric]:
    for name, value in (
        ("ready", status.is_ready),
        ("lease_valid", status.is_lease_valid),
        ("lease_epoch", status.lease_epoch),
        ("journal_down", status.is_journal_down),
        ("stream_up", status.is_stream_up),
        ("open_orders", status.open_orders),
        ("unknown_orders", status.unknown_orders),
        ("foreign_orders", len(status.foreign)),
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
