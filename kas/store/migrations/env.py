"""What alembic runs for each command: on the connection that ``kas/store/migrate.py`` gives, in its transaction.

A new migration is a file in ``versions/``, written by hand and held against ``schema.py`` by a test.
"""

from alembic import context

from kas.store.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
