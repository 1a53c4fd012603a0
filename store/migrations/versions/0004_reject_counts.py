"""Dead letters: counted by hour and fault, marked when they are put back; partitions that were stopped."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Add them."""
    op.add_column("rejects", sa.Column("fault", sa.Text(), nullable=False, server_default="malformed"))
    op.create_table(
        "reject_counts",
        sa.Column("hour", MOMENT, nullable=False),
        sa.Column("partition", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("fault", sa.Text(), nullable=False),
        sa.Column("events", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("hour", "partition", "fault"),
    )
    op.create_table(
        "replayed",
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("partition", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("log_offset", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("place", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("topic", "partition", "log_offset", "place"),
    )
    op.create_table(
        "partition_stops",
        sa.Column("partition", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("log_offset", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("incident_id", sa.Text(), nullable=False),
        sa.Column("resumed_at", MOMENT, nullable=True),
        sa.Column("resumed_by", sa.Text(), nullable=True),
        sa.Column("allowance", sa.BigInteger(), nullable=False),
        sa.Column("taken_up_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("partition"),
    )
