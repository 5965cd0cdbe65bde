"""What alembic runs for each command: it works on the connection that the caller opened. Loaded by alembic only."""

from alembic import context

from trading.adapters.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    compare_type=True,
    compare_server_default=True,
)
with context.begin_transaction():
    context.run_migrations()
