"""Size of a pixel, laterality and directions of a case's image; of cases so far, none is known."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("cases", sa.Column("geometry", sa.JSON))
