"""Which source told a fill: the stream's ids and those of my-trades differ, and each tells an execution once."""

from __future__ import annotations

from trading.adapters.store.migrations.statements import execute_file

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; of older rows the form of the id tells the source."""
    execute_file(__file__)
