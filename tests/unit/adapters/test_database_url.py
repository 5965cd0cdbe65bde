"""Database URLs: read as SQLAlchemy reads them, shown without their password."""

from __future__ import annotations

import pytest
from sqlalchemy import make_url

from trading.adapters.store.database import engine_url
from trading.adapters.store.database_url import parse_url, shown
from trading.model.errors import ConfigError


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:p%40ss%2Fword@host:5432/name",
        "postgresql+psycopg://user@[::1]:5433/name",
        "postgres://user:a/b?c#d@host/name",
        "postgresql:///name?host=%2Ftmp%2Fsocket&sslmode=require",
    ],
)
def test_it_reads_what_sqlalchemy_reads(url: str) -> None:
    other = make_url(url)
    ours = parse_url(url)
    assert (ours.username, ours.password, ours.port) == (other.username, other.password, other.port)
    assert (ours.host, ours.database, dict(ours.query)) == (other.host, other.database, dict(other.query))
    assert engine_url(ours) == other.set(drivername="postgresql+psycopg")


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("nonsense", "not readable"),
        ("postgresql://host:port/name", "not readable"),
        ("mysql://host/name", "must begin with postgresql://, was mysql://"),
        ("postgresql://user:secret@host:1", r"postgresql://user:\*\*\*@host:1/ names no database"),
    ],
)
def test_what_is_no_database_url_is_refused_in_one_sentence(url: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence) as refused:
        parse_url(url)
    assert "secret" not in str(refused.value)


def test_a_password_is_never_shown() -> None:
    parsed = parse_url("postgresql://user:secret@host/name?sslpassword=secret2&sslmode=require")
    assert shown(parsed) == "postgresql://user:***@host/name?sslpassword=***&sslmode=require"
    assert "secret" not in repr(parsed).replace(str(parsed.query), "")
