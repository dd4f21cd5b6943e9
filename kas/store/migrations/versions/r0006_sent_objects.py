"""How many objects kas has sent with a revision: what bounds how many an agent may report of its project."""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0006"
down_revision: Final = "0005"


def upgrade() -> None:
    """Add the column; revisions that are on record already are sent again when their agents connect."""
    op.add_column("syncs", sa.Column("sent_objects", sa.Integer(), nullable=False, server_default="0"))
