"""Which readers have finished a round; how several readers' answers of a case are merged.

Rounds that are applied keep the rule that they were applied with, the newest answer of anybody,
which a round without `merge` in its settings has.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "finishes",
        sa.Column("round", sa.String(240), sa.ForeignKey("rounds.id"), primary_key=True),
        sa.Column("reader", sa.String(200), primary_key=True),
        sa.Column("at", sa.String(40), nullable=False),
    )
    op.execute(
        "UPDATE rounds SET settings = json_set(settings, '$.merge', 'majority') "
        "WHERE state <> 'applied'"
    )
