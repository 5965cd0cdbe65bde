"""The first schema: the fleet and the account's books."""

from __future__ import annotations

from trading.adapters.store.migrations.statements import execute_file

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create every table."""
    execute_file(__file__)
