"""Misleading squares of a reading; readings so far have none."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    column = sa.Column("misleading", sa.JSON, nullable=False, server_default="[]")
    op.add_column("readings", column)
