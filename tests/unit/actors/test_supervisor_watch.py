"""Alerts from heartbeats: said once, said again when it goes on, and not for what is nothing."""

from __future__ import annotations

from dataclasses import replace

from actors.fleet import FleetCommand
from actors.supervisor_watch import (
    AUDIT_PAUSE_NS,
    DEAD_PAUSE_NS,
    DRIFT_PAUSE_NS,
    UNPROVEN_AFTER_NS,
    WAITING_MAX,
    MarketWatch,
)
from actors.workflow import CommandKind
from tests.unit.actors.fleet_fakes import fleet
from trading.model.session import Heartbeat, MarketHealth, RunState
from trading.model.units import NS_PER_S

BEAT = Heartbeat(
    symbol="AAAUSDT", state=RunState.TRADING, reason="", since_ns=0, epoch=1, pid=7, node="n1", strategy="capture",
    params=(), book_state="PROVEN", book_version=1, bid="1", ask="2", book_age_ms=1, open_orders=0,
    machine_state="FLAT", frames=1, bytes_in=1, gaps=0, resyncs=0, inbox_depth=0, inbox_high=0, proven_ratio=1.0,
    refusals=(), sent_ns=1,
)  # fmt: skip
NOW = 1_000 * NS_PER_S


def names(watch: MarketWatch) -> list[str]:
    return [alert.name for alert in watch.take()]


def test_watch_healthy_symbol_is_no_news() -> None:
    watch = MarketWatch()
    for second in range(200):
        assert not watch.observe(BEAT, NOW + second * NS_PER_S)
    assert watch.take() == ()


def test_watch_drift_is_one_alert_for_the_fleet_and_another_when_it_goes_on() -> None:
    watch = MarketWatch()
    drifting = replace(BEAT, market=MarketHealth(drift="unknown field 7 in PublicAggreDepthsV3Api"))
    for symbol in ("AAAUSDT", "BBBUSDT", "CCCUSDT"):
        watch.observe(replace(drifting, symbol=symbol), NOW)
    (alert,) = watch.take()
    assert (alert.level, alert.name, alert.symbol) == ("warning", "wire_drift", None)
    assert "unknown field 7 in PublicAggreDepthsV3Api" in alert.text
    watch.observe(replace(BEAT, market=MarketHealth(drift="unknown trade type 3")), NOW + 1)
    assert names(watch) == ["wire_drift"], "another drift is another alert"
    watch.observe(drifting, NOW + DRIFT_PAUSE_NS)
    assert names(watch) == ["wire_drift"]


def test_watch_audit_that_differed_is_told_once_for_each_and_anew_by_a_new_process() -> None:
    watch = MarketWatch()
    differing = replace(BEAT, market=MarketHealth(audits_differing=1, audit_finding="1 levels differ"))
    watch.observe(differing, NOW)
    watch.observe(differing, NOW + AUDIT_PAUSE_NS)
    assert names(watch) == ["book_audit_differs"]
    watch.observe(replace(differing, pid=8), NOW + 2 * AUDIT_PAUSE_NS)
    assert names(watch) == ["book_audit_differs"]


def test_watch_depth_that_stayed_away_is_told_and_not_for_each_new_connection() -> None:
    watch = MarketWatch()
    watch.observe(replace(BEAT, market=MarketHealth(dead_lines=1)), NOW)
    (alert,) = watch.take()
    assert (alert.name, alert.symbol) == ("depth_dead", "AAAUSDT")
    watch.observe(replace(BEAT, market=MarketHealth(dead_lines=2)), NOW + 1)
    assert watch.take() == ()
    watch.observe(replace(BEAT, market=MarketHealth(dead_lines=3)), NOW + DEAD_PAUSE_NS)
    assert names(watch) == ["depth_dead"]


def test_watch_book_that_stays_unproven_is_told_and_a_short_resync_is_not() -> None:
    watch = MarketWatch()
    lost = replace(BEAT, book_state="GAP", market=MarketHealth(last_fault="closed by the venue"))
    watch.observe(lost, NOW)
    watch.observe(BEAT, NOW + UNPROVEN_AFTER_NS // 2)
    watch.observe(lost, NOW + UNPROVEN_AFTER_NS)
    watch.observe(lost, NOW + UNPROVEN_AFTER_NS + 2)
    assert watch.take() == ()
    watch.observe(lost, NOW + 2 * UNPROVEN_AFTER_NS + 1)
    (alert,) = watch.take()
    assert "closed by the venue" in alert.text


def test_watch_undecodable_frames_are_told_to_the_caller_while_they_grow() -> None:
    watch = MarketWatch()
    assert watch.observe(replace(BEAT, market=MarketHealth(decode_errors=2)), NOW)
    assert not watch.observe(replace(BEAT, market=MarketHealth(decode_errors=2)), NOW)
    assert watch.observe(replace(BEAT, market=MarketHealth(decode_errors=3)), NOW)


def test_watch_keeps_what_the_store_did_not_take_within_a_bound() -> None:
    watch = MarketWatch()
    for number in range(2 * WAITING_MAX):
        watch.observe(replace(BEAT, symbol=str(number), market=MarketHealth(audits_differing=1)), NOW)
    taken = watch.take()
    assert len(taken) == WAITING_MAX
    watch.give_back(taken)
    assert watch.take() == taken


async def test_supervisor_raises_the_alerts_of_its_symbols_and_keeps_them_while_the_store_is_away() -> None:
    world = fleet()
    await world.supervisor.request(FleetCommand(CommandKind.SPAWN, ("AAAUSDT",)))
    await world.settle()
    await world.trade("AAAUSDT")
    world.store.is_down = True
    beat = replace(world.factory.heartbeat("AAAUSDT"), market=MarketHealth(drift="unknown trade type 3"))
    await world.supervisor.heartbeat(beat)
    await world.settle(2)
    assert ("warning", "wire_drift", None) not in world.store.alerts
    world.store.is_down = False
    await world.settle(2)
    assert world.store.alerts.count(("warning", "wire_drift", None)) == 1
