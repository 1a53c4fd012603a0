"""Runs the migrations over the connection, and in the transaction, that `store.migrate` hands over."""

from alembic import context

from store.tables import Row

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Row.metadata,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
