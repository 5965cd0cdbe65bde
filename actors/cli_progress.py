"""How far a halt is, told on stderr while its request waits. May import httpx and the CLI's own files."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from actors.cli_api import ApiClient
from actors.cli_output import say
from trading.model.errors import TradingError

FIRST_S = 2.0
EVERY_S = 1.0


@contextmanager
def told_progress(client: ApiClient, symbol: str | None) -> Iterator[None]:
    """Say once a second how many orders are still open, if it takes longer than two."""
    done = threading.Event()

    def tell() -> None:
        wait_s, last = FIRST_S, ""
        while not done.wait(wait_s):
            wait_s = EVERY_S
            try:
                body = client.get("/v1/halt", None if symbol is None else {"symbol": symbol})
            except TradingError:
                continue  # the request itself will say what is wrong
            count = body["open_orders"]
            text = f"halting: {'an unknown number of' if count is None else count} orders are not over yet"
            if not body["confirmed"] and text != last:
                say(text)
                last = text

    teller = threading.Thread(target=tell, name="progress", daemon=True)
    teller.start()
    try:
        yield
    finally:
        done.set()
        teller.join(timeout=EVERY_S)
