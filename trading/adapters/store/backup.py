"""Backups: every table of ours at one moment, in one file; and back into an empty database, whole or not at all.

May import psycopg, sqlalchemy and the store. A backup is a zip of `manifest.json` and one member a table, in Postgres'
COPY text, so that it needs no pg_dump, goes into any server version, and an older one is brought up by the migrations.
"""

from __future__ import annotations

import json
import os
import time
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from sqlalchemy import Table

from trading.adapters.store.database_url import connect_arguments, parse_url, shown, unreachable
from trading.adapters.store.migrations import MIGRATION_LOCK, check_schema, known_revisions, migrate
from trading.adapters.store.tables import metadata
from trading.model.errors import ConfigError, Refused, StoreError

FORMAT = 1
MANIFEST = "manifest.json"
_CHUNK_BYTES = 1 << 18

Link = psycopg.Connection[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup holds.

    Attributes:
        schema: the revision it was made at. made_ns: the moment that it shows.
        columns, rows: by table. counters: the last value of each counted column, by "table.column".
    """

    format: int
    schema: str
    made_ns: int
    columns: dict[str, list[str]]
    rows: dict[str, int]
    counters: dict[str, int]


def back_up(url: str, path: Path) -> Manifest:
    """Write a backup of the database, mode 0600, whole or not at all. A running system may go on meanwhile.

    Raises: ConfigError when `path` exists or cannot be written, or the schema is not this build's; NotRunning when the
    database is out of reach; StoreError when it fails on the way.
    """
    if path.exists():
        raise ConfigError(f"{path} exists already: a backup overwrites nothing, name another file")
    check_schema(url)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with os.fdopen(os.open(partial, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600), "w+b") as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive, _connected(url) as link:
                manifest = _write(link, archive)
            file.flush()
            os.fsync(file.fileno())
        os.link(partial, path)  # unlike a rename this never replaces what came there meanwhile
    except FileExistsError:
        raise ConfigError(f"{path} exists already: a backup overwrites nothing, name another file")
    except OSError as error:
        raise ConfigError(f"cannot write {path} ({error.strerror or error}): name another file")
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
    return manifest


def read_manifest(path: Path) -> Manifest:
    """Read a backup through, checksums too, and return what it holds.

    Raises: ConfigError when it is missing, broken, no backup, or made by a newer version.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if (torn := archive.testzip()) is not None:
                raise ConfigError(f"{path} is broken at {torn}: use another backup")
            manifest = Manifest(**json.loads(archive.read(MANIFEST)))
            missing = [table for table in manifest.rows if _member(table) not in archive.namelist()]
    except FileNotFoundError:
        raise ConfigError(f"no backup at {path}")
    except (zipfile.BadZipFile, zlib.error, KeyError, TypeError, ValueError, EOFError):
        raise ConfigError(f"{path} is no whole backup of mexcbot: use another one")
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror or error}")
    if manifest.format != FORMAT or manifest.schema not in known_revisions():
        raise ConfigError(f"{path} was made by a newer version (schema {manifest.schema}): restore it with that one")
    if missing:
        raise ConfigError(f"{path} is broken: table {missing[0]} is missing; use another backup")
    return manifest


def restore(url: str, path: Path) -> Manifest:
    """Fill an empty database from a backup, in one transaction, and bring it to this build's schema.

    Run numbers go on above both the backup's and the present ones: order ids of the time after the backup, which the
    venue remembers, are never used again.
    Raises: as `read_manifest`; Refused when the database holds rows of ours already; NotRunning when it is out of
    reach; StoreError when it fails on the way: then it is as empty as before.
    """
    manifest = read_manifest(path)
    refuse_unless_empty(url)
    migrate(url, manifest.schema)
    try:
        with zipfile.ZipFile(path) as archive, _connected(url) as link:
            link.execute("SELECT pg_advisory_xact_lock(%s)", (MIGRATION_LOCK,))
            _refuse_rows(link, url)
            for table in _ordered(manifest):
                _copy_in(link, archive, table, manifest)
            _set_counters(link, manifest)
    except psycopg.Error as error:
        raise StoreError(f"restoring {path} failed, nothing was changed: {' '.join(str(error).split())[:300]}")
    migrate(url)
    return manifest


def refuse_unless_empty(url: str) -> None:
    """Check that no table of ours holds a row. Raises: Refused, NotRunning."""
    with _connected(url) as link:
        _refuse_rows(link, url)


def last_account(url: str) -> str:
    """Return the account whose session began last; empty when there was none. Raises: NotRunning."""
    with _connected(url) as link:
        row = link.execute("SELECT account FROM sessions ORDER BY started_ns DESC LIMIT 1").fetchone()
    return "" if row is None else str(row[0])


