"""Which readers have finished a round; how several readers' answers of a case are merged.

Rounds that are applied keep the rule that they were applied with, the newest answer of anybody,
which a round without `merge` in its settings has.
"""

import sqlalchemy as sa
from alembic import op

from imil.store.migrations.json_columns import set_in_json

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "finishes",
        sa.Column("round", sa.String(240), sa.ForeignKey("rounds.id"), primary_key=True),
        sa.Column("reader", sa.String(200), primary_key=True),
        sa.Column("at", sa.String(40), nullable=False),
    )
    set_in_json(
        op.get_bind(), "rounds", "settings", "merge", "majority", where="state <> 'applied'"
    )
