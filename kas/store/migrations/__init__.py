"""The steps from an empty database to the schema of this kas, oldest first, run by alembic."""
