"""Runs, rounds, cases, images and append-only readings."""

import sqlalchemy as sa
from alembic import op

from imil.store.append_only import protection

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "runs",
        sa.Column("name", sa.String(200), primary_key=True),
        sa.Column("created", sa.String(40), nullable=False),
        sa.Column("class_names", sa.JSON, nullable=False),
        sa.Column("settings", sa.JSON, nullable=False),
        sa.Column("versions", sa.JSON, nullable=False),
    )
    op.create_table(
        "rounds",
        sa.Column("id", sa.String(240), primary_key=True),
        sa.Column("run", sa.String(200), sa.ForeignKey("runs.name"), nullable=False),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("settings", sa.JSON, nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("opened", sa.String(40), nullable=False),
        sa.Column("closed", sa.String(40)),
        sa.UniqueConstraint("run", "epoch"),
        sa.CheckConstraint("state IN ('open', 'closed', 'applied')", name="round_state"),
    )
    op.create_table(
        "images",
        sa.Column("sha256", sa.String(64), primary_key=True),
        sa.Column("dtype", sa.String(8), nullable=False),
        sa.Column("shape", sa.JSON, nullable=False),
        sa.Column("pixels", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "cases",
        sa.Column("id", sa.String(250), primary_key=True),
        sa.Column("round", sa.String(240), sa.ForeignKey("rounds.id"), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("label", sa.Integer, nullable=False),
        sa.Column("predicted", sa.Integer, nullable=False),
        sa.Column("confidence", sa.Float, nullable=False),
        sa.Column("image", sa.String(64), sa.ForeignKey("images.sha256"), nullable=False),
        sa.Column("cam_shape", sa.JSON, nullable=False),
        sa.Column("cam_predicted", sa.LargeBinary, nullable=False),
        sa.Column("cam_true", sa.LargeBinary, nullable=False),
        sa.Column("earlier", sa.JSON),
        sa.UniqueConstraint("round", "number"),
    )
    op.create_index("ix_cases_round", "cases", ["round"])
    op.create_table(
        "readings",
        sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("id", sa.String(64), nullable=False, unique=True),
        sa.Column("case", sa.String(250), sa.ForeignKey("cases.id"), nullable=False),
        sa.Column("reader", sa.String(200), nullable=False),
        sa.Column("verdict", sa.String(20), nullable=False),
        sa.Column("squares", sa.JSON, nullable=False),
        sa.Column("squares_before", sa.JSON),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("seconds", sa.Float, nullable=False),
        sa.Column("created", sa.String(40), nullable=False),
        sa.CheckConstraint(
            "verdict IN ('focus', 'skip', 'wrong label', 'not assessable')",
            name="reading_verdict",
        ),
    )
    op.create_index("ix_readings_case", "readings", ["case"])
    for statement in protection("readings", op.get_bind().dialect.name):
        op.execute(statement)
