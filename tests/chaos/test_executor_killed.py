"""kill -9 at every named crash point on the live path, with everything that the venue can do wrong switched on.

Afterwards venue and journal agree on every order, fill and balance: lost 0, duplicated 0, orphans 0. The findings are
`docs/reliability.md`.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from bench.report import ROOT
from tests.chaos.account_truth import Verdict, compare, report_of
from tests.chaos.chaos_cases import FAULT_KINDS, case_of
from tests.chaos.executor_life import CRASHED
from tests.chaos.killed_executors import SYMBOL, KilledExecutors, Outcome, Zygote, account_key, killed_executors
from tests.chaos.reliability_page import PauseRow, render, soak_table
from tests.embedded_database import plain_url
from trading.engine.ports import Crashpoint
from trading.engine.reconcile import OrphanPolicy

pytestmark = pytest.mark.timeout(1_500)
PAGE = ROOT / "docs" / "reliability.md"
SEEDS = tuple(range(20))
SOAK_SEEDS = tuple(range(20, 220))
# The soak's comparison, seed by seed; written anew after each round of seeds.
SOAK_TABLE = ROOT / "reports" / "executor-killed-soak.md"
SOAK_ROUND = 8
# Lives mostly wait: for a lease, for a signed window to pass, for an answer that was lost.
ZYGOTES = 4
PAUSE_SEED = 900
# Between commit and send (promise 4), before the last look at the lease, and with the answer in hand.
PAUSES = (Crashpoint.SEND_BEFORE, Crashpoint.INTENT_AFTER_COMMIT, Crashpoint.SEND_AFTER)


@dataclass(frozen=True, slots=True)
class Pause:
    """What became of two executors on one account: how the stopped one ended, and its order here and there."""

    point: Crashpoint
    ending: int
    at_venue: tuple[str, ...]
    row: str
    report: dict[str, Any]
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Findings:
    """Everything that this module found."""

    outcomes: tuple[Outcome, ...]
    pauses: tuple[Pause, ...]
    injected: dict[str, int]


@pytest.fixture(scope="module")
def findings(postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Findings]:
    """Run all seeds and pauses once, several at a time."""
    pause_seeds = tuple(range(PAUSE_SEED, PAUSE_SEED + len(PAUSES)))
    folder = Path(tmp_path_factory.mktemp("chaos"))
    with killed_executors(postgres_server, folder, SEEDS + pause_seeds) as world:
        outcomes = world.run_all([case_of(seed) for seed in SEEDS], ZYGOTES)
        pauses = [pause_at(world, point, seed) for point, seed in zip(PAUSES, pause_seeds, strict=True)]
        yield Findings(tuple(outcomes), tuple(pauses), world.simulator.state()["injected"])


def pause_at(world: KilledExecutors, point: Crashpoint, seed: int) -> Pause:
    """Stop one executor at a point, let another take over and settle, and let the first go on."""
    key = account_key(seed)
    first, second = Zygote(), Zygote()
    try:
        with world.database(key) as url:
            deposits = world.totals(key)
            plan = world.plan(
                key, "stopped", seed, die_at=point.value, die_after=4, signal_name="SIGSTOP", has_budget=True
            )
            pid = first.begin(plan)
            wait_for(lambda: process_state(pid) == "T", f"{pid} stops at {point}")
            name = in_flight(url)
            ending = second.run(world.plan(key, "last", seed + 1, has_budget=True))
            assert ending == 0, f"the successor ended with {ending}"
            os.kill(pid, signal.SIGCONT)
            ended = first.end()
            verdict = compare(url, world.account(key), deposits, SYMBOL, world.log(key))
            at_venue = tuple(o["status"] for o in world.account(key)["orders"] if o["clientOrderId"] == name)
            return Pause(point, ended, at_venue, status_of(url, name), report_of(world.log(key)), verdict)
    finally:
        first.close()
        second.close()


def wait_for(is_so: Callable[[], bool], what: str, patience_s: float = 150.0) -> None:
    """Poll until something is so."""
    deadline = time.monotonic() + patience_s
    while not is_so():
        assert time.monotonic() < deadline, f"not within {patience_s} s: {what}"
        time.sleep(0.02)


def process_state(pid: int) -> str:
    """The kernel's letter for a process's state: T is stopped."""
    return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]


def in_flight(url: str) -> str:
    """The order that the stopped process holds: the newest whose row says SENT.

    At `send.after` a push may have told its fate before the answer did; then it is the newest that left at all.
    """
    newest = (
        "SELECT client_order_id FROM orders WHERE status NOT IN ('PENDING', 'DENIED') "
        "ORDER BY status = 'SENT' DESC, created_ns DESC LIMIT 1"
    )
    with psycopg.connect(plain_url(url)) as link:
        row = link.execute(newest).fetchone()
    assert row is not None
    return str(row[0])


def status_of(url: str, name: str) -> str:
    """The status of an order's row."""
    with psycopg.connect(plain_url(url)) as link:
        row = link.execute("SELECT status FROM orders WHERE client_order_id = %s", [name]).fetchone()
    assert row is not None
    return str(row[0])


