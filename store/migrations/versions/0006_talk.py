"""Silences, snoozes, what was held back and why, and the log of what people did."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables and columns."""
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "silences",
        sa.Column("silence_id", sa.Text(), nullable=False),
        sa.Column("matchers", sa.Text(), nullable=False),
        sa.Column("starts_at", moment, nullable=False),
        sa.Column("ends_at", moment, nullable=False),
        sa.Column("every_s", sa.Double(), nullable=True),
        sa.Column("until", moment, nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at", moment, nullable=False),
        sa.Column("expired_at", moment, nullable=True),
        sa.Column("expired_by", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("silence_id"),
    )
    op.create_index("silences_by_end", "silences", ["until"], unique=False)
    op.create_table(
        "audit",
        sa.Column("serial", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("at", moment, nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("subject_id", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("previous", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("serial"),
        sqlite_autoincrement=True,
    )
    op.create_index("audit_by_subject", "audit", ["subject_id"], unique=False)
    op.create_table(
        "presses",
        sa.Column("press_id", sa.Text(), nullable=False),
        sa.Column("at", moment, nullable=False),
        sa.PrimaryKeyConstraint("press_id"),
    )
    op.create_index("presses_by_time", "presses", ["at"], unique=False)
    for name, type_ in (
        ("snoozed_until", moment),
        ("snoozed_by", sa.Text()),
        ("expected_at", moment),
        ("expected_by", sa.Text()),
    ):
        op.add_column("incidents", sa.Column(name, type_, nullable=True))
    for name in ("hushed", "summary"):
        op.add_column("outbox", sa.Column(name, sa.Text(), nullable=True))
    op.create_index(
        "outbox_unsummed",
        "outbox",
        ["channel", "serial"],
        unique=False,
        sqlite_where=sa.text("summary = ''"),
        postgresql_where=sa.text("summary = ''"),
    )
    op.create_index(
        "outbox_by_reference",
        "outbox",
        ["reference"],
        unique=False,
        sqlite_where=sa.text("reference IS NOT NULL"),
        postgresql_where=sa.text("reference IS NOT NULL"),
    )
