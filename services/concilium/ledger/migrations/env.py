"""Alembic's environment: runs on the connection that `concilium.ledger.migrate` hands over."""

from alembic import context

from concilium.ledger.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
