"""Fixtures of the chaos tests: the real embedded Postgres."""

from tests.embedded_database import database_url, postgres_server

__all__ = ["database_url", "postgres_server"]
