"""Runs cases: each on an account and a database of its own, all on one simulator, in lives that are real processes.

May import the simulator process, the embedded database and the cases.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import httpx
import psycopg

from bench.report import ROOT
from tests.chaos.account_truth import Verdict, compare, report_of
from tests.chaos.chaos_cases import FAULTS, Case
from tests.chaos.executor_life import LifePlan
from tests.embedded_database import TEMPLATE, plain_url, sibling
from tests.simulator_process import SimulatorProcess, running_simulator
from trading.adapters.mexc.signing import signed_query

SYMBOL = "BTCUSDT"
SECRET = "chaos-secret"
FOREIGN = "by-hand-1"


class Zygote:
    """The process that lives are forked from. One life at a time."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.life_zygote"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def begin(self, plan: LifePlan) -> int:
        """Start a life; returns its process id."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(dataclasses.asdict(plan)) + "\n")
        self._process.stdin.flush()
        return int(self._answer("pid"))

    def end(self) -> int:
        """Wait for the life to end: its exit code, or minus the signal."""
        return int(self._answer("ended"))

    def run(self, plan: LifePlan) -> int:
        """Live a life to its end."""
        self.begin(plan)
        return self.end()

    def close(self) -> None:
        """End the process: it ends with its stdin."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def _answer(self, name: str) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the zygote died"
        return json.loads(line)[name]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a case: how each life ended (minus the signal, or the exit code), and the comparison."""

    case: Case
    endings: tuple[int, ...]
    report: dict[str, Any]
    verdict: Verdict


class KilledExecutors:
    """A simulator, a Postgres and some zygotes, over which cases are run."""

    def __init__(self, server_url: str, simulator: SimulatorProcess, folder: Path) -> None:
        self.simulator = simulator
        self._server_url = server_url
        self._folder = folder

    def plan(self, key: str, owner: str, seed: int, **more: Any) -> LifePlan:
        """Make a life's plan on the account `key` and its database."""
        return LifePlan(
            sibling(self._server_url, _database(key)),
            self.simulator.rest,
            self.simulator.ws,
            key,
            SECRET,
            SYMBOL,
            owner,
            str(self.log(key)),
            seed,
            **more,
        )

    def log(self, key: str) -> Path:
        """Where the lives of an account write down what they promised."""
        return self._folder / f"{key}.jsonl"

    @contextmanager
    def database(self, key: str) -> Iterator[str]:
        """Make the account's database; gone after the block."""
        name = _database(key)
        with psycopg.connect(plain_url(self._server_url), autocommit=True) as link:
            link.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
        url = sibling(self._server_url, name)
        with psycopg.connect(plain_url(url)) as link:
            link.execute(
                "INSERT INTO sessions (session_id, account, mode, venue, settings, pid, started_ns) "
                "VALUES ('s1', 'main', 'live', 'sim', '{}', 1, 1)"
            )
        yield url
        with psycopg.connect(plain_url(self._server_url), autocommit=True) as link:
            link.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def account(self, key: str) -> Any:
        """The venue's truth about an account."""
        return self.simulator.state()["accounts"][key]

    def totals(self, key: str) -> dict[str, Decimal]:
        """The account's totals per asset at the venue."""
        balances = self.account(key)["balances"]
        return {asset: Decimal(item["free"]) + Decimal(item["locked"]) for asset, item in balances.items()}

    def place_by_hand(self, key: str, name: str) -> None:
        """Place a far buy on the account as somebody else would, under `name`."""
        bid = Decimal(self.simulator.best(SYMBOL)[0])
        params = [("symbol", SYMBOL), ("side", "BUY"), ("type", "LIMIT"), ("quantity", "0.001")]
        params += [("price", str((bid * Decimal("0.92")).quantize(Decimal("0.01")))), ("newClientOrderId", name)]
        # The longest window there is: beside four lives, the way from reading the clock to the order may take seconds.
        now_ms = str(self.simulator.state()["now_ms"])
        query = signed_query(SECRET, [*params, ("timestamp", now_ms), ("recvWindow", "60000")])
        answer = httpx.post(
            f"{self.simulator.rest}/api/v3/order?{query}", headers={"X-MEXC-APIKEY": key}, trust_env=False, timeout=60
        )
        assert answer.status_code == 200, answer.text

    def run(self, case: Case, zygote: Zygote) -> Outcome:
        """Live a case's lives, let the last one settle, and compare venue and journal."""
        key = account_key(case.seed)
        with self.database(key) as url:
            deposits = self.totals(key)
            self.place_by_hand(key, FOREIGN)
            faults = tuple(
                self.simulator.fault(
                    fault, account=key, probability=chance, seed=case.seed, params={"delay_ms": delay_ms}
                )
                for fault, chance, delay_ms in FAULTS
            )
            kind = {
                "orphan_policy": case.policy.value,
                "has_orphans": case.has_orphans,
                "has_budget": case.has_budget,
            }
            endings = [
                zygote.run(
                    self.plan(
                        key,
                        f"life-{number}",
                        case.seed * 10 + number,
                        die_at=death.point.value,
                        die_after=death.after,
                        **kind,
                    )
                )
                for number, death in enumerate(case.deaths)
            ]
            endings.append(zygote.run(self.plan(key, "last", case.seed * 10 + 9, faults=faults, **kind)))
            verdict = compare(url, self.account(key), deposits, SYMBOL, self.log(key), case.policy)
            foreign = [o["status"] for o in self.account(key)["orders"] if o["clientOrderId"] == FOREIGN]
            if foreign != ["NEW"]:
                verdict.other.append(f"somebody else's order was touched: {foreign}")
            return Outcome(case, tuple(endings), report_of(self.log(key)), verdict)

    def run_all(self, cases: Sequence[Case], zygotes: int) -> list[Outcome]:
        """Run cases, several at a time; most of a life is waiting."""
        free: SimpleQueue[Zygote] = SimpleQueue()
        made = [Zygote() for _ in range(zygotes)]
        for zygote in made:
            free.put(zygote)

        def one(case: Case) -> Outcome:
            zygote = free.get()
            try:
                return self.run(case, zygote)
            finally:
                free.put(zygote)

        try:
            with ThreadPoolExecutor(zygotes) as pool:
                return list(pool.map(one, cases))
        finally:
            for zygote in made:
                zygote.close()


@contextmanager
def killed_executors(server_url: str, folder: Path, seeds: Sequence[int]) -> Iterator[KilledExecutors]:
    """Start the simulator with an account for each seed."""
    accounts = [flag for seed in seeds for flag in ("--account", f"{account_key(seed)}:{SECRET}")]
    with running_simulator("--limits", "off", "--symbols", SYMBOL, "--seed", "7", *accounts) as simulator:
        yield KilledExecutors(server_url, simulator, folder)


def account_key(seed: int) -> str:
    """The account of a seed."""
    return f"chaos{seed}"


def _database(key: str) -> str:
    return f"chaos_{key}"
