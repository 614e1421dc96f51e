"""The tables and the meaning of their columns; `migrations/` has the steps that made them."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

HEAD = "0005"  # the newest file in migrations/versions

APPEND_ONLY = ("readings", "first_looks", "audit")  # triggers refuse to change or delete rows

metadata = MetaData()

runs = Table(
    "runs",
    metadata,
    Column("name", String(200), primary_key=True),
    Column("created", String(40), nullable=False),
    Column("class_names", JSON, nullable=False),
    Column("settings", JSON, nullable=False),
    Column("versions", JSON, nullable=False),  # of imil, Python and the libraries used
)

rounds = Table(
    "rounds",
    metadata,
    Column("id", String(240), primary_key=True),
    Column("run", String(200), ForeignKey("runs.name"), nullable=False),
    Column("epoch", Integer, nullable=False),  # completed epochs
    Column("settings", JSON, nullable=False),
    Column("state", String(10), nullable=False),
    Column("opened", String(40), nullable=False),  # last; a deadline counts from it
    Column("closed", String(40)),
    UniqueConstraint("run", "epoch"),
    CheckConstraint("state IN ('open', 'closed', 'applied')", name="round_state"),
)

# Pixels as shown, once each however often they are shown: raw little-endian values, row by
# row, deflated, so that the stored bytes are sent to a browser as they are.
images = Table(
    "images",
    metadata,
    Column("sha256", String(64), primary_key=True),  # of dtype, shape and raw values
    Column("dtype", String(8), nullable=False),
    Column("shape", JSON, nullable=False),
    Column("pixels", LargeBinary, nullable=False),
    Column("low", Integer, nullable=False, server_default="0"),  # darkest and brightest value:
    Column("high", Integer, nullable=False, server_default="0"),  # a viewer's first window
)

cases = Table(
    "cases",
    metadata,
    Column("id", String(250), primary_key=True),
    Column("round", String(240), ForeignKey("rounds.id"), nullable=False, index=True),
    Column("number", Integer, nullable=False),
    Column("key", Text, nullable=False),
    Column("label", Integer, nullable=False),
    Column("predicted", Integer, nullable=False),
    Column("confidence", Float, nullable=False),
    Column("image", String(64), ForeignKey("images.sha256"), nullable=False, index=True),
    Column("cam_shape", JSON, nullable=False),
    Column("cam_predicted", LargeBinary, nullable=False),  # float32, deflated as images are
    Column("cam_true", LargeBinary, nullable=False),
    Column("earlier", JSON),  # squares of an earlier round
    Column("geometry", JSON),  # of the image, see imil.geometry; null: nothing is known
    UniqueConstraint("round", "number"),
)

readings = Table(
    "readings",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("id", String(64), nullable=False, unique=True),
    Column("case", String(250), ForeignKey("cases.id"), nullable=False, index=True),
    Column("reader", String(200), nullable=False),
    Column("verdict", String(20), nullable=False),
    Column("squares", JSON, nullable=False),
    Column("squares_before", JSON),
    Column("misleading", JSON, nullable=False, server_default="[]"),
    Column("reason", Text, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("created", String(40), nullable=False),
    CheckConstraint(
        "verdict IN ('focus', 'skip', 'wrong label', 'not assessable')", name="reading_verdict"
    ),
)

# An invitation link. Of its secret only the hash is stored.
invitations = Table(
    "invitations",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("run", String(200), ForeignKey("runs.name"), nullable=False, index=True),
    Column("kind", String(10), nullable=False),
    Column("name", String(200), nullable=False),
    Column("secret_hash", String(64), nullable=False, unique=True),  # see machine_key
    Column("created", String(40), nullable=False),
    Column("expires", String(40), nullable=False),
    Column("revoked", String(40)),
    Column("used", String(40)),  # when it was last opened
    CheckConstraint("kind IN ('reader', 'owner')", name="invitation_kind"),
)

# A browser in which a link was opened.
sessions = Table(
    "sessions",
    metadata,
    Column("token_hash", String(64), primary_key=True),  # hash of the cookie
    Column("invitation", String(16), ForeignKey("invitations.id"), nullable=False, index=True),
    Column("created", String(40), nullable=False),
    Column("last_seen", String(40), nullable=False),
    Column("ended", String(40)),
)

# Blind first: the squares selected before the model's opinion was shown. The first look counts.
first_looks = Table(
    "first_looks",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("id", String(64), nullable=False, unique=True),
    Column("case", String(250), ForeignKey("cases.id"), nullable=False),
    Column("reader", String(200), nullable=False),
    Column("squares", JSON, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("created", String(40), nullable=False),
    UniqueConstraint("case", "reader"),
)

# Who has finished a round. Reopening a round removes its rows; the audit keeps them.
finishes = Table(
    "finishes",
    metadata,
    Column("round", String(240), ForeignKey("rounds.id"), primary_key=True),
    Column("reader", String(200), primary_key=True),
    Column("at", String(40), nullable=False),
)

# Who did what, when. Append-only, as readings are.
audit = Table(
    "audit",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("at", String(40), nullable=False),
    Column("run", String(200), nullable=False, index=True),
    Column("who", String(200), nullable=False),
    Column("what", String(40), nullable=False),
    Column("detail", Text, nullable=False),
)

# Progress of a run's training, recorded by it; one row per run, overwritten.
progress = Table(
    "progress",
    metadata,
    Column("run", String(200), ForeignKey("runs.name"), primary_key=True),
    Column("protocol", String(20), nullable=False, server_default="paper"),
    Column("state", String(10)),
    Column("epoch", Integer),  # completed epochs
    Column("epochs", Integer),
    Column("heartbeat", String(40)),
    Column("address", String(300)),  # the reading room's last address
)

# Metrics of a run's evaluations, for the page to show at the end.
results = Table(
    "results",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("run", String(200), ForeignKey("runs.name"), nullable=False, index=True),
    Column("epoch", Integer, nullable=False),
    Column("split", String(20), nullable=False),
    Column("metrics", JSON, nullable=False),
    Column("created", String(40), nullable=False),
)
