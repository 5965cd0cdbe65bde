"""The schema: the migrations build what the code believes in, and foreign databases are refused in a sentence."""

from __future__ import annotations

import time

import psycopg
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine

from tests.embedded_database import plain_url
from trading.adapters.store.database import Database, engine_url
from trading.adapters.store.database_url import parse_url
from trading.adapters.store.migrations import alembic_config, check_schema, migrate
from trading.adapters.store.tables import metadata
from trading.model.errors import ConfigError, NotRunning, StoreError


def _execute(url: str, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(plain_url(url), autocommit=True) as link:
        cursor = link.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def test_migrations_on_an_empty_database_build_the_metadata(empty_database_url: str) -> None:
    assert migrate(empty_database_url) == "0002"
    engine = create_engine(engine_url(parse_url(empty_database_url)))
    try:
        with engine.connect() as connection:
            options = {"compare_type": True, "compare_server_default": True}
            assert compare_metadata(MigrationContext.configure(connection, opts=options), metadata) == []
            config = alembic_config()
            config.attributes["connection"] = connection
            command.check(config)
    finally:
        engine.dispose()


def test_comparison_notices_a_column_too_many(database_url: str) -> None:
    _execute(database_url, "ALTER TABLE orders ADD COLUMN stray text")
    engine = create_engine(engine_url(parse_url(database_url)))
    try:
        with engine.connect() as connection:
            found = compare_metadata(MigrationContext.configure(connection), metadata)
    finally:
        engine.dispose()
    assert [(item[0], item[2], item[3].name) for item in found] == [("remove_column", "orders", "stray")]


def test_indexes_and_constraints_are_named_as_in_the_metadata(database_url: str) -> None:
    found = {row[0] for row in _execute(database_url, "SELECT indexname FROM pg_indexes WHERE schemaname = 'public'")}
    named = {index.name for table in metadata.tables.values() for index in table.indexes}
    assert named <= found


def test_migrate_twice_changes_nothing(database_url: str) -> None:
    assert migrate(database_url) == migrate(database_url) == "0002"
    check_schema(database_url)


def test_sources_of_older_fills_are_read_from_the_form_of_their_ids(empty_database_url: str) -> None:
    engine = create_engine(engine_url(parse_url(empty_database_url)))
    config = alembic_config()
    try:
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "0001")
    finally:
        engine.dispose()
    ids = {"mx-1-1-1.40": "paper", "505979017439002624X1": "stream", "0123456789abcdef0123456789ABCDEF": "rest"}
    for trade_id in ids:
        # No order and no session stand behind these rows: only the migration looks at them.
        _execute(
            empty_database_url,
            f"""SET session_replication_role = replica;
            INSERT INTO fills (account, session_id, venue, trade_id, client_order_id, venue_order_id, symbol, side,
                price_ticks, qty_lots, price, qty, quote_qty, fee, fee_asset, fee_rate_source, is_maker, realized_pnl,
                fee_quote, exch_ts_ns, recv_ts_ns)
            VALUES ('a', 's', 'v', '{trade_id}', 'mx-1-1-1', 'o', 'S', 'BUY', 1, 1, 1, 1, 1, 0, 'Q', '', true, 0, 0,
                1, 1)""",
        )
    assert migrate(empty_database_url) == "0002"
    assert {row[0]: row[1] for row in _execute(empty_database_url, "SELECT trade_id, source FROM fills")} == ids


def test_database_without_schema_is_refused(empty_database_url: str) -> None:
    with pytest.raises(ConfigError, match="run `mexcbot migrate`"):
        check_schema(empty_database_url)


def test_database_of_a_newer_version_is_refused_and_left_alone(database_url: str) -> None:
    _execute(database_url, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(ConfigError, match="schema 9999, which this version does not know"):
        migrate(database_url)
    with pytest.raises(ConfigError, match="schema 9999"):
        check_schema(database_url)
    assert _execute(database_url, "SELECT version_num FROM alembic_version") == [("9999",)]


def test_failing_migration_changes_nothing(empty_database_url: str) -> None:
    _execute(empty_database_url, "CREATE TABLE symbol_runs (n int)")
    with pytest.raises(StoreError, match="nothing was changed") as failure:
        migrate(empty_database_url)
    assert str(failure.value).endswith('"symbol_runs" already exists, and it is not ours: give an empty database')
    tables = _execute(empty_database_url, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    assert tables == [("symbol_runs",)]


def test_user_without_the_right_to_create_tables_is_told_what_to_grant(empty_database_url: str) -> None:
    at = parse_url(empty_database_url)
    role = f"guest_{at.database}"
    _execute(empty_database_url, f"CREATE ROLE {role} LOGIN PASSWORD 'pw'")
    try:
        with pytest.raises(StoreError, match="permission denied for schema public: grant its user") as refusal:
            migrate(f"postgresql://{role}:pw@{at.host}:{at.port}/{at.database}")
    finally:
        _execute(empty_database_url, f"DROP ROLE {role}")
    assert "\n" not in str(refusal.value)


def test_run_numbers_of_a_schema_made_anew_begin_above_those_of_the_last(database_url: str) -> None:
    (last,) = _execute(database_url, "SELECT last_value FROM symbol_runs_run_number_seq")
    assert isinstance(last[0], int)
    assert 0 <= time.time() - 1_704_067_200 - last[0] < 3_600


def test_times_are_shown_as_timestamps(database_url: str) -> None:
    _execute(
        database_url,
        "INSERT INTO alerts (account, level, name, text, at_ns) VALUES ('main', 'info', 'n', 't', 1700000000123456789)",
    )
    (row,) = _execute(database_url, "SELECT at AT TIME ZONE 'UTC', at_ns FROM alerts")
    assert str(row[0]).startswith("2023-11-14 22:13:20.12345")
    assert row[1] == 1700000000123456789


@pytest.mark.parametrize("url", ["postgresql://u:p@127.0.0.1:1/x", "postgres://u:p@127.0.0.1:1/x"])
def test_unreachable_database_is_named_without_its_password(url: str) -> None:
    started = time.monotonic()
    with pytest.raises(NotRunning, match=r"postgresql://u:\*\*\*@127.0.0.1:1/x is not reachable: Connection refused$"):
        migrate(url)
    assert time.monotonic() - started < 60


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("mysql://u:p@h/x", "must begin with postgresql://"),
        ("not a url", "not readable"),
        ("postgresql://u:secret@h", "names no database"),
    ],
)
def test_wrong_database_url_is_refused_in_a_sentence(url: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence) as refusal:
        Database(url, "test")
    assert "secret" not in str(refusal.value)


async def test_server_that_forgets_commits_is_refused(database_url: str) -> None:
    name = parse_url(database_url).database
    _execute(database_url, f"ALTER DATABASE {name} SET synchronous_commit = off")
    with pytest.raises(ConfigError, match="synchronous_commit = off"):
        migrate(database_url)
    database = Database(database_url, "test")
    try:
        with pytest.raises(ConfigError, match="synchronous_commit = off"):
            await database.check()
    finally:
        await database.close()
