"""Backup and restore: the same rows in another database, nothing overwritten, nothing half-done."""

from __future__ import annotations

import asyncio
import json
import stat
import zipfile
from pathlib import Path
from typing import Any

import psycopg
import pytest

from actors import cli_verbs
from tests.embedded_database import plain_url
from tests.integration.api_system import api_system, client_of
from trading.adapters.store.backup import back_up, read_manifest, restore
from trading.adapters.store.migrations import check_schema
from trading.adapters.store.tables import metadata
from trading.model.errors import ConfigError, NotRunning, Refused, StoreError
from trading.model.market import Side


async def _trade(database_url: str) -> None:
    """Leave rows in most tables: a session, runs, orders, fills, positions, ledger, audit, an idempotency key."""
    async with api_system(database_url) as system, client_of(system.app()) as client:
        await system.spawn(client, "BTCUSDT", "ETHUSDT")
        await system.attach()
        await system.fill(await system.order(1), 1000, fee="0.01")
        await system.fill(await system.order(2, Side.SELL, 1000, 10_100), 1000, fee="0.02")
        await system.order(3)
        body = {"scope": "symbol", "symbol": "ETHUSDT", "reason": "tab\there, line\nthere, \\N and 龙虾"}
        answer = await client.post("/v1/halt", json=body, headers={"Idempotency-Key": "k"})
        assert answer.status_code == 202, answer.text


def _content(url: str) -> dict[str, list[tuple[Any, ...]]]:
    with psycopg.connect(plain_url(url)) as link:
        return {
            table.name: sorted(link.execute(f'SELECT * FROM "{table.name}"').fetchall(), key=repr)
            for table in metadata.sorted_tables
        }


async def test_backup_restored_holds_every_row_and_goes_on_counting(
    database_url: str, empty_database_url: str, tmp_path: Path
) -> None:
    await _trade(database_url)
    path = tmp_path / "books.backup"
    manifest = back_up(database_url, path)
    before = _content(database_url)
    assert manifest.rows == {name: len(rows) for name, rows in before.items()}
    assert all(manifest.rows[name] for name in ("sessions", "orders", "fills", "positions", "ledger", "risk_state"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600

    assert restore(empty_database_url, path) == manifest
    assert _content(empty_database_url) == before
    check_schema(empty_database_url)
    with psycopg.connect(plain_url(empty_database_url)) as link:
        row = link.execute(
            "SELECT max(run_number), nextval(pg_get_serial_sequence('symbol_runs','run_number')) FROM symbol_runs"
        )
        last, following = row.fetchone() or (0, 0)
        assert following > last
        link.execute("SELECT nextval(pg_get_serial_sequence('fills', 'id'))")
        (fill_id,) = link.execute("SELECT currval(pg_get_serial_sequence('fills', 'id'))").fetchone() or (0,)
        assert fill_id > max(fill[0] for fill in before["fills"])

    with pytest.raises(Refused, match=r"is not empty .* nothing is overwritten"):
        restore(empty_database_url, path)
    with pytest.raises(ConfigError, match="exists already"):
        back_up(database_url, path)
    assert _content(empty_database_url) == before


async def test_restore_of_a_broken_or_foreign_file_changes_nothing(
    database_url: str, empty_database_url: str, tmp_path: Path
) -> None:
    await _trade(database_url)
    whole = tmp_path / "whole.backup"
    manifest = back_up(database_url, whole)

    flipped = bytearray(whole.read_bytes())
    with zipfile.ZipFile(whole) as source:
        item = source.getinfo("tables/orders.copy")
    flipped[item.header_offset + 30 + len(item.filename) + 20 + item.compress_size // 2] ^= 0x01
    (tmp_path / "flipped").write_bytes(flipped)
    (tmp_path / "cut").write_bytes(whole.read_bytes()[:-30])
    (tmp_path / "text").write_text("hello")
    with zipfile.ZipFile(tmp_path / "newer", "w") as archive:
        fields = {"format": 1, "schema": "9999", "made_ns": 1, "columns": {}, "rows": {}, "counters": {}}
        archive.writestr("manifest.json", json.dumps(fields))
    for name, words in (
        ("flipped", "broken|no whole backup"),
        ("cut", "no whole backup"),
        ("text", "no whole backup"),
        ("newer", "made by a newer version"),
        ("absent", "no backup at"),
    ):
        with pytest.raises(ConfigError, match=words):
            restore(empty_database_url, tmp_path / name)

    with zipfile.ZipFile(whole) as source, zipfile.ZipFile(tmp_path / "short", "w") as archive:
        for name in source.namelist():
            content = source.read(name)
            archive.writestr(name, content.split(b"\n", 1)[1] if name == "tables/fills.copy" else content)
    with pytest.raises(StoreError, match=f"fills: expected {manifest.rows['fills']} rows"):
        restore(empty_database_url, tmp_path / "short")
    assert not any(_content(empty_database_url).values()), "one transaction: nothing is left of it"
    restore(empty_database_url, whole)


async def test_backup_verbs_say_where_the_books_are_and_refuse_with_the_contracts_codes(
    database_url: str, empty_database_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await _trade(database_url)
    path = tmp_path / "books"
    capsys.readouterr()
    assert cli_verbs.run(["backup", str(path), "--database-url", database_url, "--json"]) == 0
    body = json.loads(capsys.readouterr().out)
    assert (body["file"], body["rows"]) == (str(path), sum(read_manifest(path).rows.values()))
    assert cli_verbs.run(["restore", str(path), "--database-url", empty_database_url]) == 0
    assert f"{body['rows']} rows of" in capsys.readouterr().out
    for code, words, arguments in (
        (2, "exists already", ["backup", str(path), "--database-url", database_url]),
        (
            2,
            "has no database: name another",
            ["backup", "-o", str(tmp_path / "b"), "--data-dir", str(tmp_path / "none")],
        ),
        (2, "no backup at", ["restore", str(tmp_path / "none"), "--data-dir", str(tmp_path / "none")]),
        (2, "cannot write", ["backup", str(tmp_path / "no" / "b"), "--database-url", database_url]),
        (3, "not reachable", ["backup", str(tmp_path / "b"), "--database-url", "postgresql://u:p@127.0.0.1:1/x"]),
        (4, "is not empty", ["restore", str(path), "--database-url", empty_database_url]),
    ):
        assert cli_verbs.run(arguments) == code
        out, err = capsys.readouterr()
        assert out == ""
        assert words in err
        assert err.count("\n") == 1
    assert sorted(item.name for item in tmp_path.iterdir()) == ["books"]


async def test_books_that_were_restored_can_be_read_before_anything_is_started(
    database_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await _trade(database_url)
    path, folder = tmp_path / "books", str(tmp_path / "again")
    back_up(database_url, path)
    await asyncio.to_thread(_run, "restore", str(path), "--data-dir", folder)
    capsys.readouterr()
    await asyncio.to_thread(_run, "sessions", "--stored", "--json", "--data-dir", folder)
    assert len(json.loads(capsys.readouterr().out)["items"]) == 1


def _run(*arguments: str) -> None:
    assert cli_verbs.run(list(arguments)) == 0


def test_backup_of_a_database_without_our_schema_is_one_sentence(empty_database_url: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="run `mexcbot migrate`"):
        back_up(empty_database_url, tmp_path / "b")
    with pytest.raises(NotRunning):
        back_up("postgresql://u:p@127.0.0.1:1/x", tmp_path / "b")
