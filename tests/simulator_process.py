"""A real simulator process for a test: started on a free port, spoken to over its control routes, ended by its own id.

Imported by the test modules that want it. May import bench, httpx and the standard library.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from bench.exchange_process import running_exchange

# What a venue lets one address do in a second is little, and shared with the system under test.
PATIENCE_S, PAUSE_S = 60.0, 0.25


@dataclass(frozen=True, slots=True)
class SimulatorProcess:
    """A running simulator: its addresses, its first account, and its control routes."""

    rest: str
    ws: str
    api_key: str
    secret: str
    process: subprocess.Popen[str]

    def get(self, path: str, **params: str | int) -> Any:
        """GET a route that needs no signature; the decoded body. Waits while that is too fast for the venue."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            answer = httpx.get(self.rest + path, params=params, timeout=30, trust_env=False)
            if answer.status_code != httpx.codes.TOO_MANY_REQUESTS or time.monotonic() > deadline:
                return answer.raise_for_status().json()
            time.sleep(PAUSE_S)

    def state(self, **params: str | int) -> Any:
        """Return /sim/state: the truth."""
        return self.get("/sim/state", **params)

    def fault(self, kind: str, **body: Any) -> str:
        """Put a fault in force, once unless count or probability say otherwise; returns its id."""
        answer = httpx.post(f"{self.rest}/sim/faults", json={"kind": kind, **body}, timeout=30, trust_env=False)
        answer.raise_for_status()
        return str(answer.json()["id"])

    def clear_faults(self) -> None:
        """Lift all faults."""
        httpx.delete(f"{self.rest}/sim/faults", timeout=30, trust_env=False).raise_for_status()

    def transfer(self, account: str, asset: str, amount: str) -> None:
        """Let an asset come to an account from outside, or with a minus leave it."""
        body = {"account": account, "asset": asset, "amount": amount}
        httpx.post(f"{self.rest}/sim/transfer", json=body, timeout=30, trust_env=False).raise_for_status()

    def best(self, symbol: str) -> tuple[str, str]:
        """Return the best bid and ask prices."""
        ticker = self.get("/api/v3/ticker/bookTicker", symbol=symbol)
        return ticker["bidPrice"], ticker["askPrice"]


@contextmanager
def running_simulator(*flags: str) -> Iterator[SimulatorProcess]:
    """Run `python -m simulator --port 0 --json` with further flags until the block ends."""
    with running_exchange(*flags) as (process, ready):
        yield SimulatorProcess(ready["rest"], ready["ws"], ready["api_key"], ready["secret"], process)
