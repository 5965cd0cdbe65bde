"""Fixtures of the integration tests: the real embedded Postgres."""

from tests.embedded_database import database_url, empty_database_url, postgres_server

__all__ = ["database_url", "empty_database_url", "postgres_server"]
