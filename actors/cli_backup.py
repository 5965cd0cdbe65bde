"""The verbs that keep the books safe: backup and restore. May import typer and, when a verb runs, the store."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from actors import data_dir as data_folder
from actors.cli_api import data_dir_of
from actors.cli_database import DatabaseUrl, open_database
from actors.cli_fleet import DataDir, Json
from actors.cli_output import OK, answer, answer_json
from trading.model.errors import ConfigError

if TYPE_CHECKING:
    from trading.adapters.store.backup import Manifest

NS_PER_S = 1_000_000_000


def backup(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="Where to (default: a name with the time).")
    ] = None,
    out: Annotated[Path | None, typer.Option("-o", "--out", metavar="FILE", help="The same as FILE.")] = None,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    json: Json = False,
) -> int:
    """Write every order, fill, position and setting of the database into one file; trading may go on."""
    from trading.adapters.store.backup import back_up

    if file is not None and out is not None:
        raise ConfigError("FILE and --out are the same: give one of them")
    target = file or out or Path(time.strftime("mexcbot-%Y%m%d-%H%M%S.backup", time.gmtime()))
    with open_database(data_dir, database_url, is_made=False) as url:
        manifest = back_up(url, target)
    if json:
        answer_json(_body(target, manifest))
    else:
        answer(f"{target}: {sum(manifest.rows.values())} rows of {len(manifest.rows)} tables, schema {manifest.schema}")
        answer(f"to restore: mexcbot restore {target} --data-dir NEW_DIRECTORY")
    return OK


def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What mexcbot backup wrote.")],
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    json: Json = False,
) -> int:
    """Fill an empty database from a backup; one that holds anything is left alone."""
    from trading.adapters.store.backup import last_account, read_manifest
    from trading.adapters.store.backup import restore as fill

    read_manifest(file)  # before a server is started for it
    with open_database(data_dir, database_url, is_made=True) as url:
        manifest = fill(url, file)
        account = last_account(url)
    folder = data_folder.DataDir(data_dir_of(data_dir))
    is_embedded = database_url is None and (folder.postgres / "cluster").exists()
    if account and is_embedded and not folder.remembered("account"):
        folder.remember("account", account)  # as `up` does: the books are there to be read
    if json:
        answer_json(_body(file, manifest))
        return OK
    made = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(manifest.made_ns // NS_PER_S))
    answer(f"{sum(manifest.rows.values())} rows of {len(manifest.rows)} tables are back, as of {made} UTC")
    answer(
        "what happened after that is not in it: before you trade live again, look at the venue for open orders and "
        "trades of that time; orders of ours that no row explains are reported at the next start, and cancelled "
        "unless MEXCBOT_ORPHAN_POLICY says adopt or leave"
    )
    return OK


def _body(file: Path, manifest: Manifest) -> dict[str, Any]:
    fields = asdict(manifest)
    return {
        "file": str(file),
        "schema": fields["schema"],
        "made_ns": fields["made_ns"],
        "rows": sum(manifest.rows.values()),
        "tables": fields["rows"],
    }


def register(app: typer.Typer) -> None:
    """Add these verbs."""
    app.command()(backup)
    app.command()(restore)
