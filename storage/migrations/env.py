"""What Alembic runs around the migrations: they happen in the transaction that the caller began."""

from alembic import context

from storage.migrate import VERSION_TABLE
from storage.schema import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    version_table=VERSION_TABLE,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
