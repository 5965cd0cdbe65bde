"""The schema's history, and the one door to it: `migrate`. May import alembic, sqlalchemy and the store's tables.

A revision is a small module in `versions/` that executes the SQL file of the same name: what is written there is what
the server runs. A released revision is never edited; a change is a new one.
"""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from psycopg.errors import DuplicateObject, DuplicateTable, InsufficientPrivilege
from sqlalchemy import Connection, Engine, NullPool, create_engine, text
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from trading.adapters.store.database import engine_url
from trading.adapters.store.database_url import (
    GUARANTEES,
    DatabaseUrl,
    check_guarantees,
    connect_arguments,
    parse_url,
    shown,
    unreachable,
)
from trading.model.errors import ConfigError, StoreError

# Any constant: it only has to be the same in every process that migrates one database.
MIGRATION_LOCK = 0x6D_65_78_63


def migrate(url: str, revision: str = "head") -> str:
    """Bring the database to this build's schema and return its revision. Idempotent; two at once wait for each other.

    revision: an older one, to take in a backup of its time.
    Raises: ConfigError when the URL is wrong, the server does not keep what it commits, or the schema is newer than
    this build; NotRunning when the database is out of reach (within 5 s); StoreError when a step fails, which leaves
    the schema as it was.
    """
    at = parse_url(url)
    engine = _engine(at)
    config = alembic_config()
    try:
        with engine.begin() as connection:
            version, fsync, synchronous_commit = connection.execute(text(GUARANTEES)).one()
            check_guarantees(at, version, fsync, synchronous_commit)
            connection.execute(text("SET LOCAL statement_timeout = 0"))
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
            _check_revision(connection, config, at)
            config.attributes["connection"] = connection
            command.upgrade(config, revision)
            return _revision(connection) or ""
    except OperationalError as error:
        raise unreachable(at, error) from None
    except SQLAlchemyError as error:
        raise StoreError(f"migrating {shown(at)} failed, nothing was changed: {_reason(error)}") from error
    finally:
        engine.dispose()


def check_schema(url: str) -> None:
    """Check that the database has this build's schema, changing nothing.

    Raises: ConfigError when it has another, with what to do; NotRunning when it is out of reach.
    """
    at = parse_url(url)
    engine = _engine(at)
    config = alembic_config()
    try:
        with engine.connect() as connection:
            _check_revision(connection, config, at)
            head = ScriptDirectory.from_config(config).get_current_head()
            if _revision(connection) != head:
                raise ConfigError(f"the database {shown(at)} has no up-to-date schema: run `mexcbot migrate`")
    except OperationalError as error:
        raise unreachable(at, error) from None
    finally:
        engine.dispose()


def known_revisions(config: Config | None = None) -> frozenset[str]:
    """Return the revisions of this build, every one from the first on."""
    scripts = ScriptDirectory.from_config(config or alembic_config()).walk_revisions()
    return frozenset(script.revision for script in scripts)


def alembic_config() -> Config:
    """Return the alembic configuration; there is no alembic.ini."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _engine(at: DatabaseUrl) -> Engine:
    return create_engine(
        engine_url(at), poolclass=NullPool, hide_parameters=True, connect_args=connect_arguments("migrate")
    )


def _reason(error: SQLAlchemyError) -> str:
    """Say in a line why a step failed, and what to do where that is known."""
    cause = error.__cause__ or error
    reason = next((line.strip() for line in str(cause).splitlines() if line.strip()), type(cause).__name__)
    match cause:
        case InsufficientPrivilege():
            return f"{reason}: grant its user USAGE and CREATE on the schema, or make that user the database's owner"
        case DuplicateTable() | DuplicateObject():
            return f"{reason}, and it is not ours: give an empty database"
        case _:
            return reason


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _check_revision(connection: Connection, config: Config, at: DatabaseUrl) -> None:
    found = _revision(connection)
    if found is not None and found not in known_revisions(config):
        raise ConfigError(
            f"the database {shown(at)} has schema {found}, which this version does not know: "
            "use the newer version that made it, or another database"
        )
