"""The verbs' way to the embedded database of a stopped instance, when several verbs take it at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import psycopg

from actors.cli_database import open_database
from trading.adapters.store.embedded import EmbeddedPostgres


def _answers(url: str) -> bool:
    with psycopg.connect(url.replace("+psycopg", ""), connect_timeout=10) as link:
        return link.execute("SELECT 1").fetchone() == (1,)


def test_verbs_take_turns_at_a_stopped_database_and_share_a_running_one(tmp_path: Path) -> None:
    is_in = Event()

    def read() -> bool:
        with open_database(tmp_path, None, is_made=False) as url:
            is_in.set()
            return _answers(url)

    with ThreadPoolExecutor(1) as pool:
        with open_database(tmp_path, None, is_made=True) as url:
            second = pool.submit(read)
            assert not is_in.wait(0.3)  # the server that is there ends with this verb
            assert _answers(url)
        assert second.result(60)

    server = EmbeddedPostgres(tmp_path / "postgres")
    try:
        of_instance = server.start()
        with open_database(tmp_path, None, is_made=False) as one, open_database(tmp_path, None, is_made=True) as two:
            assert one == two == of_instance
        assert _answers(of_instance)
    finally:
        server.stop()
