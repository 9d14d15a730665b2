"""What Alembic runs: the migrations in one transaction, on the connection it is handed."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection

from infra.postgres.tables import metadata


def run(connection: Connection) -> None:
    """Apply or compare the migrations on `connection`, which the caller commits."""
    context.configure(
        connection=connection,
        target_metadata=metadata,
        compare_type=True,
        compare_server_default=True,
        transaction_per_migration=False,
    )
    with context.begin_transaction():
        context.run_migrations()


run(context.config.attributes["connection"])