def _write(link: Link, archive: zipfile.ZipFile) -> Manifest:
    link.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
    made_ns = time.time_ns()
    (schema,) = _one(link, "SELECT version_num FROM alembic_version")
    columns = {table.name: _stored_columns(table) for table in metadata.sorted_tables}
    rows = {name: _copy_out(link, archive, name, columns[name]) for name in columns}
    counters = {}
    for name, column in _counted(link):
        (last,) = _one(link, sql.SQL("SELECT last_value FROM {}").format(_sequence(link, name, column)))
        counters[f"{name}.{column}"] = int(last)
    manifest = Manifest(FORMAT, str(schema), made_ns, columns, rows, counters)
    archive.writestr(MANIFEST, json.dumps(asdict(manifest), indent=1) + "\n")
    return manifest


def _copy_out(link: Link, archive: zipfile.ZipFile, table: str, columns: list[str]) -> int:
    statement = sql.SQL("COPY {} ({}) TO STDOUT").format(sql.Identifier(table), _names(columns))
    with link.cursor() as cursor:
        with archive.open(_member(table), "w", force_zip64=True) as member, cursor.copy(statement) as copy:
            for block in copy:
                member.write(block)
        return max(0, cursor.rowcount)


def _copy_in(link: Link, archive: zipfile.ZipFile, table: str, manifest: Manifest) -> None:
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(table), _names(manifest.columns[table]))
    with link.cursor() as cursor:
        with archive.open(_member(table)) as member, cursor.copy(statement) as copy:
            while block := member.read(_CHUNK_BYTES):
                copy.write(block)
        if cursor.rowcount != manifest.rows[table]:
            raise StoreError(
                f"{table}: expected {manifest.rows[table]} rows, was {cursor.rowcount}: nothing was changed"
            )


def _set_counters(link: Link, manifest: Manifest) -> None:
    for name, column in _counted(link):
        sequence = _sequence(link, name, column)
        (present,) = _one(link, sql.SQL("SELECT last_value FROM {}").format(sequence))
        last = max(int(present), manifest.counters.get(f"{name}.{column}", 0))
        link.execute("SELECT setval(pg_get_serial_sequence(%s, %s), %s)", (name, column, last))


def _refuse_rows(link: Link, url: str) -> None:
    present = {name for (name,) in link.execute("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()")}
    for table in metadata.sorted_tables:
        if table.name not in present:
            continue
        found = link.execute(sql.SQL("SELECT 1 FROM {} LIMIT 1").format(sql.Identifier(table.name))).fetchone()
        if found is not None:
            raise Refused(
                f"the database {shown(parse_url(url))} is not empty (table {table.name} has rows) and nothing is "
                "overwritten: restore into a new --data-dir, or into a new database with --database-url"
            )


def _counted(link: Link) -> list[tuple[str, str]]:
    """Return the columns that the server counts, of our tables, as (table, column)."""
    rows = link.execute(
        "SELECT table_name, column_name FROM information_schema.columns "
        "WHERE table_schema = current_schema() AND is_identity = 'YES' ORDER BY 1, 2"
    ).fetchall()
    return [(table, column) for table, column in rows if table in metadata.tables]


def _sequence(link: Link, table: str, column: str) -> sql.Composable:
    (name,) = _one(link, "SELECT pg_get_serial_sequence(%s, %s)", (table, column))
    return sql.SQL(".").join(sql.Identifier(part.strip('"')) for part in str(name).split("."))


def _one(link: Link, statement: Any, values: tuple[Any, ...] = ()) -> tuple[Any, ...]:
    row = link.execute(statement, values).fetchone()
    if row is None:
        raise StoreError("the database has no answer: run mexcbot migrate")
    return row


def _ordered(manifest: Manifest) -> list[str]:
    """Return the backup's tables, those that others refer to first."""
    return [table.name for table in metadata.sorted_tables if table.name in manifest.rows]


def _stored_columns(table: Table) -> list[str]:
    """Return the columns that are written; the server generates the others."""
    return [column.name for column in table.columns if column.computed is None]


def _names(columns: list[str]) -> sql.Composable:
    return sql.SQL(", ").join(map(sql.Identifier, columns))


def _member(table: str) -> str:
    return f"tables/{table}.copy"


@contextmanager
def _connected(url: str) -> Iterator[Link]:
    """Open a transaction; committed when the block ends. Raises: NotRunning."""
    parsed = parse_url(url)
    arguments = {**connect_arguments("backup"), "options": "-c timezone=UTC -c statement_timeout=0"}
    try:
        link = psycopg.connect(**{**arguments, **parsed.as_arguments()})
    except psycopg.OperationalError as error:
        raise unreachable(parsed, error) from None
    with link:
        yield link
