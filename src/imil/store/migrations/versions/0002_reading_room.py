"""What the reading room needs: links, sessions, first looks, audit, progress, results."""

import zlib

import numpy as np
import sqlalchemy as sa
from alembic import op

from imil.store.append_only import protection

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    _windows()
    op.create_index("ix_cases_image", "cases", ["image"])
    _access()
    op.create_table(
        "first_looks",
        sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("id", sa.String(64), nullable=False, unique=True),
        sa.Column("case", sa.String(250), sa.ForeignKey("cases.id"), nullable=False),
        sa.Column("reader", sa.String(200), nullable=False),
        sa.Column("squares", sa.JSON, nullable=False),
        sa.Column("seconds", sa.Float, nullable=False),
        sa.Column("created", sa.String(40), nullable=False),
        sa.UniqueConstraint("case", "reader"),
    )
    op.create_table(
        "audit",
        sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("at", sa.String(40), nullable=False),
        sa.Column("run", sa.String(200), nullable=False),
        sa.Column("who", sa.String(200), nullable=False),
        sa.Column("what", sa.String(40), nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
    )
    op.create_index("ix_audit_run", "audit", ["run"])
    _progress()
    for table in ("first_looks", "audit"):
        for statement in protection(table, op.get_bind().dialect.name):
            op.execute(statement)


def _windows() -> None:
    """The darkest and the brightest value of every image that is there."""
    for name in ("low", "high"):
        op.add_column("images", sa.Column(name, sa.Integer, nullable=False, server_default="0"))
    db = op.get_bind()
    for sha256, dtype in db.execute(sa.text("SELECT sha256, dtype FROM images")).fetchall():
        one = {"sha256": sha256}  # one at a time: a round of films would fill the memory
        query = sa.text("SELECT pixels FROM images WHERE sha256 = :sha256")
        raw = zlib.decompress(db.execute(query, one).scalar_one())
        pixels = np.frombuffer(raw, np.dtype(dtype).newbyteorder("<"))
        db.execute(
            sa.text("UPDATE images SET low = :low, high = :high WHERE sha256 = :sha256"),
            one | {"low": int(pixels.min()), "high": int(pixels.max())},
        )


def _access() -> None:
    op.create_table(
        "invitations",
        sa.Column("id", sa.String(16), primary_key=True),
        sa.Column("run", sa.String(200), sa.ForeignKey("runs.name"), nullable=False),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("secret_hash", sa.String(64), nullable=False, unique=True),
        sa.Column("created", sa.String(40), nullable=False),
        sa.Column("expires", sa.String(40), nullable=False),
        sa.Column("revoked", sa.String(40)),
        sa.Column("used", sa.String(40)),
        sa.CheckConstraint("kind IN ('reader', 'owner')", name="invitation_kind"),
    )
    op.create_index("ix_invitations_run", "invitations", ["run"])
    op.create_table(
        "sessions",
        sa.Column("token_hash", sa.String(64), primary_key=True),
        sa.Column("invitation", sa.String(16), sa.ForeignKey("invitations.id"), nullable=False),
        sa.Column("created", sa.String(40), nullable=False),
        sa.Column("last_seen", sa.String(40), nullable=False),
        sa.Column("ended", sa.String(40)),
    )
    op.create_index("ix_sessions_invitation", "sessions", ["invitation"])


def _progress() -> None:
    op.create_table(
        "progress",
        sa.Column("run", sa.String(200), sa.ForeignKey("runs.name"), primary_key=True),
        sa.Column("protocol", sa.String(20), nullable=False, server_default="paper"),
        sa.Column("state", sa.String(10)),
        sa.Column("epoch", sa.Integer),
        sa.Column("epochs", sa.Integer),
        sa.Column("heartbeat", sa.String(40)),
        sa.Column("address", sa.String(300)),
    )
    op.create_table(
        "results",
        sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("run", sa.String(200), sa.ForeignKey("runs.name"), nullable=False),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("split", sa.String(20), nullable=False),
        sa.Column("metrics", sa.JSON, nullable=False),
        sa.Column("created", sa.String(40), nullable=False),
    )
    op.create_index("ix_results_run", "results", ["run"])
