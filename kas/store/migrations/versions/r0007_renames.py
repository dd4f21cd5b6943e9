"""Which paths a project had before, and whether its id is GitLab's: what a rename is known by."""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0007"
down_revision: Final = "0006"


def upgrade() -> None:
    """Add the columns; which ids are GitLab's is learned from kas.yaml at the next start."""
    op.add_column("projects", sa.Column("former", sa.Text(), nullable=False, server_default=""))
    op.add_column("projects", sa.Column("pinned", sa.Integer(), nullable=False, server_default="0"))
