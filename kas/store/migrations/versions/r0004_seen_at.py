"""When a ref was found to have a revision: what orders the notes of several kas."""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0004"
down_revision: Final = "0003"


def upgrade() -> None:
    """Add the column; of what is there already it is not known."""
    op.add_column("syncs", sa.Column("seen_at", sa.BigInteger(), nullable=True))