def assert_nothing_lost(outcome: Outcome) -> None:
    """Every life ended as planned, the last one settled, and venue and journal agree."""
    expected = (-signal.SIGKILL,) * len(outcome.case.deaths) + (0,)
    assert outcome.endings == expected, f"{outcome.case}: lives ended with {outcome.endings}: {outcome.report}"
    assert outcome.verdict.defects == [], outcome.case
    assert outcome.report["confirmed"], outcome.report
    assert (outcome.report["open_orders"], outcome.report["unknown"], outcome.report["foreign"]) == (0, 0, 1)


@pytest.mark.parametrize("seed", SEEDS)
def test_kill_at_crash_points_loses_duplicates_and_orphans_nothing(findings: Findings, seed: int) -> None:
    assert_nothing_lost(findings.outcomes[seed])


def test_seeds_die_at_every_crash_point_and_meet_every_fault(findings: Findings) -> None:
    died = {
        death.point
        for outcome in findings.outcomes
        for death, ending in zip(outcome.case.deaths, outcome.endings, strict=False)
        if ending == -signal.SIGKILL
    }
    assert died == set(Crashpoint)
    assert [kind for kind in FAULT_KINDS if not findings.injected.get(kind)] == []
    # Both ends of promise 2 were met: orders that never left, and executions.
    assert sum(outcome.verdict.not_sent for outcome in findings.outcomes) > 0
    assert sum(outcome.verdict.fills for outcome in findings.outcomes) > len(SEEDS)


def test_orphans_are_planted_under_every_policy_on_the_default_budget_and_without_one(findings: Findings) -> None:
    met = {(outcome.case.has_budget, outcome.case.policy) for outcome in findings.outcomes if outcome.verdict.planted}
    assert met == {(has_budget, policy) for has_budget in (True, False) for policy in OrphanPolicy}
    assert all(outcome.verdict.planted == 0 for outcome in findings.outcomes if not outcome.case.has_orphans)


@pytest.mark.parametrize("index", range(len(PAUSES)), ids=[point.value for point in PAUSES])
def test_executor_stopped_while_another_takes_over_sends_each_order_at_most_once(
    findings: Findings, index: int
) -> None:
    pause = findings.pauses[index]
    assert pause.verdict.defects == []
    assert pause.report["confirmed"]
    assert pause.ending == CRASHED, "the stopped executor must notice that it is none any more"
    assert len(pause.at_venue) <= 1
    if pause.point is not Crashpoint.SEND_AFTER:
        # It went on after its signed window: the venue itself refused what it still sent.
        assert pause.at_venue == ()
        assert pause.row == "NOT_SENT"


def test_reliability_page_equals_the_findings(findings: Findings) -> None:
    page = render(findings.outcomes, findings.injected, [pause_row(pause) for pause in findings.pauses])
    if os.environ.get("MEXCBOT_WRITE_DOCS") and not any(outcome.verdict.defects for outcome in findings.outcomes):
        PAGE.write_text(page, encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == page, "stale: run this module once with MEXCBOT_WRITE_DOCS=1"


def pause_row(pause: Pause) -> PauseRow:
    """One row of the page. With an answer in hand the newest order may have been on its way or not: both are right."""
    times, row = len(pause.at_venue), f"`{pause.row}`"
    at_venue = f"reached it {times} times" if times > 1 else "reached it" if times else "never reached it"
    if times <= 1 and pause.point is Crashpoint.SEND_AFTER:
        at_venue, row = "reached it at most once", "what the venue says"
    return PauseRow(pause.point.value, at_venue, row, pause.verdict)


@pytest.mark.soak
@pytest.mark.timeout(3_600)
def test_two_hundred_seeds_lose_duplicate_and_orphan_nothing(
    postgres_server: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Seeds 20 to 219, or the range of MEXCBOT_SOAK_SEEDS ("300-320"); the table is written whatever comes of them."""
    seeds = soak_seeds(os.environ.get("MEXCBOT_SOAK_SEEDS", ""))
    folder = Path(tmp_path_factory.mktemp("soak"))
    began = time.monotonic()
    outcomes: list[Outcome] = []
    with killed_executors(postgres_server, folder, seeds) as world:
        for at in range(0, len(seeds), SOAK_ROUND):
            outcomes += world.run_all([case_of(seed) for seed in seeds[at : at + SOAK_ROUND]], ZYGOTES)
            injected = world.simulator.state()["injected"]
            write_soak(SOAK_TABLE, soak_table(outcomes, injected, time.monotonic() - began))
    for outcome in outcomes:
        assert_nothing_lost(outcome)


def soak_seeds(text: str) -> tuple[int, ...]:
    """Read a range of seeds, both ends included; nothing is the soak's own."""
    if not text:
        return SOAK_SEEDS
    first, _, last = text.partition("-")
    return tuple(range(int(first), int(last or first) + 1))


def write_soak(path: Path, table: str) -> None:
    """Replace the table as a whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(table, encoding="utf-8")
