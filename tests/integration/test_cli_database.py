"""The verbs' way to the embedded database of a stopped instance, when several verbs take it at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import psycopg
import pytest

from actors.cli_database import open_database
from trading.adapters.store.embedded import EmbeddedPostgres
from trading.model.errors import ConfigError


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

    with open_database(tmp_path, None, is_made=False) as url, open_database(tmp_path, None, False, 0.1) as used:
        assert used == url  # what must not wait takes what is there
    server = EmbeddedPostgres(tmp_path / "postgres")
    try:
        of_instance = server.start()
        with open_database(tmp_path, None, is_made=False) as one, open_database(tmp_path, None, is_made=True) as two:
            assert one == two == of_instance
        assert _answers(of_instance)
    finally:
        server.stop()


def test_home_sign_of_a_setting_names_the_same_folder_as_for_the_instance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "~" / "bot" / "postgres" / "cluster").mkdir(parents=True)
    monkeypatch.setenv("MEXCBOT_DATA_DIR", "~/bot")
    with pytest.raises(ConfigError, match=f"{tmp_path}/home/bot has no database"), open_database(None, None, False):
        pass
